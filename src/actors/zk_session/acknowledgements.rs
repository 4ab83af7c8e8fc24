//! Waits for other keepers after a withdrawal (RK-2). Deposes a leader that has fallen silent (RK-4).

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::{join_all, join3};

use super::ZkSession;
use super::decoded::stamp;
use super::event::{Event, PAUSE, Survey};
use crate::domain::lease::Unacknowledged;
use crate::domain::node::{ClusterName, Generation, Moment};
use crate::layout::paths;
use crate::ports::coordination::{CoordinationError, Write};

impl ZkSession {
    /// The keepers that may still answer from before the published withdrawal, if this keeper leads.
    ///
    /// Sets a timer for the moment at which the first of them has been silent for long enough.
    pub(super) fn unacknowledged(&mut self, name: &ClusterName) -> Unacknowledged {
        let cluster = self.clusters.get(name);
        let Some(cluster) = cluster.filter(|_| self.leading.leads()) else {
            return Unacknowledged::default();
        };
        let now = self.dependencies.clock.now();
        let published = cluster.published();
        let withdrawn = published.filter(|published| published.intent.is_some());
        let Some(generation) = withdrawn.map(|published| published.generation) else {
            return Unacknowledged {
                going_on: self.keepers.foreseen(&self.failsafe.group, now),
                ..Unacknowledged::default()
            };
        };
        let (mut unacknowledged, until) =
            self.keepers
                .unacknowledged(generation, &self.failsafe.group, now);
        let bound = self.failsafe.bound_until(generation, &self.keepers);
        let bound = bound.filter(|bound| now < *bound);
        unacknowledged.consents = bound.is_some();
        self.failsafe
            .count_consents(&mut unacknowledged, &self.keepers);
        if let Some(until) = until.into_iter().chain(bound).min() {
            self.recheck_keepers_at(until, now);
        }
        self.survey(generation, now);
        unacknowledged
    }

    /// Logs, as the leader and before any failover, the keepers that a failover would wait for beyond all leases.
    pub(super) fn foresee(&mut self, now: Moment) {
        let foreseen = if self.leading.leads() {
            self.keepers.foreseen(&self.failsafe.group, now)
        } else {
            BTreeMap::new()
        };
        if self.story.log_foreseen(foreseen, now) && self.leading.leads() {
            self.share_all();
        }
    }

    /// Surveys the silent keepers, after a withdrawal is known to be committed.
    ///
    /// A heartbeat from before the withdrawal may still be on its way to this keeper. The lease of that heartbeat
    /// ends later than the lease that this keeper knows of.
    fn survey(&mut self, generation: Generation, now: Moment) {
        let Some(keepers) = self
            .keepers
            .to_survey(generation, &self.failsafe.group, now)
        else {
            return;
        };
        let Some(online) = self.phase.online_mut() else {
            return;
        };
        if !online.requests.survey.begin(()) {
            return;
        }
        let session = online.session();
        // Every state that this keeper knows is committed.
        let generation = generation.max(self.lease_book.highest());
        let reads = keepers.into_iter().map(|keeper| {
            let read = session.get(&paths::keeper(&keeper));
            read.map(|outcome| (keeper, outcome))
        });
        let found = join3(
            session.children(paths::KEEPERS),
            session.children(paths::FAILSAFE_MEMBERS),
            join_all(reads),
        );
        let survey = async move {
            let (online, registered, keepers) = found.await;
            let listed = online.is_ok() && registered.is_ok();
            if !listed || keepers.iter().any(|(_, read)| read.is_err()) {
                tokio::time::sleep(PAUSE).await;
            }
            Event::Surveyed(Survey {
                generation,
                online,
                registered,
                keepers,
            })
        };
        self.spawn(survey);
    }

    pub(super) fn surveyed(&mut self, survey: &Survey) {
        if let Some(online) = self.phase.online_mut() {
            online.requests.survey.end();
        }
        if let Ok(online) = &survey.online {
            let registered = survey.registered.as_ref();
            let registered =
                registered.is_ok_and(|it| self.failsafe.group.is_listed_as(it.changes));
            self.keepers
                .counted(online.changes, registered, survey.generation);
        }
        let now = self.dependencies.clock.now();
        for (keeper, outcome) in &survey.keepers {
            if let Ok(node) = outcome {
                self.keepers
                    .surveyed(keeper, node.as_ref().map(stamp), survey.generation, now);
            }
        }
    }

    fn recheck_keepers_at(&mut self, until: Moment, now: Moment) {
        let Some(online) = self.phase.online_mut() else {
            return;
        };
        if online.silence.is_some_and(|earlier| earlier <= until) {
            return;
        }
        online.silence = Some(until);
        let silence = tokio::time::sleep(until.since(now));
        self.spawn(silence.map(|()| Event::Silence));
    }

    /// Tells the waiting clusters whenever the leader has fewer keepers to wait for.
    pub(super) fn share_acknowledgements(&mut self) {
        if !self.leading.leads() {
            return;
        }
        for name in self.clusters.waiting() {
            let unacknowledged = self.unacknowledged(&name);
            let shared = self.clusters.get(&name).map(|it| &it.unacknowledged);
            if shared != Some(&unacknowledged) {
                self.share(&name);
            }
        }
    }

    /// Deposes a leader whose heartbeat node has not changed for *L + m*. By its own clock, such a leader leads no
    /// more. Its session, and with it its latch node, may live for long.
    pub(super) fn depose_silent_leader(&mut self, now: Moment) {
        let leased = self.lease_book.lease().holds(now) && self.phase.is_current();
        let Some(online) = self.phase.online_mut().filter(|_| leased) else {
            return;
        };
        let session = online.session();
        let leader = online.latch_view.as_ref().and_then(|it| it.leader.clone());
        let Some(latch) = leader.filter(|latch| {
            latch.session != session.id() && !online.requests.deposition.is_under_way()
        }) else {
            return;
        };
        let Some(version) = self.keepers.silent(&latch.keeper, latch.session, now) else {
            return;
        };
        online.requests.deposition.begin(());
        tracing::warn!(leader = %latch.keeper, "deposing a leader that has fallen silent");
        let check = Write::Check {
            path: paths::keeper(&latch.keeper),
            version: Some(version),
        };
        let delete = Write::Delete {
            path: paths::latch_path(&latch),
            version: None,
        };
        self.spawn(session.multi(vec![check, delete]).map(Event::Deposed));
    }

    pub(super) fn deposed(&mut self, outcome: Result<(), CoordinationError>) {
        if let Some(online) = self.phase.online_mut() {
            online.requests.deposition.end();
        }
        if let Err(error) = outcome {
            // The leader was heard again, or another keeper was faster.
            tracing::info!(%error, "the silent leader was not deposed by this keeper");
        }
    }
}
