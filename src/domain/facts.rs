//! What a node said of itself, and what this keeper makes of it.

mod words;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::hindrance::Hindrance;
use super::node::{Moment, NodeAddr};
use super::unproven::Unproven;

pub use age::facts_hold;
pub use attached::{Attached, Lag};
pub use down_reason::DownReason;
pub use failover::ServerFailover;
pub use product::{Family, Version};
pub use writes::{MinReplicas, Writes};

mod age;
mod attached;
mod down_reason;
mod failover;
mod matter;
mod product;
mod writes;

/// The facts of one node, merged from its probes.
///
/// Source: <https://redis.io/docs/latest/commands/info/>. Field names of `INFO` are given in parentheses. A figure that
/// was never readable is what the field says: it costs none of the others, and errs to the safe side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Random id of the server process, new at every start (`run_id`).
    pub run_id: String,
    /// Server version, `valkey_version` where the server gives one (`redis_version`); 0.0.0 if it cannot be read.
    pub version: Version,
    /// Whose server it is; what a version means depends on that (`server_name`).
    pub family: Family,
    /// How the server runs (`redis_mode`).
    pub mode: Mode,
    /// Time since the server started, to the second (`uptime_in_seconds`), or since this keeper saw it first, if that is
    /// longer: a clock that is set back makes no process younger.
    pub uptime: Duration,
    /// The data set is being loaded: alive, not online (`loading`, or a `-LOADING` reply).
    pub loading: bool,
    /// Primary or replica, with what belongs to each.
    pub role: Role,
    /// Names the history of the data set; equal ids and comparable offsets mean the same data (`master_replid`). Empty, and
    /// no history, if it cannot be read.
    pub replication_id: String,
    /// The history before the last promotion (`master_replid2`), if there was one; a primary that Redis 7 restarted from
    /// its dump names here the history that it dumped.
    pub previous_replication_id: Option<String>,
    /// Bytes of that history in its data: what came after is not of that history (`second_repl_offset`, less one).
    pub previous_offset: Option<u64>,
    /// Bytes of replication stream produced (primary, `master_repl_offset`) or applied (replica, `slave_repl_offset`); at
    /// least so many, if the last figure could not be read.
    pub offset: u64,
    /// Replicas that are attached to it and online, with what it knows of each; of the same moment as `offset`.
    pub attached: Vec<Attached>,
    /// How many more replicas are attached that take a full synchronisation.
    pub copied: usize,
    /// Keys in all databases (`db0:keys=…`, summed); a database whose figure cannot be read has one at least.
    pub keys: u64,
    /// It keeps an append-only file, from which it starts without any history that it had (`aof_enabled`).
    pub append_only: bool,
    /// Somebody has it fail over by Redis's own command.
    pub failover: Option<ServerFailover>,
    /// It is shutting down, and waits so long yet at most for replicas that lag; it takes no writes meanwhile
    /// (`shutdown_in_milliseconds`, since 7.0).
    pub shutting_down: Option<Duration>,
    /// What keeps it from taking writes, or would as a primary.
    pub writes: Writes,
    /// Redis Sentinels that watch this node, by the names and hosts of their connections.
    pub sentinels: Vec<String>,
    /// How many other clients listen on the channel of Sentinels.
    pub other_subscribers: usize,
}

/// How a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A plain server: what a keeper manages.
    Standalone,
    /// A Redis Cluster node: fails over by itself, refused.
    Cluster,
    /// A Sentinel, not a data node.
    Sentinel,
}

/// What a node is in replication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Accepts writes.
    Primary {
        /// Number of replicas attached and in the `online` state.
        online_replicas: usize,
    },
    /// Follows another server.
    Replica(Upstream),
}

/// Stands for a host that a replica follows and does not name readably. No host can bear that name.
pub const UNKNOWN_HOST: &str = "?";

