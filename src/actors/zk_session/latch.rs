//! The leader, read from the names of the latch nodes.

use crate::domain::node::KeeperId;
use crate::layout::paths::LatchName;

/// The latch, as one session sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LatchView {
    /// The session's own nodes, lowest sequence number first. Several exist if the answer to a creation was lost.
    pub(super) own: Vec<LatchName>,
    /// The node of the leader.
    pub(super) leader: Option<LatchName>,
    /// Whether this session leads.
    pub(super) first: bool,
    /// The keeper behind this session in the latch, which would lead next.
    pub(super) next: Option<KeeperId>,
    /// The nodes that no keeper of this program made.
    pub(super) foreign: Vec<String>,
}

impl LatchView {
    /// The latch as `session` sees it, from the children of `/leader`.
    pub(super) fn of(session: i64, children: Vec<String>) -> Self {
        let mut latch_view = Self::default();
        let mut latches = Vec::new();
        for name in children {
            match LatchName::parse(&name) {
                Some(latch) => latches.push(latch),
                None => latch_view.foreign.push(name),
            }
        }
        latches.sort();
        latch_view.leader = latches.first().cloned();
        latch_view.first = latches
            .first()
            .is_some_and(|latch| latch.session == session);
        let behind = latches.iter().skip_while(|latch| latch.session != session);
        let next = behind.into_iter().find(|latch| latch.session != session);
        latch_view.next = next.map(|latch| latch.keeper.clone());
        latches.retain(|latch| latch.session == session);
        latch_view.own = latches;
        latch_view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_smallest_sequence_number_leads_whatever_the_keepers_are_called() {
        let latch = names(&["a@1-latch-0000000012", "z@2-latch-0000000009"]);
        let latch_view = LatchView::of(1, latch.clone());
        let leader = latch_view.leader.expect("a leader");
        assert_eq!(leader.keeper.as_str(), "z");
        assert!(!latch_view.first);
        assert_eq!(latch_view.own.len(), 1);
        assert_eq!(latch_view.next, None, "it is the last");
        let first = LatchView::of(2, latch);
        assert!(first.first);
        assert_eq!(first.next, Some(KeeperId::new("a")));
    }

    #[test]
    fn an_earlier_session_of_the_same_keeper_is_another_participant() {
        let latch_view = LatchView::of(2, names(&["a@1-latch-0000000001", "a@2-latch-0000000002"]));
        assert!(!latch_view.first);
        assert_eq!(latch_view.own[0].session, 2);
    }

    #[test]
    fn an_empty_latch_has_no_leader() {
        assert_eq!(LatchView::of(1, Vec::new()), LatchView::default());
    }
}
