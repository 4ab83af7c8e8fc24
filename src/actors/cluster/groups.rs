//! Other groups of keepers that look after this cluster (RK-12): what this actor knows of them, and tells them.

use std::collections::BTreeSet;

use actix::prelude::*;
use futures::future::join_all;
use tokio::time::timeout;

use super::ClusterActor;
use super::state::State;
use crate::actors::messages::{
    Acknowledge, AskOtherGroups, DescribeCluster, FindOtherGroups, ListClientsNow, NotAcknowledged,
};
use crate::domain::group::{GroupCluster, OtherGroup};
use crate::domain::node::{Moment, NodeAddr};
use crate::domain::rivals::{Astray, Rival, astray_at, of_cluster};
use crate::domain::timing::groups::{ANSWERS_MARGIN, ANSWERS_WITHIN, COUNTS_FOR, LOOKS_WITHIN};

impl ClusterActor {
    /// Looks for other groups at these nodes. Waits until the keepers found there have been asked.
    pub(super) fn look(&self, nodes: &BTreeSet<NodeAddr>) -> impl Future<Output = ()> + use<> {
        let monitors = nodes.iter().filter_map(|it| self.links.monitors.get(it));
        let looks = monitors.cloned().map(|monitor| async move {
            // A node at which no look is possible holds nothing up.
            let _ = timeout(LOOKS_WITHIN, monitor.send(ListClientsNow)).await;
        });
        let looks = join_all(looks);
        let groups = self.links.groups.clone();
        async move {
            looks.await;
            let _ = timeout(ANSWERS_WITHIN + ANSWERS_MARGIN, groups.send(AskOtherGroups)).await;
        }
    }

    /// Looks before a change needs it, so that a failover finds the look done. A look ahead is due in two cases:
    /// - this keeper has just begun to lead;
    /// - the primary does not answer.
    pub(super) fn look_ahead(&mut self, ctx: &mut Context<Self>) {
        let now = self.links.clock.now();
        let falls_silent = self.state.primary_falls_silent(now);
        let looks = self.state.observed.groups.looks.as_mut();
        if looks.is_some_and(|looks| looks.ahead(falls_silent, now)) {
            let nodes = self.state.reached();
            ctx.spawn(self.look_at_nodes(nodes));
        }
    }

    fn look_at_nodes(
        &self,
        nodes: BTreeSet<NodeAddr>,
    ) -> impl ActorFuture<Self, Output = ()> + use<> {
        let began = self.links.clock.now();
        let looked = self.look(&nodes).into_actor(self);
        looked.map(move |(), actor, ctx| {
            actor.state.looked(nodes, began);
            actor.reconsider(ctx);
        })
    }

    /// Takes in what is known of other groups, and logs groups that are new or gone.
    pub(super) fn look_at_rivals(&mut self, now: Moment) {
        let known = std::sync::Arc::clone(&self.links.rivals.borrow());
        self.state.astray(&known.astray);
        let Some(before) = self.state.rivals(&known.rivals, now) else {
            return;
        };
        let groups = |known: &[OtherGroup]| -> BTreeSet<_> {
            known.iter().map(|it| it.group.clone()).collect()
        };
        let known = self.state.other_groups();
        let (were, are) = (groups(&before), groups(known));
        for other in known.iter().filter(|it| !were.contains(&it.group)) {
            tracing::error!(
                group = %other.group, keeper = %other.keeper, rest = %other.rest, coordination = other.place,
                theirs = %other.cluster, primary = other.primary.as_ref().map(tracing::field::display),
                "another group of keepers looks after this cluster: nothing is changed until one of the two is stopped. If \
                 both have the same coordination, ZooKeeper has lost its data: restart that keeper"
            );
        }
        for group in were.difference(&are) {
            tracing::warn!(%group, "the other group of keepers is not seen here any more");
        }
        metrics::gauge!(
            "redis_keeper_cluster_other_groups",
            "cluster" => self.state.settings.name.to_string()
        )
        .set(u32::try_from(are.len()).unwrap_or(u32::MAX));
    }
}

impl State {
    /// The nodes that answer this keeper, if it leads. The leader looks at each of them before it changes anything.
    pub(super) fn reached(&self) -> BTreeSet<NodeAddr> {
        let leads = self.observed.groups.looks.is_some();
        let nodes = self.observed.nodes.iter().filter(|_| leads);
        let reached = nodes.filter(|(_, node)| node.observation.answering);
        reached.map(|(addr, _)| addr.clone()).collect()
    }

    /// Whether the published primary does not answer this keeper, but did a short time ago.
    fn primary_falls_silent(&self, now: Moment) -> bool {
        let primary = self.published().and_then(|it| it.primary.as_ref());
        let node = primary.and_then(|primary| self.observed.nodes.get(primary));
        let lately = self.settings.limits.mark_down + COUNTS_FOR;
        node.is_some_and(|node| {
            !node.observation.answering && now.since(node.observation.at) < lately
        })
    }

    /// Notes that these nodes were looked at, in a look that began at `began`.
    pub(super) fn looked(&mut self, nodes: BTreeSet<NodeAddr>, began: Moment) {
        if let Some(looks) = &mut self.observed.groups.looks {
            looks.looked(nodes, began);
        }
    }

    /// Takes in what is known of other groups. Returns what was known before, if that has changed.
    fn rivals(&mut self, rivals: &[Rival], now: Moment) -> Option<Vec<OtherGroup>> {
        let own = of_cluster(rivals, &self.nodes_with_addresses(), now);
        self.own_rivals(own)
    }

    /// Takes in names of other groups' keepers that lead elsewhere.
    fn astray(&mut self, astray: &[Astray]) {
        self.observed.groups.astray = astray_at(astray, &self.observed.nodes.keys());
    }

    /// Describes this cluster to another group of keepers.
    fn described(&self) -> GroupCluster {
        let nodes = self.nodes_with_addresses();
        GroupCluster {
            name: self.settings.name.clone(),
            nodes: nodes
                .map(|(addr, addresses)| (addr.clone(), addresses.clone()))
                .collect(),
            primary: self.published().and_then(|it| it.primary.clone()),
            paused: false,
        }
    }
}

impl Handler<Acknowledge> for ClusterActor {
    type Result = Result<(), NotAcknowledged>;

    fn handle(&mut self, _: Acknowledge, ctx: &mut Self::Context) -> Self::Result {
        self.catch_up();
        if self.state.leading().is_none() {
            return Err(NotAcknowledged::NotLeading);
        }
        if !self.state.acknowledge() {
            return Err(NotAcknowledged::Nothing);
        }
        tracing::warn!(cluster = %self.state.settings.name, "an operator has acknowledged the changes from outside");
        self.changed(ctx);
        Ok(())
    }
}

impl Handler<DescribeCluster> for ClusterActor {
    type Result = MessageResult<DescribeCluster>;

    fn handle(&mut self, _: DescribeCluster, _: &mut Self::Context) -> Self::Result {
        self.catch_up();
        MessageResult(self.state.described())
    }
}

impl Handler<FindOtherGroups> for ClusterActor {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(
        &mut self,
        FindOtherGroups(nodes): FindOtherGroups,
        _: &mut Self::Context,
    ) -> Self::Result {
        Box::pin(self.look_at_nodes(nodes))
    }
}
