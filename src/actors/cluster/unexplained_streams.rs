//! A replica may stream a history that the primary did not have when it was read last. Either the primary has begun a
//! new history since, or the replica is linked to another server. This keeper reads the primary again to find out.

use std::collections::BTreeSet;

use actix::prelude::*;

use super::state::State;
use super::{ClusterActor, READ_AGAIN_AFTER};
use crate::domain::node::NodeAddr;
use crate::domain::timing::facts::RELAYED_FACTS_TIMEOUT;

impl State {
    /// The primary, if it is to be read again: once for each history of each replica.
    fn primary_to_reread(&mut self) -> Option<NodeAddr> {
        let (primary, unexplained_streams) = self.observed.unexplained_streams().unzip();
        let unexplained_streams = unexplained_streams.unwrap_or_default();
        if unexplained_streams == self.reread_for {
            return None;
        }
        self.reread_for = unexplained_streams;
        primary.cloned().filter(|_| !self.reread_for.is_empty())
    }
}

/// Whether the primary answers, and a doubt is left although it was read again.
fn read_again(state: &State) -> bool {
    let unexplained_streams = state.observed.unexplained_streams();
    unexplained_streams.is_some_and(|(primary, unexplained_streams)| {
        let answers = state.observed.online(primary).is_some();
        answers && !unexplained_streams.is_empty()
    })
}

impl ClusterActor {
    pub(super) fn reread_primary(&mut self, ctx: &mut Context<Self>) {
        let Some(primary) = self.state.primary_to_reread() else {
            return;
        };
        let read = self
            .refresh(BTreeSet::from([primary]), RELAYED_FACTS_TIMEOUT)
            .into_actor(self)
            .map(|observations, actor, ctx| {
                for (node, observation) in observations {
                    actor.state.node_observed(&node, observation);
                }
                actor.changed(ctx);
                if read_again(&actor.state) {
                    ctx.run_later(READ_AGAIN_AFTER, |actor, ctx| {
                        actor.state.reread_for.clear();
                        actor.changed(ctx);
                    });
                }
            });
        ctx.spawn(read);
    }
}
