//! For how long this keeper may vouch for its knowledge (RK-3).
//!
//! Example, with a lease of 0.8 s: a heartbeat was sent at 10.000, and everything that it names was applied at
//! 10.030. Then the lease reaches to 10.800.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::generations::Generations;
use crate::domain::lease::Lease;
use crate::domain::node::{ClusterName, Generation, Moment};

/// The result of a read of `/generation`.
#[derive(Debug, PartialEq, Eq)]
pub enum GenerationCheck {
    /// Everything that the read names has been applied; this is the lease now.
    Settled(Lease),
    /// These clusters have changed since they were last read: read them.
    Missing(BTreeSet<ClusterName>),
    /// More has changed than the read names: read everything.
    MissingAll,
    /// The generation is lower than one that was applied: the read counts for nothing.
    WentBack,
}

/// Counts the applied generations, and the lease that a heartbeat earns.
#[derive(Debug)]
pub struct LeaseBook {
    length: Duration,
    lease: Lease,
    /// When the heartbeat was sent that earned the lease.
    earned: Option<Moment>,
    /// Every cluster state up to this generation was applied on the present connection; `None` until all were read.
    applied: Option<Generation>,
    /// The highest generation ever applied, which survives reconnections.
    highest: Generation,
    /// Reads of `/generation` that wait for states to be applied, oldest first. The moment is when the heartbeat of
    /// the read was sent, if the read belongs to one.
    pending: VecDeque<(Generations, Option<Moment>)>,
    /// Whether everything was read once since the start.
    ever_read: bool,
}

impl LeaseBook {
    /// The book of a keeper that has no lease yet; a lease lasts for `length`.
    pub fn new(length: Duration) -> Self {
        Self {
            length,
            lease: Lease::default(),
            earned: None,
            applied: None,
            highest: Generation::default(),
            pending: VecDeque::new(),
            ever_read: false,
        }
    }

    /// Sets how long a lease lasts, for heartbeats that are confirmed from now on.
    pub fn set_length(&mut self, length: Duration) {
        self.length = length;
    }

    /// The lease that a heartbeat has earned.
    pub fn lease(&self) -> Lease {
        self.lease
    }

    /// Revokes the lease if it holds at `now`. Then there is no lease until a heartbeat earns another one.
    pub fn revoke(&mut self, now: Moment) -> bool {
        let held = self.lease.holds(now);
        if held {
            (self.lease, self.earned) = (Lease::default(), None);
        }
        held
    }

    /// When the newest heartbeat was sent that has earned a lease.
    pub fn earned(&self) -> Option<Moment> {
        self.earned
    }

    /// The generation that may be acknowledged (RK-2): every state up to it was applied at some time, and none is
    /// older now.
    pub fn highest(&self) -> Generation {
        self.highest
    }

    /// Whether a state that a read names is not applied yet.
    pub fn waits(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether the lease has run out while a state is to be applied.
    pub fn is_held_up(&self, now: Moment) -> bool {
        self.waits() && !self.lease.holds(now)
    }

    /// Forgets all reads and heartbeats of the connection before: the connection is lost or new.
    pub fn forget(&mut self) {
        self.applied = None;
        self.pending.clear();
    }

    /// Notes that everything was read, after `/generation` had been read as `generation`.
    pub fn all_read(&mut self, generation: Generation) {
        self.applied = Some(generation);
        self.highest = self.highest.max(generation);
        self.ever_read = true;
    }

    /// Whether everything was read once since the start, on any connection.
    pub fn ever_read(&self) -> bool {
        self.ever_read
    }

    /// Takes in a read of `/generation`: behind a confirmed heartbeat that was sent at `sent`, or only to learn what
    /// has changed.
    pub fn confirmed(
        &mut self,
        read: Generations,
        sent: Option<Moment>,
        applied_of: impl Fn(&ClusterName) -> Option<Generation>,
    ) -> GenerationCheck {
        if read.generation < self.highest {
            return GenerationCheck::WentBack;
        }
        self.pending.push_back((read, sent));
        self.settle(applied_of)
            .unwrap_or(GenerationCheck::Settled(self.lease))
    }

    /// Settles the waiting reads whose states are applied; `None` if no read waits.
    ///
    /// `applied_of` returns the applied generation of a cluster; `None` for a cluster that this keeper does not
    /// answer for.
    pub fn settle(
        &mut self,
        applied_of: impl Fn(&ClusterName) -> Option<Generation>,
    ) -> Option<GenerationCheck> {
        let mut verdict = None;
        while let Some((read, sent)) = self.pending.front() {
            let Some(changed) = read.since(self.applied?) else {
                self.forget();
                return Some(GenerationCheck::MissingAll);
            };
            let missing: BTreeSet<ClusterName> = changed
                .into_iter()
                .filter(|(cluster, at)| applied_of(cluster).is_some_and(|applied| applied < *at))
                .map(|(cluster, _)| cluster.clone())
                .collect();
            if !missing.is_empty() {
                return Some(GenerationCheck::Missing(missing));
            }
            let (generation, sent) = (read.generation, *sent);
            self.pending.pop_front();
            self.all_read(generation);
            if let Some(sent) = sent {
                self.earned = self.earned.max(Some(sent));
                let deadline = sent.after(self.length);
                let longest = self
                    .lease
                    .deadline()
                    .map_or(deadline, |it| it.max(deadline));
                self.lease = Lease::Earned(longest);
            }
            verdict = Some(GenerationCheck::Settled(self.lease));
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

    fn extended(sent: u64) -> GenerationCheck {
        GenerationCheck::Settled(Lease::Earned(at(sent).after(LENGTH)))
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
        assert_eq!(before, GenerationCheck::Settled(Lease::default()));
        book.all_read(Generation(0));
        assert_eq!(book.settle(|_| None), Some(extended(100)));
    }

    #[test]
    fn a_change_not_yet_applied_withholds_the_lease() {
        let mut book = LeaseBook::new(LENGTH);
        book.all_read(Generation(0));
        let verdict = book.confirmed(raised(2), Some(at(100)), |_| Some(Generation(1)));
        assert_eq!(
            verdict,
            GenerationCheck::Missing([ClusterName::new("a")].into())
        );
        let verdict = book.confirmed(raised(3), Some(at(300)), |_| Some(Generation(1)));
        assert!(matches!(verdict, GenerationCheck::Missing(_)));
        let verdict = book.settle(|_| Some(Generation(2)));
        assert_eq!(
            verdict,
            Some(GenerationCheck::Missing([ClusterName::new("a")].into())),
            "the later one waits on"
        );
        assert_eq!(
            book.lease().deadline(),
            Some(at(900)),
            "the older one counts"
        );
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
        assert_eq!(book.lease().deadline(), Some(at(950).after(LENGTH)));
    }

    #[test]
    fn a_generation_that_goes_back_extends_nothing() {
        let mut book = LeaseBook::new(LENGTH);
        book.all_read(Generation(5));
        let verdict = book.confirmed(raised(4), Some(at(100)), |_| Some(Generation(5)));
        assert_eq!(verdict, GenerationCheck::WentBack);
    }

    #[test]
    fn more_changes_than_are_named_mean_reading_everything() {
        let mut book = LeaseBook::new(LENGTH);
        book.all_read(Generation(0));
        let verdict = book.confirmed(raised(1000), Some(at(100)), |_| Some(Generation(0)));
        assert_eq!(verdict, GenerationCheck::MissingAll);
        assert_eq!(book.settle(|_| Some(Generation(1000))), None);
    }
}
