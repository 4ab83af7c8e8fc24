//! What a silent connection means: a silent node, or a flow that went mute.

use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;

use super::NodeMonitor;
use super::probe::{Beside, Connection, Silence};
use crate::domain::facts::DownReason;
use crate::domain::liveness::Via;
use crate::domain::node::Moment;
use crate::ports::redis::{Depth, ProbeFailure};

/// So many probes may go unanswered on one connection: a server that hung and goes on answers there at once, one whose
/// host was replaced never does.
const TIMEOUTS_PER_CONNECTION: u32 = 3;

/// How often it is told at most that old connections to a node go mute.
const MUTE_TOLD_EVERY: Duration = Duration::from_mins(1);

impl NodeMonitor {
    /// How a new connection is tried beside a silent one: at once if the last probe on that was silent, too. A node that
    /// is voted down is asked on a new connection every so many probes, as any other is.
    pub(super) fn beside(&self, depth: Depth) -> Option<Beside> {
        self.sighting.vote.is_none().then(|| Beside {
            fresh: Rc::clone(&self.fresh),
            after: if self.timeouts == 0 {
                self.settings.probe_timeout / 2
            } else {
                Duration::ZERO
            },
            depth,
            usual: self.usual,
        })
    }

    pub(super) fn timed_out(
        &mut self,
        connection: Connection,
        silence: &Silence,
        sent: Moment,
        ctx: &mut Context<Self>,
    ) {
        let now = self.clock.now();
        let limit = self.settings.probe_timeout;
        let due = sent.after(limit);
        self.timeouts += 1;
        let connection = connection.filter(|_| self.timeouts < TIMEOUTS_PER_CONNECTION);
        if connection.is_none() {
            self.sighting.process = None;
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

    /// An old connection to the node was silent while a new one was answered.
    pub(super) fn tell_mute(&mut self) {
        metrics::counter!(
            "redis_keeper_probe_connections_mute_total", "cluster" => self.cluster.to_string()
        )
        .increment(1);
        let now = self.clock.now();
        if self
            .mute_told
            .is_some_and(|told| now.since(told) < MUTE_TOLD_EVERY)
        {
            return;
        }
        self.mute_told = Some(now);
        tracing::info!(
            cluster = %self.cluster, node = %self.addr,
            "a probe connection went mute and was replaced: the node answers on a new one"
        );
    }
}
