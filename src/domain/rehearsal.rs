//! Trying, while ZooKeeper is well, whether the other keepers could be asked without it (RK-8).
//!
//! An address that leads nowhere, or to another process, makes failsafe fail in the outage that it is for. A rehearsal
//! finds out before: it goes the way of a request for consent, binds nobody, and is recorded by nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::identity::{KeeperProcess, Nonce, Place};
use super::node::{KeeperId, Moment};

/// From one rehearsal with a keeper to the next.
const EVERY: Duration = Duration::from_mins(1);
/// From one attempt to the next, until it is known how rehearsals with that keeper go.
const AGAIN: Duration = Duration::from_secs(10);
/// From when a keeper is known, or ZooKeeper answers again, to the first rehearsal with it.
const FIRST: Duration = Duration::from_secs(2);
/// First rehearsals are spread over so long.
const SPREAD: Duration = Duration::from_secs(3);
/// So many failures in a row are told. Another keeper's answer is told at once: it is proof.
const TOLD_AFTER: u32 = 2;
/// So many successes in a row are needed before a rehearsal every [`EVERY`] is enough, and before another keeper's answer is
/// forgotten: a load balancer leads to the right one now and then.
const STEADY_AFTER: u32 = 5;
/// A rehearsal that came from another place proves for so long that this keeper can be reached.
pub const PROVES_FOR: Duration = Duration::from_secs(150);

/// One keeper's question to another: is it you who answers there?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RehearsalRequest {
    /// Who asks.
    pub from: KeeperProcess,
    /// Where that process runs.
    pub place: Option<Place>,
    /// Whom it means.
    pub to: KeeperProcess,
}

/// Where a keeper says that it is reached, and which process says so. What a rehearsal finds is true of these alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// `host:port`; empty while it was not read.
    pub rest: String,
    /// The process; `None` of a former build.
    pub nonce: Option<Nonce>,
}

/// Why a keeper could not be asked for its consent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// Its address leads nowhere.
    #[error("its address does not resolve: {0}")]
    Unresolved(String),
    /// Nobody answers there.
    #[error("it is not reached: {0}")]
    Unreachable(String),
    /// Somebody answers there, but not as keepers do.
    #[error("the question is refused: {0}")]
    Refused(String),
    /// Another keeper, or another run of it, answers there.
    #[error("{0} answers at its address")]
    Other(KeeperProcess),
    /// Whoever asks reaches itself.
    #[error("this keeper itself answers at its address")]
    Myself,
    /// It knows of no nonce.
    #[error("it cannot prove its consent: a former build")]
    FormerBuild,
    /// Two keepers advertise one address.
    #[error("it has the same address as {0}: give each keeper a rest-advertise of its own")]
    SharedAddress(KeeperId),
    /// The same, and one of the two is gone.
    #[error(
        "{gone} is not online and has the address of {of}: it is probably the predecessor of that keeper, under another id. \
         DELETE /admin/keepers/{gone} (needs admin-operations: true)"
    )]
    Predecessor {
        /// The keeper that is not online.
        gone: KeeperId,
        /// The one that is, at its address.
        of: KeeperId,
    },
    /// Keepers on other hosts cannot reach it.
    #[error("it is a loopback address, and other keepers run on other hosts: set rest-advertise")]
    Loopback,
}

impl Obstacle {
    /// The keeper's address leads to `asked` and to others: no restart explains it.
    fn leads_astray(&self, asked: &KeeperId) -> bool {
        match self {
            Self::Myself => true,
            Self::Other(process) => process.id != *asked,
            _ => false,
        }
    }

    /// Whether it was found with one of these keepers, too.
    fn involves(&self, keepers: &BTreeSet<KeeperId>) -> bool {
        match self {
            Self::Other(process) => keepers.contains(&process.id),
            Self::SharedAddress(other) => keepers.contains(other),
            Self::Predecessor { gone, of } => keepers.contains(gone) || keepers.contains(of),
            _ => false,
        }
    }

    /// `keeper` has the same address as `other`.
    pub fn shared(keeper: &KeeperId, other: &KeeperId, online: impl Fn(&KeeperId) -> bool) -> Self {
        let (gone, of) = match (online(keeper), online(other)) {
            (true, false) => (other.clone(), keeper.clone()),
            (false, true) => (keeper.clone(), other.clone()),
            _ => return Self::SharedAddress(other.clone()),
        };
        Self::Predecessor { gone, of }
    }
}

