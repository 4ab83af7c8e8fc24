//! The leader, read from the names of the latch nodes.

use crate::domain::node::KeeperId;

/// The name of a latch node, taken apart. The order is that of leadership: the smallest leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LatchName {
    /// The sequence number from ZooKeeper.
    pub sequence: u64,
    /// The session that created it.
    pub session: i64,
    /// The keeper that created it.
    pub keeper: KeeperId,
}

/// The latch, as one session sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LatchView {
    /// The session's own nodes, lowest sequence number first. Several exist if the answer to a creation was lost.
    pub own: Vec<LatchName>,
    /// The node of the leader.
    pub leader: Option<LatchName>,
    /// Whether this session leads.
    pub first: bool,
    /// The keeper behind this session in the latch, which would lead next.
    pub next: Option<KeeperId>,
}

impl LatchView {
    /// The latch as `session` sees it, from all latch nodes.
    pub fn of(session: i64, mut latches: Vec<LatchName>) -> Self {
        latches.sort();
        let leader = latches.first().cloned();
        let first = leader
            .as_ref()
            .is_some_and(|latch| latch.session == session);
        let mut behind = latches.iter().skip_while(|latch| latch.session != session);
        let next = behind.find(|latch| latch.session != session);
        let next = next.map(|latch| latch.keeper.clone());
        latches.retain(|latch| latch.session == session);
        Self {
            own: latches,
            leader,
            first,
            next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latch(keeper: &str, session: i64, sequence: u64) -> LatchName {
        let keeper = KeeperId::new(keeper);
        LatchName {
            sequence,
            session,
            keeper,
        }
    }

    #[test]
    fn the_smallest_sequence_number_leads_whatever_the_keepers_are_called() {
        let latches = vec![latch("a", 1, 12), latch("z", 2, 9)];
        let latch_view = LatchView::of(1, latches.clone());
        let leader = latch_view.leader.expect("a leader");
        assert_eq!(leader.keeper.as_str(), "z");
        assert!(!latch_view.first);
        assert_eq!(latch_view.own.len(), 1);
        assert_eq!(latch_view.next, None, "it is the last");
        let first = LatchView::of(2, latches);
        assert!(first.first);
        assert_eq!(first.next, Some(KeeperId::new("a")));
    }

    #[test]
    fn an_earlier_session_of_the_same_keeper_is_another_participant() {
        let latch_view = LatchView::of(2, vec![latch("a", 1, 1), latch("a", 2, 2)]);
        assert!(!latch_view.first);
        assert_eq!(latch_view.own[0].session, 2);
    }

    #[test]
    fn an_empty_latch_has_no_leader() {
        assert_eq!(LatchView::of(1, Vec::new()), LatchView::default());
    }
}
