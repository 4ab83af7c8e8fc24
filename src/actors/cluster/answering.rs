//! Questions to a cluster, each answered from memory: those of clients in one step, those for display with the figures that
//! the monitors of its nodes hold.

use std::time::Duration;

use actix::prelude::*;
use futures::future::join_all;
use tokio::time::timeout;

use super::state::State;
use super::{ClusterActor, misnamed};
use crate::actors::cluster_api::{
    Answer, Ask, AskStatus, ClusterStatus, ClusterView, Contradiction, ExplainCluster,
    InspectCluster, InspectNode, NodeView, Reason,
};
use crate::actors::messages::LastSeen;
use crate::domain::explain::Explanation;
use crate::domain::lease::Lease;
use crate::domain::node::Moment;

/// How long a monitor has to tell what it saw last: it is asked for nothing else. One that hangs holds up no display.
const FIGURES: Duration = Duration::from_millis(20);

impl Handler<Ask> for ClusterActor {
    type Result = Answer;

    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) -> Answer {
        let (lease, state, now) = self.vouched();
        let answer = state.answer(&ask, lease, now);
        if let Reason::Misnamed(named, at) = &answer.reason {
            let (named, at) = (named.clone(), at.clone());
            let (found, asker) = (Contradiction { named, at }, ask.asker.as_deref());
            if self.state.misnamed.asked(&found, asker, now) {
                misnamed::tell(&self.state.settings.name, &found, asker);
            }
        }
        if let (Some(asker), Some(node)) = (&ask.asker, &answer.node)
            && self.state.asked(node, asker, now)
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
    /// Answers for display, from what the last probes told. Monitors tell unasked only what changes in substance.
    fn with_figures<T: 'static>(
        &self,
        answer: impl FnOnce(&State, Lease, Moment) -> T + 'static,
    ) -> ResponseActFuture<Self, T> {
        let asked = self.links.monitors.iter().map(|(addr, monitor)| {
            let (addr, monitor) = (addr.clone(), monitor.clone());
            async move {
                let seen = timeout(FIGURES, monitor.send(LastSeen)).await;
                Some((addr, seen.ok()?.ok()?))
            }
        });
        let answered = join_all(asked).into_actor(self).map(|seen, actor, _| {
            for (node, sighting) in seen.into_iter().flatten() {
                actor.state.measured(&node, sighting);
            }
            let (lease, state, now) = actor.vouched();
            answer(state, lease, now)
        });
        Box::pin(answered)
    }
}
