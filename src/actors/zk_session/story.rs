//! The log of the keepers: which one leads, which ones come and go, and whether this keeper answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ZkSession;
use super::heartbeat_latency::HeartbeatLatency;
use crate::domain::node::{KeeperId, Moment};
use crate::ports::coordination::Coordination;

/// The events that were logged so far, each once until it changes.
pub(super) struct Story {
    /// The trouble with ZooKeeper that was logged last; `None` once it is over.
    pub(super) trouble: Option<String>,
    pub(super) latency: HeartbeatLatency,
    leader: Option<KeeperId>,
    /// The keepers online, as logged; `None` until they were counted once.
    online: Option<BTreeSet<KeeperId>>,
    readiness: Readiness,
    /// Whether this keeper goes on by consent.
    pub(super) going_on: bool,
    /// The keepers that a failover would wait for beyond all leases, each with the end of that wait.
    foreseen: BTreeMap<KeeperId, Moment>,
}

/// Whether this keeper holds a lease, as logged.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// This keeper has held no lease yet.
    #[default]
    Awaited,
    /// This keeper has held no lease yet, and that was logged.
    Missing,
    Ready,
    /// This keeper holds no lease any more, since then.
    Lost(Moment),
}

/// A change to log.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Missing,
    Lost,
    Again(Duration),
}

impl Readiness {
    /// Takes in when the lease ends or ended; `None` if there never was a lease. `missing` means that the first lease
    /// is late while ZooKeeper does not answer.
    fn look(&mut self, ends: Option<Moment>, missing: bool, now: Moment) -> Option<News> {
        let holds = ends.filter(|ends| now < *ends);
        let (next, news) = match (*self, ends, holds) {
            (Self::Lost(since), _, Some(_)) => (Self::Ready, Some(News::Again(now.since(since)))),
            (_, _, Some(_)) => (Self::Ready, None),
            (Self::Ready, Some(ended), None) => (Self::Lost(ended), Some(News::Lost)),
            (Self::Awaited, None, _) if missing => (Self::Missing, Some(News::Missing)),
            (same, ..) => (same, None),
        };
        *self = next;
        news
    }
}

impl Story {
    /// Nothing was logged yet. A lease lasts for `lease`.
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            trouble: None,
            latency: HeartbeatLatency::new(lease),
            leader: None,
            online: None,
            readiness: Readiness::default(),
            going_on: false,
            foreseen: BTreeMap::new(),
        }
    }

    /// Logs trouble with ZooKeeper.
    pub(super) fn log_trouble(&mut self, coordination: &dyn Coordination, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            let coordination = coordination.describe();
            tracing::warn!(
                coordination,
                trouble,
                "coordination is in trouble; trying on"
            );
            self.trouble = Some(trouble);
        }
    }

    /// Logs the keepers that a failover would wait for beyond all leases. Answers whether they differ from those
    /// before.
    pub(super) fn log_foreseen(
        &mut self,
        foreseen: BTreeMap<KeeperId, Moment>,
        now: Moment,
    ) -> bool {
        if foreseen == self.foreseen {
            return false;
        }
        for (keeper, until) in &foreseen {
            if !self.foreseen.contains_key(keeper) {
                let seconds = until.since(now).as_secs();
                tracing::warn!(
                    %keeper,
                    seconds,
                    "a failover now would wait for a silent keeper, which may go on without ZooKeeper and asks no keeper \
                     that is online: bring it back. Only if its process does not run: take it off (DELETE /admin/keepers/ID, which \
                     needs admin-operations: true). One that runs all the same may go on calling the former primary writable"
                );
            }
        }
        self.foreseen = foreseen;
        true
    }
}

