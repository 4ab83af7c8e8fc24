//! The output of a monitor: its vote, changes in substance, and figures.

use actix::prelude::*;

use super::NodeMonitor;
use super::probe::{NoAnswer, Probed};
use crate::actors::messages::NodeObserved;
use crate::domain::facts::{DownReason, NodeFacts, NodeObservation, facts_hold};
use crate::domain::liveness::Via;
use crate::domain::node::Moment;
use crate::ports::redis::ProbeFailure;

impl NodeMonitor {
    pub(super) fn blame(&mut self, failure: &ProbeFailure, via: Via) {
        self.observation.probed = true;
        self.observation.answering = false;
        self.observation.answering_since = None;
        let refused = matches!(failure, ProbeFailure::Evidence(DownReason::Refused, _));
        if refused {
            self.refused();
        }
        self.observation.refused = refused;
        self.observation.trouble = Some(failure.to_string());
        let owed = self.last_probe.map(|(sent, _)| sent);
        match failure {
            ProbeFailure::Evidence(DownReason::Refused, _) => self.observation.owes_since = None,
            ProbeFailure::Evidence(..) => {
                self.observation.owes_since = self.observation.owes_since.or(owed);
            }
            ProbeFailure::Own(_) => {}
        }
        if let ProbeFailure::Evidence(reason, _) = failure {
            self.liveness.failed(*reason, via);
        }
    }

    /// Takes in whether the node refused this keeper's login. The cluster logs a refusal once for all of its nodes.
    pub(super) fn login_is(&mut self, refused: Option<String>) {
        self.observation.login_refused = refused;
    }

    pub(super) fn stalled(&mut self, due: Moment, now: Moment) {
        tracing::debug!(
            cluster = %self.cluster, node = %self.addr, late = ?now.since(due),
            "this keeper was stalled: votes need a fresh probe"
        );
        self.liveness.stalled(due, now);
    }

    /// Updates the vote, tells the cluster any change in substance, and sets the timer for the next change of the
    /// vote.
    pub(super) fn report(&mut self, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        self.observation.vote = self.liveness.vote(now);
        self.observation.last_alive = self.liveness.last_alive();
        let hold = facts_hold(self.settings.tick, self.settings.limits());
        self.observation.outdated = self.observation.outdated_since(hold);
        self.observation.order.1 += 1;
        let news = self.told.as_ref().is_none_or(|told| {
            !told.same_matter(&self.observation) || self.lags(told) != self.lags(&self.observation)
        });
        if news && self.observation.probed {
            self.told = Some(self.observation.clone());
            (self.outbox)(NodeObserved {
                node: self.addr.clone(),
                observation: self.observation.clone(),
            });
        }
        if let Some(timer) = self.vote_timer.take() {
            ctx.cancel_future(timer);
        }
        if let Some(due) = self.liveness.next_change(now) {
            self.vote_timer = Some(ctx.run_later(due.since(now), move |monitor, ctx| {
                monitor.vote_due(due, ctx);
            }));
        }
    }

    fn vote_due(&mut self, due: Moment, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        if self.liveness.is_stall(due, now) {
            self.stalled(due, now);
            self.wake.notify_one();
        }
        self.report(ctx);
    }

    fn lags(&self, observation: &NodeObservation) -> bool {
        let upstream = observation.facts.as_ref().and_then(NodeFacts::upstream);
        upstream
            .zip(self.settings.max_lag)
            .is_some_and(|(upstream, limit)| upstream.lags(limit))
    }

    pub(super) fn count(&mut self, sent: Moment, probed: &Probed) {
        let took = self.clock.now().since(sent);
        self.last_probe = Some((sent, took));
        self.refused = matches!(
            probed.outcome,
            Err(NoAnswer::Failed(ProbeFailure::Evidence(..), _))
        );
        let reason = match &probed.outcome {
            Ok(_) => {
                self.latency.record(took);
                self.consecutive_failures = 0;
                if probed.replaced {
                    self.log_mute_connection();
                } else {
                    self.usual = took;
                }
                return;
            }
            Err(NoAnswer::Failed(ProbeFailure::Evidence(DownReason::Refused, _), _)) => "refused",
            Err(NoAnswer::Failed(ProbeFailure::Evidence(DownReason::Closed, _), _)) => "closed",
            Err(NoAnswer::Failed(ProbeFailure::Evidence(..), _) | NoAnswer::Silent(_)) => {
                "unanswered"
            }
            Err(NoAnswer::Failed(ProbeFailure::Own(_), _)) => "own",
        };
        self.consecutive_failures += 1;
        self.failures += 1;
        metrics::counter!(
            "redis_keeper_probe_failures_total",
            "cluster" => self.cluster.to_string(), "reason" => reason
        )
        .increment(1);
    }
}
