//! When a leader that sees or has less than other keepers steps down for them.
//!
//! A leader does not depend on its own network: other keepers carry out what it does not reach. But a leader that
//! sees everything acts sooner, and no leader manages what its file lacks. Leadership must not wander, though:
//! - only a lack that lasts counts;
//! - no leader steps down for a keeper that lacks as much;
//! - no leader steps down twice within a minute, or within ten seconds where files differ.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::node::{KeeperId, Moment, NodeAddr};
use super::published::Published;
use super::report::KeeperReport;
use super::timing::step_down::{
    FILES_NOT_AGAIN_WITHIN, FILES_SETTLE, NOT_AGAIN_WITHIN, STEP_DOWN_AFTER_AT_LEAST,
};
use super::verdict::{Verdict, voters};

/// How long a keeper must have seen less than another before it steps down. A keeper votes nodes down only after
/// `mark_down`, so others may be about to.
pub fn step_down_after(mark_down: Duration) -> Duration {
    mark_down.max(STEP_DOWN_AFTER_AT_LEAST)
}

/// The lacks of a keeper that is to lead: the fewer, the better. The fields are in the order of their weight. A lack
/// in the file weighs more than a lack in sight, and what is published weighs more than what is not. Of two that lack
/// equally much neither steps down, so that leadership settles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaderDeficit {
    /// Nodes of published clusters that others probe, and that its file lacks.
    pub published: usize,
    /// Clusters that are not published, and nodes that only others' files and votes name, as far as its file lacks
    /// them.
    pub unpublished: usize,
    /// Clusters in which its file lets no replica take over (priority 0).
    pub barred: usize,
    /// Nodes that it votes down while a strict majority of the voters sees them alive. Also nodes that tell another
    /// voter what they are, but not this keeper.
    pub blind: usize,
}

impl LeaderDeficit {
    /// The lack of `keeper` in one cluster, among those `online`.
    pub fn of(
        keeper: &KeeperId,
        online: &BTreeSet<KeeperId>,
        reports: &BTreeMap<KeeperId, KeeperReport>,
        state: Option<&Published>,
    ) -> Self {
        let mut lacks = Self::default();
        let Some(report) = reports.get(keeper) else {
            return lacks;
        };
        if report.lacks_nothing() {
            return lacks;
        }
        let published: BTreeSet<&NodeAddr> =
            state.into_iter().flat_map(Published::mentioned).collect();
        if report.absent {
            let has_it = |keeper| reports.get(keeper).is_none_or(|report| !report.absent);
            // A cluster that no keeper has is given up.
            if online.iter().any(has_it) {
                lacks.published = published.len();
                lacks.unpublished = usize::from(published.is_empty());
            }
            return lacks;
        }
        let probed = |node: &&NodeAddr| voters(node, online, reports).next().is_some();
        for node in report.unprobed.iter().filter(probed) {
            if state.is_some_and(|state| published.contains(node) || state.known.contains(node)) {
                lacks.published += 1;
            } else {
                lacks.unpublished += 1;
            }
        }
        let unseen = report.votes.iter().filter(|(_, reason)| !reason.is_alive());
        let unseen =
            unseen.filter(|(node, _)| Verdict::of(node, online, reports, 1).seen_by_majority());
        let read = |node: &&NodeAddr| {
            let mut voters = voters(node, online, reports);
            let reads = |told: &KeeperReport| {
                !told.unread.contains(*node) && !told.votes.contains_key(*node)
            };
            voters.any(|(_, told)| told.is_none_or(reads))
        };
        lacks.blind = unseen.count() + report.unread.iter().filter(read).count();
        lacks
    }

    /// The lack in the file alone.
    fn in_file(self) -> (usize, usize) {
        (self.published, self.unpublished)
    }
}

impl std::ops::Add for LeaderDeficit {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            published: self.published + other.published,
            unpublished: self.unpublished + other.unpublished,
            barred: self.barred + other.barred,
            blind: self.blind + other.blind,
        }
    }
}

impl std::iter::Sum for LeaderDeficit {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), std::ops::Add::add)
    }
}

/// A keeper's record of seeing less than others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeadershipTransfer {
    /// Since when it has seen less than the keeper that sees most.
    since: Option<Moment>,
    /// When it last stepped down.
    last: Option<Moment>,
}

/// The lacks of keepers in all clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeficitComparison {
    /// The lack of the keeper itself.
    pub own: LeaderDeficit,
    /// The lack of the other keeper online that lacks least; `None` if there is no other.
    pub best: Option<LeaderDeficit>,
    /// The lack of the keeper behind it in the latch, which would lead next; `None` if none is online.
    pub next: Option<LeaderDeficit>,
}

impl DeficitComparison {
    /// Whether the file of the next keeper has more, or lets replicas take over that this keeper's file bars.
    pub fn by_file(&self) -> bool {
        self.next.is_some_and(|next| {
            (next.in_file(), next.barred) < (self.own.in_file(), self.own.barred)
        })
    }
}

