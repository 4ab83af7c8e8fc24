//! The brake: so many primaries fall silent at once that this keeper itself may be cut off (RK-11).

use std::collections::BTreeMap;

use super::node::{ClusterName, Moment};

/// The brake never acts on this many silent primaries or fewer.
const NEVER_UP_TO: usize = 3;

/// With more of them, the brake acts if more than one published primary in this many is silent.
const ONE_IN: usize = 4;

/// How many of the published primaries owe this keeper an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Brake {
    /// The silent ones.
    pub silent: usize,
    /// All published primaries.
    pub published: usize,
}

/// The published primaries of all clusters of this keeper, each with the moment from which it counts as silent.
#[derive(Debug, Default)]
pub struct Primaries(BTreeMap<ClusterName, Option<Moment>>);

impl Primaries {
    /// Records the published primary of `cluster`. The primary counts as silent from `silent` on, if it does not
    /// answer.
    pub fn published(&mut self, cluster: &ClusterName, silent: Option<Moment>) {
        match self.0.get_mut(cluster) {
            Some(known) => *known = silent,
            None => drop(self.0.insert(cluster.clone(), silent)),
        }
    }

    /// Records that no primary is published for `cluster`.
    pub fn withdrawn(&mut self, cluster: &ClusterName) {
        self.0.remove(cluster);
    }

    /// How many primaries are silent at `now`.
    pub fn silent(&self, now: Moment) -> usize {
        let silent = |from: &&Option<Moment>| from.is_some_and(|from| from <= now);
        self.0.values().filter(silent).count()
    }

    /// The brake, if it acts at `now`.
    pub fn brake(&self, now: Moment) -> Option<Brake> {
        let (silent, published) = (self.silent(now), self.0.len());
        let acts = silent > NEVER_UP_TO && silent * ONE_IN > published;
        acts.then_some(Brake { silent, published })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Moment = Moment(Duration::from_secs(10));

    fn primaries(silent: usize, published: usize) -> Primaries {
        let mut primaries = Primaries::default();
        for number in 0..published {
            let from = (number < silent).then_some(NOW);
            primaries.published(&ClusterName::new(format!("c{number}")), from);
        }
        primaries
    }

    #[test]
    fn up_to_three_silent_primaries_the_brake_never_acts() {
        for published in [3, 4, 100] {
            assert_eq!(primaries(3, published).brake(NOW), None, "{published}");
        }
    }

    #[test]
    fn more_than_three_and_more_than_a_quarter_of_all_are_too_many_at_once() {
        let brake = |silent, published| primaries(silent, published).brake(NOW).is_some();
        assert!(brake(4, 4) && brake(4, 15));
        assert!(!brake(4, 16), "a quarter is not more than a quarter");
        assert!(brake(26, 100) && !brake(25, 100));
    }

    #[test]
    fn a_primary_counts_from_its_time_on_until_it_answers_or_is_withdrawn() {
        let mut primaries = primaries(4, 4);
        let before = Moment(NOW.0.saturating_sub(Duration::from_millis(1)));
        assert_eq!(primaries.brake(before), None);
        primaries.published(&ClusterName::new("c0"), None);
        assert_eq!(primaries.brake(NOW), None);
        primaries.published(&ClusterName::new("c0"), Some(NOW));
        assert_eq!(primaries.brake(NOW).map(|it| it.published), Some(4));
        primaries.withdrawn(&ClusterName::new("c0"));
        assert_eq!(primaries.silent(NOW), 3);
    }
}
