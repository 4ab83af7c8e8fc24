//! When a keeper that sees less than others makes way for them in the leader latch.
//!
//! A leader does not depend on its own network (others do for it what it does not reach), but one that sees all acts sooner.
//! Leadership must not wander, though: only what lasts counts, nobody makes way for one that sees no more, and nobody
//! twice within a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::facts::DownReason;
use super::node::{KeeperId, Moment, NodeAddr};
use super::verdict::{Report, Verdict, voters};

/// How long a keeper that has made way does not do so again.
const NOT_AGAIN_WITHIN: Duration = Duration::from_mins(1);

/// How long a keeper must have seen less than others at least, however short the mark-down time.
const PATIENCE_AT_LEAST: Duration = Duration::from_secs(3);

/// How long a keeper must have seen less than another before it makes way: it votes nodes down only after `mark_down`, and
/// others may be about to.
pub fn patience(mark_down: Duration) -> Duration {
    mark_down.max(PATIENCE_AT_LEAST)
}

/// How many nodes of one cluster `keeper` votes down that a strict majority of the voters sees alive; and how many it does not even
/// probe, while another keeper of those `online` does.
pub fn blind_spots(
    keeper: &KeeperId,
    online: &BTreeSet<KeeperId>,
    reports: &BTreeMap<KeeperId, Report>,
) -> usize {
    let Some(report) = reports.get(keeper) else {
        return 0;
    };
    let has_it = |keeper| reports.get(keeper).is_none_or(|report| !report.absent);
    if report.absent {
        // One that nobody has is given up.
        return usize::from(online.iter().any(has_it));
    }
    let unseen = report
        .votes
        .iter()
        .filter(|(_, reason)| **reason != DownReason::Loading);
    let unseen =
        unseen.filter(|(node, _)| Verdict::of(node, online, reports, 1).seen_by_majority());
    let probed = |node: &&NodeAddr| voters(node, online, reports).next().is_some();
    let unprobed = report.unprobed.iter().filter(probed).count();
    unseen.count() + unprobed
}

/// What a keeper remembers of seeing less than others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Yielding {
    /// Since when it has seen less than the one that sees most.
    since: Option<Moment>,
    /// When it made way last.
    last: Option<Moment>,
}

/// Blind spots in all clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sight {
    /// Of the keeper itself.
    pub own: usize,
    /// Of the other keeper online that has fewest; `None` if there is no other.
    pub best: Option<usize>,
    /// Of the keeper behind it in the latch, which would take its place; `None` if there is none online.
    pub next: Option<usize>,
}

impl Yielding {
    /// Whether to make way now. To be asked again and again.
    pub fn yields(&mut self, sight: Sight, patience: Duration, now: Moment) -> bool {
        let Sight { own, best, next } = sight;
        if best.is_none_or(|best| best >= own) {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let lasts = now.since(since) >= patience;
        let again = self
            .last
            .is_some_and(|last| now < last.after(NOT_AGAIN_WITHIN));
        let yields = lasts && !again && next.is_some_and(|next| next < own);
        if yields {
            (self.since, self.last) = (None, Some(now));
        }
        yields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3);

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(1_000 + seconds))
    }

    fn sight(own: usize, best: usize, next: usize) -> Sight {
        Sight {
            own,
            best: Some(best),
            next: Some(next),
        }
    }

    #[test]
    fn a_keeper_that_sees_less_for_long_enough_makes_way_for_one_that_sees_more() {
        let mut yielding = Yielding::default();
        assert!(!yielding.yields(sight(1, 0, 0), PATIENCE, at(0)));
        assert!(!yielding.yields(sight(1, 0, 0), PATIENCE, at(2)));
        assert!(yielding.yields(sight(1, 0, 0), PATIENCE, at(3)));
    }

    #[test]
    fn what_passes_is_forgotten() {
        let mut yielding = Yielding::default();
        yielding.yields(sight(1, 0, 0), PATIENCE, at(0));
        yielding.yields(sight(0, 0, 0), PATIENCE, at(2));
        assert!(!yielding.yields(sight(1, 0, 0), PATIENCE, at(3)));
        assert!(yielding.yields(sight(1, 0, 0), PATIENCE, at(6)));
    }

    #[test]
    fn nobody_makes_way_for_one_that_sees_no_more_or_where_nobody_sees_more() {
        let alone = Sight {
            own: 2,
            best: None,
            next: None,
        };
        for sight in [sight(2, 2, 2), sight(1, 2, 2), alone] {
            let mut yielding = Yielding::default();
            assert!(!yielding.yields(sight, PATIENCE, at(0)));
            assert!(!yielding.yields(sight, PATIENCE, at(100)));
        }
        // Someone further behind sees more: the one between makes way first.
        let mut yielding = Yielding::default();
        assert!(!yielding.yields(sight(2, 0, 2), PATIENCE, at(0)));
        assert!(!yielding.yields(sight(2, 0, 2), PATIENCE, at(100)));
        assert!(yielding.yields(sight(2, 0, 0), PATIENCE, at(101)));
    }

    #[test]
    fn leadership_does_not_wander_nobody_makes_way_twice_within_a_minute() {
        let mut yielding = Yielding::default();
        let made_way = (0..=200)
            .filter(|second| yielding.yields(sight(1, 0, 0), PATIENCE, at(*second)))
            .collect::<Vec<_>>();
        assert_eq!(made_way, [3, 63, 123, 183]);
    }

    #[test]
    fn a_blind_spot_is_a_node_voted_unreachable_that_most_others_see() {
        let keepers: BTreeSet<_> = ["a", "b", "c"].map(KeeperId::new).into();
        let votes = |nodes: &[(&str, DownReason)]| Report {
            votes: nodes
                .iter()
                .map(|(node, why)| (NodeAddr::new(*node, 1), *why))
                .collect(),
            ..Report::default()
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
        let blind = |keeper| blind_spots(&KeeperId::new(keeper), &keepers, &reports);
        assert_eq!([blind("a"), blind("b"), blind("c")], [1, 0, 0]);
    }

    #[test]
    fn patience_is_the_mark_down_time_and_at_least_three_seconds() {
        let seconds = |mark_down| patience(Duration::from_secs(mark_down)).as_secs();
        assert_eq!([seconds(1), seconds(10)], [3, 10]);
    }
}