impl LeadershipTransfer {
    /// Whether to step down now. To be asked again and again.
    pub fn should_step_down(
        &mut self,
        deficits: DeficitComparison,
        step_down_after: Duration,
        now: Moment,
    ) -> bool {
        let DeficitComparison { own, best, next } = deficits;
        if best.is_none_or(|best| best >= own) {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        if next.is_none_or(|next| next >= own) {
            return false;
        }
        // Files do not come and go as networks do.
        let (step_down_after, pause) = if deficits.by_file() {
            (FILES_SETTLE, FILES_NOT_AGAIN_WITHIN)
        } else {
            (step_down_after, NOT_AGAIN_WITHIN)
        };
        let lasts = now.since(since) >= step_down_after;
        let again = self.last.is_some_and(|last| now < last.after(pause));
        let should_step_down = lasts && !again;
        if should_step_down {
            (self.since, self.last) = (None, Some(now));
        }
        should_step_down
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::liveness::DownReason;

    const STEP_DOWN_AFTER: Duration = Duration::from_secs(3);

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(1_000 + seconds))
    }

    fn blind(blind: usize) -> LeaderDeficit {
        LeaderDeficit {
            blind,
            ..LeaderDeficit::default()
        }
    }

    fn file(published: usize, unpublished: usize) -> LeaderDeficit {
        LeaderDeficit {
            published,
            unpublished,
            barred: 0,
            blind: 0,
        }
    }

    fn deficits(own: usize, best: usize, next: usize) -> DeficitComparison {
        DeficitComparison {
            own: blind(own),
            best: Some(blind(best)),
            next: Some(blind(next)),
        }
    }

    #[test]
    fn a_keeper_that_sees_less_for_long_enough_makes_way_for_one_that_sees_more() {
        let mut leadership_transfer = LeadershipTransfer::default();
        assert!(!leadership_transfer.should_step_down(deficits(1, 0, 0), STEP_DOWN_AFTER, at(0)));
        assert!(!leadership_transfer.should_step_down(deficits(1, 0, 0), STEP_DOWN_AFTER, at(2)));
        assert!(leadership_transfer.should_step_down(deficits(1, 0, 0), STEP_DOWN_AFTER, at(3)));
    }

    #[test]
    fn what_passes_is_forgotten() {
        let mut leadership_transfer = LeadershipTransfer::default();
        leadership_transfer.should_step_down(deficits(1, 0, 0), STEP_DOWN_AFTER, at(0));
        leadership_transfer.should_step_down(deficits(0, 0, 0), STEP_DOWN_AFTER, at(2));
        assert!(!leadership_transfer.should_step_down(deficits(1, 0, 0), STEP_DOWN_AFTER, at(3)));
        assert!(leadership_transfer.should_step_down(deficits(1, 0, 0), STEP_DOWN_AFTER, at(6)));
    }

    #[test]
    fn nobody_makes_way_for_one_that_sees_no_more_or_where_nobody_sees_more() {
        let alone = DeficitComparison {
            own: blind(2),
            best: None,
            next: None,
        };
        for deficits in [deficits(2, 2, 2), deficits(1, 2, 2), alone] {
            let mut leadership_transfer = LeadershipTransfer::default();
            assert!(!leadership_transfer.should_step_down(deficits, STEP_DOWN_AFTER, at(0)));
            assert!(!leadership_transfer.should_step_down(deficits, STEP_DOWN_AFTER, at(100)));
        }
        // A keeper further behind sees more: the keeper in between steps down first.
        let mut leadership_transfer = LeadershipTransfer::default();
        assert!(!leadership_transfer.should_step_down(deficits(2, 0, 2), STEP_DOWN_AFTER, at(0)));
        assert!(!leadership_transfer.should_step_down(deficits(2, 0, 2), STEP_DOWN_AFTER, at(100)));
        assert!(leadership_transfer.should_step_down(deficits(2, 0, 0), STEP_DOWN_AFTER, at(101)));
    }

    #[test]
    fn leadership_does_not_wander_nobody_makes_way_twice_within_a_minute() {
        let mut leadership_transfer = LeadershipTransfer::default();
        let made_way = (0..=200)
            .filter(|second| {
                leadership_transfer.should_step_down(
                    deficits(1, 0, 0),
                    STEP_DOWN_AFTER,
                    at(*second),
                )
            })
            .collect::<Vec<_>>();
        assert_eq!(made_way, [3, 63, 123, 183]);
    }

