//! The roll of keepers: which of them may still answer from an older state (RK-2), and which have fallen silent (RK-4).
//!
//! A keeper is known by its id and session, and stays on the roll after its node is gone: an expired session ends no
//! lease. Silence is measured with this keeper's clock, from when it READ the last change; that is never too early. But a
//! change may be on its way while silence is found long enough: so silence counts for a withdrawal only once a survey,
//! a look begun after the withdrawal was known to be committed, has found no change and nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::circle::Circle;
use crate::domain::failsafe::Failsafe;
use crate::domain::lease::outlasting;
use crate::domain::node::{Generation, KeeperId, Moment};
use crate::domain::silence::Acknowledged;
use crate::layout::keeper::KeeperRecord;
use crate::layout::state::Document;
use crate::ports::coordination::{Children, Fired, Node};

mod waiting;

/// All keepers ever seen that may still hold a lease, and those online.
#[derive(Debug)]
pub(super) struct Roll {
    me: KeeperId,
    /// How long keepers answer without a heartbeat, where they do not say it themselves.
    lease: Duration,
    /// How long a consent lasts that a keeper gave; `None`: nobody goes on without ZooKeeper (RK-8).
    consent: Option<Duration>,
    seen: BTreeMap<(KeeperId, i64), Seen>,
    /// Keepers online, with what they announce and whether that was read on this connection.
    online: BTreeMap<KeeperId, Online>,
    /// Arrivals and departures since there are keepers, as last counted.
    changes: i32,
    /// What was read on this connection.
    read: Read,
    /// They have changed since.
    recounting: bool,
    /// Departures noticed since, that the next count will tell of.
    departures: usize,
    /// Keepers that were never seen count as seen then; `None` until all was read. A connection on which
    /// `ZooKeeper` has counted nobody else since the one before changes nothing.
    strangers: Option<Moment>,
    /// When it was last found that somebody had left who was never seen.
    left_unseen: Option<Moment>,
    /// When the last lease of those that are known no longer was out.
    last_forgotten: Option<Moment>,
    /// The newest withdrawal after which nobody else was found to be, or to have been, online.
    counted: Generation,
    complete_once: bool,
}

/// How much was read on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Read {
    Nothing,
    /// Who is online, and what `ZooKeeper` has counted.
    Listed,
    Everything,
}

#[derive(Debug)]
struct Seen {
    acknowledged: Acknowledged,
    lease: Duration,
    created: i64,
    version: i32,
    changed: Moment,
    /// The newest withdrawal after which nothing newer was found.
    confirmed: Generation,
    /// Its node is gone, so nothing newer will come.
    gone: bool,
}

#[derive(Debug, Default)]
struct Online {
    record: Option<KeeperRecord>,
    read: bool,
}

impl Seen {
    /// When it has been silent for *L + m*, or for *L + D + m* if it may go on for *D* `beyond` its lease.
    fn silent_at(&self, beyond: Duration) -> Moment {
        self.changed
            .after(outlasting(self.lease.saturating_add(beyond)))
    }

    /// What may earn it a lease, or is as good as one, happened at `at` at the latest.
    fn has_changed(&mut self, at: Moment) {
        self.changed = self.changed.max(at);
    }

    /// Its node is gone, and it may have changed just before.
    fn has_gone(&mut self, now: Moment) {
        if !self.gone {
            self.gone = true;
            self.has_changed(now);
        }
    }
}

impl Roll {
    pub(super) fn new(me: KeeperId, lease: Duration, failsafe: Option<Failsafe>) -> Self {
        Self {
            me,
            lease,
            consent: failsafe.map(|failsafe| failsafe.consent),
            seen: BTreeMap::new(),
            online: BTreeMap::new(),
            changes: 0,
            read: Read::Nothing,
            recounting: false,
            departures: 0,
            strangers: None,
            left_unseen: None,
            last_forgotten: None,
            counted: Generation::default(),
            complete_once: false,
        }
    }

