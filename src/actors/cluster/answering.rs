//! Questions to a cluster, each answered in one step from what the actor holds in memory.

use actix::prelude::*;

use super::ClusterActor;
use crate::actors::cluster_api::{
    Answer, Ask, AskStatus, ClusterStatus, ClusterView, ExplainCluster, InspectCluster,
    InspectNode, NodeView, Reason,
};

impl Handler<Ask> for ClusterActor {
    type Result = Answer;

    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) -> Answer {
        let (lease, state, now) = self.vouched();
        let answer = state.answer(&ask, lease, now);
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
    type Result = ClusterView;

    fn handle(&mut self, _: InspectCluster, _: &mut Self::Context) -> ClusterView {
        let (lease, state, now) = self.vouched();
        state.view(lease, now)
    }
}

impl Handler<ExplainCluster> for ClusterActor {
    type Result = MessageResult<ExplainCluster>;

    fn handle(&mut self, _: ExplainCluster, _: &mut Self::Context) -> Self::Result {
        let (_, state, now) = self.vouched();
        MessageResult(state.explanation(now))
    }
}

impl Handler<InspectNode> for ClusterActor {
    type Result = Option<NodeView>;

    fn handle(&mut self, InspectNode(node): InspectNode, _: &mut Self::Context) -> Self::Result {
        let (lease, state, now) = self.vouched();
        state.node_view(&node, lease, now)
    }
}
