//! The nodes that are followed in `ZooKeeper`.

use crate::domain::node::{ClusterName, KeeperId};
use crate::ports::coordination::{Children, Node};

/// A subject that is followed. The numbers tell subscriptions of one cluster apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Keepers,
    Keeper(KeeperId),
    /// The file settings of a keeper.
    File(KeeperId),
    Circle,
    Registration(KeeperId),
    Latch,
    Clusters,
    State(ClusterName, u64),
    Reports(ClusterName, u64),
    Report(ClusterName, u64, KeeperId),
}

impl Subject {
    /// Whether its node always exists. Such a node is created before anything is read; only another program removes
    /// it.
    pub(super) fn is_needed(&self) -> bool {
        matches!(
            self,
            Self::Keepers | Self::Circle | Self::Latch | Self::Clusters
        )
    }
}

/// The result of reading a subject.
pub(super) enum Reading {
    Children(Children),
    Node(Option<Node>),
}