/// What a replica follows and how well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where it was told to follow (`master_host`, `master_port`); [`UNKNOWN_HOST`] or port 0 for what cannot be read.
    pub primary: NodeAddr,
    /// State of the link (`master_link_status`).
    pub link: Link,
    /// A full synchronisation is under way (`master_sync_in_progress`).
    pub syncing: bool,
    /// Time since the primary was last heard on the link (`master_last_io_seconds_ago`), while it is up; `None`, which is
    /// too long, if that cannot be read.
    pub last_io: Option<Duration>,
    /// Redis's own `replica-priority`: lower is preferred, 0 is never promoted (`slave_priority`); 0 if it cannot be read.
    pub priority: u32,
}

/// State of a replica's link to its primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Connected and streaming.
    Up,
    /// Not connected, for so long (`master_link_down_since_seconds`).
    Down {
        /// How long, to the second; `None` when the link was never up since the server started, or if that cannot be read.
        since: Option<Duration>,
    },
}

impl Upstream {
    /// Whether the primary was not heard on the link for longer than `limit`, or it cannot be read for how long.
    pub fn lags(&self, limit: Duration) -> bool {
        self.link == Link::Up && self.last_io.is_none_or(|heard| heard > limit)
    }

    /// The host that it follows, if it names one.
    pub fn host(&self) -> Option<&str> {
        Some(self.primary.host()).filter(|host| *host != UNKNOWN_HOST)
    }
}

impl Link {
    /// Whether a synchronisation with the server it is told to follow was ever completed: Redis counts the time since a
    /// link broke only from then on.
    pub fn ever_up(self) -> bool {
        !matches!(self, Self::Down { since: None })
    }
}

impl NodeFacts {
    /// Whether the node says it is a primary.
    pub fn is_primary(&self) -> bool {
        matches!(self.role, Role::Primary { .. })
    }

    /// Replicas attached to it and online; none at a replica, whatever follows it.
    pub fn online_replicas(&self) -> usize {
        match self.role {
            Role::Primary { online_replicas } => online_replicas,
            Role::Replica(_) => 0,
        }
    }

    /// The histories its data comes from: the present one, then the one before its last promotion or restart.
    pub fn histories(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.replication_id)
            .chain(&self.previous_replication_id)
            .map(String::as_str)
            .filter(|id| !id.is_empty())
    }

    /// Whether its data and that of `other` come from one history.
    pub fn shares_history(&self, other: &Self) -> bool {
        self.histories()
            .any(|id| other.histories().any(|theirs| theirs == id))
    }

    /// What it follows, if it says it is a replica.
    pub fn upstream(&self) -> Option<&Upstream> {
        match &self.role {
            Role::Primary { .. } => None,
            Role::Replica(upstream) => Some(upstream),
        }
    }
}

/// One node as this keeper's monitor sees it. Sent to the cluster whenever it differs [materially](Self::same_matter).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Orders the sightings of one node: when its monitor was started, and how many it has composed since.
    pub order: (Moment, u64),
    /// What the node last said; `None` until it answered `INFO` once since this keeper began to watch it.
    pub facts: Option<NodeFacts>,
    /// When the probe was sent that read the facts.
    pub at: Moment,
    /// This keeper's vote: why the node counts as down here, if it does (RK-1).
    pub vote: Option<DownReason>,
    /// At least one probe has ended (answered or failed): this keeper has an opinion.
    pub probed: bool,
    /// The last probe was answered, by whatever process. False does not mean down: only a vote says so.
    pub answering: bool,
    /// Since when every probe was answered; `None` if the last one was not.
    pub answering_since: Option<Moment>,
    /// When the last proof of life came, of whatever process; `None` if there was none since this keeper began to watch it.
    pub last_alive: Option<Moment>,
    /// The last probe's connection was refused.
    pub refused: bool,
    /// When the last probe that has ended was sent.
    pub probe_sent: Moment,
    /// The server process that this keeper was connected to last, and what became of that connection; `None` if either is not known.
    pub process: Option<ProcessConnection>,
    /// What answers does not say which process it is, so the facts may be another's; `None` while it does, or nothing has
    /// answered since.
    pub unproven: Option<Unproven>,
    /// Since when the facts are too old to go by, if they are: probes bring none any more ([`facts_hold`]).
    pub outdated: Option<Moment>,
    /// Since when it owes an answer: when the first probe was sent that was neither answered nor refused since.
    pub owes_since: Option<Moment>,
    /// What the node answered in place of facts, such as `NOAUTH …`; or why the last probe failed.
    pub trouble: Option<String>,
    /// It lives, and answers errors of its own instead of serving: see [`Hindrance`].
    pub hindrance: Option<Hindrance>,
    /// The node refused this keeper's user or password: why. It answered all the same, as it does anybody, but takes no command.
    pub login_refused: Option<String>,
    /// What the node said of its `min-replicas` settings, or why it did not; `None` until it was asked (RK-9).
    pub min_replicas: Option<Result<MinReplicas, String>>,
    /// Whether this keeper's commands would be carried out there; else why not. `None` until the process was tried (RK-6).
    pub commandable: Option<Result<(), String>>,
    /// What the node's host name resolves to here.
    pub addresses: BTreeSet<IpAddr>,
    /// What the host its role names as primary resolves to here; empty for a primary.
    pub upstream_addresses: BTreeSet<IpAddr>,
}

