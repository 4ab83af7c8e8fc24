//! What somebody else changes, and the breaker (RK-12).

use super::State;
use crate::domain::node::{Moment, NodeAddr};

impl State {
    /// A node has said something: was its role changed by somebody else?
    pub(super) fn watch_role(&mut self, node: &NodeAddr) {
        let leads = self.leading().is_some();
        let Some(known) = self.observed.nodes.get(node) else {
            return;
        };
        let sighting = &known.sighting;
        let Some(facts) = sighting.named() else {
            return;
        };
        let published = self.observed.published.as_ref();
        if self
            .outside
            .seen(node, facts, published, leads, sighting.at)
        {
            tracing::warn!(
                cluster = %self.settings.name, %node, is_primary = facts.is_primary(),
                "the role of a node was changed from outside"
            );
            metrics::counter!(
                "redis_keeper_cluster_outside_changes_total",
                "cluster" => self.settings.name.to_string()
            )
            .increment(1);
        }
    }

    /// The published state has been read anew.
    pub(super) fn watch_breaker(&mut self, now: Moment) {
        let tripped = self.published().is_some_and(|published| published.breaker);
        let since = self.observed.breaker_since;
        self.observed.breaker_since = tripped.then(|| since.unwrap_or(now));
        self.observed.acknowledged &= tripped;
    }

    /// An operator has seen that the breaker is tripped. Answers whether it is.
    pub(in crate::actors::cluster) fn acknowledge(&mut self) -> bool {
        let tripped = self.observed.breaker_since.is_some();
        self.observed.acknowledged = tripped;
        self.outside.forget();
        tripped
    }
}
