//! Coordination as ZooKeeper offers it: a tree of versioned nodes, sessions, ephemeral nodes, one-shot watches and
//! all-or-nothing writes. The trait is small on purpose. Everything that safety depends on is built above it, in
//! [`crate::actors::zk_session`], so that simulations run that, too.
//!
//! Source: <https://zookeeper.apache.org/doc/current/zookeeperProgrammers.html>.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::LocalBoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;

/// Makes sessions.
#[async_trait(?Send)]
pub trait Coordination {
    /// Opens a new session, trying the servers in turn for about one session timeout. Dropping the future gives up.
    async fn connect(&self) -> Result<Rc<dyn Session>, CoordinationError>;

    /// A description for logs: `zookeeper 10.0.0.1:2181,…/prefix` or `embedded`.
    fn describe(&self) -> String;

    /// Since when coordination is out of touch, and why; `None` while it is in touch. Coordination without servers
    /// always is.
    fn outage(&self) -> watch::Receiver<Option<Outage>> {
        watch::Sender::default().subscribe()
    }
}

/// A time without a connection to coordination, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// When it began.
    pub since: Instant,
    /// The last answer of each server: `10.0.0.1:2181: connection refused`. Empty until all were asked.
    pub servers: Vec<String>,
}

impl Outage {
    /// An outage that has begun, of unknown cause.
    pub fn since(since: Instant) -> Self {
        Self {
            since,
            servers: Vec::new(),
        }
    }

    /// The answers of the servers; `None` until they were asked.
    pub fn causes(&self) -> Option<String> {
        (!self.servers.is_empty()).then(|| self.servers.join("; "))
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.since.elapsed().as_secs();
        write!(f, "ZooKeeper away for {seconds} s")?;
        let causes = self.causes();
        causes.map_or(Ok(()), |causes| write!(f, ": {causes}"))
    }
}

/// A future whose request is sent when the method is CALLED, in the order of the calls. Dropping the future does not
/// take the request back. Requests that are made while disconnected wait, and are sent on reconnection.
pub type Sent<T> = LocalBoxFuture<'static, Result<T, CoordinationError>>;

/// A session. Paths are absolute below the prefix: `/leader/…`. Dropping the last clone closes the session, which
/// removes its ephemeral nodes.
pub trait Session {
    /// The name of the session; a new one after an expiry.
    fn id(&self) -> i64;

    /// The session timeout that the servers granted; they may grant more or less than was asked for.
    fn timeout(&self) -> Duration;

    /// The state as the client knows it. NOT a lease: a follower that is cut off from its ensemble stays connected to
    /// the client.
    fn state(&self) -> watch::Receiver<SessionState>;

    /// The data and the counters of a node; `None` if the node does not exist.
    fn get(&self, path: &str) -> Sent<Option<Node>>;

    /// The same with a one-shot watch for the next change (creation and deletion included).
    fn get_and_watch(&self, path: &str) -> Sent<(Option<Node>, Watch)>;

    /// The children of a node; none if the node does not exist.
    fn children(&self, path: &str) -> Sent<Children>;

    /// The same with a one-shot watch for the next arrival or departure. The node must exist.
    fn children_and_watch(&self, path: &str) -> Sent<(Children, Watch)>;

    /// Creates a node. Returns its path, with the sequence number if there is one, and the transaction that created
    /// it.
    fn create(&self, path: &str, data: &[u8], kind: CreateKind) -> Sent<Created>;

    /// Sets the data, at any version or only at `version`. Returns the new version.
    fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Sent<i32>;

    /// Deletes a node, at any version or only at `version`.
    fn delete(&self, path: &str, version: Option<i32>) -> Sent<()>;

    /// Makes all of `writes`, or none.
    fn multi(&self, writes: Vec<Write>) -> Sent<()>;
}

/// A node's data and what the server knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Content.
    pub data: Vec<u8>,
    /// Raised by every write of the data.
    pub version: i32,
    /// The transaction that created the node: ordered across the ensemble.
    pub created: i64,
    /// The session an ephemeral node belongs to; 0 for a persistent one.
    pub owner: i64,
}

/// The children of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Children {
    /// Their names, in no order.
    pub names: Vec<String>,
    /// Arrivals and departures so far (`cversion`). The count shows a child that came and went between two reads.
    pub changes: i32,
}

/// The result of [`Session::create`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Full path, sequence number included.
    pub path: String,
    /// The transaction that created the node.
    pub created: i64,
}

/// How long a node lives and how it is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateKind {
    /// Until deleted.
    Persistent,
    /// Until its session ends.
    Ephemeral,
    /// Ephemeral, with a sequence number appended to the name.
    EphemeralSequential,
}

/// One write of a [`Session::multi`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// The node must exist, at this version if one is given.
    Check {
        /// Path.
        path: String,
        /// Version.
        version: Option<i32>,
    },
    /// Create a persistent node.
    Create {
        /// Path.
        path: String,
        /// Content.
        data: Vec<u8>,
    },
    /// Set the data, at this version if one is given.
    Set {
        /// Path.
        path: String,
        /// Content.
        data: Vec<u8>,
        /// Version, any if `None`.
        version: Option<i32>,
    },
    /// Delete the node, at this version if one is given.
    Delete {
        /// Path.
        path: String,
        /// Version, any if `None`.
        version: Option<i32>,
    },
}

/// Resolves when the watched node has changed, or when the session has lost its connection. In the latter case the
/// last reading may be old. In either case, read again.
pub type Watch = LocalBoxFuture<'static, Fired>;

/// The event that a watch reports.
///
/// Source: <https://zookeeper.apache.org/doc/current/zookeeperProgrammers.html#ch_zkWatches>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// The node was deleted, and did not change between the reading that armed the watch and the deletion.
    Deleted,
    /// Any other event, or an unknown one.
    Changed,
}

/// State of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// Connected. Each reconnection raises the number: what was read under a lower number must be read again.
    Connected(u64),
    /// The connection is lost; the session may live on.
    Disconnected,
    /// The session is over, with all of its ephemeral nodes. Final.
    Expired,
}

/// A request that was not confirmed, by what is known to have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoordinationError {
    /// The node does not exist.
    #[error("no node {0}")]
    NoNode(String),
    /// The node exists already.
    #[error("node {0} exists")]
    NodeExists(String),
    /// The node has another version: another client has written.
    #[error("node {0} has another version")]
    BadVersion(String),
    /// Write number `.0` (from 0) of a transaction did not hold, so no write was made.
    #[error("write {0} of the transaction does not hold: {1}")]
    MultiRefused(usize, Box<CoordinationError>),
    /// The access control list forbids the request.
    #[error(
        "no right to {0}: set zk-auth to the login of the keepers that made it (is the password right?), or change the node's access control list"
    )]
    NoAuth(String),
    /// The session is over; the request may or may not have been executed before.
    #[error("the session has expired")]
    Expired,
    /// No server granted a session: the answer of each of them.
    #[error("no session: {0}")]
    NoSession(String),
    /// The connection was lost: the request may or may not be executed.
    #[error("connection lost, outcome unknown: {0}")]
    Unknown(String),
    /// The request was refused for another reason, and not executed.
    #[error("refused: {0}")]
    Refused(String),
}
