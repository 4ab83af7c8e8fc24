//! Rehearsals: while ZooKeeper is well, keepers try whether they could ask each other without it (RK-8).
//!
//! An address that leads nowhere, or to another process, makes failsafe mode fail in the outage that it is for. A
//! rehearsal finds out before. The question goes the way of a request for consent, but binds no keeper and is
//! recorded by none.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::identity::{KeeperProcess, Nonce, Place};
use super::node::{KeeperId, Moment};
use super::timing::rehearsal::{AGAIN, EVERY, PROVES_FOR};

/// From when a keeper is known, or ZooKeeper answers again, to the first rehearsal with that keeper.
const FIRST: Duration = Duration::from_secs(2);
/// First rehearsals are spread over this time.
const SPREAD: Duration = Duration::from_secs(3);
/// After this many failures in a row an obstacle is reported. The answer of another keeper is proof, and is reported
/// at once.
const TOLD_AFTER: u32 = 2;
/// After this many successes in a row:
/// - a rehearsal every [`EVERY`] is enough;
/// - the answer of another keeper is forgotten. Fewer prove nothing, since a load balancer leads to the right keeper
///   now and then.
const STEADY_AFTER: u32 = 5;

/// One keeper's question to another: which process answers at this address?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RehearsalRequest {
    /// The asker.
    pub from: KeeperProcess,
    /// Where the asker's process runs.
    pub place: Option<Place>,
    /// The process that is meant.
    pub to: KeeperProcess,
}

/// A keeper's advertised address, and the process that advertises it. A rehearsal's result is true of these two
/// alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// `host:port`; empty while it was not read.
    pub rest: String,
    /// The nonce of the process; `None` from a former build.
    pub nonce: Option<Nonce>,
}

/// Why a keeper could not be asked for its consent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RehearsalObstacle {
    /// The address leads nowhere.
    #[error("its address does not resolve: {0}")]
    Unresolved(String),
    /// No process answers there.
    #[error("it is not reached: {0}")]
    Unreachable(String),
    /// A process answers there, but not as a keeper does.
    #[error("the question is refused: {0}")]
    Refused(String),
    /// Another keeper, or another process of the same keeper, answers there.
    #[error("{0} answers at its address")]
    Other(KeeperProcess),
    /// The asker reaches itself.
    #[error("this keeper itself answers at its address")]
    Myself,
    /// The keeper has no nonce.
    #[error("it cannot prove its consent: a former build")]
    FormerBuild,
    /// Two keepers advertise one address.
    #[error("it has the same address as {0}: give each keeper a rest-advertise of its own")]
    SharedAddress(KeeperId),
    /// Two keepers advertise one address, and one of the two is not online.
    #[error(
        "{gone} is not online and has the address of {of}: it is probably the predecessor of that keeper, under another id. \
         DELETE /admin/keepers/{gone} (needs admin-operations: true)"
    )]
    Predecessor {
        /// The keeper that is not online.
        gone: KeeperId,
        /// The keeper that is online, at the same address.
        of: KeeperId,
    },
    /// Keepers on other hosts cannot reach it.
    #[error("it is a loopback address, and other keepers run on other hosts: set rest-advertise")]
    Loopback,
}

impl RehearsalObstacle {
    /// Whether the address of `asked` leads to another keeper as well, which no restart explains.
    fn leads_astray(&self, asked: &KeeperId) -> bool {
        match self {
            Self::Myself => true,
            Self::Other(process) => process.id != *asked,
            _ => false,
        }
    }

    /// Whether the obstacle concerns one of these keepers, too.
    fn involves(&self, keepers: &BTreeSet<KeeperId>) -> bool {
        match self {
            Self::Other(process) => keepers.contains(&process.id),
            Self::SharedAddress(other) => keepers.contains(other),
            Self::Predecessor { gone, of } => keepers.contains(gone) || keepers.contains(of),
            _ => false,
        }
    }

    /// The obstacle if `keeper` has the same address as `other`.
    pub fn shared(keeper: &KeeperId, other: &KeeperId, online: impl Fn(&KeeperId) -> bool) -> Self {
        let (gone, of) = match (online(keeper), online(other)) {
            (true, false) => (other.clone(), keeper.clone()),
            (false, true) => (keeper.clone(), other.clone()),
            _ => return Self::SharedAddress(other.clone()),
        };
        Self::Predecessor { gone, of }
    }
}

