//! A keeper's report: its votes on the nodes of one cluster, and what else it saw there.

use std::collections::{BTreeMap, BTreeSet};

use super::drain::{Proxy, ProxyReport};
use super::facts::NodeFacts;
use super::group::OtherGroup;
use super::liveness::DownReason;
use super::node::{ClusterName, Generation, NodeAddr};
use super::task::{Task, TaskId, TaskOutcome};
use super::witness::Witness;

/// One keeper's report on one cluster: its votes, and what else it saw there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeeperReport {
    /// Nodes voted down.
    pub votes: BTreeMap<NodeAddr, DownReason>,
    /// Nodes that others vote down, and that refuse this keeper's connections, too, before its own vote is due.
    pub refused: BTreeSet<NodeAddr>,
    /// Nodes of the cluster that this keeper does not probe: it is no voter for them (RK-1).
    pub unprobed: BTreeSet<NodeAddr>,
    /// Nodes of this keeper's file that the published state does not name. Other keepers learn from them that their
    /// files lack them.
    pub unpublished: BTreeSet<NodeAddr>,
    /// Nodes that this keeper could not read or use:
    /// - nodes that answer, but do not tell it what they are, for a wrong password, say;
    /// - nodes that it could not command;
    /// - nodes whose names its host has never resolved.
    pub unread: BTreeSet<NodeAddr>,
    /// This keeper has no such cluster, so it is no voter at all.
    pub absent: bool,
    /// This keeper's finding at the withdrawn primary, after the withdrawal; `None` unless the primary refuses
    /// connections.
    pub ended: Option<ProcessEnd>,
    /// Nodes that do not answer the leader: the leader asks the others what they see of them.
    pub asks: BTreeSet<NodeAddr>,
    /// This keeper's facts of the nodes that the leader asks for.
    pub fresh: Option<RelayReport>,
    /// HAProxies that recently asked this keeper whether a node is writable (RK-10).
    pub recent_proxies: BTreeSet<Proxy>,
    /// More HAProxies asked than this keeper remembers.
    pub overflowed: bool,
    /// The withdrawal for which the leader asks the keepers about HAProxies (RK-10).
    pub drains: Option<Generation>,
    /// This keeper's answer to that.
    pub heard: Option<ProxyReport>,
    /// The leader's tasks for others, at nodes that the leader does not reach.
    pub tasks: BTreeMap<TaskId, Task>,
    /// The outcomes of the tasks that this keeper was given, while the leader lists the tasks.
    pub outcomes: BTreeMap<TaskId, TaskOutcome>,
    /// This keeper's record of the primary that it votes down, or that is being replaced, and of its replicas (RK-6).
    pub witness: Option<Witness>,
    /// Other groups of keepers that this keeper has met at the cluster's servers (RK-12).
    pub other_groups: Vec<OtherGroup>,
    /// Other published clusters of this group that have nodes of this one by this keeper's file, each with these
    /// nodes.
    pub overlaps: BTreeMap<ClusterName, BTreeSet<NodeAddr>>,
}

/// One keeper's facts of nodes that the leader does not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayReport {
    /// The generation that was published when the nodes were read: that of a withdrawal, or of a publication.
    pub generation: Generation,
    /// The nodes that answered, with their facts.
    pub nodes: BTreeMap<NodeAddr, NodeFacts>,
}

/// A withdrawn primary refuses a keeper's connections, and the keeper has none open to it (RK-10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessEnd {
    /// The withdrawal. The refused probe was sent after this keeper had applied the withdrawal.
    pub generation: Generation,
    /// The run id of the process that the keeper was connected to last, if the peer ended that connection.
    pub closed: Option<String>,
}

impl KeeperReport {
    /// Whether the report says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the keeper probes all nodes of the cluster, reads each, and votes none down.
    pub fn lacks_nothing(&self) -> bool {
        !self.absent && self.unprobed.is_empty() && self.votes.is_empty() && self.unread.is_empty()
    }
}
