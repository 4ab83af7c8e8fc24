//! Other groups of keepers that look after this cluster (RK-12): what is held of them here, and what they are told.

use std::collections::BTreeSet;

use actix::prelude::*;

use super::ClusterActor;
use super::state::State;
use crate::actors::messages::{Acknowledge, DescribeCluster, NotAcknowledged};
use crate::domain::group::{GroupCluster, OtherGroup};
use crate::domain::node::Moment;
use crate::domain::rivals::{Rival, of_cluster};

impl ClusterActor {
    /// Takes in what is known of other groups, and tells if that is news.
    pub(super) fn look_at_rivals(&mut self, now: Moment) {
        let rivals = std::sync::Arc::clone(&self.links.rivals.borrow());
        let Some(before) = self.state.rivals(&rivals, now) else {
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
                "another group of keepers looks after this cluster: nothing is changed until one of the two is stopped"
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
    /// Takes in what is known of other groups; answers what was known before if that has changed.
    fn rivals(&mut self, rivals: &[Rival], now: Moment) -> Option<Vec<OtherGroup>> {
        let own = of_cluster(rivals, &self.nodes_with_addresses(), now);
        self.own_rivals(own)
    }

    /// What another group of keepers is told of this cluster.
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
