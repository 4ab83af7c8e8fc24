//! The roll of keepers: which of them may still answer from an older state (RK-2), and which have fallen silent (RK-4).
//!
//! A keeper is known by its id and session, and stays on the roll after its node is gone: an expired session ends no
//! lease. Silence is measured with this keeper's clock, from when it READ the last change; that is never too early.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::lease::{Unacknowledged, outlasting};
use crate::domain::node::{Generation, KeeperId, Moment};
use crate::layout::state::{Document, KeeperRecord};
use crate::ports::coordination::{Children, Node};

/// All keepers ever seen that may still hold a lease, and those online.
#[derive(Debug)]
pub(super) struct Roll {
    me: KeeperId,
    /// How long keepers answer without a heartbeat, where they do not say it themselves.
    lease: Duration,
    seen: BTreeMap<(KeeperId, i64), Seen>,
    /// Keepers online, with what they announce and whether that was read on this connection.
    online: BTreeMap<KeeperId, Online>,
    /// Arrivals and departures as last counted on this connection.
    changes: Option<i32>,
    /// Keepers that were never seen count as seen then; `None` until all was read on this connection.
    strangers: Option<Moment>,
    complete_once: bool,
}

#[derive(Debug)]
struct Seen {
    acknowledged: Generation,
    lease: Duration,
    created: i64,
    version: i32,
    changed: Moment,
}

#[derive(Debug, Default)]
struct Online {
    record: Option<KeeperRecord>,
    read: bool,
}

impl Seen {
    fn silent_at(&self) -> Moment {
        self.changed.after(outlasting(self.lease))
    }
}

impl Roll {
    pub(super) fn new(me: KeeperId, lease: Duration) -> Self {
        Self {
            me,
            lease,
            seen: BTreeMap::new(),
            online: BTreeMap::new(),
            changes: None,
            strangers: None,
            complete_once: false,
        }
    }

    /// What was read before may be old: everyone counts as just seen.
    pub(super) fn new_connection(&mut self, now: Moment) {
        for seen in self.seen.values_mut() {
            seen.changed = now;
        }
        for online in self.online.values_mut() {
            online.read = false;
        }
        self.changes = None;
        self.strangers = None;
    }

    /// Everything has been read on this connection. Whoever left before was not seen.
    pub(super) fn all_read(&mut self, now: Moment) {
        self.strangers = Some(now);
    }

    /// Takes in who is online; answers those to be followed from now on.
    pub(super) fn listed(&mut self, children: Children, now: Moment) -> Vec<KeeperId> {
        let names: BTreeSet<KeeperId> = children.names.into_iter().map(KeeperId::new).collect();
        let before = self.online.len();
        self.online.retain(|keeper, _| names.contains(keeper));
        let left = before - self.online.len();
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
        if let Some(counted) = self.changes.replace(children.changes) {
            let passed = children.changes.wrapping_sub(counted);
            if usize::try_from(passed).ok() != Some(left + came) {
                // Somebody came and went, or went and came back, between the two listings.
                self.strangers = self.strangers.map(|_| now);
            }
        }
        let online = &self.online;
        self.seen
            .retain(|(keeper, _), seen| online.contains_key(keeper) || now < seen.silent_at());
        fresh
    }

    /// Takes in a keeper's node; answers whether it is to be followed further.
    pub(super) fn read(&mut self, keeper: &KeeperId, node: Option<&Node>, now: Moment) -> bool {
        let Some(node) = node else {
            if self
                .online
                .remove(keeper)
                .is_some_and(|online| !online.read)
            {
                self.strangers = self.strangers.map(|_| now);
            }
            return false;
        };
        let record = KeeperRecord::decode(&node.data);
        if let Err(error) = &record {
            tracing::warn!(%keeper, %error, "the announcement of a keeper");
        }
        let record = record.ok();
        let seen = self
            .seen
            .entry((keeper.clone(), node.owner))
            .or_insert_with(|| Seen {
                acknowledged: Generation::default(),
                lease: self.lease,
                created: node.created,
                version: node.version,
                changed: now,
            });
        if (seen.created, seen.version) != (node.created, node.version) {
            (seen.created, seen.version) = (node.created, node.version);
            seen.changed = now;
        }
        if let Some(record) = &record {
            seen.acknowledged = seen.acknowledged.max(record.acknowledged);
            seen.lease = seen.lease.max(record.lease);
        }
        let read = true;
        self.online.insert(keeper.clone(), Online { record, read });
        *keeper != self.me
    }

