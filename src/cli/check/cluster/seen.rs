//! The servers of one cluster as `check --live` has seen them.

use std::collections::BTreeMap;

use crate::domain::facts::NodeFacts;
use crate::domain::node::{ClusterName, NodeAddr};

/// The nodes of one cluster that answer.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) nodes: BTreeMap<NodeAddr, Node>,
    /// The processes of other clusters of the file by run id, each with the cluster and node that list it.
    pub(super) elsewhere: BTreeMap<String, (ClusterName, NodeAddr)>,
}

/// A node that answers.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) facts: NodeFacts,
    /// The upstream; `None` for a primary.
    pub(super) follows: Option<Follows>,
}

/// The upstream of a replica.
#[derive(Debug, Clone)]
pub(super) enum Follows {
    /// A node of the same cluster, as the file names it.
    Listed(NodeAddr),
    /// A node of another cluster of the file.
    OtherCluster(ClusterName, NodeAddr),
    /// A server that the file does not name.
    Unlisted {
        addr: NodeAddr,
        /// The facts of that server, or the reason why it does not answer.
        answer: Box<Result<NodeFacts, String>>,
    },
}

impl Follows {
    /// The upstream `node` of cluster `of`, as seen from a replica of `cluster`.
    pub(super) fn listed(cluster: &ClusterName, of: &ClusterName, node: &NodeAddr) -> Self {
        if cluster == of {
            Self::Listed(node.clone())
        } else {
            Self::OtherCluster(of.clone(), node.clone())
        }
    }
}