/// A change that is worth a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RehearsalNews {
    /// The keeper could not be asked, twice in a row or for another reason than was reported. An answer from another
    /// keeper is reported the first time.
    Obstructed(RehearsalObstacle),
    /// The keeper can be asked again, and its address leads to it alone.
    Clear,
}

/// The course of the rehearsals with all keepers. The entry of this keeper itself is about its own address.
#[derive(Debug, Default)]
pub struct Rehearsals {
    with: BTreeMap<KeeperId, RehearsalHistory>,
    /// When a rehearsal came from another place last.
    reached: Option<Moment>,
}

/// The course of the rehearsals with one keeper.
#[derive(Debug, Default)]
struct RehearsalHistory {
    /// The address and the process that they were made with.
    with: Option<Advertised>,
    due: Option<Moment>,
    /// Failures in a row.
    failures: u32,
    /// Successes in a row.
    successes: u32,
    /// Why the last one failed.
    obstacle: Option<RehearsalObstacle>,
    /// The obstacle that was reported.
    told: Option<RehearsalObstacle>,
    /// A reported obstacle was dropped, and its end is not reported yet.
    dropped: bool,
    /// When the last one ended.
    tried: Option<Moment>,
    /// The last known addresses of the keeper's host.
    addresses: BTreeSet<SocketAddr>,
}

/// The rehearsals with one keeper, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// When the last rehearsal ended.
    pub tried: Moment,
    /// Why the last rehearsal failed, or the obstacle that was reported and still stands.
    pub obstacle: Option<RehearsalObstacle>,
}

impl Rehearsals {
    /// The keepers with which `me` has to rehearse now, out of all `keepers`. Report the outcome of each by
    /// [`ended`](Self::ended).
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
                // Not again before this rehearsal has ended.
                course.due = Some(now.after(EVERY));
                due.push(keeper.clone());
            }
        }
        due
    }

    /// Drops the results for addresses and processes that have changed, and has the new ones tried at once.
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
                course.restart(now);
            }
            course.with = Some(advertised.clone()).filter(|it| !it.rest.is_empty());
        }
        for course in self.with.values_mut() {
            let mut found = course.obstacle.iter().chain(&course.told);
            if found.any(|obstacle| obstacle.involves(&changed)) {
                course.restart(now);
            }
        }
    }

    /// Records that ZooKeeper does not answer: rehearsals begin anew once it answers again.
    pub fn pause(&mut self) {
        for course in self.with.values_mut() {
            course.due = None;
        }
    }

    /// Records the present addresses of the keeper's host.
    pub fn resolved(&mut self, keeper: &KeeperId, addresses: BTreeSet<SocketAddr>) {
        if let Some(course) = self.with.get_mut(keeper) {
            course.addresses = addresses;
        }
    }

    /// Records the outcome of a rehearsal with the keeper. Returns the change to report, if there is one.
    pub fn ended(
        &mut self,
        keeper: &KeeperId,
        outcome: Result<(), RehearsalObstacle>,
        now: Moment,
    ) -> Option<RehearsalNews> {
        let course = self.with.get_mut(keeper)?;
        course.tried = Some(now);
        course.obstacle = outcome.err();
        let Some(obstacle) = course.obstacle.clone() else {
            course.failures = 0;
            course.successes = course.successes.saturating_add(1);
            let steady = course.successes >= STEADY_AFTER;
            course.due = Some(now.after(if steady { EVERY } else { AGAIN }));
            let astray = |told: &mut RehearsalObstacle| told.leads_astray(keeper) && !steady;
            let over = course.told.take_if(|told| !astray(told)).is_some();
            let dropped = course.told.is_none() && std::mem::take(&mut course.dropped);
            return (over || dropped).then_some(RehearsalNews::Clear);
        };
        (course.failures, course.successes) = (course.failures.saturating_add(1), 0);
        let told = course.failures >= TOLD_AFTER || obstacle.leads_astray(keeper);
        course.due = Some(now.after(if told { EVERY } else { AGAIN }));
        if !told || course.told.as_ref() == Some(&obstacle) {
            return None;
        }
        course.told = Some(obstacle.clone());
        Some(RehearsalNews::Obstructed(obstacle))
    }

    /// Records that a rehearsal has come from another place.
    pub fn reached(&mut self, now: Moment) {
        self.reached = Some(now);
    }

    /// Whether a rehearsal has come from another place within [`PROVES_FOR`].
    pub fn is_reached(&self, now: Moment) -> bool {
        self.reached.is_some_and(|at| now.since(at) < PROVES_FOR)
    }

    /// The last known addresses of the keeper's host.
    pub fn addresses(&self, keeper: &KeeperId) -> Option<&BTreeSet<SocketAddr>> {
        Some(&self.with.get(keeper)?.addresses)
    }

    /// The keepers that were tried, with the last outcome of each.
    pub fn tried(&self) -> impl Iterator<Item = (&KeeperId, Rehearsed)> {
        self.with.iter().filter_map(|(keeper, course)| {
            let obstacle = course.obstacle.as_ref().or(course.told.as_ref());
            let (tried, obstacle) = (course.tried?, obstacle.cloned());
            Some((keeper, Rehearsed { tried, obstacle }))
        })
    }

    /// The obstacles that were reported and still stand.
    pub fn reported_obstacles(&self) -> impl Iterator<Item = (&KeeperId, &RehearsalObstacle)> {
        let courses = self.with.iter();
        courses.filter_map(|(keeper, course)| Some((keeper, course.told.as_ref()?)))
    }
}

