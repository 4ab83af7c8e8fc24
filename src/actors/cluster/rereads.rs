//! Nodes that are read once more, besides the probes, because the last facts may be too old for what follows.
//!
//! Each keeper reads them, whether it leads or not. Until a leader has decided, its answers to HAProxy depend on the
//! facts (RK-3).

use std::collections::{BTreeMap, BTreeSet};

use actix::prelude::*;

use super::proxy_drain::{Withdrawal, refused_since, withdrawn};
use super::{ClusterActor, READ_AGAIN_AFTER};
use crate::domain::node::{Generation, NodeAddr};
use crate::domain::observed::Observed;
use crate::domain::timing::facts::RELAYED_FACTS_TIMEOUT;

/// The occasions for which nodes were read once more. For each occasion they are read once.
#[derive(Debug, Default)]
pub(super) struct Rereads {
    /// The withdrawal after which the old primary was probed again, because it refuses connections.
    withdrawal: Option<Generation>,
    /// Replicas, each with the history for which the primary was read again.
    streams: BTreeMap<NodeAddr, String>,
    /// The run id of another process at the published address, for which the other nodes were read again.
    returned: Option<String>,
}

// === impl Rereads ===

impl Rereads {
    /// The withdrawn primary, if it refuses connections, and this keeper has no proof yet that the process is gone.
    fn begin_withdrawn(&mut self, observed: &Observed) -> Option<NodeAddr> {
        let Withdrawal { old, generation } = withdrawn(observed)?;
        let refused = observed.nodes.get(old)?.observation.refused;
        let due = refused && refused_since(observed).is_none();
        if !due || self.withdrawal == Some(generation) {
            return None;
        }
        self.withdrawal = Some(generation);
        Some(old.clone())
    }

    /// The primary, if a replica streams a history that the primary did not have when it was read last. Either the
    /// primary has begun a new history since, or the replica is linked to another server.
    fn begin_primary(&mut self, observed: &Observed) -> Option<NodeAddr> {
        let (primary, streams) = observed.unexplained_streams().unzip();
        let streams = streams.unwrap_or_default();
        if streams == self.streams {
            return None;
        }
        self.streams = streams;
        primary.cloned().filter(|_| !self.streams.is_empty())
    }

    /// The other nodes, if another process has returned at the published address: it may have less data than they
    /// hold (RK-7). Offsets are reported only now and then, so the known offsets may be old.
    fn begin_others(&mut self, observed: &Observed) -> Option<BTreeSet<NodeAddr>> {
        let published = observed.published.as_ref()?;
        let primary = published.primary.as_ref()?;
        let process = published.process()?;
        let answers = &observed.online(primary)?.run_id;
        if answers == process || self.returned.as_ref() == Some(answers) {
            return None;
        }
        let others = observed.all_online().map(|(addr, _)| addr);
        let others = others.filter(|addr| *addr != primary).cloned().collect();
        self.returned = Some(answers.clone());
        Some(others)
    }
}

/// Whether the primary answers, and a stream is left unexplained although the primary was read again.
fn still_unexplained(observed: &Observed) -> bool {
    let streams = observed.unexplained_streams();
    streams
        .is_some_and(|(primary, streams)| observed.online(primary).is_some() && !streams.is_empty())
}

// === impl ClusterActor ===

impl ClusterActor {
    /// Probes the withdrawn primary again if that refused the last probe. The process counts as gone only if every
    /// voter is refused in a probe sent after the withdrawal (RK-10). If the read brought no newer probe, another one
    /// is due.
    pub(super) fn reread_withdrawn(&mut self, ctx: &mut Context<Self>) {
        let Some(node) = self.state.rereads.begin_withdrawn(&self.state.observed) else {
            return;
        };
        self.reread([node].into(), ctx, |_, ctx| {
            ctx.run_later(READ_AGAIN_AFTER, |actor, ctx| {
                actor.state.rereads.withdrawal = None;
                actor.changed(ctx);
            });
        });
    }

    /// Reads the primary again because of a stream that nothing explains, until one of the two is known.
    pub(super) fn reread_primary(&mut self, ctx: &mut Context<Self>) {
        let Some(primary) = self.state.rereads.begin_primary(&self.state.observed) else {
            return;
        };
        self.reread([primary].into(), ctx, |actor, ctx| {
            if still_unexplained(&actor.state.observed) {
                ctx.run_later(READ_AGAIN_AFTER, |actor, ctx| {
                    actor.state.rereads.streams.clear();
                    actor.changed(ctx);
                });
            }
        });
    }

    /// Reads the other nodes again because another process has returned at the published address.
    pub(super) fn reread_others(&mut self, ctx: &mut Context<Self>) {
        if let Some(others) = self.state.rereads.begin_others(&self.state.observed) {
            self.reread(others, ctx, |_, _| {});
        }
    }

    /// Reads these nodes, and considers the cluster anew. Then calls `then`.
    fn reread(
        &self,
        nodes: BTreeSet<NodeAddr>,
        ctx: &mut Context<Self>,
        then: fn(&mut Self, &mut Context<Self>),
    ) {
        let read = self
            .refresh(nodes, RELAYED_FACTS_TIMEOUT)
            .into_actor(self)
            .map(move |observations, actor, ctx| {
                actor.state.nodes_observed(observations);
                actor.changed(ctx);
                then(actor, ctx);
            });
        ctx.spawn(read);
    }
}
