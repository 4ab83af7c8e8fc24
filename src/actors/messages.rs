//! What actors say to each other. Each message says who sends it to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix::Message;

use crate::domain::confirmation::Told;
use crate::domain::facts::Sighting;
use crate::domain::group::{GroupCluster, ProbeName};
use crate::domain::lease::Unacknowledged;
use crate::domain::node::{ClusterName, Epoch, Generation, KeeperId, Moment, NodeAddr};
use crate::domain::observed::Requested;
use crate::domain::published::Published;
use crate::domain::task::{Outcome, Task, TaskId};
use crate::domain::verdict::Report;

pub use self::confirmation::{AskAnew, AskVoters, Asked, Confirm, SetPoll};
pub use self::deciding::{Decide, Decision, Reads};
pub use self::failsafe::{AskConsent, DropKeeper, FailsafeReport, NotDropped, Rehearse};
pub use self::session::{InspectSession, SessionReport};

mod confirmation;
mod deciding;
mod failsafe;
mod session;

/// `NodeMonitor` → `ClusterActor`: what the monitor sees has changed in substance, or the monitor has just started.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Sighted {
    /// The node watched.
    pub node: NodeAddr,
    /// What is seen.
    pub sighting: Sighting,
}

/// `ClusterActor` → `NodeMonitor`: probe in full now, on the persistent connection (or a new one if there is none), and
/// answer with what is then known. Also feeds the vote as any probe does.
#[derive(Debug, Clone, Copy, Default, Message)]
#[rtype(result = "Sighting")]
pub struct Refresh {
    /// The settings that keepers hold, too (RK-9).
    pub settings: bool,
}

/// `FailoverRun`, `TaskPerformer` → `NodeMonitor`: a new connection leads to another server than yours; probe on one now.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct ReadAnew;

/// `ClusterActor` → `NodeMonitor`: send me [`Sighted`] now; I have just (re)started.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SightAgain;

/// `ClusterActor` → `NodeMonitor`: what do you see, with the figures that move by themselves? Answered at once, with what the
/// last probe told.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Sighting")]
pub struct LastSeen;

/// `NodeMonitor` → `GroupWatch`: keepers' probe connections, of whatever group, were met at a node (RK-12).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct KeepersMet {
    /// The node.
    pub node: NodeAddr,
    /// The names of the connections.
    pub names: BTreeSet<ProbeName>,
}

/// HTTP → `NodeMonitor`: a keeper of another group says that it has met this one at the node. Look who is connected there.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LookAround;

/// `GroupWatch` → `NodeMonitor`: this keeper's probe connections have a name now. Tell it to the server, then look who is
/// connected there: of two keepers that do so, one sees the other.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Introduced;

/// `ClusterActor` → `NodeMonitor`: look who is connected to the node at once. Answered once that was done, or cannot be.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LookNow;

/// `ClusterActor` → `GroupWatch`: a change waits for the keepers that were met and not asked yet. Answered once all were.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AskFirst;

/// `FailoverRun` → `ClusterActor`: look for other groups at these nodes. Answered once what was found is taken in.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LookFirst(pub BTreeSet<NodeAddr>);

/// HTTP → `ClusterActor`: what is told to another group of keepers.
#[derive(Debug, Message)]
#[rtype(result = "GroupCluster")]
pub struct DescribeCluster;

/// Anyone → `NodeMonitor`: its state, for display.
#[derive(Debug, Message)]
#[rtype(result = "MonitorState")]
pub struct InspectMonitor;

/// The state of one monitor, for display.
#[derive(Debug, Clone)]
pub struct MonitorState {
    /// What it sees.
    pub sighting: Sighting,
    /// When it read this state.
    pub now: Moment,
    /// The last probe that ended: when it was sent, and how long until its answer or failure.
    pub last_probe: Option<(Moment, Duration)>,
    /// The last proof of life.
    pub last_alive: Option<Moment>,
    /// Probes that failed since the last proof of life.
    pub consecutive_failures: u64,
    /// Probes sent since the monitor started.
    pub probes: u64,
    /// Probes that failed since the monitor started.
    pub failures: u64,
}

/// Leadership of all keepers, as long as the latch node behind it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    /// The epoch this leadership raised.
    pub epoch: Epoch,
    /// Path of the latch node.
    pub latch: String,
}

/// `ZkSession` → `FailoverActor`: leadership won (`Some`), or lost or not known to be held any more (`None`).
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Leading(pub Option<Leadership>);

/// `FailoverActor` → `ZkSession`: send me [`Leading`] now; I have just (re)started.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LeadAgain;

