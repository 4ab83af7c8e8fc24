//! Redis servers as keepers use them: probed on one persistent connection, commanded on a fresh one each time.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::facts::{DownReason, MinReplicas};
use crate::domain::group::ProbeName;
use crate::domain::info::Info;
use crate::domain::node::{ClusterName, Epoch, NodeAddr};

/// The servers of all clusters.
#[async_trait(?Send)]
pub trait Redis {
    /// The node at `addr`, with the credentials configured for `cluster`. Makes no connection.
    fn node(&self, cluster: &ClusterName, addr: &NodeAddr) -> Rc<dyn RedisNode>;

    /// What `host` (a name or IP literal) resolves to here; what it resolved to last, if the resolver fails.
    ///
    /// # Errors
    /// This host's resolver failed, and always has for this host: no evidence against any node.
    async fn resolve(&self, host: &str) -> Result<BTreeSet<IpAddr>, String>;

    /// `host` once resolved to `addresses`: used while this host's resolver does not say otherwise.
    fn remember(&self, host: &str, addresses: &BTreeSet<IpAddr>);

    /// From now on, probe connections to all servers take this name, those that are open too (RK-12).
    fn introduce(&self, _: &ProbeName) {}
}

/// One server.
#[async_trait(?Send)]
pub trait RedisNode {
    /// Waits until an address of the node is known. Returns at once, or nearly so, if one was ever known, whatever the
    /// resolver does.
    ///
    /// # Errors
    /// None is known, within a time of the resolver's own: this host's own trouble, no evidence against the node.
    async fn locate(&self) -> Result<(), String> {
        Ok(())
    }

    /// Opens the connection for probing, at an address that is known: see [`Self::locate`]. A server that answers what is not Redis, or not with the TLS that is asked
    /// for, is connected to: the next probe reports it as an error reply.
    ///
    /// # Cancellation safety
    /// The caller bounds the time by dropping the future; the attempt ends with it.
    async fn connect(&self) -> Result<Box<dyn ProbeConnection>, ProbeFailure>;

    /// Opens a connection for one state-changing command, names it `keeper-<epoch>`, and asks on it which process answers
    /// there (RK-4).
    ///
    /// # Errors
    /// Always [`CommandError::NotDone`].
    async fn command(&self, epoch: Epoch) -> Result<Box<dyn CommandConnection>, CommandError>;

    /// Logs in on a new connection as [`Self::command`] does, and looks whether the commands of a failover would be carried
    /// out. Changes nothing.
    ///
    /// # Errors
    /// They would not be, as far as can be told.
    async fn try_commands(&self) -> Result<(), Obstacle>;
}

/// Why commands would not be carried out at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// What the server answered, or what it lacks.
    Refused(String),
    /// There was no connection, or no answer on it. That may pass.
    Unanswered(String),
    /// The server cannot tell yet: it is loading its data set, or busy with a script.
    NotYet,
}

/// How much a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Liveness and replication state: one round trip, the cheapest that tells role, link, offset and loading.
    Tick,
    /// Everything in [`NodeFacts`](crate::domain::facts::NodeFacts), also in one round trip.
    Full,
    /// The same with the settings that keepers hold there (RK-9), which takes a right that others do without.
    FullWithSettings,
}

impl Depth {
    /// Whether it asks everything that facts are made of.
    pub fn is_full(self) -> bool {
        self != Self::Tick
    }
}

/// A connection that probes are sent on, one at a time.
#[async_trait(?Send)]
pub trait ProbeConnection {
    /// Sends a probe and waits for its answer. After a failure the connection is of no more use.
    ///
    /// # Cancellation safety
    /// The caller bounds the time by dropping the future. The connection stays in use: the next probe passes over the
    /// answer that is still owed.
    async fn probe(&mut self, depth: Depth) -> Result<Alive, ProbeFailure>;

    /// Reads who is connected to the server; `None` if that is refused, failed, or would be a burden to it.
    ///
    /// # Cancellation safety
    /// As [`Self::probe`].
    async fn clients(&mut self) -> Option<Clients> {
        None
    }

    /// Resolves when something happens on the connection while no probe is under way. Cancellation safe.
    async fn stirred(&mut self) -> Stir;
}

/// Who is connected to a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clients {
    /// Keepers' probe connections, of whatever group (RK-12).
    pub keepers: BTreeSet<ProbeName>,
    /// All clients, replicas and subscribers aside.
    pub count: usize,
}

/// What happened on a connection between two probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stir {
    /// The peer ended it in order; no evidence by itself, for servers close connections when they are told to.
    Closed,
    /// It is of no more use for another reason, such as a reset, which a firewall sends as well as a server.
    Lost,
    /// An answer came that no probe waits for any more: proof of life.
    Answered,
}