    /// Whether all who are online were read on this connection.
    pub(super) fn complete(&mut self) -> bool {
        let complete = self.changes.is_some() && self.online.values().all(|online| online.read);
        self.complete_once |= complete;
        complete
    }

    /// Whether it was complete once, on this connection or an earlier one.
    pub(super) fn known(&self) -> bool {
        self.complete_once
    }

    pub(super) fn is_online(&self, keeper: &KeeperId) -> bool {
        self.online.contains_key(keeper)
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

    /// Who may still answer from a state older than `generation`, and when that is to be looked at again if nothing is
    /// heard before.
    pub(super) fn unacknowledged(
        &self,
        generation: Generation,
        now: Moment,
    ) -> (Unacknowledged, Option<Moment>) {
        let mut waiting = Unacknowledged::default();
        let mut until = Vec::new();
        for ((keeper, _), seen) in &self.seen {
            if *keeper != self.me && seen.acknowledged < generation && now < seen.silent_at() {
                waiting.keepers.insert(keeper.clone());
                until.push(seen.silent_at());
            }
        }
        let unread = self.online.iter().filter(|(_, online)| !online.read);
        waiting.keepers.extend(unread.map(|(id, _)| id.clone()));
        let strangers = self
            .strangers
            .map(|seen| seen.after(outlasting(self.lease)));
        if strangers.is_none_or(|gone| now < gone) {
            waiting.strangers = true;
            until.extend(strangers);
        }
        (waiting, until.into_iter().min())
    }

    /// The version of the keeper's node, if that has not changed for *L + m*: it may be deposed.
    pub(super) fn silent(&self, keeper: &KeeperId, session: i64, now: Moment) -> Option<i32> {
        let seen = self.seen.get(&(keeper.clone(), session))?;
        (self.strangers.is_some() && now >= seen.silent_at()).then_some(seen.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(800);
    const N: Generation = Generation(7);

    fn at(milliseconds: u64) -> Moment {
        Moment(Duration::from_millis(milliseconds))
    }

    fn node(session: i64, version: i32, acknowledged: u64) -> Node {
        let record = KeeperRecord {
            rest: String::new(),
            version: String::new(),
            process: String::new(),
            lease: LEASE,
            acknowledged: Generation(acknowledged),
        };
        Node {
            data: record.encode(),
            version,
            created: session,
            owner: session,
        }
    }

    fn children(names: &[&str], changes: i32) -> Children {
        let names = names.iter().map(ToString::to_string).collect();
        Children { names, changes }
    }

    /// The roll of keeper `a` on a connection that had read everything at 0 ms, and all unseen keepers silent since.
    fn roll(keepers: &[(&str, u64)]) -> Roll {
        let mut roll = Roll::new(KeeperId::new("a"), LEASE);
        let names: Vec<&str> = keepers.iter().map(|(name, _)| *name).collect();
        let changes = i32::try_from(names.len()).unwrap();
        roll.listed(children(&names, changes), at(0));
        roll.all_read(at(0));
        for (session, (name, acknowledged)) in (1..).zip(keepers) {
            roll.read(
                &KeeperId::new(*name),
                Some(&node(session, 0, *acknowledged)),
                at(1_000),
            );
        }
        roll
    }

    fn waited_for(roll: &Roll, now: u64) -> String {
        roll.unacknowledged(N, at(now)).0.to_string()
    }

    #[test]
    fn whoever_has_not_acknowledged_is_waited_for_until_it_has_been_silent_for_its_lease_and_the_margin()
     {
        let roll = roll(&[("a", 0), ("b", 6), ("c", 7)]);
        assert_eq!(waited_for(&roll, 1_819), "b");
        assert_eq!(roll.unacknowledged(N, at(1_500)).1, Some(at(1_820)));
        assert_eq!(waited_for(&roll, 1_820), "");
    }

    #[test]
    fn an_acknowledgement_ends_the_wait_at_once_and_any_other_heartbeat_prolongs_it() {
        let mut roll = roll(&[("a", 0), ("b", 6)]);
        roll.read(&KeeperId::new("b"), Some(&node(2, 1, 6)), at(1_500));
        assert_eq!(waited_for(&roll, 2_319), "b");
        roll.read(&KeeperId::new("b"), Some(&node(2, 2, 7)), at(1_600));
        assert_eq!(waited_for(&roll, 1_600), "");
    }

    #[test]
    fn a_keeper_whose_node_is_gone_may_still_hold_its_lease() {
        let mut roll = roll(&[("a", 0), ("b", 6)]);
        roll.listed(children(&["a"], 3), at(1_100));
        assert_eq!(waited_for(&roll, 1_819), "b");
        assert_eq!(waited_for(&roll, 1_820), "");
    }

    #[test]
    fn an_earlier_session_of_a_keeper_is_waited_for_besides_the_present_one() {
        let mut roll = roll(&[("a", 0), ("b", 6)]);
        roll.read(&KeeperId::new("b"), Some(&node(9, 0, 7)), at(1_100));
        assert_eq!(waited_for(&roll, 1_819), "b");
    }

    #[test]
    fn after_a_reconnection_all_count_as_just_seen_and_strangers_until_all_was_read() {
        let mut roll = roll(&[("a", 0), ("b", 6)]);
        roll.new_connection(at(9_000));
        let strangers = "any that left just before this one led";
        assert_eq!(waited_for(&roll, 99_000), format!("a, b, {strangers}"));
        roll.listed(children(&["a"], 3), at(9_100));
        roll.read(&KeeperId::new("a"), Some(&node(1, 0, 0)), at(9_100));
        roll.all_read(at(9_200));
        assert_eq!(waited_for(&roll, 9_819), format!("b, {strangers}"));
        assert_eq!(waited_for(&roll, 10_019), strangers);
        assert_eq!(waited_for(&roll, 10_020), "");
    }

    #[test]
    fn a_keeper_that_came_and_went_between_two_listings_is_a_stranger() {
        let mut roll = roll(&[("a", 0), ("b", 7)]);
        roll.listed(children(&["a", "b"], 4), at(5_000));
        assert!(roll.unacknowledged(N, at(5_819)).0.strangers);
        assert!(roll.unacknowledged(N, at(5_820)).0.is_empty());
    }

    #[test]
    fn one_that_is_online_and_was_not_read_yet_is_waited_for() {
        let mut roll = roll(&[("a", 0), ("b", 7)]);
        let fresh = roll.listed(children(&["a", "b", "c"], 3), at(5_000));
        assert_eq!(fresh, [KeeperId::new("c")]);
        assert_eq!(waited_for(&roll, 9_000), "c");
        roll.read(&KeeperId::new("c"), None, at(9_000));
        assert!(
            roll.unacknowledged(N, at(9_001)).0.strangers,
            "it may have had a lease"
        );
    }

    #[test]
    fn a_leader_is_silent_only_after_its_lease_and_the_margin_on_one_connection() {
        let mut roll = roll(&[("a", 0), ("b", 7)]);
        let silent = |roll: &Roll, now| roll.silent(&KeeperId::new("b"), 2, at(now));
        assert_eq!(silent(&roll, 1_819), None);
        assert_eq!(silent(&roll, 1_820), Some(0));
        roll.new_connection(at(3_000));
        assert_eq!(silent(&roll, 9_000), None);
    }
}
