//! The figures of a run, computed from the acknowledgements.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::client::PAUSE;

/// Acknowledgements of a node that are at most this far apart belong to one stretch.
const JOINED: Duration = Duration::from_millis(200);

/// A write that a client was told had been done. Times count from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acknowledgement {
    /// The host of the client.
    pub(crate) client: usize,
    /// The host of the server that did the write.
    pub(crate) node: usize,
    /// The number of the write, counted for each client.
    pub(crate) number: u64,
    /// When the client was told.
    pub(crate) at: Duration,
}

/// A cut of the network.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// The hosts on the smaller side, which had the primary.
    pub(crate) apart: Vec<usize>,
    /// The time just before the cut.
    pub(crate) from: Duration,
    /// The time just after its end.
    pub(crate) to: Duration,
}

/// The figures of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    /// How many writes were acknowledged.
    pub(crate) acknowledged: usize,
    /// How many of these the final primary does not hold.
    pub(crate) lost: usize,
    /// How many lost writes were acknowledged elsewhere than on the smaller side, or not during the cut or within a
    /// second before.
    pub(crate) lost_elsewhere: usize,
    /// How long two or more servers acknowledged at the same time, until the end of the cut.
    pub(crate) both_sides: Duration,
    /// How long two or more servers acknowledged at the same time, after the end of the cut.
    pub(crate) both_after: Duration,
    /// The time from the cut to the last acknowledgement on the smaller side during the cut, if there was one.
    pub(crate) minority_went_on: Option<Duration>,
    /// The time from the cut to the first acknowledgement by a server on the larger side.
    pub(crate) majority_resumed: Option<Duration>,
    /// The time from the end of the cut until the final primary has acknowledged all clients, and no other server
    /// does later.
    pub(crate) reunited: Option<Duration>,
}

// === impl Figures ===

impl Figures {
    /// Computes the figures from the acknowledgements `all` of `clients`. `is_held` says whether `primary`, the final
    /// one, holds a write.
    pub(crate) fn new(
        all: &[Acknowledgement],
        cut: &Cut,
        clients: usize,
        primary: usize,
        is_held: impl Fn(&Acknowledgement) -> bool,
    ) -> Self {
        let (mut lost, mut lost_elsewhere) = (0, 0);
        for write in all.iter().filter(|write| !is_held(write)) {
            let exposed = cut.from.saturating_sub(Duration::from_secs(1))..=cut.to;
            let excused = cut.apart.contains(&write.node) && exposed.contains(&write.at);
            lost += 1;
            lost_elsewhere += usize::from(!excused);
        }
        let during = |write: &&Acknowledgement| (cut.from..cut.to).contains(&write.at);
        let apart = |write: &&Acknowledgement| cut.apart.contains(&write.node);
        let since_cut = |write: &Acknowledgement| write.at.saturating_sub(cut.from);
        Self {
            acknowledged: all.len(),
            lost,
            lost_elsewhere,
            both_sides: together(all, Duration::ZERO, cut.to),
            both_after: together(all, cut.to, Duration::MAX),
            minority_went_on: all.iter().filter(during).filter(apart).map(since_cut).max(),
            majority_resumed: all
                .iter()
                .filter(during)
                .filter(|write| !apart(write))
                .map(since_cut)
                .min(),
            reunited: reunited(all, cut.to, clients, primary),
        }
    }

    /// The lost writes, in per cent of the acknowledged ones.
    pub(crate) fn lost_percent(&self) -> f64 {
        let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        100.0 * count(self.lost) / count(self.acknowledged).max(1.0)
    }
}

/// How long the stretches of two or more nodes overlap, between `from` and `to`.
fn together(all: &[Acknowledgement], from: Duration, to: Duration) -> Duration {
    let mut times = BTreeMap::<usize, BTreeSet<Duration>>::new();
    for write in all {
        times.entry(write.node).or_default().insert(write.at);
    }
    // +1 where a stretch of a node begins, -1 where it ends. A write stands for the time until the client's next one.
    let mut steps = Vec::new();
    for times in times.values() {
        let mut before: Option<Duration> = None;
        for at in times {
            if before.is_none_or(|before| at.saturating_sub(before) > JOINED) {
                steps.extend(before.map(|before| (before + PAUSE, -1)));
                steps.push((*at, 1));
            }
            before = Some(*at);
        }
        steps.extend(before.map(|before| (before + PAUSE, -1)));
    }
    steps.sort_unstable();
    let (mut sum, mut nodes, mut since) = (Duration::ZERO, 0, Duration::ZERO);
    for (at, step) in steps {
        if nodes > 1 {
            sum += at.clamp(from, to).saturating_sub(since.clamp(from, to));
        }
        (nodes, since) = (nodes + step, at);
    }
    sum
}