    /// What was read before may be old: nobody's silence counts before all is read again.
    pub(super) fn new_connection(&mut self) {
        for online in self.online.values_mut() {
            online.read = false;
        }
        self.read = Read::Nothing;
    }

    /// Everything has been read on this connection. Whoever left before was not seen.
    pub(super) fn all_read(&mut self, now: Moment) {
        self.read = Read::Everything;
        self.strangers.get_or_insert(now);
    }

    /// When keepers that were never seen count as seen, once all was read on this connection.
    fn strangers(&self) -> Option<Moment> {
        self.strangers.filter(|_| self.read == Read::Everything)
    }

    /// Who is online has changed, and is to be [`listed`](Self::listed) again. A vote that was written later may be known
    /// sooner, and counts for nothing before.
    pub(super) fn changed(&mut self) {
        self.recounting = true;
    }

    /// Takes in who is online; answers those to be followed from now on.
    pub(super) fn listed(
        &mut self,
        children: Children,
        circle: &Circle,
        now: Moment,
    ) -> Vec<KeeperId> {
        self.recounting = false;
        let names: BTreeSet<KeeperId> = children.names.into_iter().map(KeeperId::new).collect();
        let before = self.online.len();
        self.online.retain(|keeper, _| names.contains(keeper));
        let left = before - self.online.len() + std::mem::take(&mut self.departures);
        let fresh: Vec<KeeperId> = names
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
        let passed = children.changes.wrapping_sub(self.changes);
        self.changes = children.changes;
        let first = self.read == Read::Nothing;
        self.read = self.read.max(Read::Listed);
        if usize::try_from(passed).ok() != Some(left + came) {
            // Somebody came and went, or went and came back, between the two listings or before the first.
            self.strangers = self.strangers.filter(|_| !first).map(|_| now);
            self.left_unseen = Some(now);
            if first {
                // It may be anybody who was seen, this keeper's own session included.
                for seen in self.seen.values_mut() {
                    seen.has_changed(now);
                    seen.gone = false;
                }
            }
        }
        if first {
            // Nothing tells when the others went.
            for ((keeper, _), seen) in &mut self.seen {
                if !self.online.contains_key(keeper) {
                    seen.has_gone(now);
                }
            }
        }
        let online = &self.online;
        let last_forgotten = &mut self.last_forgotten;
        self.seen.retain(|(keeper, _), seen| {
            let silent_at = seen.silent_at(circle.limit(keeper));
            let kept = online.contains_key(keeper) || !seen.gone || now < silent_at;
            if !kept {
                *last_forgotten = (*last_forgotten).max(Some(silent_at));
            }
            kept
        });
        fresh
    }

    /// The watch on the node of a keeper's session has fired.
    pub(super) fn fired(&mut self, keeper: &KeeperId, session: i64, fired: Fired, now: Moment) {
        let online = self.is_online(keeper);
        let Some(seen) = self.seen.get_mut(&(keeper.clone(), session)) else {
            return;
        };
        match fired {
            Fired::Deleted => seen.gone = true,
            // If it is not listed any more, it is not read again.
            Fired::Changed if !online => seen.has_gone(now),
            Fired::Changed => {}
        }
    }