/// Any answer: proof of life (RK-1), an error reply included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alive {
    /// What `INFO` told; `None` when it was refused.
    pub info: Option<Info>,
    /// The server said it is loading its data set.
    pub loading: bool,
    /// The error it answered instead, such as `NOAUTH Authentication required.`
    pub error: Option<String>,
    /// The error by which it says that it lives and does not serve: `BUSY`, or `MISCONF`, which it answers to `PING` though it
    /// tells its state. See [`HindranceKind`](crate::domain::hindrance::HindranceKind).
    pub hindrance: Option<String>,
    /// The server refused this keeper's user or password: why. It may answer all the same, as it does anybody, but commands
    /// are not sent without a login.
    pub login_refused: Option<String>,
    /// No plain Redis server answers so: it is not the protocol, or no answer to `INFO`.
    pub foreign: bool,
    /// Who listens on the channel of Redis Sentinels, with a [full](Depth::is_full) depth only.
    pub subscribers: Option<Subscribers>,
    /// The `min-replicas` settings, or why they cannot be read; with [`Depth::FullWithSettings`] only.
    pub min_replicas: Option<Result<MinReplicas, String>>,
}

/// Who listens on the channel on which Redis Sentinels greet each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscribers {
    /// Sentinels, each by its name and host: they are known by two connections of theirs.
    pub sentinels: Vec<String>,
    /// How many other clients.
    pub others: usize,
}

/// A probe that was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// The node's doing: evidence for a vote (never [`DownReason::Loading`]).
    #[error("{1}")]
    Evidence(DownReason, String),
    /// This host's own failure (no file descriptors, DNS, no route of its own): evidence of nothing.
    #[error("this host's own failure: {0}")]
    Own(String),
}

/// When a new role goes into the server's configuration file, from which the server takes it when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remember {
    /// In the transaction that changes it. The server answers nobody until its disk has the file: some 5 to 20 ms.
    AtOnce,
    /// By [`CommandConnection::rewrite`], when nobody waits any more.
    Later,
}

/// A connection for state-changing commands. One transaction each; never reconnects, never retries (RK-4).
#[async_trait(?Send)]
pub trait CommandConnection {
    /// The server process at the other end (`run_id`), as it said on this very connection. It is to be the one of which the
    /// facts were read that a command is decided from: names and addresses move.
    fn run_id(&self) -> &str;

    /// Kills every other keeper's command connection to this server, so that no command sent on one before can still be
    /// executed (RK-4). Connections of newer epochs are left alone, and nothing is killed, if there are any.
    ///
    /// Any client can take the name of a keeper. `newest` is the greatest epoch that any leader has raised, read after a
    /// newer one was seen here: connections that bear a greater one are nobody's, and are killed, too.
    ///
    /// # Errors
    /// [`CommandError::NotDone`]: not all could be killed.
    async fn fence(&mut self, newest: Option<Epoch>) -> Result<Fence, CommandError>;

    /// Makes the node a primary: `REPLICAOF NO ONE`, `CONFIG REWRITE`, `CLIENT KILL` of its clients in one `MULTI`,
    /// every reply read, the result confirmed by `ROLE`. Returns what was refused without spoiling the promotion (a
    /// server without a config file cannot rewrite it).
    async fn promote(&mut self, remember: Remember) -> Result<Vec<String>, CommandError>;

    /// Makes the node follow `primary`, likewise.
    async fn follow(
        &mut self,
        primary: &NodeAddr,
        remember: Remember,
    ) -> Result<Vec<String>, CommandError>;

    /// Has the node write to its configuration file what it is now. Returns why it was refused, if it was.
    ///
    /// Source: <https://redis.io/docs/latest/commands/config-rewrite/>.
    async fn rewrite(&mut self) -> Vec<String>;

    /// Holds up the writes of all clients for so long at most, and tells the replication offset behind the last write
    /// before. Before Redis 6.2, everything that clients ask is held up, not only writes.
    ///
    /// Source: <https://redis.io/docs/latest/commands/client-pause/>.
    async fn pause_writes(&mut self, limit: Duration) -> Result<u64, CommandError>;

    /// Ends the pause. Before Redis 6.2 there is no way to: waits until it has ended by itself.
    async fn unpause(&mut self) -> Result<(), CommandError>;

    /// The replication offset: what a replica has applied.
    async fn offset(&mut self) -> Result<u64, CommandError>;

    /// Gives the node these settings and has it remember them. Returns what was refused without spoiling that, as above.
    ///
    /// # Errors
    /// After any, one of the two may be set already; nothing is demanded by that alone.
    async fn set_min_replicas(&mut self, values: MinReplicas) -> Result<Vec<String>, CommandError>;
}

/// What a [fence](CommandConnection::fence) has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fence {
    /// No other keeper's command connection is left.
    Closed,
    /// A connection bears this newer epoch: a newer leader is at work, or somebody who took such a name.
    Newer(Epoch),
}

/// A command that was not confirmed, by what is known to have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It has not been executed and will not be.
    #[error("not done: {0}")]
    NotDone(String),
    /// It may have been executed, or may still be: read the node's state before anything else.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// Likewise, since the server ended the connection before it answered, as for a `CLIENT KILL`. Nothing speaks against trying
    /// again at once on another connection, which fences this one off (RK-4).
    #[error("outcome unknown, the connection was ended: {0}")]
    Cut(String),
}
