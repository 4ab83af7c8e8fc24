//! Redis servers as keepers use them: probed on one persistent connection, commanded on a fresh one each time.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::facts::MinReplicas;
use crate::domain::group::ProbeName;
use crate::domain::info::Info;
use crate::domain::liveness::DownReason;
use crate::domain::node::{ClusterName, Epoch, NodeAddr};

/// The servers of all clusters.
#[async_trait(?Send)]
pub trait Redis {
    /// The node at `addr`, with the credentials configured for `cluster`. Opens no connection.
    fn node(&self, cluster: &ClusterName, addr: &NodeAddr) -> Rc<dyn RedisNode>;

    /// The addresses that `host` (a name or an IP literal) resolves to here. If the resolver fails, the last ones
    /// that it gave.
    ///
    /// # Errors
    /// This host's resolver failed, and has never resolved `host`. No evidence against any node.
    async fn resolve(&self, host: &str) -> Result<BTreeSet<IpAddr>, String>;

    /// Remembers that `host` once resolved to `addresses`, for use while this host's resolver does not say otherwise.
    fn remember(&self, host: &str, addresses: &BTreeSet<IpAddr>);

    /// Gives this name to the probe connections to all servers, those that are open included (RK-12).
    fn introduce(&self, _: &ProbeName) {}
}

/// One server.
#[async_trait(?Send)]
pub trait RedisNode {
    /// Waits until an address of the node is known. Returns at once, or nearly so, if one was ever known, whatever
    /// the resolver does.
    ///
    /// # Errors
    /// No address became known within the resolver's own time: this host's own trouble, and no evidence against the
    /// node.
    async fn locate(&self) -> Result<(), String> {
        Ok(())
    }

    /// Opens the connection for probing, at an address that is known: see [`Self::locate`]. A server that does not
    /// speak Redis, or not the TLS that is asked for, is connected to as well. The next probe reports that as an
    /// error reply.
    ///
    /// # Cancellation safety
    /// The caller bounds the time by dropping the future, which ends the attempt.
    async fn connect(&self) -> Result<Box<dyn ProbeConnection>, ProbeFailure>;

    /// Opens a connection for one state-changing command, and names it `keeper-<epoch>`. On that connection it asks
    /// which process answers there (RK-4).
    ///
    /// # Errors
    /// Always [`CommandError::NotDone`].
    async fn command(&self, epoch: Epoch) -> Result<Box<dyn CommandConnection>, CommandError>;

    /// Logs in on a new connection, as [`Self::command`] does, and checks whether the node would carry out the
    /// commands of a failover. Changes nothing.
    ///
    /// # Errors
    /// The node would not carry them out, as far as can be told.
    async fn try_commands(&self) -> Result<(), CommandObstacle>;
}

/// Why a node would not carry out commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandObstacle {
    /// The server's answer, or the command or right that it lacks.
    Refused(String),
    /// There was no connection, or no answer on it. Such a failure may pass.
    Unanswered(String),
    /// The server cannot tell yet: it is loading its data set, or busy with a script.
    NotYet,
}

/// How much a probe asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Liveness and replication state: one round trip, the cheapest that shows role, link, offset and loading.
    Tick,
    /// Everything in [`NodeFacts`](crate::domain::facts::NodeFacts), also in one round trip.
    Full,
    /// The same with the settings that keepers maintain there (RK-9). Reading them takes a right that the other
    /// depths do without.
    FullWithSettings,
}

impl Depth {
    /// Whether the probe asks for all facts.
    pub fn is_full(self) -> bool {
        self != Self::Tick
    }
}

/// A connection that probes are sent on, one at a time.
#[async_trait(?Send)]
pub trait ProbeConnection {
    /// Sends a probe and waits for its answer. After a failure the connection is of no further use.
    ///
    /// # Cancellation safety
    /// The caller bounds the time by dropping the future. The connection stays in use: the next probe skips the
    /// answer that is still owed.
    async fn probe(&mut self, depth: Depth) -> Result<Alive, ProbeFailure>;

    /// Reads who is connected to the server. `None` if the server refuses, if reading fails, or if it would burden
    /// the server.
    ///
    /// # Cancellation safety
    /// As [`Self::probe`].
    async fn clients(&mut self) -> Option<Clients> {
        None
    }

    /// Resolves when something happens on the connection while no probe is under way. Cancellation safe.
    async fn next_event(&mut self) -> ConnectionEvent;
}

/// The clients of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clients {
    /// Probe connections of keepers of any group (RK-12).
    pub keepers: BTreeSet<ProbeName>,
    /// How many clients there are, without replicas and subscribers.
    pub count: usize,
}

/// An event on a connection between two probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// The peer ended the connection in order. No evidence by itself, since servers also close connections when told
    /// to.
    Closed,
    /// The connection is of no further use for another reason, such as a reset. Firewalls send resets as well as
    /// servers.
    Lost,
    /// An answer came for which no probe waits any more: proof of life.
    Answered,
}

