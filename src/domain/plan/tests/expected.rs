//! Expected plans, in few words.

use std::collections::BTreeMap;

use super::builder::{addr, addrs};
use crate::domain::election::Ineligibility;
use crate::domain::node::NodeAddr;
use crate::domain::plan::{Action, Hold, Plan, StateChange};
use crate::domain::published::{Published, Step};

impl Plan {
    pub(in crate::domain) fn into_write(self) -> (StateChange, Published) {
        match self.action {
            Some(Action::Write { state, change }) => (change, state),
            other => panic!("a write was expected: {other:?}, {:?}", self.holds),
        }
    }

    /// The plan is this write of this primary.
    pub(in crate::domain) fn assert_writes(self, expected: StateChange, primary: Option<&str>) {
        let (change, state) = self.into_write();
        assert_eq!((change, state.primary), (expected, primary.map(addr)));
    }

    pub(super) fn into_promotion(self) -> (NodeAddr, Published) {
        match self.action {
            Some(Action::Promote { node, state, .. }) => (node, state),
            other => panic!("a promotion was expected: {other:?}, {:?}", self.holds),
        }
    }

    /// The plan is to persist this candidate and promote it.
    pub(in crate::domain) fn assert_promotes(self, candidate: &str) {
        let (node, state) = self.into_promotion();
        assert_eq!((&node, state.primary), (&addr(candidate), None));
        let intent = state.intent.unwrap();
        assert_eq!(intent.candidate, Some(node));
        assert_eq!(intent.step, Step::Promoting);
    }

    pub(in crate::domain) fn assert_follows<const N: usize>(&self, names: [&str; N], target: &str) {
        let (nodes, primary) = (addrs(names), addr(target));
        let through = BTreeMap::new();
        let follow = Action::Follow {
            nodes,
            primary,
            through,
        };
        assert_eq!(self.action, Some(follow));
    }

    /// The nodes that are repointed.
    pub(in crate::domain) fn followers(self) -> Vec<NodeAddr> {
        match self.action {
            Some(Action::Follow { nodes, .. }) => nodes,
            other => panic!("nobody is repointed: {other:?}, {:?}", self.holds),
        }
    }

    /// The plan is to do nothing, because of this hold.
    pub(in crate::domain) fn assert_holds(&self, hold: &Hold) {
        assert_eq!(self.action, None);
        assert!(
            self.holds.contains(hold),
            "{hold:?} not in {:?}",
            self.holds
        );
    }

    /// The reason why this node may not take over, where no node may.
    pub(in crate::domain) fn refusal(&self, name: &str) -> Ineligibility {
        assert_eq!(self.action, None);
        let refusals = self.holds.iter().find_map(|hold| match hold {
            Hold::NoneEligible { refusals, .. } => Some(refusals),
            _ => None,
        });
        refusals.expect("no successor is eligible")[&addr(name)].clone()
    }
}