/// A change worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The keeper could not be asked, for the second time in a row, or for another reason than before.
    Obstructed(Obstacle),
    /// It can be asked again, and the address leads to it alone.
    Clear,
}

/// How the rehearsals with all keepers went; with this one itself: what is known of its own address.
#[derive(Debug, Default)]
pub struct Rehearsals {
    with: BTreeMap<KeeperId, Course>,
    /// When a rehearsal came from another place last.
    reached: Option<Moment>,
}

/// How the rehearsals with one keeper went.
#[derive(Debug, Default)]
struct Course {
    /// What they were made with.
    with: Option<Advertised>,
    due: Option<Moment>,
    /// In a row.
    failures: u32,
    /// In a row.
    successes: u32,
    /// Why the last one failed.
    obstacle: Option<Obstacle>,
    /// What was told.
    told: Option<Obstacle>,
    /// What was told was dropped, and the end of it was not told yet.
    dropped: bool,
    /// When the last one ended.
    tried: Option<Moment>,
    /// What its address resolved to last.
    addresses: BTreeSet<SocketAddr>,
}

/// What is known of one keeper, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// When the last rehearsal ended.
    pub tried: Moment,
    /// Why it failed.
    pub obstacle: Option<Obstacle>,
}

impl Rehearsals {
    /// Those of `keepers`, all there are, that are to be tried now by `me`. Each is told of by [`ended`](Self::ended).
    pub fn due<'a>(
        &mut self,
        me: &KeeperProcess,
        keepers: impl Iterator<Item = (&'a KeeperId, Advertised)>,
        now: Moment,
    ) -> Vec<KeeperId> {
        let keepers: BTreeMap<&KeeperId, Advertised> = keepers.collect();
        self.drop_former(&keepers, now);
        let mut due = Vec::new();
        for keeper in keepers.into_keys() {
            let course = self.with.entry(keeper.clone()).or_default();
            let first = || now.after(FIRST + spread(me, keeper));
            let at = *course.due.get_or_insert_with(first);
            if now >= at {
                // Until it has ended.
                course.due = Some(now.after(EVERY));
                due.push(keeper.clone());
            }
        }
        due
    }

    /// Drops what was found with addresses and processes that are others by now, and has the new ones tried at once.
    fn drop_former(&mut self, keepers: &BTreeMap<&KeeperId, Advertised>, now: Moment) {
        let mut changed = BTreeSet::new();
        self.with.retain(|keeper, _| {
            let there = keepers.contains_key(keeper);
            if !there {
                changed.insert(keeper.clone());
            }
            there
        });
        for (keeper, advertised) in keepers {
            let course = self.with.entry((*keeper).clone()).or_default();
            if course.with.as_ref().is_some_and(|it| it != advertised) {
                changed.insert((*keeper).clone());
                course.begin_anew(now);
            }
            course.with = Some(advertised.clone()).filter(|it| !it.rest.is_empty());
        }
        for course in self.with.values_mut() {
            let mut found = course.obstacle.iter().chain(&course.told);
            if found.any(|obstacle| obstacle.involves(&changed)) {
                course.begin_anew(now);
            }
        }
    }

    /// ZooKeeper does not answer: what comes after begins anew.
    pub fn pause(&mut self) {
        for course in self.with.values_mut() {
            course.due = None;
        }
    }

    /// What the keeper's address resolves to now.
    pub fn resolved(&mut self, keeper: &KeeperId, addresses: BTreeSet<SocketAddr>) {
        if let Some(course) = self.with.get_mut(keeper) {
            course.addresses = addresses;
        }
    }

    /// A rehearsal with the keeper has ended.
    pub fn ended(
        &mut self,
        keeper: &KeeperId,
        outcome: Result<(), Obstacle>,
        now: Moment,
    ) -> Option<News> {
        let course = self.with.get_mut(keeper)?;
        course.tried = Some(now);
        course.obstacle = outcome.err();
        let Some(obstacle) = course.obstacle.clone() else {
            course.failures = 0;
            course.successes = course.successes.saturating_add(1);
            let steady = course.successes >= STEADY_AFTER;
            course.due = Some(now.after(if steady { EVERY } else { AGAIN }));
            let astray = |told: &mut Obstacle| told.leads_astray(keeper) && !steady;
            let over = course.told.take_if(|told| !astray(told)).is_some();
            let dropped = course.told.is_none() && std::mem::take(&mut course.dropped);
            return (over || dropped).then_some(News::Clear);
        };
        (course.failures, course.successes) = (course.failures.saturating_add(1), 0);
        let told = course.failures >= TOLD_AFTER || obstacle.leads_astray(keeper);
        course.due = Some(now.after(if told { EVERY } else { AGAIN }));
        if !told || course.told.as_ref() == Some(&obstacle) {
            return None;
        }
        course.told = Some(obstacle.clone());
        Some(News::Obstructed(obstacle))
    }