/// A connection to one server process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessConnection {
    /// The process, as it named itself on that connection.
    pub run_id: String,
    /// What became of the connection.
    pub state: ConnectionState,
}

/// What is known of a connection to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// It is open, also while the process stays silent on it.
    Open,
    /// The peer has ended it in order, as the kernel does for a process that ends, and no other was made since. A reset is no
    /// such end: firewalls send resets, too.
    ClosedByPeer,
}

impl Sighting {
    /// A node that has not been probed yet.
    pub fn unknown(at: Moment) -> Self {
        Self {
            order: (Moment::default(), 0),
            facts: None,
            at,
            vote: None,
            probed: false,
            answering: false,
            answering_since: None,
            last_alive: None,
            refused: false,
            probe_sent: at,
            process: None,
            unproven: None,
            outdated: None,
            owes_since: None,
            trouble: None,
            hindrance: None,
            login_refused: None,
            min_replicas: None,
            commandable: None,
            addresses: BTreeSet::new(),
            upstream_addresses: BTreeSet::new(),
        }
    }

    /// What the node says of itself, if that is not older than `span`. While it answers with its state, each probe reads
    /// its facts anew, though only what changed in substance is told.
    pub fn said_within(&self, span: Duration, now: Moment) -> Option<&NodeFacts> {
        let facts = self.facts.as_ref();
        facts.filter(|_| self.tells() || now.since(self.at) <= span)
    }

    /// What a process there has said of itself; `None` too where what answers by now does not say which process it is, or
    /// that was said too long ago.
    pub fn proven(&self) -> Option<&NodeFacts> {
        let gone_by = self.unproven.is_none() && self.outdated.is_none();
        self.facts.as_ref().filter(|_| gone_by)
    }

    /// What the process that answers has said of itself.
    pub fn named(&self) -> Option<&NodeFacts> {
        self.proven().filter(|_| self.answering)
    }

    /// Whether `other` would lead to the same decisions: everything but the figures that move by themselves (offset,
    /// keys beyond "any", uptime, time since last heard, time of reading).
    pub fn same_matter(&self, other: &Self) -> bool {
        // Taken apart without `..`, here and below, so that a new field has to be thought of.
        let Self {
            order: _,
            facts,
            at: _,
            vote,
            probed,
            answering,
            answering_since: _,
            last_alive: _,
            refused,
            probe_sent: _,
            process,
            unproven,
            outdated,
            owes_since: _,
            trouble,
            hindrance,
            login_refused,
            min_replicas,
            commandable: _,
            addresses,
            upstream_addresses,
        } = self;
        let same_facts = match (facts, &other.facts) {
            (Some(one), Some(other)) => one.same_matter(other),
            (None, None) => true,
            _ => false,
        };
        same_facts
            && *vote == other.vote
            && *probed == other.probed
            && *answering == other.answering
            && *refused == other.refused
            && *process == other.process
            && *unproven == other.unproven
            && *outdated == other.outdated
            && *trouble == other.trouble
            && *hindrance == other.hindrance
            && *login_refused == other.login_refused
            && *min_replicas == other.min_replicas
            && self.not_commandable() == other.not_commandable()
            && *addresses == other.addresses
            && *upstream_addresses == other.upstream_addresses
    }
}
