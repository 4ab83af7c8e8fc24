//! The operator's settings for one cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use super::node::NodeAddr;

/// The settings that the core's decisions depend on. Defaults are those of `docs/configuration.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Time without proof of life until a keeper votes a node down (`seconds-mark-down`).
    pub mark_down: Duration,
    /// A replica that is more bytes than this behind the best known offset is never promoted (`max-lag-bytes`).
    pub max_lag_bytes: Option<u64>,
    /// A replica that has not heard its primary for longer than this is not readable (`max-lag-seconds`).
    pub max_lag: Option<Duration>,
    /// How long a replica stays readable after its link broke while the cluster has a primary (`max-stale-seconds`).
    pub max_stale: Duration,
    /// How many replicas one action repoints, less the replicas that are in a full synchronisation
    /// (`parallel-syncs`). A replica that continues where it was takes milliseconds, and does not count.
    pub parallel_syncs: usize,
    /// A node is down only with at least this many votes, besides the majority (`min-votes`, RK-1).
    pub min_votes: usize,
    /// Make even an unrelated primary with keys a replica, which loses its data (`settle-unrelated`).
    pub settle_unrelated: bool,
    /// Treatment of a replica that follows another replica (`chained-replicas`).
    pub chained_replicas: ChainedReplicas,
    /// Election priorities that override Redis's own `replica-priority` (`priority`): lower preferred, 0 never.
    pub priorities: BTreeMap<NodeAddr, u32>,
    /// Which of the eligible successors with the same history is preferred (`election-order`).
    pub election_order: ElectionOrder,
    /// For how long after a completed failover the primary is not replaced for being down; zero for no cool-down
    /// (`failover-cooldown-seconds`).
    pub failover_cooldown: Duration,
    /// How long a HAProxy may take to act on a withdrawal; zero to wait for no HAProxy (`drain-seconds`, RK-10).
    pub drain: Duration,
    /// How a primary that is cut off is kept from taking writes (`write-safety`, RK-9).
    pub write_safety: WriteSafety,
}

/// How a primary that is cut off is kept from taking writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WriteSafety {
    /// Keepers set nothing.
    #[default]
    None,
    /// The primary refuses writes unless half of the data nodes, rounded down, follow it: 1 of 3 nodes, 2 of 5.
    Majority {
        /// A replica counts while the primary heard it at most this many seconds ago
        /// (`write-safety-max-lag-seconds`).
        max_lag: u32,
    },
}

/// A comparison of two eligible nodes: which one is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// The greater replication offset. Of two equal offsets, the node that is a primary already: somebody promoted
    /// it, and later writes to it would be lost.
    Offset,
    /// The lower priority.
    Priority,
    /// The longer uptime.
    Uptime,
}

/// Every criterion once. The first one decides first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElectionOrder([Criterion; 3]);

impl ElectionOrder {
    /// The criteria of `first` in this order, then the missing ones in the default order. A repeated criterion counts
    /// where it stands first.
    pub fn beginning_with(first: &[Criterion]) -> Self {
        let all = first.iter().copied().chain(Self::default().0);
        let mut order = Self::default().0;
        let mut length = 0;
        for criterion in all {
            if !order[..length].contains(&criterion) {
                order[length] = criterion;
                length += 1;
            }
        }
        Self(order)
    }

    /// The criteria. The first one decides first.
    pub fn criteria(self) -> [Criterion; 3] {
        self.0
    }
}

impl Default for ElectionOrder {
    fn default() -> Self {
        Self([Criterion::Offset, Criterion::Priority, Criterion::Uptime])
    }
}

/// Treatment of a replica that follows another replica of the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChainedReplicas {
    /// Leave it.
    Accept,
    /// Make it follow the primary.
    #[default]
    Correct,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mark_down: Duration::from_secs(5),
            max_lag_bytes: None,
            max_lag: None,
            max_stale: Duration::from_mins(1),
            parallel_syncs: 1,
            min_votes: 1,
            settle_unrelated: false,
            chained_replicas: ChainedReplicas::default(),
            priorities: BTreeMap::new(),
            election_order: ElectionOrder::default(),
            failover_cooldown: Duration::from_secs(10),
            drain: Duration::from_millis(1_200),
            write_safety: WriteSafety::None,
        }
    }
}
