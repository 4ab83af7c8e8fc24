//! All keepers ever seen: which of them may still answer from an older state (RK-2), and which are silent (RK-4).
//!
//! A keeper is known by its id and session. Its entry stays after its node is gone: an expired session ends no lease.
//!
//! The silence of a keeper is measured with this keeper's clock, from the moment at which this keeper READ the last
//! change. So the silence never begins too early.
//!
//! A change may still be on its way to this keeper while the silence is already long enough. So silence counts for a
//! withdrawal only after a survey. A survey is a read that is sent after the withdrawal was known to be committed.
//! The survey must find:
//! - no change of the keeper's node;
//! - no keeper online that is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::failsafe_group::FailsafeGroup;
use super::record::KeeperRecord;
use super::stored::{Listing, Stamp, Stored};
use crate::domain::failsafe::Failsafe;
use crate::domain::lease::outlasting;
use crate::domain::node::{Generation, KeeperId, Moment};
use crate::domain::silence::Acknowledged;

mod announcements;
mod unacknowledged;

/// The keepers that may still hold a lease, and the keepers online.
#[derive(Debug)]
pub struct KeeperTable {
    me: KeeperId,
    /// How long a keeper counts as answering after a heartbeat, unless it announces a longer lease.
    lease: Duration,
    /// How long a consent lasts; `None` if no keeper goes on without ZooKeeper (RK-8).
    consent: Option<Duration>,
    seen: BTreeMap<(KeeperId, i64), Seen>,
    /// The keepers online, with their announcements, and whether each was read on this connection.
    online: BTreeMap<KeeperId, Online>,
    /// ZooKeeper's count of all arrivals and departures, as listed last.
    changes: i32,
    /// How much was read on this connection.
    read: Read,
    /// Whether the set of keepers online has changed since it was listed.
    relisting: bool,
    /// How many departures were noticed since the last listing. The next count will include them.
    departures: usize,
    /// When keepers that were never seen count as seen; `None` until everything was read.
    ///
    /// A reconnection changes nothing here if `ZooKeeper` has counted no other keeper since the connection before.
    possible_unseen_keepers: Option<Moment>,
    /// When it was last found that an unseen keeper had left.
    left_unseen: Option<Moment>,
    /// When the last lease ended among the keepers that are forgotten.
    last_forgotten: Option<Moment>,
    /// The newest withdrawal after which a survey found no unknown keeper.
    counted: Generation,
    complete_once: bool,
}

/// How much was read on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Read {
    Nothing,
    /// The keepers online, and ZooKeeper's count of changes.
    Listed,
    Everything,
}

#[derive(Debug)]
struct Seen {
    acknowledged: Acknowledged,
    lease: Duration,
    /// As the node was read last.
    stamp: Stamp,
    changed: Moment,
    /// The newest withdrawal after which a survey found no change of the node.
    confirmed: Generation,
    /// Whether the node is gone: then no newer heartbeat comes.
    gone: bool,
}

/// The keepers online, as far as that is known.
#[derive(Debug, PartialEq, Eq)]
pub struct Presence {
    online: BTreeSet<KeeperId>,
    relisting: bool,
}

#[derive(Debug, Default)]
struct Online {
    record: Option<KeeperRecord>,
    read: bool,
}

impl Seen {
    /// When the keeper has been silent for *L + m*, or for *L + D + m* if it may go on for *D* `beyond` its lease.
    ///
    /// Example: with a lease of 0.8 s and the last change read at 49.0, the keeper is silent at 49.82.
    fn silent_at(&self, beyond: Duration) -> Moment {
        self.changed
            .after(outlasting(self.lease.saturating_add(beyond)))
    }

    /// Notes that the last event which can earn the keeper a lease happened at `at` at the latest.
    fn mark_changed(&mut self, at: Moment) {
        self.changed = self.changed.max(at);
    }

    /// Notes that the node is gone, and may have changed just before.
    fn mark_gone(&mut self, now: Moment) {
        if !self.gone {
            self.gone = true;
            self.mark_changed(now);
        }
    }
}

impl KeeperTable {
    /// The table of keeper `me` before it has read anything, with the settings of this keeper.
    pub fn new(me: KeeperId, lease: Duration, failsafe: Option<Failsafe>) -> Self {
        Self {
            me,
            lease,
            consent: failsafe.map(|failsafe| failsafe.consent),
            seen: BTreeMap::new(),
            online: BTreeMap::new(),
            changes: 0,
            read: Read::Nothing,
            relisting: false,
            departures: 0,
            possible_unseen_keepers: None,
            left_unseen: None,
            last_forgotten: None,
            counted: Generation::default(),
            complete_once: false,
        }
    }

