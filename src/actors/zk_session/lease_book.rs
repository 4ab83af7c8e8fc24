//! When this keeper may vouch for what it knows (RK-3).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::domain::lease::Lease;
use crate::domain::node::{ClusterName, Generation, Moment};
use crate::layout::state::Generations;

/// What a read of `/generation` comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All that was read about has been applied; this is the lease now.
    Settled(Lease),
    /// These clusters have changed since they were last read: read them.
    Missing(BTreeSet<ClusterName>),
    /// More has changed than is named: read everything.
    MissingAll,
    /// The generation is lower than one that was applied: nothing of it is.
    WentBack,
}

/// Counts what has been applied, and so what a heartbeat is worth.
#[derive(Debug)]
pub(super) struct LeaseBook {
    length: Duration,
    lease: Lease,
    /// When the heartbeat was sent that earned it.
    earned: Option<Moment>,
    /// Every cluster state up to this one has been applied on the present connection; `None` until all were read.
    applied: Option<Generation>,
    /// The highest ever applied: survives reconnections.
    highest: Generation,
    /// Reads of `/generation` that wait for states to be applied, oldest first; those that belong to a heartbeat with
    /// the time of its sending.
    pending: VecDeque<(Generations, Option<Moment>)>,
}

impl LeaseBook {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            lease: Lease::default(),
            earned: None,
            applied: None,
            highest: Generation::default(),
            pending: VecDeque::new(),
        }
    }

    /// From now on a heartbeat is worth so much.
    pub(super) fn set_length(&mut self, length: Duration) {
        self.length = length;
    }

    pub(super) fn lease(&self) -> Lease {
        self.lease
    }

    /// If the lease holds at `now`, it does no more, and none is known until a heartbeat earns another one.
    pub(super) fn revoke(&mut self, now: Moment) -> bool {
        let held = self.lease.holds(now);
        if held {
            (self.lease, self.earned) = (Lease::default(), None);
        }
        held
    }

    /// When the newest heartbeat was sent that earned a lease.
    pub(super) fn earned(&self) -> Option<Moment> {
        self.earned
    }

    /// Every state up to this one was applied at some time, and none is older now: what may be acknowledged (RK-2).
    pub(super) fn highest(&self) -> Generation {
        self.highest
    }

    /// Whether something read about has not been applied yet.
    pub(super) fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The connection is lost or new: what was read before counts no more, nor does a heartbeat sent before.
    pub(super) fn forget(&mut self) {
        self.applied = None;
        self.pending.clear();
    }

    /// Everything has been read, after `/generation` had been read as `generation`.
    pub(super) fn all_read(&mut self, generation: Generation) {
        self.applied = Some(generation);
        self.highest = self.highest.max(generation);
    }

    /// `/generation` was read: behind a confirmed heartbeat sent at `sent`, or only to learn what has changed.
    pub(super) fn confirmed(
        &mut self,
        read: Generations,
        sent: Option<Moment>,
        applied_of: impl Fn(&ClusterName) -> Option<Generation>,
    ) -> Verdict {
        if read.generation < self.highest {
            return Verdict::WentBack;
        }
        self.pending.push_back((read, sent));
        self.settle(applied_of)
            .unwrap_or(Verdict::Settled(self.lease))
    }

    /// Settles what waits and can be settled; `None` if nothing waits. `applied_of` tells the generation a cluster's
    /// state has been applied with, `None` for a cluster this keeper does not answer for.
    pub(super) fn settle(
        &mut self,
        applied_of: impl Fn(&ClusterName) -> Option<Generation>,
    ) -> Option<Verdict> {
        let mut verdict = None;
        while let Some((read, sent)) = self.pending.front() {
            let Some(changed) = read.since(self.applied?) else {
                self.forget();
                return Some(Verdict::MissingAll);
            };
            let missing: BTreeSet<ClusterName> = changed
                .into_iter()
                .filter(|(cluster, at)| applied_of(cluster).is_some_and(|applied| applied < *at))
                .map(|(cluster, _)| cluster.clone())
                .collect();
            if !missing.is_empty() {
                return Some(Verdict::Missing(missing));
            }
            let (generation, sent) = (read.generation, *sent);
            self.pending.pop_front();
            self.all_read(generation);
            if let Some(sent) = sent {
                self.earned = self.earned.max(Some(sent));
                self.lease.deadline = self.lease.deadline.max(Some(sent.after(self.length)));
            }
            verdict = Some(Verdict::Settled(self.lease));
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_millis(800);

    fn at(milliseconds: u64) -> Moment {
        Moment(Duration::from_millis(milliseconds))
    }

    fn extended(sent: u64) -> Verdict {
        Verdict::Settled(Lease {
            deadline: Some(at(sent).after(LENGTH)),
            consented: false,
        })
    }

    fn raised(times: u64) -> Generations {
        (0..times).fold(Generations::default(), |generations, _| {
            generations.raised(&ClusterName::new("a"), Generation(0))
        })
    }

    #[test]
    fn a_heartbeat_counts_from_its_sending_and_only_once_everything_was_read() {
        let mut book = LeaseBook::new(LENGTH);
        let before = book.confirmed(raised(0), Some(at(100)), |_| None);
        assert_eq!(before, Verdict::Settled(Lease::default()));
        book.all_read(Generation(0));
        assert_eq!(book.settle(|_| None), Some(extended(100)));
    }

    #[test]
    fn a_change_not_yet_applied_withholds_the_lease() {
        let mut book = LeaseBook::new(LENGTH);
        book.all_read(Generation(0));
        let verdict = book.confirmed(raised(2), Some(at(100)), |_| Some(Generation(1)));
        assert_eq!(verdict, Verdict::Missing([ClusterName::new("a")].into()));
        let verdict = book.confirmed(raised(3), Some(at(300)), |_| Some(Generation(1)));
        assert!(matches!(verdict, Verdict::Missing(_)));
        let verdict = book.settle(|_| Some(Generation(2)));
        assert_eq!(
            verdict,
            Some(Verdict::Missing([ClusterName::new("a")].into())),
            "the later one waits on"
        );
        assert_eq!(book.lease().deadline, Some(at(900)), "the older one counts");
        assert_eq!(
            book.confirmed(raised(3), Some(at(500)), |_| Some(Generation(3))),
            extended(500)
        );
    }

    #[test]
    fn changes_of_clusters_that_are_not_ours_withhold_nothing() {
        let mut book = LeaseBook::new(LENGTH);
        book.all_read(Generation(0));
        assert_eq!(
            book.confirmed(raised(2), Some(at(100)), |_| None),
            extended(100)
        );
    }

    #[test]
    fn a_heartbeat_from_before_a_reconnection_extends_nothing() {
        let mut book = LeaseBook::new(LENGTH);
        book.all_read(Generation(0));
        book.confirmed(raised(1), Some(at(100)), |_| Some(Generation(0)));
        book.forget();
        book.all_read(Generation(1));
        assert_eq!(book.settle(|_| Some(Generation(1))), None);
        assert_eq!(book.lease(), Lease::default());
    }

    #[test]
    fn a_lease_that_is_revoked_is_earned_again_by_a_later_heartbeat_only() {
        let mut book = LeaseBook::new(LENGTH);
        book.all_read(Generation(0));
        book.confirmed(raised(0), Some(at(100)), |_| None);
        assert!(!book.revoke(at(900)), "it is out by itself");
        assert!(book.revoke(at(899)));
        assert!(!book.lease().holds(at(899)));
        assert_eq!(book.earned(), None);
        assert!(!book.revoke(at(899)));
        book.confirmed(raised(0), Some(at(950)), |_| None);
        assert_eq!(book.lease().deadline, Some(at(950).after(LENGTH)));
    }

    #[test]
    fn a_generation_that_goes_back_extends_nothing() {
        let mut book = LeaseBook::new(LENGTH);
        book.all_read(Generation(5));
        let verdict = book.confirmed(raised(4), Some(at(100)), |_| Some(Generation(5)));
        assert_eq!(verdict, Verdict::WentBack);
    }

    #[test]
    fn more_changes_than_are_named_mean_reading_everything() {
        let mut book = LeaseBook::new(LENGTH);
        book.all_read(Generation(0));
        let verdict = book.confirmed(raised(1000), Some(at(100)), |_| Some(Generation(0)));
        assert_eq!(verdict, Verdict::MissingAll);
        assert_eq!(book.settle(|_| Some(Generation(1000))), None);
    }
}
