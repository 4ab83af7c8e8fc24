//! Answers the questions to a cluster.
//! - A client's question is answered from memory, in one step.
//! - A question for display waits up to 20 ms for the latest figures of the node monitors.

use std::time::Duration;

use actix::prelude::*;
use futures::future::join_all;
use tokio::time::timeout;

use super::state::State;
use super::{ClusterActor, misnamed};
use crate::actors::cluster_api::{
    AskStatus, CheckAnswer, ClusterStatus, ClusterView, Contradiction, ExplainCluster,
    InspectCluster, InspectNode, NodeView, Reason, RunCheck,
};
use crate::actors::messages::InspectObservation;
use crate::domain::explain::Explanation;
use crate::domain::lease::Lease;
use crate::domain::node::Moment;

/// How long a monitor may take to return its last observation. The monitor does no work for that answer, and a
/// monitor that hangs must not hold up a display.
const FIGURES: Duration = Duration::from_millis(20);

impl Handler<RunCheck> for ClusterActor {
    type Result = CheckAnswer;

    fn handle(&mut self, ask: RunCheck, ctx: &mut Self::Context) -> CheckAnswer {
        let (lease, state, now) = self.vouched();
        let answer = state.answer(&ask, lease, now);
        if let Reason::Misnamed(named, at) = &answer.reason {
            let (named, at) = (named.clone(), at.clone());
            let (found, proxy_check) = (Contradiction { named, at }, ask.proxy_check.as_deref());
            if self.state.proxies.note_misnamed(&found, proxy_check, now) {
                misnamed::tell(&self.state.settings.name, &found, proxy_check);
            }
        }
        if let (Some(proxy_check), Some(node)) = (&ask.proxy_check, &answer.node)
            && self.state.proxies.note_check(node, proxy_check, now)
        {
            self.changed(ctx);
        }
        answer
    }
}

impl Handler<AskStatus> for ClusterActor {
    type Result = Result<ClusterStatus, Reason>;

    fn handle(&mut self, _: AskStatus, _: &mut Self::Context) -> Self::Result {
        let (lease, state, now) = self.vouched();
        state.status(lease, now)
    }
}

impl Handler<InspectCluster> for ClusterActor {
    type Result = ResponseActFuture<Self, ClusterView>;

    fn handle(&mut self, _: InspectCluster, _: &mut Self::Context) -> Self::Result {
        self.with_figures(State::view)
    }
}

impl Handler<ExplainCluster> for ClusterActor {
    type Result = ResponseActFuture<Self, Explanation>;

    fn handle(&mut self, _: ExplainCluster, _: &mut Self::Context) -> Self::Result {
        self.with_figures(|state, _, now| state.explanation(now))
    }
}

impl Handler<InspectNode> for ClusterActor {
    type Result = ResponseActFuture<Self, Option<NodeView>>;

    fn handle(&mut self, InspectNode(node): InspectNode, _: &mut Self::Context) -> Self::Result {
        self.with_figures(move |state, lease, now| state.node_view(&node, lease, now))
    }
}

impl ClusterActor {
    /// Answers for display, from the last probes. The monitors are asked because they report only changes in
    /// substance by themselves.
    fn with_figures<T: 'static>(
        &self,
        answer: impl FnOnce(&State, Lease, Moment) -> T + 'static,
    ) -> ResponseActFuture<Self, T> {
        let asked = self.links.monitors.iter().map(|(addr, monitor)| {
            let (addr, monitor) = (addr.clone(), monitor.clone());
            async move {
                let seen = timeout(FIGURES, monitor.send(InspectObservation)).await;
                Some((addr, seen.ok()?.ok()?))
            }
        });
        let answered = join_all(asked).into_actor(self).map(|seen, actor, _| {
            for (node, observation) in seen.into_iter().flatten() {
                actor.state.measured(&node, observation);
            }
            let (lease, state, now) = actor.vouched();
            answer(state, lease, now)
        });
        Box::pin(answered)
    }
}
