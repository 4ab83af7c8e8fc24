//! Changes of roles from outside, and the breaker (RK-12).

use super::State;
use crate::domain::node::{Moment, NodeAddr};

impl State {
    /// Checks, after an answer of a node, whether the role of the node was changed from outside.
    pub(super) fn watch_role(&mut self, node: &NodeAddr) {
        let leads = self.leading().is_some();
        let Some(known) = self.observed.nodes.get(node) else {
            return;
        };
        let observation = &known.observation;
        let Some(facts) = observation.named() else {
            return;
        };
        let published = self.observed.published.as_ref();
        if self
            .outside
            .seen(node, facts, published, leads, observation.at)
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

    /// Takes in the breaker of a published state that was just read.
    pub(super) fn watch_breaker(&mut self, now: Moment) {
        let tripped = self.published().is_some_and(|published| published.breaker);
        let since = self.observed.outside.breaker_since;
        self.observed.outside.breaker_since = tripped.then(|| since.unwrap_or(now));
        self.observed.outside.acknowledged &= tripped;
    }

    /// Notes that an operator knows of the changes from outside. Answers whether the breaker was tripped.
    pub(in crate::actors::cluster) fn acknowledge(&mut self) -> bool {
        let tripped = self.observed.outside.breaker_since.is_some();
        self.observed.outside.acknowledged = tripped;
        self.outside.forget();
        tripped
    }
}
