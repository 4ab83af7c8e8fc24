//! Counts votes. The voters are the online keepers that probe the node, and a strict majority of them decides (RK-1).

use std::collections::{BTreeMap, BTreeSet};

use super::liveness::DownReason;
use super::node::{Generation, KeeperId, NodeAddr};
use super::report::{KeeperReport, ProcessEnd};

/// The online keepers that probe the node. A keeper that does not report otherwise probes it.
pub fn voters<'a>(
    node: &'a NodeAddr,
    keepers: &'a BTreeSet<KeeperId>,
    reports: &'a BTreeMap<KeeperId, KeeperReport>,
) -> impl Iterator<Item = (&'a KeeperId, Option<&'a KeeperReport>)> {
    let told = keepers.iter().map(|keeper| (keeper, reports.get(keeper)));
    let probes = |report: &KeeperReport| !report.absent && !report.unprobed.contains(node);
    told.filter(move |(_, report)| report.is_none_or(probes))
}

/// Whether the process `run_id` of the withdrawn primary `node` is gone, so that no client has a connection to it (RK-10).
/// `generation` is the withdrawal, and `own` is this keeper's own finding.
/// - Every voter is refused, in a probe sent after the withdrawal.
/// - The peer has ended the connection of one voter to that very process.
/// - No voter has a connection open.
///
/// Refusals alone prove nothing: a firewall refuses connections to a process that lives.
pub fn gone(
    (node, run_id): (&NodeAddr, &str),
    generation: Generation,
    keepers: &BTreeSet<KeeperId>,
    reports: &BTreeMap<KeeperId, KeeperReport>,
    own: (&KeeperId, &ProcessEnd),
) -> bool {
    let found = |(keeper, report): (&KeeperId, Option<&KeeperReport>)| {
        let ended = if keeper == own.0 {
            Some(own.1)
        } else {
            report.and_then(|report| report.ended.as_ref())
        };
        let ended = ended.filter(|ended| ended.generation == generation)?;
        Some(ended.closed.as_deref() == Some(run_id))
    };
    let closed: Option<Vec<bool>> = voters(node, keepers, reports).map(found).collect();
    closed.is_some_and(|closed| closed.contains(&true))
}

/// The votes of all voters on one node, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How many voters vote it down because it does not answer.
    pub unreachable: usize,
    /// How many voters vote it down because it has been loading, or busy with a script, for too long.
    pub loading: usize,
    /// How many voters it refuses, whether they vote already or not.
    pub refused: usize,
    /// How many voters there are: online keepers that probe it.
    pub keepers: usize,
    /// How many votes are needed at least, besides the majority (`min-votes`).
    pub min_votes: usize,
}

