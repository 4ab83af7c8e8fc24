//! The metrics of this keeper.

use std::time::Duration;

use super::check_counters::CheckCounters;
use super::page::Page;
use crate::actors::messages::{FailsafeReport, SessionReport};

/// The sources of the samples.
pub(super) struct KeeperSamples<'a> {
    pub(super) check_counters: &'a CheckCounters,
    /// Whether `/ready` answers 200.
    pub(super) ready: bool,
    pub(super) uptime: Duration,
    /// The session's report; `None` while the session's actor does not answer.
    pub(super) session: Option<&'a SessionReport>,
}

impl Page {
    pub(super) fn keeper(&mut self, keeper: &KeeperSamples) {
        let mut build = self.gauge("redis_keeper_build_info", "Version of the program.");
        build.flag(&[("version", env!("CARGO_PKG_VERSION"))], true);
        let mut ready = self.gauge(
            "redis_keeper_ready",
            "1 if this keeper may answer for its clusters, as /ready does.",
        );
        ready.flag(&[], keeper.ready);
        let mut uptime = self.gauge(
            "redis_keeper_uptime_seconds",
            "Time since the process started.",
        );
        uptime.sample(&[], keeper.uptime.as_secs_f64());
        self.check_counters(keeper.check_counters);
        if let Some(session) = keeper.session {
            self.session(session);
        }
    }

    fn session(&mut self, session: &SessionReport) {
        let mut connected = self.gauge(
            "redis_keeper_session_connected",
            "1 if this keeper has ZooKeeper, and has read everything there.",
        );
        connected.flag(&[], session.state == SessionReport::CURRENT);
        let leads = session.leader.as_ref() == Some(&session.keeper);
        let mut leader = self.gauge("redis_keeper_session_leader", "1 if this keeper leads.");
        leader.flag(&[], leads);
        let mut online = self.gauge(
            "redis_keeper_session_keepers_online",
            "Keepers online, as this one sees it.",
        );
        online.sample(&[], session.keepers.len());
        let mut differ = self.gauge(
            "redis_keeper_session_files_differ",
            "Keepers online whose files lack clusters or nodes that others have, or have other settings than this one's.",
        );
        differ.sample(&[], session.differing_files());
        let failsafe = session.failsafe.as_ref();
        let mut going_on = self.gauge(
            "redis_keeper_failsafe",
            "1 while this keeper answers without ZooKeeper, by the consent of all keepers.",
        );
        going_on.flag(&[], failsafe.is_some_and(|it| it.going_on));
        if let Some(failsafe) = failsafe {
            self.rehearsals(failsafe);
        }
    }

    fn rehearsals(&mut self, failsafe: &FailsafeReport) {
        let mut reachable = self.gauge(
            "redis_keeper_failsafe_reachable",
            "1 if the keeper could be asked for its consent when that was last tried; of this one, if its address is good.",
        );
        for (keeper, rehearsed) in &failsafe.rehearsed {
            reachable.flag(&[("keeper", keeper.as_str())], rehearsed.obstacle.is_none());
        }
        let mut possible = self.gauge(
            "redis_keeper_failsafe_possible",
            "1 if this keeper could go on without ZooKeeper now, as far as was tried.",
        );
        possible.flag(&[], failsafe.is_possible());
    }
}
