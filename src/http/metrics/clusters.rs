//! The metrics of each cluster.

use super::page::Page;
use crate::actors::cluster_api::{ClusterView, NodeView};
use crate::actors::messages::SessionReport;
use crate::domain::explain::Explanation;
use crate::domain::node::{ClusterName, Moment};

/// One cluster, and the answer of its actor if there is one.
pub(super) struct ClusterSamples<'a> {
    name: &'a ClusterName,
    pub(super) view: Option<ClusterView>,
    /// Whether this keeper answers 200 to `is-writable` for a node of the cluster.
    writable: bool,
    /// Whether a failover would follow the death of the primary, as far as this keeper knows.
    failover_possible: bool,
}

impl<'a> ClusterSamples<'a> {
    pub(super) fn new(
        name: &'a ClusterName,
        view: Option<ClusterView>,
        explanation: Option<&Explanation>,
    ) -> Self {
        Self {
            name,
            writable: view.as_ref().is_some_and(|view| view.writable),
            failover_possible: explanation.is_some_and(Explanation::would_fail_over),
            view,
        }
    }

    /// Takes back the values that this keeper cannot vouch for:
    ///
    /// - Without a lease that `holds`, no node is writable.
    /// - With a lease by consent only, or without a leader, no failover is possible.
    pub(super) fn judge(
        &mut self,
        session: Option<&SessionReport>,
        holds: impl Fn(Option<Moment>) -> bool,
    ) {
        let lease = self.view.as_ref().map(|view| view.lease);
        let vouched =
            lease.is_some_and(|lease| lease.deadline().is_some() && holds(lease.deadline()));
        let earned = vouched && lease.is_some_and(|lease| !lease.is_consented());
        let led = session.is_some_and(|session| session.leader.is_some());
        self.writable &= vouched;
        self.failover_possible &= earned && led;
    }

    /// The label of the cluster.
    pub(super) fn label(&self) -> (&'static str, &'a str) {
        ("cluster", self.name.as_str())
    }
}

impl Page {
    pub(super) fn clusters(&mut self, clusters: &[ClusterSamples]) {
        self.urgent(clusters);
        self.published(clusters);
        self.counted(clusters);
    }

    /// The metrics that should trigger an alarm.
    fn urgent(&mut self, clusters: &[ClusterSamples]) {
        let mut writable = self.gauge(
            "redis_keeper_cluster_writable",
            "1 if this keeper answers 200 to is-writable for a node of the cluster.",
        );
        for cluster in clusters {
            writable.flag(&[cluster.label()], cluster.writable);
        }
        let mut possible = self.gauge(
            "redis_keeper_cluster_failover_possible",
            "1 if a failover would follow now if the primary died, as this keeper sees it; the leader's word decides.",
        );
        for cluster in clusters {
            possible.flag(&[cluster.label()], cluster.failover_possible);
        }
        let mut held = self.gauge(
            "redis_keeper_cluster_held",
            "1 while the leader, this keeper, leaves something undone or has a warning for this reason.",
        );
        for cluster in clusters {
            for reason in cluster.view.iter().flat_map(|view| &view.held) {
                held.flag(&[cluster.label(), ("reason", reason.word())], true);
            }
        }
        let mut answering = self.gauge(
            "redis_keeper_cluster_answering",
            "1 if the cluster's actor answers.",
        );
        for cluster in clusters {
            answering.flag(&[cluster.label()], cluster.view.is_some());
        }
    }

    fn published(&mut self, clusters: &[ClusterSamples]) {
        let mut gauge = |name, help, value: &dyn Fn(&ClusterView) -> Option<String>| {
            let mut family = self.gauge(name, help);
            for cluster in clusters {
                if let Some(value) = cluster.view.as_ref().and_then(value) {
                    family.sample(&[cluster.label()], value);
                }
            }
        };
        gauge(
            "redis_keeper_cluster_primary_known",
            "1 if a primary is published.",
            &|view| {
                let published = view.published.as_ref()?;
                Some(u8::from(published.primary.is_some()).to_string())
            },
        );
        gauge(
            "redis_keeper_cluster_generation",
            "Generation of the published state.",
            &|view| Some(view.published.as_ref()?.generation.to_string()),
        );
        gauge(
            "redis_keeper_cluster_lease_seconds",
            "Time left for which this keeper vouches for the state.",
            &|view| {
                let left = view.lease.deadline()?.since(view.now);
                Some(left.as_secs_f64().to_string())
            },
        );
    }

    fn counted(&mut self, clusters: &[ClusterSamples]) {
        let mut nodes = self.gauge(
            "redis_keeper_cluster_nodes",
            "Nodes that are online, voted down, or neither.",
        );
        for (cluster, view) in answered(clusters) {
            for state in [NodeState::Online, NodeState::Down, NodeState::Other] {
                let in_state = |node: &&NodeView| NodeState::of(node) == state;
                nodes.sample(
                    &[cluster.label(), ("state", state.word())],
                    view.nodes.iter().filter(in_state).count(),
                );
            }
        }
        let mut barred = self.gauge(
            "redis_keeper_cluster_nodes_not_commandable",
            "Nodes at which this keeper's commands would not be carried out.",
        );
        for (cluster, view) in answered(clusters) {
            let count = view.nodes.iter().filter(|node| is_barred(node)).count();
            barred.sample(&[cluster.label()], count);
        }
    }
}

/// The clusters whose actors answered.
pub(super) fn answered<'a, 'b>(
    clusters: &'b [ClusterSamples<'a>],
) -> impl Iterator<Item = (&'b ClusterSamples<'a>, &'b ClusterView)> {
    let views = clusters
        .iter()
        .map(|cluster| (cluster, cluster.view.as_ref()));
    views.filter_map(|(cluster, view)| Some((cluster, view?)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NodeState {
    Online,
    Down,
    Other,
}

impl NodeState {
    fn of(node: &NodeView) -> Self {
        if node.verdict.down() {
            Self::Down
        } else if node.online() {
            Self::Online
        } else {
            Self::Other
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Down => "down",
            Self::Other => "other",
        }
    }
}

/// Whether the node would carry out no command of this keeper. A node that answers, but whose state this keeper may
/// not read, was never tried.
fn is_barred(node: &NodeView) -> bool {
    let observation = &node.observation;
    let unread =
        observation.answering && observation.named().is_none() && observation.obstacle().is_some();
    observation.not_commandable().is_some() || unread
}