impl Verdict {
    /// Counts the votes on `node` of those `keepers` that are online and probe it. Votes of keepers that are gone do
    /// not count.
    pub fn of(
        node: &NodeAddr,
        keepers: &BTreeSet<KeeperId>,
        reports: &BTreeMap<KeeperId, KeeperReport>,
        min_votes: usize,
    ) -> Self {
        let mut verdict = Self {
            unreachable: 0,
            loading: 0,
            refused: 0,
            keepers: 0,
            min_votes,
        };
        for (_, report) in voters(node, keepers, reports) {
            verdict.keepers += 1;
            let Some(report) = report else { continue };
            let vote = report.votes.get(node);
            match vote {
                Some(DownReason::Loading | DownReason::Busy) => verdict.loading += 1,
                Some(
                    DownReason::Refused
                    | DownReason::Closed
                    | DownReason::Unanswered
                    | DownReason::Impostor,
                ) => verdict.unreachable += 1,
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

    /// Whether the node is down: a strict majority cannot reach it.
    pub fn down(&self) -> bool {
        self.carries(self.unreachable)
    }

    /// Whether the node cannot serve as a primary. A strict majority finds it unreachable, loading for longer than
    /// the mark-down time, or busy for longer than `busy-seconds`.
    pub fn unfit_as_primary(&self) -> bool {
        self.carries(self.unreachable + self.loading)
    }

    /// Why no vote can bring the node down, in words: all voters together are too few. `None` if they are enough.
    pub fn out_of_reach(&self) -> Option<String> {
        let (keepers, needed) = (self.keepers, self.min_votes.max(1));
        (keepers < needed).then(|| {
            format!(
                "can not be held down: keepers online {keepers}, votes needed at least {needed} (min-votes)"
            )
        })
    }

    /// Whether the node refuses a strict majority.
    pub fn refused_by_majority(&self) -> bool {
        self.carries(self.refused)
    }

    /// Whether a strict majority of the voters finds the node alive: a candidate needs that (RK-6).
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
        assert!(!verdict(0, 0, 0).refused_by_majority());
    }

    #[test]
    fn fewer_than_min_votes_are_no_verdict() {
        assert!(!verdict(1, 1, 2).down());
        assert!(verdict(2, 2, 2).down());
    }

    #[test]
    fn too_few_keepers_for_min_votes_are_told_with_both_figures() {
        assert_eq!(verdict(0, 3, 3).out_of_reach(), None);
        assert_eq!(verdict(1, 1, 0).out_of_reach(), None);
        let (two, none) = (verdict(2, 2, 3), verdict(0, 0, 0));
        let said = "can not be held down: keepers online 2, votes needed at least 3 (min-votes)";
        assert_eq!(two.out_of_reach().as_deref(), Some(said));
        let said = "can not be held down: keepers online 0, votes needed at least 1 (min-votes)";
        assert_eq!(none.out_of_reach().as_deref(), Some(said));
    }

    #[test]
    fn the_votes_of_keepers_that_are_gone_do_not_count() {
        let node = NodeAddr::new("a", 1);
        let down = KeeperReport {
            votes: BTreeMap::from([(node.clone(), DownReason::Refused)]),
            ..KeeperReport::default()
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
    fn a_keeper_that_does_not_probe_a_node_is_no_voter_there() {
        let node = NodeAddr::new("a", 1);
        let ids = ["1", "2", "3"].map(KeeperId::new);
        let down = KeeperReport {
            votes: [(node.clone(), DownReason::Refused)].into(),
            ..KeeperReport::default()
        };
        let lacks = KeeperReport {
            unprobed: [node.clone()].into(),
            ..KeeperReport::default()
        };
        let verdict = |reports: [(&KeeperId, &KeeperReport); 2]| {
            let reports = reports.map(|(id, report)| (id.clone(), report.clone()));
            Verdict::of(&node, &ids.clone().into(), &reports.into(), 1)
        };
        let one_of_two = verdict([(&ids[0], &down), (&ids[2], &lacks)]);
        assert_eq!((one_of_two.unreachable, one_of_two.keepers), (1, 2));
        assert!(!one_of_two.down() && !one_of_two.seen_by_majority());
        let one_of_one = verdict([(&ids[1], &lacks), (&ids[2], &lacks)]);
        assert!(one_of_one.seen_by_majority(), "the one that says nothing");
        let everybody = ids.clone().map(|id| (id, lacks.clone()));
        let nobody = Verdict::of(&node, &ids.into(), &everybody.into(), 1);
        assert!(!nobody.down() && !nobody.seen_by_majority(), "no voters");
    }

    #[test]
    fn a_process_is_gone_when_it_ended_a_connection_and_every_voter_is_refused_since() {
        let node = NodeAddr::new("a", 1);
        let (n, ids) = (Generation(4), ["1", "2", "3"].map(KeeperId::new));
        let ended = |closed: Option<&str>| KeeperReport {
            ended: Some(ProcessEnd {
                generation: n,
                closed: closed.map(str::to_owned),
            }),
            ..KeeperReport::default()
        };
        let lacks = KeeperReport {
            unprobed: [node.clone()].into(),
            ..KeeperReport::default()
        };
        let gone = |[mine, second, third]: [KeeperReport; 3]| {
            let own = mine.ended.clone().unwrap_or(ProcessEnd {
                generation: n,
                closed: None,
            });
            // This keeper's report is older than its own finding.
            let mine = KeeperReport {
                ended: None,
                ..mine
            };
            let reports = ids.iter().cloned().zip([mine, second, third]).collect();
            let keepers = ids.clone().into();
            super::gone((&node, "old"), n, &keepers, &reports, (&ids[0], &own))
        };
        assert!(gone([ended(Some("old")), ended(None), ended(None)]));
        assert!(gone([ended(Some("old")), ended(None), lacks.clone()]));
        assert!(!gone([ended(None), ended(None), ended(None)]), "a firewall");
        let earlier = [ended(Some("earlier")), ended(None), ended(None)];
        assert!(
            !gone(earlier),
            "another process, which may have been followed"
        );
        let open = [
            ended(Some("old")),
            ended(Some("old")),
            KeeperReport::default(),
        ];
        assert!(!gone(open), "one is not refused, or has a connection open");
        let mut before = ended(Some("old"));
        before.ended.as_mut().expect("set").generation = Generation(2);
        assert!(!gone([before, ended(Some("old")), ended(None)]));
        assert!(!gone([lacks.clone(), lacks.clone(), lacks]), "no voters");
    }

    #[test]
    fn two_of_four_neither_mark_down_nor_see() {
        assert!(!verdict(2, 4, 1).down());
        assert!(!verdict(2, 4, 1).seen_by_majority());
    }
}