    /// A rehearsal has come from another place.
    pub fn reached(&mut self, now: Moment) {
        self.reached = Some(now);
    }

    /// Whether one has come lately.
    pub fn is_reached(&self, now: Moment) -> bool {
        self.reached.is_some_and(|at| now.since(at) < PROVES_FOR)
    }

    /// What the keeper's address resolved to last.
    pub fn addresses(&self, keeper: &KeeperId) -> Option<&BTreeSet<SocketAddr>> {
        Some(&self.with.get(keeper)?.addresses)
    }

    /// Those that were tried, and how that ended.
    pub fn tried(&self) -> impl Iterator<Item = (&KeeperId, Rehearsed)> {
        self.with.iter().filter_map(|(keeper, course)| {
            let obstacle = course.obstacle.as_ref().or(course.told.as_ref());
            let (tried, obstacle) = (course.tried?, obstacle.cloned());
            Some((keeper, Rehearsed { tried, obstacle }))
        })
    }

    /// What was told and stands.
    pub fn told(&self) -> impl Iterator<Item = (&KeeperId, &Obstacle)> {
        let courses = self.with.iter();
        courses.filter_map(|(keeper, course)| Some((keeper, course.told.as_ref()?)))
    }
}

impl Course {
    /// What was found is of an address or a process that is another by now.
    fn begin_anew(&mut self, now: Moment) {
        *self = Self {
            with: self.with.take(),
            due: Some(now),
            dropped: self.dropped || self.told.is_some(),
            ..Self::default()
        };
    }
}

/// Who answered a rehearsal, as `me` sees it that meant `asked`.
pub fn answered(
    asked: &KeeperProcess,
    by: KeeperProcess,
    me: &KeeperProcess,
) -> Result<(), Obstacle> {
    if by.nonce == me.nonce || by.id == me.id {
        Err(Obstacle::Myself)
    } else if by == *asked {
        Ok(())
    } else {
        Err(Obstacle::Other(by))
    }
}

/// What stands in the way of reaching a keeper from `elsewhere` whose own address resolves to `addresses`, unless it is
/// known to be reached from there.
pub fn own_address(addresses: &BTreeSet<SocketAddr>, elsewhere: bool) -> Result<(), Obstacle> {
    let near = |address: &SocketAddr| address.ip().is_loopback() || address.ip().is_unspecified();
    if elsewhere && addresses.iter().all(near) {
        return Err(Obstacle::Loopback);
    }
    Ok(())
}

/// Where a keeper is reached: as it says, and what that resolves to.
#[derive(Debug, Clone)]
pub struct Address<'a> {
    /// `host:port`.
    pub rest: &'a str,
    /// Empty while it is not known.
    pub resolved: Option<&'a BTreeSet<SocketAddr>>,
}

impl Address<'_> {
    /// Whether both are one address, by its text or by what it resolves to.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        let resolved = || Some(!self.resolved?.is_disjoint(other.resolved?));
        self.rest.eq_ignore_ascii_case(other.rest) || resolved().unwrap_or(false)
    }
}

/// Where each keeper is reached.
pub type Addresses<'a> = BTreeMap<&'a KeeperId, Address<'a>>;

/// The first other keeper that has the address of `keeper`: of the two at most one can be reached there.
pub fn sharing<'a>(keeper: &KeeperId, all: &Addresses<'a>) -> Option<&'a KeeperId> {
    let address = all.get(keeper)?;
    let others = all.iter().filter(|(other, _)| **other != keeper);
    let mut shared = others.filter(|(_, other)| other.is_shared_with(address));
    shared.next().map(|(other, _)| *other)
}

/// The first two that have one address.
pub fn two_sharing<'a>(all: &Addresses<'a>) -> Option<(&'a KeeperId, &'a KeeperId)> {
    all.keys().find_map(|one| Some((*one, sharing(one, all)?)))
}

/// Where in [`SPREAD`] the first rehearsal of one process with a keeper lies. FNV-1a.
fn spread(me: &KeeperProcess, keeper: &KeeperId) -> Duration {
    let bytes = me.nonce.as_str().bytes().chain(keeper.as_str().bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    SPREAD * (hash % 1_000) / 1_000
}

#[cfg(test)]
mod tests;
