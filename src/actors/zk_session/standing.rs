//! The leader, read from the names of the latch nodes.

use crate::domain::node::KeeperId;
use crate::layout::paths::LatchName;

/// The latch, as one session sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
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

impl Standing {
    /// The latch as `session` sees it, from the children of `/leader`.
    pub(super) fn of(session: i64, children: Vec<String>) -> Self {
        let mut standing = Self::default();
        let mut latches = Vec::new();
        for name in children {
            match LatchName::parse(&name) {
                Some(latch) => latches.push(latch),
                None => standing.foreign.push(name),
            }
        }
        latches.sort();
        standing.leader = latches.first().cloned();
        standing.first = latches
            .first()
            .is_some_and(|latch| latch.session == session);
        let behind = latches.iter().skip_while(|latch| latch.session != session);
        let next = behind.into_iter().find(|latch| latch.session != session);
        standing.next = next.map(|latch| latch.keeper.clone());
        latches.retain(|latch| latch.session == session);
        standing.own = latches;
        standing
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
        let standing = Standing::of(1, latch.clone());
        let leader = standing.leader.expect("a leader");
        assert_eq!(leader.keeper.as_str(), "z");
        assert!(!standing.first);
        assert_eq!(standing.own.len(), 1);
        assert_eq!(standing.next, None, "it is the last");
        let first = Standing::of(2, latch);
        assert!(first.first);
        assert_eq!(first.next, Some(KeeperId::new("a")));
    }

    #[test]
    fn an_earlier_session_of_the_same_keeper_is_another_participant() {
        let standing = Standing::of(2, names(&["a@1-latch-0000000001", "a@2-latch-0000000002"]));
        assert!(!standing.first);
        assert_eq!(standing.own[0].session, 2);
    }

    #[test]
    fn an_empty_latch_has_no_leader() {
        assert_eq!(Standing::of(1, Vec::new()), Standing::default());
    }
}
