//! Finds the actors of each cluster, from any thread. Clusters and nodes come and go at run time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};

use tokio::sync::watch;

use crate::actors::cluster::ClusterActor;
use crate::actors::messages::{ListClients, ProbesNamed, Shared, SharedState};
use crate::actors::node_monitor::NodeMonitor;
use crate::domain::node::{ClusterName, NodeAddr};
use crate::supervision::ChildRef;

/// The references of one cluster.
#[derive(Clone)]
pub struct ClusterRefs {
    /// The actor of the cluster.
    pub actor: ChildRef<ClusterActor>,
    /// The monitors of the cluster's nodes.
    pub monitors: BTreeMap<NodeAddr, ChildRef<NodeMonitor>>,
    /// The state that the session shares about the cluster; `None` until the session has read it.
    pub shared: watch::Sender<Option<Arc<SharedState>>>,
}

/// All clusters of this keeper. Clones share one content.
#[derive(Clone, Default)]
pub struct Directory(Arc<RwLock<BTreeMap<ClusterName, ClusterRefs>>>, Unlisted);

/// Clusters that ZooKeeper has and this keeper's file lacks; `None` until they were listed.
type Unlisted = Arc<RwLock<Option<BTreeSet<ClusterName>>>>;

impl Directory {
    /// Adds a cluster, or replaces it.
    pub fn insert(&self, name: ClusterName, refs: ClusterRefs) {
        self.write().insert(name, refs);
    }

    /// The actor of a cluster.
    pub fn get(&self, name: &str) -> Option<ChildRef<ClusterActor>> {
        self.read().get(name).map(|refs| refs.actor.clone())
    }

    /// The monitor of a node of a cluster.
    pub fn monitor(&self, name: &str, node: &NodeAddr) -> Option<ChildRef<NodeMonitor>> {
        self.read().get(name)?.monitors.get(node).cloned()
    }

    /// The first `most` names, and the number of all clusters.
    pub fn first_names(&self, most: usize) -> (Vec<ClusterName>, usize) {
        let clusters = self.read();
        let first = clusters.keys().take(most).cloned();
        (first.collect(), clusters.len())
    }

    /// The nodes of a cluster, sorted; none if there is no such cluster.
    pub fn nodes(&self, name: &str) -> Vec<NodeAddr> {
        let clusters = self.read();
        let nodes = clusters.get(name).map(|refs| refs.monitors.keys());
        nodes.into_iter().flatten().cloned().collect()
    }

    /// Fills the cell of a cluster with its state, then tells its actor.
    pub fn share(&self, name: &ClusterName, state: SharedState) {
        if let Some(refs) = self.read().get(name) {
            refs.shared.send_replace(Some(Arc::new(state)));
            refs.actor.do_send(Shared);
        }
    }

    /// Notes the clusters that this keeper's file lacks.
    pub fn lacks(&self, unlisted: &BTreeSet<ClusterName>) {
        let mut known = self
            .1
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *known = Some(unlisted.clone());
    }

    /// Whether other keepers may have a cluster of this name. The answer is "yes" until the clusters were listed.
    pub fn may_be_elsewhere(&self, name: &str) -> bool {
        let known = self
            .1
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        known
            .as_ref()
            .is_none_or(|unlisted| unlisted.contains(name))
    }

    /// The actors of all clusters.
    pub fn actors(&self) -> Vec<ChildRef<ClusterActor>> {
        self.read()
            .values()
            .map(|refs| refs.actor.clone())
            .collect()
    }

    /// Has every monitor of this node look for keepers of other groups among the node's clients (RK-12).
    pub fn request_client_lists(&self, node: &NodeAddr) {
        for refs in self.read().values() {
            if let Some(monitor) = refs.monitors.get(node) {
                monitor.do_send(ListClients);
            }
        }
    }

    /// Has every monitor tell its server the name of this keeper's connections, then look for other keepers (RK-12).
    pub fn introduce(&self) {
        for refs in self.read().values() {
            for monitor in refs.monitors.values() {
                monitor.do_send(ProbesNamed);
            }
        }
    }

    /// The names of all clusters, sorted.
    pub fn names(&self) -> Vec<ClusterName> {
        self.read().keys().cloned().collect()
    }

    // A panic under the lock cannot leave the map half-written: every use is one call on the map.
    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<ClusterName, ClusterRefs>> {
        self.0
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<ClusterName, ClusterRefs>> {
        self.0
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
