//! What is followed in `ZooKeeper`.

use crate::domain::node::{ClusterName, KeeperId};
use crate::ports::coordination::{Children, Node};

/// Something followed. Numbers tell subscriptions of one cluster apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Keepers,
    Keeper(KeeperId),
    /// The settings of its file.
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
    /// Its node is made before anything is read, and is there for as long as nobody else removes it.
    pub(super) fn is_needed(&self) -> bool {
        matches!(
            self,
            Self::Keepers | Self::Circle | Self::Latch | Self::Clusters
        )
    }
}

/// What a read of a subject brought.
pub(super) enum Reading {
    Children(Children),
    Node(Option<Node>),
}
