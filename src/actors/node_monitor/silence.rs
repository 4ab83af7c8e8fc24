//! The meaning of a silent connection: a silent node, or a connection that went mute.

use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;

use super::NodeMonitor;
use super::probe::{Connection, SecondConnection, Silence};

use crate::domain::liveness::{DownReason, Via};
use crate::domain::node::Moment;
use crate::ports::redis::{Depth, ProbeFailure};

/// How many probes may go unanswered on one connection. A server that hung answers there as soon as it goes on. A
/// server whose host was replaced never answers there.
const TIMEOUTS_PER_CONNECTION: u32 = 3;

/// How often at most it is logged that old connections to a node went mute.
const MUTE_LOGGED_EVERY: Duration = Duration::from_mins(1);

/// How long the node takes to answer.
#[derive(Debug, Default)]
pub(super) struct AnswerTimes {
    /// How long the last answer took.
    pub(super) usual: Duration,
    /// How long the last answer took on a connection that had to be opened for it.
    pub(super) set_up: Option<Duration>,
    /// How long the last answer took, if it took longer than the probe timeout.
    late: Option<Duration>,
    /// How long the probe under way may take.
    allowed: Duration,
}

impl NodeMonitor {
    /// How long the probe that is sent `now` may take.
    ///
    /// A node whose last answer was late gets half as much time again, but not beyond the moment at which it is voted
    /// down. The node is alive, and a probe that is given up brings no facts.
    ///
    /// Example: the probe timeout is 1 s, and the last answer took 2 s. Then the next probe may take 3 s.
    pub(super) fn allow(&mut self, now: Moment) -> Duration {
        let usual = self.settings.probe_timeout;
        let late = self.times.late.unwrap_or_default();
        let voted_down = self
            .liveness
            .last_alive()
            .unwrap_or(now)
            .after(self.settings.mark_down);
        self.times.allowed = (late * 3 / 2).min(voted_down.since(now)).max(usual);
        self.times.allowed
    }

    /// Notes that the probe `sent` then is answered `now`.
    pub(super) fn took(&mut self, sent: Moment, now: Moment) {
        let took = now.since(sent);
        self.times.late = Some(took).filter(|took| *took > self.settings.probe_timeout);
    }

    /// Notes an answer that came `now`, after its probe was given up.
    pub(super) fn answered_late(&mut self, now: Moment) {
        self.present.timeouts = 0;
        let owes = self.observation.owes_since;
        self.took(owes.unwrap_or(now), now);
    }

    /// How a new connection is tried beside a silent one. The new connection is tried:
    /// - at once, if the last probe on the silent one was silent, too;
    /// - after half a probe timeout otherwise.
    ///
    /// `None` for a node that is voted down. Such a node gets a new connection after [`TIMEOUTS_PER_CONNECTION`]
    /// silent probes, as any node does.
    pub(super) fn second(&self, depth: Depth) -> Option<SecondConnection> {
        self.observation.vote.is_none().then(|| SecondConnection {
            fresh: Rc::clone(&self.links.fresh),
            after: if self.present.timeouts == 0 {
                self.settings.probe_timeout / 2
            } else {
                Duration::ZERO
            },
            depth,
            usual: self.times.usual,
        })
    }

    pub(super) fn timed_out(
        &mut self,
        connection: Connection,
        silence: &Silence,
        sent: Moment,
        ctx: &mut Context<Self>,
    ) {
        let now = self.links.clock.now();
        let limit = self.times.allowed;
        let due = sent.after(limit);
        self.present.timeouts += 1;
        let connection = connection.filter(|_| self.present.timeouts < TIMEOUTS_PER_CONNECTION);
        if connection.is_none() {
            self.observation.process = None;
        }
        let failure = if self.liveness.is_stall(due, now) {
            self.stalled(due, now);
            ProbeFailure::Own("this keeper was stalled".to_owned())
        } else {
            let own = match silence {
                Silence::OldConnectionOnly(Some(why)) => format!("; no new connection: {why}"),
                Silence::OldConnectionOnly(None) | Silence::Complete => String::new(),
            };
            ProbeFailure::Evidence(
                DownReason::Unanswered,
                format!("no answer within {limit:?}{own}"),
            )
        };
        let via = match silence {
            Silence::Complete => Via::NewConnection,
            Silence::OldConnectionOnly(_) => Via::OldConnection,
        };
        self.blame(&failure, via);
        self.conclude(connection, ctx);
    }

    /// Logs and counts that an old connection to the node was silent while a new one was answered.
    pub(super) fn log_mute_connection(&mut self) {
        metrics::counter!(
            "redis_keeper_probe_connections_mute_total", "cluster" => self.cluster.to_string()
        )
        .increment(1);
        let now = self.links.clock.now();
        if self
            .mute_logged
            .is_some_and(|told| now.since(told) < MUTE_LOGGED_EVERY)
        {
            return;
        }
        self.mute_logged = Some(now);
        tracing::info!(
            cluster = %self.cluster, node = %self.addr,
            "a probe connection went mute and was replaced: the node answers on a new one"
        );
    }
}