fn reunited(
    all: &[Acknowledgement],
    healed: Duration,
    clients: usize,
    primary: usize,
) -> Option<Duration> {
    let mut latest = Duration::ZERO;
    for client in 1..=clients {
        let mine = || all.iter().filter(|write| write.client == client);
        let elsewhere = mine().filter(|write| write.node != primary);
        let left = elsewhere.map(|write| write.at).max().unwrap_or_default();
        let settled = mine()
            .filter(|write| write.node == primary)
            .map(|write| write.at)
            .filter(|at| *at > left && *at > healed)
            .min()?;
        latest = latest.max(settled.saturating_sub(healed));
    }
    Some(latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Writes of `client` that `node` acknowledges every 5 ms, from `from` to just before `to`, in milliseconds.
    fn stretch(client: usize, node: usize, from: u64, to: u64) -> Vec<Acknowledgement> {
        (from..to)
            .step_by(5)
            .map(|at| Acknowledgement {
                client,
                node,
                number: at,
                at: ms(at),
            })
            .collect()
    }

    fn overlap(all: &[Acknowledgement]) -> Duration {
        together(all, Duration::ZERO, Duration::MAX)
    }

    fn cut() -> Cut {
        Cut {
            apart: vec![1],
            from: ms(1_000),
            to: ms(9_000),
        }
    }

    #[test]
    fn a_handover_is_no_overlap_and_a_second_of_two_nodes_is_a_second() {
        let handover = [stretch(1, 1, 0, 2_000), stretch(2, 3, 2_000, 5_000)].concat();
        assert_eq!(overlap(&handover), Duration::ZERO);
        let both = [stretch(1, 1, 0, 2_000), stretch(2, 3, 1_000, 5_000)].concat();
        assert_eq!(overlap(&both), ms(1_000));
        assert_eq!(together(&both, ms(1_500), ms(9_000)), ms(500));
    }

    #[test]
    fn a_single_write_at_another_node_is_seen_and_a_pause_of_it_is_not_counted() {
        let busy = stretch(2, 3, 0, 5_000);
        let stray = [busy.clone(), stretch(1, 1, 2_000, 2_005)].concat();
        assert_eq!(overlap(&stray), PAUSE);
        let two = [
            busy,
            stretch(1, 1, 1_000, 1_100),
            stretch(1, 1, 3_000, 3_100),
        ]
        .concat();
        assert_eq!(overlap(&two), ms(200));
    }

    #[test]
    fn each_side_is_timed_from_the_cut_and_the_reunion_from_its_end() {
        let all = [
            stretch(1, 1, 0, 1_805),
            stretch(2, 1, 0, 1_000),
            stretch(2, 3, 3_000, 12_000),
            stretch(1, 3, 9_400, 12_000),
        ]
        .concat();
        let figures = Figures::new(&all, &cut(), 2, 3, |write| {
            write.node == 3 || write.at < ms(1_000)
        });
        assert_eq!(figures.minority_went_on, Some(ms(800)));
        assert_eq!(figures.majority_resumed, Some(ms(2_000)));
        assert_eq!(figures.reunited, Some(ms(400)));
        assert_eq!((figures.lost, figures.lost_elsewhere), (161, 0));
    }

    #[test]
    fn a_loss_that_the_cut_does_not_explain_is_told_apart() {
        let all = [stretch(1, 1, 0, 2_000), stretch(2, 3, 3_000, 4_000)].concat();
        let nothing_held = Figures::new(&all, &cut(), 2, 3, |_| false);
        assert_eq!(nothing_held.lost, all.len());
        assert_eq!(nothing_held.lost_elsewhere, 200);
        assert!((nothing_held.lost_percent() - 100.0).abs() < f64::EPSILON);
        assert_eq!(nothing_held.reunited, None);
    }
}