impl ZkSession {
    /// Logs which keeper leads, and which keepers have come or gone, once both are known.
    pub(super) fn log_keepers(&mut self) {
        let latch_view = self.phase.latch_view();
        let leader = latch_view.and_then(|latch_view| latch_view.leader.as_ref());
        if let Some(leader) = leader.map(|latch| &latch.keeper)
            && self.story.leader.as_ref() != Some(leader)
        {
            if *leader != self.identity.me.id {
                tracing::info!(%leader, "another keeper leads");
            }
            self.story.leader = Some(leader.clone());
        }
        let counted = self.phase.is_current() && !self.keepers.relisting();
        let told = self.story.online.iter().flatten();
        if !counted
            || self.story.online.is_some() && self.keepers.announcements().map(|it| it.0).eq(told)
        {
            return;
        }
        let online = self.keepers.online();
        let Some(before) = self.story.online.replace(online.clone()) else {
            let keepers = online.len();
            let names: Vec<_> = online.iter().map(ToString::to_string).collect();
            return tracing::info!(keepers, names = names.join(", "), "keepers online");
        };
        let registered: BTreeSet<_> = self.failsafe.group.registered().cloned().collect();
        let failsafe = self.failsafe.settings.is_some();
        let known = registered.iter().chain(&online).chain(&before);
        let (keepers, of) = (online.len(), known.collect::<BTreeSet<_>>().len());
        for keeper in online.difference(&before) {
            tracing::info!(%keeper, keepers, of, "a keeper has joined");
        }
        for keeper in before.difference(&online) {
            if failsafe && !registered.contains(keeper) {
                tracing::info!(%keeper, keepers, of, "a keeper has signed off");
            } else {
                tracing::warn!(%keeper, keepers, of, "a keeper has left");
            }
        }
    }

    /// Logs when this keeper calls no node writable any more, and when it does so again.
    pub(super) fn log_readiness(&mut self, now: Moment) {
        if self.phase.over() {
            return;
        }
        let ends = self.dependencies.lease.borrow().deadline();
        let late = self.contact.running(now) >= self.dependencies.settings.lease;
        let missing = late && self.phase.away();
        match self.story.readiness.look(ends, missing, now) {
            None => {}
            Some(News::Missing) => tracing::warn!(
                "this keeper calls no node writable: it was started while ZooKeeper does not answer, and consents to \
                 nothing before it has read ZooKeeper. With failsafe, the other keepers need its consent and call no node \
                 writable either"
            ),
            Some(News::Lost) => {
                let why = if self.failsafe.settings.is_some() {
                    self.why_over(now).to_string()
                } else {
                    "ZooKeeper has confirmed no heartbeat for lease-seconds".to_owned()
                };
                tracing::warn!(why, "this keeper now calls no node writable");
            }
            Some(News::Again(after)) => {
                let seconds = (after.as_secs_f64() * 1_000.0).round() / 1_000.0;
                tracing::info!(
                    silent_seconds = seconds,
                    "ready again: nodes are called writable"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    #[test]
    fn a_lease_that_runs_out_and_the_next_one_are_told_once_each() {
        let mut readiness = Readiness::default();
        assert_eq!(readiness.look(None, false, at(1)), None);
        assert_eq!(
            readiness.look(Some(at(5)), false, at(2)),
            None,
            "the first is told elsewhere"
        );
        assert_eq!(readiness.look(Some(at(5)), true, at(5)), Some(News::Lost));
        assert_eq!(readiness.look(Some(at(5)), true, at(6)), None);
        let again = Some(News::Again(Duration::from_secs(3)));
        assert_eq!(readiness.look(Some(at(12)), false, at(8)), again);
        assert_eq!(readiness.look(Some(at(14)), false, at(9)), None);
    }

    #[test]
    fn a_keeper_that_never_held_a_lease_says_so_once_zookeeper_is_away_for_long_enough() {
        let mut readiness = Readiness::default();
        assert_eq!(readiness.look(None, false, at(1)), None);
        assert_eq!(readiness.look(None, true, at(2)), Some(News::Missing));
        assert_eq!(readiness.look(None, true, at(3)), None);
        assert_eq!(readiness.look(Some(at(9)), false, at(4)), None);
        assert_eq!(readiness, Readiness::Ready);
    }
}
