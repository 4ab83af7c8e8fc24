//! What the operator has decided for one cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use super::node::NodeAddr;

/// The settings that the core's decisions depend on. Defaults are those of `docs/configuration.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Time without proof of life until a keeper votes a node down (`seconds-mark-down`).
    pub mark_down: Duration,
    /// A replica more than so many bytes behind the best known offset is never promoted (`max-lag-bytes`).
    pub max_lag_bytes: Option<u64>,
    /// A replica that has not heard its primary for so long is not readable (`max-lag-seconds`).
    pub max_lag: Option<Duration>,
    /// How long a replica stays readable after its link broke while the cluster has a primary (`max-stale-seconds`).
    pub max_stale: Duration,
    /// How many replicas are repointed by one action, less those seen in a full synchronisation (`parallel-syncs`). One
    /// that continues where it was takes milliseconds and no turn.
    pub parallel_syncs: usize,
    /// A node is down only with at least so many votes, besides the majority (`min-votes`, RK-1).
    pub min_votes: usize,
    /// Make even an unrelated, non-empty primary a replica, losing its data (`settle-unrelated`).
    pub settle_unrelated: bool,
    /// What to do with a replica that follows another replica (`chained-replicas`).
    pub chained_replicas: ChainedReplicas,
    /// Election priorities that override Redis's own `replica-priority` (`priority`): lower preferred, 0 never.
    pub priorities: BTreeMap<NodeAddr, u32>,
    /// What decides between eligible successors of the same history (`election-order`).
    pub election_order: ElectionOrder,
    /// After a completed failover, the primary is not replaced for so long because it is down; zero for no such rest
    /// (`failover-cooldown-seconds`).
    pub failover_cooldown: Duration,
    /// How long a HAProxy may take to act on a withdrawal; zero to wait for none (`drain-seconds`, RK-10).
    pub drain: Duration,
    /// What keeps a primary that is cut off from going on alone (`write-safety`, RK-9).
    pub write_safety: WriteSafety,
}

/// What keeps a primary that is cut off from going on alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WriteSafety {
    /// Nothing of the keepers'.
    #[default]
    None,
    /// It refuses writes unless half of the data nodes, rounded down, follow it.
    Majority {
        /// A replica counts that it heard so many seconds ago at most (`write-safety-max-lag-seconds`).
        max_lag: u32,
    },
}

/// What tells the better of two eligible nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criterion {
    /// The greater replication offset. Between equal ones, a node that is a primary already: somebody promoted it, and
    /// what was written to it since would be lost.
    Offset,
    /// The lower priority.
    Priority,
    /// The longer uptime.
    Uptime,
}

/// Every criterion once, the one that decides first at the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElectionOrder([Criterion; 3]);

impl ElectionOrder {
    /// `first` in this order, what it leaves out after it in the default order. Of a criterion that is repeated, the
    /// first counts.
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

    /// The criteria, the one that decides first at the front.
    pub fn criteria(self) -> [Criterion; 3] {
        self.0
    }
}

impl Default for ElectionOrder {
    fn default() -> Self {
        Self([Criterion::Offset, Criterion::Priority, Criterion::Uptime])
    }
}

/// What to do with a replica that follows another replica of the cluster.
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
