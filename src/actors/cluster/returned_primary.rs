//! A process that has returned at the published address may have less data than other nodes hold (RK-7).
//!
//! Offsets are reported only now and then, so the known offsets may be old. Each keeper therefore reads the other
//! nodes once, whether it leads or not. Until a leader has decided, the keeper's answers to HAProxy depend on it
//! (RK-3).

use actix::prelude::*;

use super::ClusterActor;
use super::state::State;
use crate::domain::node::NodeAddr;
use crate::domain::timing::facts::RELAYED_FACTS_TIMEOUT;

impl State {
    /// The other nodes, if they are to be read now: once for each process that answers at the published address.
    fn begin_comparing(&mut self) -> Option<Vec<NodeAddr>> {
        let (published, observed) = (self.observed.published.as_ref()?, &self.observed);
        let primary = published.primary.as_ref()?;
        let process = published.process()?;
        let answers = &observed.online(primary)?.run_id;
        if answers == process || self.compared.as_ref() == Some(answers) {
            return None;
        }
        let others = observed.all_online().map(|(addr, _)| addr);
        let others = others.filter(|addr| *addr != primary).cloned().collect();
        self.compared = Some(answers.clone());
        Some(others)
    }
}

impl ClusterActor {
    pub(super) fn compare_returned_primary(&mut self, ctx: &mut Context<Self>) {
        let Some(others) = self.state.begin_comparing() else {
            return;
        };
        let read = self
            .refresh(others.into_iter().collect(), RELAYED_FACTS_TIMEOUT)
            .into_actor(self)
            .map(|observations, actor, ctx| {
                for (node, observation) in observations {
                    actor.state.node_observed(&node, observation);
                }
                actor.changed(ctx);
            });
        ctx.spawn(read);
    }
}
