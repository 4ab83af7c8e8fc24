//! Coordination as ZooKeeper offers it: a tree of versioned nodes, sessions, ephemerals, one-shot watches and
//! all-or-nothing writes. Small on purpose: everything that safety rests on is built above it, in
//! [`crate::actors::zk_session`], so that it runs in simulation too.
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

    /// What it is, for logs: `zookeeper 10.0.0.1:2181,…/prefix` or `embedded`.
    fn describe(&self) -> String;

    /// Since when it is out of touch, and why; `None` while it is not. What has no servers never is.
    fn outage(&self) -> watch::Receiver<Option<Outage>> {
        watch::Sender::default().subscribe()
    }
}

/// A time without a connection to coordination, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Since when.
    pub since: Instant,
    /// What each server did when it was asked last: `10.0.0.1:2181: connection refused`. Empty until all were.
    pub servers: Vec<String>,
}

impl Outage {
    /// One that has begun, of unknown cause.
    pub fn since(since: Instant) -> Self {
        Self {
            since,
            servers: Vec::new(),
        }
    }

    /// What the servers did; `None` until they were asked.
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

/// A future whose request is sent when the method is CALLED, in the order of the calls; dropping it does not take the
/// request back. Requests made while disconnected wait and are sent on reconnection.
pub type Sent<T> = LocalBoxFuture<'static, Result<T, CoordinationError>>;

/// A session. Paths are absolute below the prefix: `/leader/…`. Dropping the last clone closes the session and with
/// it its ephemeral nodes.
pub trait Session {
    /// Names the session; new after an expiry.
    fn id(&self) -> i64;

    /// The session timeout that the servers granted; they may grant more or less than was asked for.
    fn timeout(&self) -> Duration;

    /// The state as the client knows it. NOT a lease: a follower cut off from its ensemble keeps it connected.
    fn state(&self) -> watch::Receiver<SessionState>;

    /// Data and stat of a node, `None` if it does not exist.
    fn get(&self, path: &str) -> Sent<Option<Node>>;

    /// The same with a one-shot watch for the next change (creation and deletion included).
    fn get_and_watch(&self, path: &str) -> Sent<(Option<Node>, Watch)>;

    /// What stands below a node; nothing if it does not exist.
    fn children(&self, path: &str) -> Sent<Children>;

    /// The same with a one-shot watch for the next arrival or departure. The node must exist.
    fn children_and_watch(&self, path: &str) -> Sent<(Children, Watch)>;

    /// Creates a node; answers its path (with the sequence number, for sequential kinds) and stat.
    fn create(&self, path: &str, data: &[u8], kind: CreateKind) -> Sent<Created>;

    /// Sets the data, at any version or only at `version`; answers the new version.
    fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Sent<i32>;

    /// Deletes a node, at any version or only at `version`.
    fn delete(&self, path: &str, version: Option<i32>) -> Sent<()>;

    /// All of `writes` or none.
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

/// What stands below a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Children {
    /// Their names, in no order.
    pub names: Vec<String>,
    /// Arrivals and departures so far (`cversion`): tells of a child that came and went between two reads.
    pub changes: i32,
}

/// What [`Session::create`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Full path, sequence number included.
    pub path: String,
    /// The transaction that created it.
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
    /// Set the data at this version.
    Set {
        /// Path.
        path: String,
        /// Content.
        data: Vec<u8>,
        /// Version, any if `None`.
        version: Option<i32>,
    },
    /// Delete the node at this version.
    Delete {
        /// Path.
        path: String,
        /// Version, any if `None`.
        version: Option<i32>,
    },
}

/// Resolves when the watched node changed, or when the session lost its connection and what was read may be old: in
/// either case read again.
pub type Watch = LocalBoxFuture<'static, Fired>;

/// What a watch tells.
///
/// Source: <https://zookeeper.apache.org/doc/current/zookeeperProgrammers.html#ch_zkWatches>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// The node was deleted; between the reading that armed the watch and that, nothing happened to it.
    Deleted,
    /// Anything else, or not known.
    Changed,
}

/// State of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// Connected. The number is raised by every reconnection: what was read under a lower one must be read again.
    Connected(u64),
    /// The connection is lost; the session may live on.
    Disconnected,
    /// The session is over, with all its ephemeral nodes. Final.
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
    /// The version is another one: somebody else wrote.
    #[error("node {0} has another version")]
    BadVersion(String),
    /// Write number `.0` (from 0) of a multi did not hold, so none was made.
    #[error("write {0} of the transaction does not hold: {1}")]
    MultiRefused(usize, Box<CoordinationError>),
    /// The access control list refuses it.
    #[error(
        "no right to {0}: set zk-auth to the login of the keepers that made it (is the password right?), or change the node's access control list"
    )]
    NoAuth(String),
    /// The session is over; the request may or may not have been executed before.
    #[error("the session has expired")]
    Expired,
    /// No server granted a session: what each of them did.
    #[error("no session: {0}")]
    NoSession(String),
    /// The connection was lost: the request may or may not be executed.
    #[error("connection lost, outcome unknown: {0}")]
    Unknown(String),
    /// It was refused and not executed, for another reason.
    #[error("refused: {0}")]
    Refused(String),
}
