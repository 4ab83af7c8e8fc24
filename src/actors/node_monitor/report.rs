//! The output of a monitor: its vote, changes in substance, and figures.

use actix::prelude::*;

use super::NodeMonitor;
use super::probe::{NoAnswer, Probed};
use crate::actors::messages::NodeObserved;
use crate::domain::facts::NodeFacts;
use crate::domain::liveness::{DownReason, Via};
use crate::domain::node::Moment;
use crate::domain::observation::{NodeObservation, facts_hold};
use crate::ports::redis::ProbeFailure;

/// What the cluster was told.
#[derive(Debug, Default)]
pub(super) struct Reported {
    /// The last observation.
    pub(super) observation: Option<NodeObservation>,
    /// The timer for the next change of the vote.
    vote_timer: Option<SpawnHandle>,
}

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
        let owed = self.figures.last_probe.map(|(sent, _)| sent);
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
        let now = self.links.clock.now();
        self.observation.vote = self.liveness.vote(now);
        self.observation.last_alive = self.liveness.last_alive();
        let hold = facts_hold(self.settings.tick, self.settings.limits());
        self.observation.outdated = self.observation.outdated_since(hold);
        self.observation.order.1 += 1;
        let news = self.reported.observation.as_ref().is_none_or(|told| {
            !told.same_matter(&self.observation) || self.lags(told) != self.lags(&self.observation)
        });
        if news && self.observation.probed {
            self.reported.observation = Some(self.observation.clone());
            self.tell(self.observation.clone());
        }
        if let Some(timer) = self.reported.vote_timer.take() {
            ctx.cancel_future(timer);
        }
        if let Some(due) = self.liveness.next_change(now) {
            self.reported.vote_timer = Some(ctx.run_later(due.since(now), move |monitor, ctx| {
                monitor.vote_due(due, ctx);
            }));
        }
    }

    /// Tells the cluster this observation.
    pub(super) fn tell(&self, observation: NodeObservation) {
        (self.links.observed)(NodeObserved {
            node: self.addr.clone(),
            observation,
        });
    }

    fn vote_due(&mut self, due: Moment, ctx: &mut Context<Self>) {
        let now = self.links.clock.now();
        if self.liveness.is_stall(due, now) {
            self.stalled(due, now);
            self.requests.wake();
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
        let took = self.links.clock.now().since(sent);
        self.figures.last_probe = Some((sent, took));
        self.pace.fast.failed = matches!(
            probed.outcome,
            Err(NoAnswer::Failed(ProbeFailure::Evidence(..), _))
        );
        let reason = match &probed.outcome {
            Ok(_) => {
                self.figures.answered(took);
                if probed.replaced {
                    self.log_mute_connection();
                } else {
                    self.times.usual = took;
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
        self.figures.failed(&self.cluster, reason);
    }
}
