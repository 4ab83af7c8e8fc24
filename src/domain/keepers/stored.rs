//! Nodes of ZooKeeper as a keeper has read them, with their content decoded.

use std::collections::BTreeSet;

use crate::domain::node::KeeperId;

/// The counters that ZooKeeper keeps of a node. Every write of the node changes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The transaction that created the node.
    pub created: i64,
    /// Raised by every write of the data.
    pub version: i32,
    /// The session that an ephemeral node belongs to; 0 for a persistent one.
    pub owner: i64,
}

/// A node that exists, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// ZooKeeper's counters.
    pub stamp: Stamp,
    /// The content, or the reason why it cannot be read.
    pub content: Result<T, String>,
}

/// The keepers below a node, as they were listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The keepers.
    pub keepers: BTreeSet<KeeperId>,
    /// All arrivals and departures so far, as ZooKeeper counts them. The count shows a keeper that came and went
    /// between two listings.
    pub changes: i32,
}
