//! The facts of a node: a server's own words.

use std::time::Duration;

use super::node::NodeAddr;

pub use attached::{Attached, Lag};
pub use failover::ServerFailover;
pub use product::{Family, Version};
pub use writes::{MinReplicas, Writes};

mod attached;
mod failover;
mod matter;
mod product;
mod writes;

/// The facts of one node, merged from its probes.
///
/// The fields of `INFO` are given in parentheses. Where a figure was never readable, its field says which value
/// stands for it. That value errs to the safe side, and the other figures stay usable.
///
/// Source: <https://redis.io/docs/latest/commands/info/>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Random id of the server process, new at every start (`run_id`).
    pub run_id: String,
    /// The server's version: `valkey_version` if it gives one, else `redis_version`; 0.0.0 if unreadable.
    pub version: Version,
    /// The server's product, on which the meaning of a version depends (`server_name`).
    pub family: Family,
    /// How the server runs (`redis_mode`).
    pub mode: Mode,
    /// Time since the server started, in whole seconds (`uptime_in_seconds`). If this keeper has known the process
    /// for longer, that longer time: a clock that is set back makes no process younger.
    pub uptime: Duration,
    /// The server is loading its data set: alive, but not online (`loading`, or a `-LOADING` reply).
    pub loading: bool,
    /// Primary or replica, each with its own figures.
    pub role: Role,
    /// The name of the data's history (`master_replid`). Nodes with equal ids and comparable offsets hold the same
    /// data. Empty, which means no history, if unreadable.
    pub replication_id: String,
    /// The history before the last promotion, if there was one (`master_replid2`). A primary that Redis 7 restarted
    /// from its dump names the history of the dump here.
    pub previous_replication_id: Option<String>,
    /// How many bytes of the data belong to that earlier history (`second_repl_offset` − 1). Later bytes do not.
    pub previous_offset: Option<u64>,
    /// Bytes of the replication stream: produced by a primary (`master_repl_offset`), or applied by a replica
    /// (`slave_repl_offset`). If the last figure was unreadable, the node has at least this many.
    pub offset: u64,
    /// The replicas that are attached and online, with the primary's figures for each, from the same moment as
    /// `offset`.
    pub attached: Vec<Attached>,
    /// How many more replicas are attached that take a full synchronisation.
    pub copied: usize,
    /// Keys in all databases (the sum of `db0:keys=…`). A database with an unreadable figure counts as one key.
    pub keys: u64,
    /// The server keeps an append-only file (`aof_enabled`). A start from that file forgets every history that the
    /// server had.
    pub append_only: bool,
    /// The `FAILOVER` command that somebody gave to the server, if one is under way.
    pub failover: Option<ServerFailover>,
    /// The server is shutting down, and still waits at most this long for replicas that lag
    /// (`shutdown_in_milliseconds`, since 7.0). Meanwhile the server takes no writes.
    pub shutting_down: Option<Duration>,
    /// The signs that the server refuses writes, or would refuse them as a primary.
    pub writes: Writes,
    /// Redis Sentinels that watch this node, by the names and hosts of their connections.
    pub sentinels: Vec<String>,
    /// How many other clients listen on the channel of Sentinels.
    pub other_subscribers: usize,
}

/// How a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A plain server, the only kind that keepers manage.
    Standalone,
    /// A node of Redis Cluster: it fails over by itself, so keepers refuse it.
    Cluster,
    /// A Sentinel, not a data node.
    Sentinel,
}

/// The role of a node in replication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Accepts writes.
    Primary {
        /// How many replicas are attached and in the state `online`.
        online_replicas: usize,
    },
    /// Follows another server.
    Replica(Upstream),
}

/// Stands for the host of a primary that a replica does not name readably. No host can have that name.
pub const UNKNOWN_HOST: &str = "?";

/// The primary that a replica follows, and the state of the link to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The address that the replica was told to follow (`master_host`, `master_port`). An unreadable host is
    /// [`UNKNOWN_HOST`], an unreadable port is 0.
    pub primary: NodeAddr,
    /// State of the link (`master_link_status`).
    pub link: Link,
    /// A full synchronisation is under way (`master_sync_in_progress`).
    pub syncing: bool,
    /// Time since the replica last heard its primary on the link (`master_last_io_seconds_ago`), while the link is
    /// up. `None` if unreadable, which counts as too long.
    pub last_io: Option<Duration>,
    /// Redis's own `replica-priority`: the lower one is preferred, 0 is never promoted (`slave_priority`). 0 if
    /// unreadable.
    pub priority: u32,
}

/// State of a replica's link to its primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Connected and streaming.
    Up,
    /// Not connected (`master_link_down_since_seconds`).
    Down {
        /// For how long, in whole seconds. `None` if the link was never up since the server started, or if
        /// unreadable.
        since: Option<Duration>,
    },
}

impl Upstream {
    /// Whether the link is up, and the replica has not heard its primary for longer than `limit`, or for an
    /// unreadable time.
    pub fn lags(&self, limit: Duration) -> bool {
        self.link == Link::Up && self.last_io.is_none_or(|heard| heard > limit)
    }

    /// The host of the primary, if the replica names one.
    pub fn host(&self) -> Option<&str> {
        Some(self.primary.host()).filter(|host| *host != UNKNOWN_HOST)
    }
}

impl Link {
    /// Whether the server ever completed a synchronisation with the primary that it is told to follow. Only from then
    /// on does Redis report the time since a link broke.
    pub fn ever_up(self) -> bool {
        !matches!(self, Self::Down { since: None })
    }
}

impl NodeFacts {
    /// Whether the node says it is a primary.
    pub fn is_primary(&self) -> bool {
        matches!(self.role, Role::Primary { .. })
    }

    /// How many replicas are attached and online; 0 at a replica, even if other nodes follow it.
    pub fn online_replicas(&self) -> usize {
        match self.role {
            Role::Primary { online_replicas } => online_replicas,
            Role::Replica(_) => 0,
        }
    }

    /// The histories that the data come from: the present one, then the one before the last promotion or restart.
    pub fn histories(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.replication_id)
            .chain(&self.previous_replication_id)
            .map(String::as_str)
            .filter(|id| !id.is_empty())
    }

    /// Whether these data and those of `other` come from one history.
    pub fn shares_history(&self, other: &Self) -> bool {
        self.histories()
            .any(|id| other.histories().any(|theirs| theirs == id))
    }

    /// The primary that the node follows, if it says that it is a replica.
    pub fn upstream(&self) -> Option<&Upstream> {
        match &self.role {
            Role::Primary { .. } => None,
            Role::Replica(upstream) => Some(upstream),
        }
    }
}
