//! A replica may stream a history that the primary did not have when it was read last. Either the primary has begun a
//! new history since, or the replica is linked to another server. This keeper reads the primary again to find out.

use std::collections::BTreeSet;

use actix::prelude::*;

use super::state::State;
use super::{ClusterActor, READ_AGAIN_AFTER, TOLD_FACTS};
use crate::domain::node::NodeAddr;

impl State {
    /// The primary, if it is to be read again: once for each history of each replica.
    fn begin_doubting(&mut self) -> Option<NodeAddr> {
        let (primary, doubts) = self.observed.doubts().unzip();
        let doubts = doubts.unwrap_or_default();
        if doubts == self.doubted {
            return None;
        }
        self.doubted = doubts;
        primary.cloned().filter(|_| !self.doubted.is_empty())
    }
}

/// Whether the primary answers, and a doubt is left although it was read again.
fn read_again(state: &State) -> bool {
    let doubts = state.observed.doubts();
    doubts.is_some_and(|(primary, doubts)| {
        let answers = state.observed.online(primary).is_some();
        answers && !doubts.is_empty()
    })
}

impl ClusterActor {
    pub(super) fn settle_doubts(&mut self, ctx: &mut Context<Self>) {
        let Some(primary) = self.state.begin_doubting() else {
            return;
        };
        let read = self
            .refresh(BTreeSet::from([primary]), TOLD_FACTS)
            .into_actor(self)
            .map(|sightings, actor, ctx| {
                for (node, sighting) in sightings {
                    actor.state.sighted(&node, sighting);
                }
                actor.changed(ctx);
                if read_again(&actor.state) {
                    ctx.run_later(READ_AGAIN_AFTER, |actor, ctx| {
                        actor.state.doubted.clear();
                        actor.changed(ctx);
                    });
                }
            });
        ctx.spawn(read);
    }
}
