//! Finds acknowledged writes that break a rule, and answers of keepers that contradict each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a HAProxy that thaws may act on what it missed.
const THAW: Duration = Duration::from_secs(2);

/// An acknowledged write. Times count from the start of the run, on one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Write {
    /// The host of the client.
    pub(crate) client: usize,
    /// The host of the server that acknowledged.
    pub(crate) node: usize,
    /// The number of the write, counted for each client.
    pub(crate) number: u32,
    pub(crate) sent: Duration,
    pub(crate) acknowledged: Duration,
}

/// The moment at which a leader begins to publish a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Publication {
    pub(crate) at: Duration,
    pub(crate) node: usize,
}

/// A time in which the HAProxy of a host was frozen; an empty time if the HAProxy was started then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frozen {
    pub(crate) host: usize,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

/// Writes of one cluster that a deposed primary acknowledged after its successor's first acknowledgement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Late {
    /// Writes that were sent after the successor's first acknowledgement.
    pub(crate) breaches: Vec<Write>,
    /// Such writes through a HAProxy that had just thawed or started.
    pub(crate) through_a_thawed_proxy: Vec<Write>,
    /// Writes that were sent before and acknowledged after.
    pub(crate) in_flight: Vec<Write>,
}

/// Judges one cluster. `publications` may come in any order, and include the first primary.
pub(crate) fn late(writes: &[Write], publications: &[Publication], frozen: &[Frozen]) -> Late {
    let mut reigns = publications.to_vec();
    reigns.sort_unstable();
    reigns.dedup_by_key(|reign| reign.node);
    let mut seen = BTreeSet::new();
    let mut late = Late::default();
    for (place, reign) in reigns.iter().enumerate().skip(1) {
        let next = |wanted: &dyn Fn(usize) -> bool| {
            let later = reigns[place + 1..].iter();
            let mut later = later.filter(|it| wanted(it.node));
            later.next().map_or(Duration::MAX, |it| it.at)
        };
        let until = next(&|_| true);
        let own = writes.iter().filter(|it| it.node == reign.node);
        let own = own.map(|it| it.acknowledged);
        let Some(first) = own.filter(|at| (reign.at..until).contains(at)).min() else {
            continue;
        };
        let mut back = BTreeMap::new();
        for write in writes.iter().filter(|it| it.node != reign.node) {
            let back = *back
                .entry(write.node)
                .or_insert_with(|| next(&|node| node == write.node));
            let after = write.acknowledged > first && write.acknowledged < back;
            if !after || !seen.insert((write.client, write.number)) {
                continue;
            }
            let thawed = |it: &Frozen| {
                it.host == write.client && (it.from..it.to + THAW).contains(&write.acknowledged)
            };
            if write.sent <= first {
                late.in_flight.push(*write);
            } else if frozen.iter().any(thawed) {
                late.through_a_thawed_proxy.push(*write);
            } else {
                late.breaches.push(*write);
            }
        }
    }
    late
}

/// The time in which a keeper answered 200 to `is-writable` about one node and generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Writable {
    /// The host of the keeper.
    pub(crate) keeper: usize,
    pub(crate) node: usize,
    pub(crate) generation: u64,
    /// When the first such answer arrived.
    pub(crate) first: Duration,
    /// When the question of the last such answer was sent.
    pub(crate) last: Duration,
}

/// Contradictions in one cluster: a node was called writable after another one of a later generation.
pub(crate) fn contradictions(answers: &[Writable]) -> Vec<(Writable, Writable)> {
    let pairs = answers
        .iter()
        .flat_map(|old| answers.iter().map(move |new| (*old, *new)));
    pairs
        .filter(|(old, new)| {
            old.node != new.node && old.generation < new.generation && old.last > new.first
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const fn write(node: usize, number: u32, sent: u64, acknowledged: u64) -> Write {
        Write {
            client: 3,
            node,
            number,
            sent: ms(sent),
            acknowledged: ms(acknowledged),
        }
    }

    const fn publication(node: usize, at: u64) -> Publication {
        Publication { at: ms(at), node }
    }

    const REIGNS: [Publication; 3] = [publication(1, 0), publication(2, 100), publication(1, 200)];

    #[test]
    fn primaries_that_follow_each_other_are_in_order_also_when_one_comes_back() {
        let writes = [
            write(1, 1, 10, 11),
            write(2, 2, 110, 111),
            write(1, 3, 210, 211),
        ];
        assert_eq!(late(&writes, &REIGNS, &[]), Late::default());
    }

    #[test]
    fn a_write_that_a_deposed_primary_took_after_its_successor_is_a_breach() {
        let writes = [write(2, 1, 110, 111), write(1, 2, 112, 113)];
        let found = late(&writes, &REIGNS, &[]);
        assert_eq!(found.breaches, [writes[1]]);
        // A write before the successor took any is no breach.
        let writes = [write(2, 1, 110, 111), write(1, 2, 105, 106)];
        assert_eq!(late(&writes, &REIGNS, &[]), Late::default());
    }

    #[test]
    fn a_primary_before_the_last_one_is_deposed_as_well() {
        let reigns = [publication(1, 0), publication(2, 100), publication(3, 200)];
        let writes = [write(3, 1, 210, 211), write(1, 2, 212, 213)];
        assert_eq!(late(&writes, &reigns, &[]).breaches, [writes[1]]);
    }

    #[test]
    fn a_write_under_way_and_one_through_a_proxy_that_stood_still_are_told_apart() {
        let writes = [
            write(2, 1, 110, 111),
            write(1, 2, 109, 112),
            write(1, 3, 120, 121),
        ];
        let frozen = Frozen {
            host: 3,
            from: ms(50),
            to: ms(119),
        };
        let found = late(&writes, &REIGNS, &[frozen]);
        assert_eq!(found.in_flight, [writes[1]]);
        assert_eq!(found.through_a_thawed_proxy, [writes[2]]);
        assert_eq!(found.breaches, []);
        let elsewhere = Frozen { host: 2, ..frozen };
        assert_eq!(late(&writes, &REIGNS, &[elsewhere]).breaches, [writes[2]]);
    }

    #[test]
    fn answers_from_an_older_generation_after_a_later_one_contradict_it() {
        let old = Writable {
            keeper: 1,
            node: 1,
            generation: 4,
            first: ms(0),
            last: ms(100),
        };
        let new = Writable {
            keeper: 2,
            node: 2,
            generation: 6,
            first: ms(101),
            last: ms(200),
        };
        assert_eq!(contradictions(&[old, new]), []);
        let early = Writable {
            first: ms(99),
            ..new
        };
        assert_eq!(contradictions(&[old, early]), [(old, early)]);
        // A new publication of the same node is no contradiction.
        let again = Writable { node: 1, ..early };
        assert_eq!(contradictions(&[old, again]), []);
    }
}
