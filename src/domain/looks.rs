//! Looks for other groups of keepers: before the leader changes a node, it looks who else is connected there (RK-12).
//!
//! A look counts only if the present leadership began it, and only for [`COUNTS_FOR`]. The keepers of other groups
//! that a look finds are asked before the look is over.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{Moment, NodeAddr};
use super::timing::groups::{AHEAD_EVERY, COUNTS_FOR};

/// The looks of one leadership.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looks {
    /// When the leadership began.
    since: Moment,
    /// When the last look at each node began.
    at: BTreeMap<NodeAddr, Moment>,
    /// When the last look in advance was begun.
    ahead: Option<Moment>,
}

impl Looks {
    /// The looks of a leadership that begins at `now`: none yet.
    pub fn since(now: Moment) -> Self {
        Self {
            since: now,
            ..Self::default()
        }
    }

    /// Whether to look in advance now: when the leadership begins, and again and again while a change may be near.
    /// Records that the look is done.
    pub fn ahead(&mut self, change_near: bool, now: Moment) -> bool {
        let wait = |at: Moment| !change_near || now.since(at) < AHEAD_EVERY;
        let looks = !self.ahead.is_some_and(wait);
        if looks {
            self.ahead = Some(now);
        }
        looks
    }

    /// Records that these nodes were looked at, as well as they could be, in a look that began at `began`.
    pub fn looked(&mut self, nodes: BTreeSet<NodeAddr>, began: Moment) {
        if began >= self.since {
            self.at.extend(nodes.into_iter().map(|node| (node, began)));
        }
    }

    /// Whether the leader must look at the node before it changes anything.
    pub fn is_due(&self, node: &NodeAddr, now: Moment) -> bool {
        let last = self.at.get(node);
        last.is_none_or(|at| now.since(*at) >= COUNTS_FOR)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn a_look_counts_for_some_seconds_and_only_if_this_leadership_began_it() {
        let (node, other) = (NodeAddr::new("a", 1), NodeAddr::new("b", 1));
        let mut looks = Looks::since(at(10));
        looks.looked([node.clone()].into(), at(9));
        assert!(looks.is_due(&node, at(10)), "an earlier leadership's");
        looks.looked([node.clone()].into(), at(11));
        assert!(!looks.is_due(&node, at(15)));
        assert!(looks.is_due(&other, at(15)));
        assert!(looks.is_due(&node, at(16)));
    }

    #[test]
    fn it_is_looked_ahead_at_once_and_while_a_change_is_near() {
        let mut looks = Looks::since(at(10));
        assert!(looks.ahead(false, at(10)));
        assert!(!looks.ahead(false, at(100)));
        assert!(looks.ahead(true, at(100)));
        assert!(!looks.ahead(true, at(102)));
        assert!(looks.ahead(true, at(103)));
    }
}
