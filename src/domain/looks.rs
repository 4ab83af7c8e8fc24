//! Who else is connected to the nodes is looked at before the leader changes anything there (RK-12).
//!
//! A look counts if the present leadership began it, and for [`COUNTS_FOR`]. Keepers of other groups that it finds are asked
//! before it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::node::{Moment, NodeAddr};

/// How long a look counts. A group that begins later looks itself, and asks the keepers that it finds.
pub const COUNTS_FOR: Duration = Duration::from_secs(5);

/// The looks of one leadership.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looks {
    /// When the leadership began.
    since: Moment,
    /// When the last look at each node began.
    at: BTreeMap<NodeAddr, Moment>,
    /// The first look was asked for, ahead of need.
    begun: bool,
}

impl Looks {
    /// A leadership that begins, and has looked nowhere.
    pub fn since(now: Moment) -> Self {
        Self {
            since: now,
            ..Self::default()
        }
    }

    /// Whether the first look is to be made now, ahead of need; once.
    pub fn begins(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }

    /// These nodes were looked at, as well as they could be, in a look that `began` then.
    pub fn looked(&mut self, nodes: BTreeSet<NodeAddr>, began: Moment) {
        if began >= self.since {
            self.at.extend(nodes.into_iter().map(|node| (node, began)));
        }
    }

    /// Whether the node is to be looked at before anything is changed.
    pub fn is_due(&self, node: &NodeAddr, now: Moment) -> bool {
        let last = self.at.get(node);
        last.is_none_or(|at| now.since(*at) >= COUNTS_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn a_look_counts_for_some_seconds_and_only_if_this_leadership_began_it() {
        let (node, other) = (NodeAddr::new("a", 1), NodeAddr::new("b", 1));
        let mut looks = Looks::since(at(10));
        assert!(looks.begins());
        assert!(!looks.begins());
        looks.looked([node.clone()].into(), at(9));
        assert!(looks.is_due(&node, at(10)), "an earlier leadership's");
        looks.looked([node.clone()].into(), at(11));
        assert!(!looks.is_due(&node, at(15)));
        assert!(looks.is_due(&other, at(15)));
        assert!(looks.is_due(&node, at(16)));
    }
}
