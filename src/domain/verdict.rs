//! Votes become verdicts: a strict majority of the online keepers (RK-1).

use std::collections::{BTreeMap, BTreeSet};

use super::drain::{Heard, Proxy};
use super::facts::{DownReason, NodeFacts};
use super::node::{Generation, KeeperId, NodeAddr};
use super::task::{Outcome, Task, TaskId};

/// What one keeper has to say about one cluster: the nodes it votes down, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Nodes voted down.
    pub votes: BTreeMap<NodeAddr, DownReason>,
    /// Nodes that others vote down and that refuse this keeper's connections too, before its own vote is due.
    pub refused: BTreeSet<NodeAddr>,
    /// Nodes that the leader has no answer from: it asks the others what they see of them.
    pub asks: BTreeSet<NodeAddr>,
    /// What this keeper sees of nodes that the leader asks for.
    pub fresh: Option<Fresh>,
    /// HAProxies that asked this keeper lately whether a node is writable (RK-10).
    pub askers: BTreeSet<Proxy>,
    /// There were more than it remembers.
    pub crowd: bool,
    /// The withdrawal for which the leader asks what was heard from HAProxies (RK-10).
    pub drains: Option<Generation>,
    /// What this keeper has heard from them.
    pub heard: Option<Heard>,
    /// What the leader has others do at nodes that it does not reach.
    pub tasks: BTreeMap<TaskId, Task>,
    /// How the tasks ended that this keeper was given, while the leader lists them.
    pub outcomes: BTreeMap<TaskId, Outcome>,
}

/// What one keeper read of nodes that the leader does not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// The generation that was published when they were read, a withdrawal's or a publication's.
    pub generation: Generation,
    /// Nodes that answered, and what they said.
    pub nodes: BTreeMap<NodeAddr, NodeFacts>,
}

impl Report {
    /// There is nothing to say.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the online keepers together hold of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Online keepers that vote it down because it does not answer.
    pub unreachable: usize,
    /// Online keepers that vote it down because it has been loading too long.
    pub loading: usize,
    /// Online keepers whose connections it refuses, whether they vote already or not.
    pub refused: usize,
    /// Online keepers.
    pub keepers: usize,
    /// Votes that are needed at least, besides the majority (`min-votes`).
    pub min_votes: usize,
}

impl Verdict {
    /// Counts the votes for `node` of those `keepers` that are online. Votes of keepers that are gone do not count.
    pub fn of(
        node: &NodeAddr,
        keepers: &BTreeSet<KeeperId>,
        reports: &BTreeMap<KeeperId, Report>,
        min_votes: usize,
    ) -> Self {
        let mut verdict = Self {
            unreachable: 0,
            loading: 0,
            refused: 0,
            keepers: keepers.len(),
            min_votes,
        };
        for report in keepers.iter().filter_map(|keeper| reports.get(keeper)) {
            let vote = report.votes.get(node);
            match vote {
                Some(DownReason::Loading) => verdict.loading += 1,
                Some(DownReason::Refused | DownReason::Closed | DownReason::Unanswered) => {
                    verdict.unreachable += 1;
                }
                None => {}
            }
            let refused = vote == Some(&DownReason::Refused)
                || vote.is_none() && report.refused.contains(node);
            verdict.refused += usize::from(refused);
        }
        verdict
    }

    fn carries(&self, votes: usize) -> bool {
        votes * 2 > self.keepers && votes >= self.min_votes
    }

    /// The node is down: a strict majority cannot reach it.
    pub fn down(&self) -> bool {
        self.carries(self.unreachable)
    }

    /// The node can not serve as a primary: a strict majority finds it unreachable, or loading past the mark-down time.
    pub fn unfit_as_primary(&self) -> bool {
        self.carries(self.unreachable + self.loading)
    }

    /// It refuses connections at every online keeper: the process is gone, and nobody writes to it (RK-10).
    pub fn gone(&self) -> bool {
        self.keepers > 0 && self.refused == self.keepers
    }

    /// A strict majority of the online keepers holds it alive: what a candidate needs (RK-6).
    pub fn seen_by_majority(&self) -> bool {
        (self.keepers - self.unreachable) * 2 > self.keepers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(down: usize, keepers: usize, min_votes: usize) -> Verdict {
        Verdict {
            unreachable: down,
            loading: 0,
            refused: 0,
            keepers,
            min_votes,
        }
    }

    #[test]
    fn half_is_not_a_majority() {
        assert!(!verdict(1, 2, 1).down());
        assert!(!verdict(2, 4, 1).down());
        assert!(verdict(2, 3, 1).down());
        assert!(verdict(3, 4, 1).down());
        assert!(verdict(1, 1, 1).down());
    }

    #[test]
    fn no_keepers_give_no_verdict() {
        assert!(!verdict(0, 0, 0).down());
        assert!(!verdict(0, 0, 0).seen_by_majority());
    }

    #[test]
    fn fewer_than_min_votes_are_no_verdict() {
        assert!(!verdict(1, 1, 2).down());
        assert!(verdict(2, 2, 2).down());
    }

    #[test]
    fn the_votes_of_keepers_that_are_gone_do_not_count() {
        let node = NodeAddr::new("a", 1);
        let down = Report {
            votes: BTreeMap::from([(node.clone(), DownReason::Refused)]),
            ..Report::default()
        };
        let reports = BTreeMap::from([
            (KeeperId::new("1"), down.clone()),
            (KeeperId::new("gone"), down),
        ]);
        let online = BTreeSet::from([KeeperId::new("1"), KeeperId::new("2"), KeeperId::new("3")]);
        let verdict = Verdict::of(&node, &online, &reports, 1);
        assert_eq!((verdict.unreachable, verdict.keepers), (1, 3));
        assert!(!verdict.down());
    }

    #[test]
    fn a_node_is_gone_only_when_it_refuses_every_online_keeper_voting_or_not() {
        let node = NodeAddr::new("a", 1);
        let votes = |reason| Report {
            votes: BTreeMap::from([(node.clone(), reason)]),
            ..Report::default()
        };
        let early = Report {
            refused: [node.clone()].into(),
            ..Report::default()
        };
        let gone = |third: Option<Report>| {
            let reports = [
                Some(votes(DownReason::Refused)),
                Some(votes(DownReason::Refused)),
                third,
            ];
            let ids = ["1", "2", "3"].map(KeeperId::new);
            let reports = ids.iter().cloned().zip(reports);
            let reports = reports.filter_map(|(id, report)| Some((id, report?)));
            Verdict::of(&node, &ids.iter().cloned().collect(), &reports.collect(), 1).gone()
        };
        assert!(gone(Some(votes(DownReason::Refused))));
        assert!(gone(Some(early)));
        assert!(!gone(None), "it may see it alive");
        assert!(!gone(Some(Report::default())));
        assert!(!gone(Some(votes(DownReason::Unanswered))));
        assert!(!gone(Some(votes(DownReason::Closed))));
        assert!(!verdict(0, 0, 0).gone());
    }

    #[test]
    fn two_of_four_neither_mark_down_nor_see() {
        assert!(!verdict(2, 4, 1).down());
        assert!(!verdict(2, 4, 1).seen_by_majority());
    }
}