/// `ZkSession` → `ClusterActor`: the cell that holds the cluster's [`SharedState`] has been filled anew, as it is at every
/// change and on [`Subscribe`].
///
/// The state itself does not travel in a mailbox: the cell is filled before the lease is extended and before the change
/// is acknowledged, so that no answer pairs an older state with a newer lease (RK-3).
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Shared;

/// What ZooKeeper holds about one cluster, as last read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharedState {
    /// The published state; `None` before the first publication.
    pub published: Option<Published>,
    /// Version of the node that holds it, for compare-and-set; `None` when there is no node yet.
    pub version: Option<i32>,
    /// Reports of all keepers, this one's as it was last confirmed.
    pub reports: BTreeMap<KeeperId, Report>,
    /// Keepers online.
    pub keepers: BTreeSet<KeeperId>,
    /// What keepers ask of the published primary, and answer; of those that can.
    pub polls: BTreeMap<KeeperId, Told>,
    /// That has changed, and is being read again: of whom votes are a majority is not known.
    pub recounting: bool,
    /// Set while this keeper leads.
    pub leading: Option<Leadership>,
    /// Who may still answer from the state before the withdrawal that is published; told to the leader only.
    pub unacknowledged: Unacknowledged,
}

/// `ClusterActor` → `ZkSession`: send me [`Shared`] now if it is known; I have just (re)started.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Subscribe(pub ClusterName);

/// `ClusterActor`'s supervisor → `ZkSession`: the cluster is managed no more; forget it and take this keeper's report back.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Unsubscribe(pub ClusterName);

/// `ZkSession` → `ClusterActor`: send me your present [`SetReport`]; I have just (re)started, or hold a new session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ResendReport;

/// `ClusterActor` → `ZkSession`: this keeper's report from now on. An empty one has no node in ZooKeeper.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetReport {
    /// The cluster.
    pub cluster: ClusterName,
    /// Its votes.
    pub report: Report,
}

/// `FailoverRun` → `ZkSession`: a guarded write of a cluster's state (RK-4): one transaction that checks the latch node
/// and the version. Answers what was written (with its generation) and its version, and has handed the same to the
/// `ClusterActor` as [`Shared`] before the answer is sent.
#[derive(Debug, Message)]
#[rtype(result = "Result<(Published, i32), WriteError>")]
pub struct WriteState {
    /// The cluster.
    pub cluster: ClusterName,
    /// The leadership under which it was decided.
    pub leadership: Leadership,
    /// The version it was decided from; `None` when there was no node.
    pub version: Option<i32>,
    /// The state to write; its epoch and generation are filled in.
    pub state: Published,
    /// Whether it changes the published primary, so that `/generation` is raised in the same transaction (RK-2).
    pub raise_generation: bool,
}

/// `FailoverRun` → `ZkSession`: publish in a cluster what another one is published with, as this keeper knows it (RK-4). A state of
/// the other one that has changed since refuses it. Answered as [`WriteState`] is.
#[derive(Debug, Message)]
#[rtype(result = "Result<(Published, i32), WriteError>")]
pub struct TakeOver {
    /// The cluster.
    pub cluster: ClusterName,
    /// The other one.
    pub other: ClusterName,
    /// The leadership under which it was decided.
    pub leadership: Leadership,
    /// The version it was decided from; `None` when there was no node.
    pub version: Option<i32>,
}

/// `FailoverRun` → `ZkSession`: is this still the leadership, and the state the one decided from? Asked of all of ZooKeeper,
/// in its order of writes: a transaction of checks only (RK-4).
#[derive(Debug, Message)]
#[rtype(result = "Result<(), WriteError>")]
pub struct Guard {
    /// The cluster.
    pub cluster: ClusterName,
    /// The leadership under which it was decided.
    pub leadership: Leadership,
    /// The version it was decided from.
    pub version: Option<i32>,
}

/// `ClusterActor` → `FailoverActor`: there is something to do, or something that is held, while this keeper leads.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Wanted(pub ClusterName);

/// `FailoverActor` → `ClusterActor`: look again, though nothing may have changed, and send [`Wanted`] if it is so.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Reconsider;

/// `FailoverRun` → `ClusterActor`: how a command to a node ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Commanded {
    /// The node.
    pub node: NodeAddr,
    /// It was to become a primary.
    pub promotion: bool,
    /// The keeper through which it was commanded, if not by the leader itself.
    pub through: Option<KeeperId>,
    /// Why it failed; `None` when it was done.
    pub failure: Option<String>,
    /// It failed because the server ended the connection.
    pub cut: bool,
}