    /// Begins with a new connection. No silence counts before everything is read again.
    pub fn new_connection(&mut self) {
        for online in self.online.values_mut() {
            online.read = false;
        }
        self.read = Read::Nothing;
    }

    /// Notes that everything has been read on this connection. A keeper that left before was not seen.
    pub fn all_read(&mut self, now: Moment) {
        self.read = Read::Everything;
        self.possible_unseen_keepers.get_or_insert(now);
    }

    /// When keepers that were never seen count as seen, if everything was read on this connection.
    fn possible_unseen_keepers(&self) -> Option<Moment> {
        self.possible_unseen_keepers
            .filter(|_| self.read == Read::Everything)
    }

    /// Notes that the set of keepers online has changed, and has to be [`listed`](Self::listed) again.
    ///
    /// A vote that was written later may be known sooner. Such a vote counts for nothing before the listing.
    pub fn changed(&mut self) {
        self.relisting = true;
    }

    /// Takes in the keepers online. Returns those to be followed from now on.
    pub fn listed(
        &mut self,
        listing: Listing,
        failsafe_group: &FailsafeGroup,
        now: Moment,
    ) -> Vec<KeeperId> {
        let Listing { keepers, changes } = listing;
        self.relisting = false;
        let before = self.online.len();
        self.online.retain(|keeper, _| keepers.contains(keeper));
        let left = before - self.online.len() + std::mem::take(&mut self.departures);
        let fresh: Vec<KeeperId> = keepers
            .into_iter()
            .filter(|keeper| self.online.get(keeper).is_none_or(|online| !online.read))
            .collect();
        let mut came = 0;
        for keeper in &fresh {
            self.online.entry(keeper.clone()).or_insert_with(|| {
                came += 1;
                Online::default()
            });
        }
        let passed = changes.wrapping_sub(self.changes);
        self.changes = changes;
        let first = self.read == Read::Nothing;
        self.read = self.read.max(Read::Listed);
        if usize::try_from(passed).ok() != Some(left + came) {
            // A keeper came and went, or went and came back, between the two listings or before the first one.
            self.possible_unseen_keepers =
                self.possible_unseen_keepers.filter(|_| !first).map(|_| now);
            self.left_unseen = Some(now);
            if first {
                // Any keeper that was seen may be the one that came and went, this keeper in an earlier session
                // included.
                for seen in self.seen.values_mut() {
                    seen.mark_changed(now);
                    seen.gone = false;
                }
            }
        }
        if first {
            // Nothing shows when the other keepers went.
            for ((keeper, _), seen) in &mut self.seen {
                if !self.online.contains_key(keeper) {
                    seen.mark_gone(now);
                }
            }
        }
        let online = &self.online;
        let last_forgotten = &mut self.last_forgotten;
        self.seen.retain(|(keeper, _), seen| {
            let silent_at = seen.silent_at(failsafe_group.limit(keeper));
            let kept = online.contains_key(keeper) || !seen.gone || now < silent_at;
            if !kept {
                *last_forgotten = (*last_forgotten).max(Some(silent_at));
            }
            kept
        });
        fresh
    }

    /// Takes in that the node of a keeper's session was deleted.
    pub fn node_deleted(&mut self, keeper: &KeeperId, session: i64) {
        if let Some(seen) = self.seen.get_mut(&(keeper.clone(), session)) {
            seen.gone = true;
        }
    }

    /// Takes in that the node of a keeper's session has changed, and was not read yet.
    pub fn node_changed(&mut self, keeper: &KeeperId, session: i64, now: Moment) {
        let online = self.is_online(keeper);
        let seen = self.seen.get_mut(&(keeper.clone(), session));
        // A keeper that is not listed any more is not read again.
        if let Some(seen) = seen.filter(|_| !online) {
            seen.mark_gone(now);
        }
    }