    /// Takes in a keeper's node; answers whether it is to be followed further.
    pub(super) fn read(&mut self, keeper: &KeeperId, node: Option<&Node>, now: Moment) -> bool {
        let Some(node) = node else {
            if let Some(online) = self.online.remove(keeper) {
                self.departures += 1;
                if !online.read {
                    self.strangers = self.strangers.map(|_| now);
                    self.left_unseen = Some(now);
                }
            }
            for ((id, _), seen) in &mut self.seen {
                if id == keeper {
                    seen.has_gone(now);
                }
            }
            return false;
        };
        for ((id, session), seen) in &mut self.seen {
            if id == keeper && *session != node.owner {
                seen.has_gone(now);
            }
        }
        let record = KeeperRecord::decode(&node.data);
        if let Err(error) = &record {
            tracing::warn!(%keeper, %error, "the announcement of a keeper");
        }
        let record = record.ok();
        let seen = self
            .seen
            .entry((keeper.clone(), node.owner))
            .or_insert_with(|| Seen {
                acknowledged: Acknowledged::default(),
                lease: self.lease,
                created: node.created,
                version: node.version,
                changed: now,
                confirmed: Generation::default(),
                gone: false,
            });
        if (seen.created, seen.version) != (node.created, node.version) {
            (seen.created, seen.version) = (node.created, node.version);
            seen.has_changed(now);
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

    /// The keeper has another list of whom it asks (RK-8): what others consented to by the one before lasts no longer than
    /// a lease that began at `since`.
    pub(super) fn amended(&mut self, keeper: &KeeperId, since: Moment) {
        for ((id, _), seen) in &mut self.seen {
            if id == keeper {
                seen.has_changed(since);
            }
        }
    }

    /// Whether all who are online were read on this connection.
    pub(super) fn complete(&mut self) -> bool {
        let complete = self.read >= Read::Listed && self.online.values().all(|online| online.read);
        self.complete_once |= complete;
        complete
    }

    /// Whether who is online has changed, and was not listed again yet.
    pub(super) fn recounting(&self) -> bool {
        self.recounting
    }

    /// Whether it was complete once, on this connection or an earlier one.
    pub(super) fn known(&self) -> bool {
        self.complete_once
    }

    pub(super) fn is_online(&self, keeper: &KeeperId) -> bool {
        self.online.contains_key(keeper)
    }

    /// Whether the keeper has acknowledged `generation` in this session.
    pub(super) fn has_acknowledged(
        &self,
        keeper: &KeeperId,
        session: i64,
        generation: Generation,
    ) -> bool {
        let seen = self.seen.get(&(keeper.clone(), session));
        seen.is_some_and(|seen| seen.acknowledged.newest() >= generation)
    }

    /// Ids of those online.
    pub(super) fn online(&self) -> BTreeSet<KeeperId> {
        self.online.keys().cloned().collect()
    }

    /// What those online announce; `None` where it could not be read.
    pub(super) fn announcements(&self) -> impl Iterator<Item = (&KeeperId, Option<&KeeperRecord>)> {
        self.online
            .iter()
            .map(|(keeper, online)| (keeper, online.record.as_ref()))
    }

    /// The version of the keeper's node, if that has not changed for *L + m*: it may be deposed.
    pub(super) fn silent(&self, keeper: &KeeperId, session: i64, now: Moment) -> Option<i32> {
        let seen = self.seen.get(&(keeper.clone(), session))?;
        let silent_at = seen.silent_at(Duration::ZERO);
        (self.read == Read::Everything && now >= silent_at).then_some(seen.version)
    }

    /// Whether the keeper was seen, in whichever session, and is not forgotten yet.
    fn has_seen(&self, keeper: &KeeperId) -> bool {
        self.seen.keys().any(|(id, _)| id == keeper)
    }

    /// Whether the keeper is gone, and for so long that it cannot go on any more (RK-8).
    pub(super) fn is_dead(&self, keeper: &KeeperId, failsafe: Failsafe, now: Moment) -> bool {
        let lease = self.lease.saturating_add(failsafe.limit);
        let silent_at = self.strangers().map(|since| since.after(outlasting(lease)));
        let seen = |(id, _): &(KeeperId, i64)| id == keeper;
        let mut seen = self.seen.iter().filter(|(key, _)| seen(key));
        !self.is_online(keeper)
            && silent_at.is_some_and(|silent_at| now >= silent_at)
            && seen.all(|(_, seen)| seen.gone && now >= seen.silent_at(failsafe.limit))
    }
}

#[cfg(test)]
mod tests;