/// `FailoverRun` → `ClusterActor`: why a switchover was not carried out. Not held against its successor in a failover.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SwitchFailed(pub String);

/// `FailoverRun` → `ClusterActor` of the leader: have another keeper do this. Answers how it ended; `Unknown` if that keeper
/// does not tell in time.
#[derive(Debug, Message)]
#[rtype(result = "Outcome")]
pub struct Delegate {
    /// The leadership that gives the task.
    pub epoch: Epoch,
    /// What to do.
    pub task: Task,
}

/// `ClusterActor` → `TaskPerformer`: the leader has given this keeper a task.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Perform {
    /// The cluster.
    pub cluster: ClusterName,
    /// Which task.
    pub id: TaskId,
    /// What to do.
    pub task: Task,
}

/// `TaskPerformer` → `ClusterActor`: how a task ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Performed {
    /// Which task.
    pub id: TaskId,
    /// The node it was about.
    pub node: NodeAddr,
    /// How it ended.
    pub outcome: Outcome,
}

/// `TaskPerformer` → `ZkSession`: is the leader that gave this task still the leader, and the state the one it decided
/// from? Asked of all of ZooKeeper, as with [`Guard`] (RK-4).
#[derive(Debug, Message)]
#[rtype(result = "Result<(), WriteError>")]
pub struct GuardTask {
    /// The cluster.
    pub cluster: ClusterName,
    /// The latch node of the leader.
    pub latch: String,
    /// The version it decided from.
    pub version: i32,
}

/// `FailoverRun`, `TaskPerformer` → `ZkSession`: the newest epoch raised, read while this latch node stands (RK-4).
#[derive(Debug, Message)]
#[rtype(result = "Result<Epoch, WriteError>")]
pub struct ReadEpoch {
    /// The latch node of the leader that commands.
    pub latch: String,
}

/// HTTP → `ClusterActor` of the leader: switch over, in the operator's name. Answers when that is done, or when
/// everything is as it was.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Switched, NotSwitched>")]
pub struct Switchover(pub Requested);

/// A switchover that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switched {
    /// Who was the primary.
    pub from: NodeAddr,
    /// Who is now.
    pub to: NodeAddr,
    /// The generation in which it was published.
    pub generation: Generation,
}

/// A switchover that was not made, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSwitched {
    /// This keeper does not lead.
    #[error("this keeper does not lead")]
    NotLeading,
    /// It was not begun, and why.
    #[error("{0}")]
    Refused(String),
    /// It was begun and called off: the primary is the same as before, and why.
    #[error("called off, {primary} is the primary again: {why}")]
    CalledOff {
        /// The primary.
        primary: NodeAddr,
        /// Why.
        why: String,
    },
    /// Something else came in between, or it took too long: look at the cluster.
    #[error("not known what became of it: {0}")]
    Unknown(String),
}

/// HTTP → `ClusterActor` of the leader: an operator has seen that the primary was changed from outside, and the keepers are
/// to go on (RK-12).
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), NotAcknowledged>")]
pub struct Acknowledge;

/// Why nothing was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAcknowledged {
    /// This keeper does not lead.
    #[error("this keeper does not lead")]
    NotLeading,
    /// The cluster is not held for changes from outside.
    #[error(
        "the cluster is not held for changes from outside: GET /admin/clusters/NAME says what holds it"
    )]
    Nothing,
}

/// `FailoverRun` → `ClusterActor`: how the change of a node's settings ended (RK-9).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SettingsTried {
    /// The node.
    pub node: NodeAddr,
    /// Why it failed; `None` when it was done.
    pub failure: Option<String>,
}

/// `FailoverRun` → `FailoverActor`: nothing is left to do for this cluster.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RunEnded(pub ClusterName);

/// A guarded write that was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It was not made: the leadership is lost, or the state is newer than the decision.
    #[error("not written: {0}")]
    NotDone(String),
    /// It may have been made: read the state again before anything else.
    #[error("outcome of the write unknown: {0}")]
    Unknown(String),
}

/// `ZkSession` → the root: this keeper can not take part, and trying again would not help; end the process with this as
/// its last words.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Fatal {
    /// What is wrong and what to do about it.
    pub message: String,
}

/// What a keeper announces of itself in its heartbeat node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperAnnouncement {
    /// Its id.
    pub id: KeeperId,
    /// Where its HTTP interface listens, `host:port` as others can reach it best.
    pub rest: String,
    /// Version of the program.
    pub version: String,
    /// Host name and process id, to name the holder of an id.
    pub process: String,
}

/// Anyone → `ZkSession`: give back latch, votes and membership, close the session. Answers when that is done.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Leave;
