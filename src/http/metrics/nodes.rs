//! The metrics of each node.

use std::time::Duration;

use super::clusters::{ClusterSamples, answered};
use super::page::Page;
use crate::actors::cluster_api::{ClusterView, NodeView};
use crate::domain::facts::{Link, NodeFacts};

impl Page {
    pub(super) fn nodes(&mut self, clusters: &[ClusterSamples]) {
        self.of_each_node(
            clusters,
            "redis_keeper_node_up",
            "1 if the node answers this keeper's probes.",
            |_, node| Some(u8::from(node.observation.answering).to_string()),
        );
        self.of_each_node(
            clusters,
            "redis_keeper_node_votes",
            "Keepers online that vote the node down.",
            |_, node| Some((node.verdict.unreachable + node.verdict.loading).to_string()),
        );
        self.roles(clusters);
        self.of_each_node(
            clusters,
            "redis_keeper_node_offset_bytes",
            "Bytes of the replication stream that the node has, as it last said.",
            |_, node| Some(node.offset?.to_string()),
        );
        self.of_each_node(
            clusters,
            "redis_keeper_node_lag_bytes",
            "Bytes of the primary's replication stream that the replica lacks.",
            |view, node| Some(lag_bytes(view, node)?.to_string()),
        );
        self.of_each_node(
            clusters,
            "redis_keeper_node_lag_seconds",
            "Time since the replica last heard its primary.",
            |_, node| Some(lag(node)?.as_secs_f64().to_string()),
        );
        self.of_each_node(
            clusters,
            "redis_keeper_node_facts_age_seconds",
            "Time since the probe that read what is told of the node.",
            |_, node| Some(node.age?.as_secs_f64().to_string()),
        );
    }

    fn of_each_node(
        &mut self,
        clusters: &[ClusterSamples],
        name: &'static str,
        help: &str,
        value: impl Fn(&ClusterView, &NodeView) -> Option<String>,
    ) {
        let mut family = self.gauge(name, help);
        for (cluster, view) in answered(clusters) {
            for node in &view.nodes {
                if let Some(value) = value(view, node) {
                    family.sample(&[cluster.label(), ("node", &node.node.to_string())], value);
                }
            }
        }
    }

    fn roles(&mut self, clusters: &[ClusterSamples]) {
        let mut roles = self.gauge(
            "redis_keeper_node_role",
            "1 for the role that the node last said it has.",
        );
        for (cluster, view) in answered(clusters) {
            for node in &view.nodes {
                let said = role(node.observation.proven());
                for role in ROLES {
                    let name = node.node.to_string();
                    let labels = [cluster.label(), ("node", &*name), ("role", role)];
                    roles.flag(&labels, role == said);
                }
            }
        }
    }
}

const ROLES: [&str; 3] = ["primary", "replica", "unknown"];

fn role(facts: Option<&NodeFacts>) -> &'static str {
    match facts {
        Some(facts) if facts.is_primary() => "primary",
        Some(_) => "replica",
        None => "unknown",
    }
}

/// The bytes that a replica lacks, as its primary says. Without a link to the primary: the difference to the last
/// offset of the published primary, if the two share a history.
fn lag_bytes(view: &ClusterView, node: &NodeView) -> Option<u64> {
    node.lag_bytes.or_else(|| {
        let facts = unlinked(node)?;
        let published = view.published.as_ref()?.primary.as_ref()?;
        let primary = view.nodes.iter().find(|node| node.node == *published)?;
        let primary = primary.observation.proven()?;
        let related = primary.shares_history(facts);
        related.then(|| primary.offset.saturating_sub(facts.offset))
    })
}

/// The time since the last contact between a replica and its primary: the longer of the two ends' statements.
fn lag(node: &NodeView) -> Option<Duration> {
    let by_primary = node.lag_seconds.map(Duration::from_secs);
    by_primary.max(by_itself(node))
}

fn by_itself(node: &NodeView) -> Option<Duration> {
    let facts = node.observation.proven()?;
    let upstream = facts.upstream()?;
    let said = match upstream.link {
        Link::Up => upstream.last_io?,
        Link::Down { since } => since.unwrap_or(facts.uptime),
    };
    Some(said.saturating_add(node.now.since(node.observation.at)))
}

/// The facts of a replica whose link is down.
fn unlinked(node: &NodeView) -> Option<&NodeFacts> {
    let facts = node.observation.proven()?;
    (facts.upstream()?.link != Link::Up).then_some(facts)
}