impl RehearsalHistory {
    /// Drops the results for an address or a process that has changed.
    fn restart(&mut self, now: Moment) {
        *self = Self {
            with: self.with.take(),
            due: Some(now),
            dropped: self.dropped || self.told.is_some(),
            ..Self::default()
        };
    }
}

/// Judges a rehearsal's answer: `me` meant `asked`, and `by` answered.
pub fn answered(
    asked: &KeeperProcess,
    by: KeeperProcess,
    me: &KeeperProcess,
) -> Result<(), RehearsalObstacle> {
    if by.nonce == me.nonce || by.id == me.id {
        Err(RehearsalObstacle::Myself)
    } else if by == *asked {
        Ok(())
    } else {
        Err(RehearsalObstacle::Other(by))
    }
}

/// Checks a keeper's own address, which resolves to `addresses`. `elsewhere` says that keepers run at other places,
/// and that none is known to reach this one.
pub fn own_address(
    addresses: &BTreeSet<SocketAddr>,
    elsewhere: bool,
) -> Result<(), RehearsalObstacle> {
    let near = |address: &SocketAddr| address.ip().is_loopback() || address.ip().is_unspecified();
    if elsewhere && addresses.iter().all(near) {
        return Err(RehearsalObstacle::Loopback);
    }
    Ok(())
}

/// Where a keeper is reached: the advertised address, and the addresses that it resolves to.
#[derive(Debug, Clone)]
pub struct Address<'a> {
    /// `host:port`.
    pub rest: &'a str,
    /// The resolved addresses; `None` or empty while unknown.
    pub resolved: Option<&'a BTreeSet<SocketAddr>>,
}

impl Address<'_> {
    /// Whether both are one address, by their text or by an address that both resolve to.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        let resolved = || Some(!self.resolved?.is_disjoint(other.resolved?));
        self.rest.eq_ignore_ascii_case(other.rest) || resolved().unwrap_or(false)
    }
}

/// Where each keeper is reached.
pub type Addresses<'a> = BTreeMap<&'a KeeperId, Address<'a>>;

/// The first other keeper that has the address of `keeper`: at most one of the two can be reached there.
pub fn sharing<'a>(keeper: &KeeperId, all: &Addresses<'a>) -> Option<&'a KeeperId> {
    let address = all.get(keeper)?;
    let others = all.iter().filter(|(other, _)| **other != keeper);
    let mut shared = others.filter(|(_, other)| other.is_shared_with(address));
    shared.next().map(|(other, _)| *other)
}

/// The first two keepers that have one address.
pub fn two_sharing<'a>(all: &Addresses<'a>) -> Option<(&'a KeeperId, &'a KeeperId)> {
    all.keys().find_map(|one| Some((*one, sharing(one, all)?)))
}

/// When, within [`SPREAD`], the first rehearsal of one process with a keeper is due: an FNV-1a hash.
fn spread(me: &KeeperProcess, keeper: &KeeperId) -> Duration {
    let bytes = me.nonce.as_str().bytes().chain(keeper.as_str().bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    SPREAD * (hash % 1_000) / 1_000
}

#[cfg(test)]
mod tests;