    /// Takes in a keeper's node; `None` if it is gone. Answers whether the node is to be followed further.
    pub fn read(
        &mut self,
        keeper: &KeeperId,
        node: Option<Stored<KeeperRecord>>,
        now: Moment,
    ) -> bool {
        let Some(Stored { stamp, content }) = node else {
            if let Some(online) = self.online.remove(keeper) {
                self.departures += 1;
                if !online.read {
                    self.possible_unseen_keepers = self.possible_unseen_keepers.map(|_| now);
                    self.left_unseen = Some(now);
                }
            }
            for ((id, _), seen) in &mut self.seen {
                if id == keeper {
                    seen.mark_gone(now);
                }
            }
            return false;
        };
        for ((id, session), seen) in &mut self.seen {
            if id == keeper && *session != stamp.owner {
                seen.mark_gone(now);
            }
        }
        let record = content.ok();
        let seen = self
            .seen
            .entry((keeper.clone(), stamp.owner))
            .or_insert_with(|| Seen {
                acknowledged: Acknowledged::default(),
                lease: self.lease,
                stamp,
                changed: now,
                confirmed: Generation::default(),
                gone: false,
            });
        if seen.stamp != stamp {
            seen.stamp = stamp;
            seen.mark_changed(now);
        }
        seen.gone = false;
        if let Some(record) = &record {
            seen.acknowledged.read(record.acknowledged, now);
            seen.lease = seen.lease.max(record.lease);
        }
        let read = true;
        self.online.insert(keeper.clone(), Online { record, read });
        *keeper != self.me
    }

    /// Notes at `now` that the keeper has changed its failsafe list, or has none any more (RK-8). Consents by the former
    /// list last as long as a lease does, or longer.
    pub fn amended(&mut self, keeper: &KeeperId, now: Moment) {
        let consent = self.consent.unwrap_or_default();
        let since = now.after(consent.saturating_sub(self.lease));
        for ((id, _), seen) in &mut self.seen {
            if id == keeper {
                seen.mark_changed(since);
            }
        }
    }

    /// Whether all keepers online were read on this connection.
    pub fn complete(&mut self) -> bool {
        let complete = self.read >= Read::Listed && self.online.values().all(|online| online.read);
        self.complete_once |= complete;
        complete
    }

    /// Whether the set of keepers online has changed, and was not listed again yet.
    pub fn relisting(&self) -> bool {
        self.relisting
    }

    /// Whether all keepers online were read once, on this connection or an earlier one.
    pub fn known(&self) -> bool {
        self.complete_once
    }

    /// The keepers online; `None` until all of them were read once.
    pub fn presence(&mut self) -> Option<Presence> {
        let known = self.complete() || self.known();
        known.then(|| Presence {
            online: self.online(),
            relisting: self.relisting,
        })
    }

    /// Whether the keeper is online, as listed or read last.
    pub fn is_online(&self, keeper: &KeeperId) -> bool {
        self.online.contains_key(keeper)
    }

    /// Whether the keeper has acknowledged `generation` in this session.
    pub fn has_acknowledged(
        &self,
        keeper: &KeeperId,
        session: i64,
        generation: Generation,
    ) -> bool {
        let seen = self.seen.get(&(keeper.clone(), session));
        seen.is_some_and(|seen| seen.acknowledged.newest() >= generation)
    }

    /// The ids of the keepers online.
    pub fn online(&self) -> BTreeSet<KeeperId> {
        self.online.keys().cloned().collect()
    }

    /// The version of the keeper's node, if that has not changed for *L + m*: then the keeper may be deposed.
    pub fn silent(&self, keeper: &KeeperId, session: i64, now: Moment) -> Option<i32> {
        let seen = self.seen.get(&(keeper.clone(), session))?;
        let silent_at = seen.silent_at(Duration::ZERO);
        (self.read == Read::Everything && now >= silent_at).then_some(seen.stamp.version)
    }

    /// Whether the keeper was seen, in any session, and is not forgotten yet.
    fn has_seen(&self, keeper: &KeeperId) -> bool {
        self.seen.keys().any(|(id, _)| id == keeper)
    }

    /// Whether the keeper has been gone for so long that it cannot go on any more (RK-8).
    pub fn is_dead(&self, keeper: &KeeperId, failsafe: Failsafe, now: Moment) -> bool {
        let lease = self.lease.saturating_add(failsafe.limit);
        let silent_at = self
            .possible_unseen_keepers()
            .map(|since| since.after(outlasting(lease)));
        let seen = |(id, _): &(KeeperId, i64)| id == keeper;
        let mut seen = self.seen.iter().filter(|(key, _)| seen(key));
        !self.is_online(keeper)
            && silent_at.is_some_and(|silent_at| now >= silent_at)
            && seen.all(|(_, seen)| seen.gone && now >= seen.silent_at(failsafe.limit))
    }
}

#[cfg(test)]
mod tests;