    #[test]
    fn a_blind_spot_is_a_node_voted_unreachable_that_most_others_see() {
        let keepers: BTreeSet<_> = ["a", "b", "c"].map(KeeperId::new).into();
        let votes = |nodes: &[(&str, DownReason)]| KeeperReport {
            votes: nodes
                .iter()
                .map(|(node, why)| (NodeAddr::new(*node, 1), *why))
                .collect(),
            ..KeeperReport::default()
        };
        let reports = [
            (
                KeeperId::new("a"),
                votes(&[
                    ("mine", DownReason::Refused),
                    ("down", DownReason::Unanswered),
                    ("loads", DownReason::Loading),
                ]),
            ),
            (
                KeeperId::new("b"),
                votes(&[("down", DownReason::Unanswered)]),
            ),
        ]
        .into();
        let lacks =
            |keeper| LeaderDeficit::of(&KeeperId::new(keeper), &keepers, &reports, None).blind;
        assert_eq!([lacks("a"), lacks("b"), lacks("c")], [1, 0, 0]);
    }

    /// `a` has a wrong password for one node. No keeper can read the other node.
    #[test]
    fn a_node_that_tells_one_keeper_nothing_and_another_what_it_is_is_a_blind_spot_too() {
        let keepers: BTreeSet<_> = ["a", "b"].map(KeeperId::new).into();
        let unread = |nodes: &[&str]| KeeperReport {
            unread: nodes.iter().map(|name| NodeAddr::new(*name, 1)).collect(),
            ..KeeperReport::default()
        };
        let reports: BTreeMap<_, _> = [
            (KeeperId::new("a"), unread(&["password", "busy"])),
            (KeeperId::new("b"), unread(&["busy"])),
        ]
        .into();
        let lacks =
            |keeper| LeaderDeficit::of(&KeeperId::new(keeper), &keepers, &reports, None).blind;
        assert_eq!([lacks("a"), lacks("b")], [1, 0]);
    }

    /// `a` has no such cluster, `b` lacks a replica and a node that it knows of from votes only.
    #[test]
    fn a_file_lacks_nodes_of_published_clusters_rather_than_what_nobody_published() {
        let keepers: BTreeSet<_> = ["a", "b", "c"].map(KeeperId::new).into();
        let node = |name| NodeAddr::new(name, 1);
        let state = Published {
            primary: Some(node("p")),
            replicas: [node("q")].into(),
            ..Published::default()
        };
        let absent = KeeperReport {
            absent: true,
            ..KeeperReport::default()
        };
        let lacking = KeeperReport {
            unprobed: [node("q"), node("voted")].into(),
            ..KeeperReport::default()
        };
        let (a, b) = (KeeperId::new("a"), KeeperId::new("b"));
        let reports: BTreeMap<_, _> = [(a.clone(), absent.clone()), (b.clone(), lacking)].into();
        let lacks = |keeper: &KeeperId, state| {
            LeaderDeficit::of(keeper, &keepers, &reports, state).in_file()
        };
        assert_eq!(lacks(&a, Some(&state)), (2, 0));
        assert_eq!(lacks(&a, None), (0, 1));
        assert_eq!(lacks(&b, Some(&state)), (1, 1));
        let given_up = keepers.iter().map(|it| (it.clone(), absent.clone()));
        let lacks = LeaderDeficit::of(&a, &keepers, &given_up.collect(), Some(&state));
        assert_eq!(lacks, LeaderDeficit::default(), "nobody has it");
    }

    #[test]
    fn whoever_lacks_a_published_cluster_makes_way_soon_and_again_whatever_else_it_has() {
        let odd = DeficitComparison {
            own: file(3, 0),
            best: Some(file(0, 1)),
            next: Some(LeaderDeficit {
                blind: 9,
                ..file(0, 1)
            }),
        };
        let mut leadership_transfer = LeadershipTransfer::default();
        let made_way = (0..=22)
            .filter(|second| {
                leadership_transfer.should_step_down(odd, STEP_DOWN_AFTER, at(*second))
            })
            .collect::<Vec<_>>();
        assert_eq!(made_way, [1, 11, 21]);
        let other = DeficitComparison {
            own: file(0, 1),
            best: Some(file(3, 0)),
            next: Some(file(3, 0)),
        };
        let mut leadership_transfer = LeadershipTransfer::default();
        assert!((0..100).all(|second| !leadership_transfer.should_step_down(
            other,
            STEP_DOWN_AFTER,
            at(second)
        )));
    }

    #[test]
    fn of_two_keepers_that_lack_a_cluster_each_the_leader_stays() {
        let each = DeficitComparison {
            own: file(3, 0),
            best: Some(file(3, 0)),
            next: Some(file(3, 0)),
        };
        let mut leadership_transfer = LeadershipTransfer::default();
        assert!((0..100).all(|second| !leadership_transfer.should_step_down(
            each,
            STEP_DOWN_AFTER,
            at(second)
        )));
    }

    #[test]
    fn patience_is_the_mark_down_time_and_at_least_three_seconds() {
        let seconds = |mark_down| step_down_after(Duration::from_secs(mark_down)).as_secs();
        assert_eq!([seconds(1), seconds(10)], [3, 10]);
    }
}
