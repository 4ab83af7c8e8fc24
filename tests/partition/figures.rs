//! What the acknowledgements of one run amount to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::client::PAUSE;

/// Acknowledgements of one node that are not further apart belong to one stretch of time in which it acknowledged.
const JOINED: Duration = Duration::from_millis(200);

/// One write that a client was told had been done. Times count from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acknowledgement {
    /// The client, by its host.
    pub(crate) client: usize,
    /// The server that did it, by its host.
    pub(crate) node: usize,
    /// Of this client's writes.
    pub(crate) number: u64,
    /// When the client was told.
    pub(crate) at: Duration,
}

/// What was done to the network.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// The hosts on the smaller side, where the primary was.
    pub(crate) apart: Vec<usize>,
    /// Just before.
    pub(crate) from: Duration,
    /// Just after.
    pub(crate) to: Duration,
}

/// The figures of one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figures {
    /// Acknowledged writes.
    pub(crate) acknowledged: usize,
    /// Those that the final primary does not hold.
    pub(crate) lost: usize,
    /// Those lost that were not acknowledged on the smaller side during the cut or within a second before.
    pub(crate) lost_elsewhere: usize,
    /// How long two servers, or more, acknowledged at the same time until the cut ended.
    pub(crate) both_sides: Duration,
    /// The same after it.
    pub(crate) both_after: Duration,
    /// From the cut to the last acknowledgement on the smaller side before the cut ended, if there was one.
    pub(crate) minority_went_on: Option<Duration>,
    /// From the cut to the first acknowledgement by a server on the larger side.
    pub(crate) majority_resumed: Option<Duration>,
    /// From the end of the cut until all clients were acknowledged by the final primary, and by no other afterwards.
    pub(crate) reunited: Option<Duration>,
}

// === impl Figures ===

impl Figures {
    /// Of `clients` whose writes were acknowledged as `all` says and are held, in the end, as `is_held` says, by `primary`.
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

    /// Lost writes in per cent of the acknowledged ones.
    pub(crate) fn lost_percent(&self) -> f64 {
        let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
        100.0 * count(self.lost) / count(self.acknowledged).max(1.0)
    }
}

/// How long stretches of two nodes or more lie over each other, between `from` and `to`.
fn together(all: &[Acknowledgement], from: Duration, to: Duration) -> Duration {
    let mut times = BTreeMap::<usize, BTreeSet<Duration>>::new();
    for write in all {
        times.entry(write.node).or_default().insert(write.at);
    }
    // +1 where a node begins a stretch, -1 where it ends one. A write stands for the time until the client's next one.
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

    /// Writes of `client` acknowledged by `node` every 5 ms from `from` to before `to`.
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