/// Any answer: proof of life (RK-1), an error reply included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alive {
    /// The figures of `INFO`; `None` if it was refused.
    pub info: Option<Info>,
    /// The server said that it is loading its data set.
    pub loading: bool,
    /// The error that the server answered instead, such as `NOAUTH Authentication required.`
    pub error: Option<String>,
    /// The error by which the server says that it lives and does not serve: `BUSY` or `MISCONF`. A server may answer
    /// `MISCONF` to `PING`, and still tell its state. See [`HindranceKind`](crate::domain::hindrance::HindranceKind).
    pub hindrance: Option<String>,
    /// Why the server refused this keeper's user or password. Such a server may answer as it answers anybody, but
    /// keepers send no commands without a login.
    pub login_refused: Option<String>,
    /// No plain Redis server answers so: the reply is not the protocol, or no answer to `INFO`.
    pub foreign: bool,
    /// The clients on the channel of Redis Sentinels, with a [full](Depth::is_full) depth only.
    pub subscribers: Option<Subscribers>,
    /// The `min-replicas` settings, or why they cannot be read; with [`Depth::FullWithSettings`] only.
    pub min_replicas: Option<Result<MinReplicas, String>>,
}

/// The clients that listen on the channel on which Redis Sentinels greet each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscribers {
    /// Sentinels, each by its name and host. A Sentinel is known by two of its connections.
    pub sentinels: Vec<String>,
    /// How many other clients listen there.
    pub others: usize,
}

/// A probe that was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// The node's doing: evidence for a vote (never [`DownReason::Loading`]).
    #[error("{1}")]
    Evidence(DownReason, String),
    /// This host's own failure (no file descriptors, DNS, no route of its own): no evidence.
    #[error("this host's own failure: {0}")]
    Own(String),
}

/// When a server writes its new role to its configuration file. The server reads the role from there when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remember {
    /// In the transaction that changes the role. The server answers nobody until its disk has the file: some 5 to 20
    /// ms.
    AtOnce,
    /// By [`CommandConnection::rewrite`], once nobody waits any more.
    Later,
}

/// A connection for state-changing commands, one transaction for each. The connection never reconnects and never
/// retries (RK-4).
#[async_trait(?Send)]
pub trait CommandConnection {
    /// The server process at the other end (`run_id`), as it named itself on this very connection. A command must
    /// reach the process whose facts led to it: names and addresses move.
    fn run_id(&self) -> &str;

    /// Kills every other keeper's command connection to this server. So no command that was sent earlier on such a
    /// connection can still be executed (RK-4). If a connection has a newer epoch, nothing is killed.
    ///
    /// Any client can take the name of a keeper. `newest` is the greatest epoch that any leader has raised, read
    /// after a newer one was seen here. A connection with a greater epoch than `newest` belongs to no leader, and is
    /// killed, too.
    ///
    /// # Errors
    /// [`CommandError::NotDone`]: not all could be killed.
    async fn fence(&mut self, newest: Option<Epoch>) -> Result<Fence, CommandError>;

    /// Makes the node a primary, in one `MULTI`: `REPLICAOF NO ONE` and `CLIENT KILL` of its clients, with
    /// [`Remember::AtOnce`] also `CONFIG REWRITE`. Reads every reply, and confirms the result by `ROLE`. Returns what
    /// was refused without spoiling the promotion: a server without a configuration file cannot rewrite it.
    async fn promote(&mut self, remember: Remember) -> Result<Vec<String>, CommandError>;

    /// Makes the node follow `primary`, in the same way.
    async fn follow(
        &mut self,
        primary: &NodeAddr,
        remember: Remember,
    ) -> Result<Vec<String>, CommandError>;

    /// Has the node write its present role and settings to its configuration file. Returns why the node refused, if
    /// it did.
    ///
    /// Source: <https://redis.io/docs/latest/commands/config-rewrite/>.
    async fn rewrite(&mut self) -> Vec<String>;

    /// Holds up the writes of all clients for `limit` at most. Returns the replication offset after the last write
    /// before the pause. Before Redis 6.2, everything that clients ask is held up, not only writes.
    ///
    /// Source: <https://redis.io/docs/latest/commands/client-pause/>.
    async fn pause_writes(&mut self, limit: Duration) -> Result<u64, CommandError>;

    /// Ends the pause. Before Redis 6.2 no command does that: waits until the pause has ended by itself.
    async fn unpause(&mut self) -> Result<(), CommandError>;

    /// The replication offset that a replica has applied.
    async fn offset(&mut self) -> Result<u64, CommandError>;

    /// Gives the node these settings, and has it remember them. Returns what was refused without spoiling that, as
    /// above.
    ///
    /// # Errors
    /// After an error, one of the two settings may be set already. One alone demands nothing.
    async fn set_min_replicas(&mut self, values: MinReplicas) -> Result<Vec<String>, CommandError>;
}

/// The result of a [fence](CommandConnection::fence).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fence {
    /// No other keeper's command connection is left.
    Closed,
    /// A connection has this newer epoch: a newer leader is at work, or somebody took such a name.
    Newer(Epoch),
}

/// A command that was not confirmed, by what is known to have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The command has not been executed and will not be.
    #[error("not done: {0}")]
    NotDone(String),
    /// The command may have been executed, or may still be: read the node's state before anything else.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// The outcome is unknown, too: the server ended the connection before it answered, as after a `CLIENT KILL`. The
    /// command may be tried again at once on another connection, which fences this one off (RK-4).
    #[error("outcome unknown, the connection was ended: {0}")]
    Cut(String),
}
