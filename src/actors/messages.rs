//! The messages between actors. Each comment names the sender, the receiver and the content.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix::Message;

use crate::domain::command_history::CommandOutcome;
use crate::domain::confirmation::PollState;
use crate::domain::group::{GroupCluster, ProbeName};
use crate::domain::lease::Unacknowledged;
use crate::domain::node::{ClusterName, Epoch, Generation, KeeperId, Moment, NodeAddr};
use crate::domain::observation::NodeObservation;
use crate::domain::observed::Requested;
use crate::domain::published::Published;
use crate::domain::report::KeeperReport;
use crate::domain::task::{Task, TaskId, TaskOutcome};

pub use self::confirmation::{
    AskVoters, Confirm, NewConnectionResult, ProbeOnNewConnection, SetPoll,
};
pub use self::deciding::{Decide, Decision, Reads};
pub use self::failsafe::{AskConsent, DropKeeper, FailsafeReport, NotDropped, Rehearse};
pub use self::session::{InspectSession, SessionReport};

mod confirmation;
mod deciding;
mod failsafe;
mod session;

/// `NodeMonitor` → `ClusterActor`: my observation has changed in substance, or I have just started.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct NodeObserved {
    /// The node that is watched.
    pub node: NodeAddr,
    /// The observation.
    pub observation: NodeObservation,
}

/// `ClusterActor` → `NodeMonitor`: probe in full now, on the persistent connection (or a new one if there is none). Answers
/// with the observation after that probe. The probe feeds the vote as any probe does.
#[derive(Debug, Clone, Copy, Default, Message)]
#[rtype(result = "NodeObservation")]
pub struct Refresh {
    /// Whether to read the settings that keepers change, too (RK-9).
    pub settings: bool,
}

/// `FailoverRun`, `TaskPerformer` → `NodeMonitor`: a new connection leads to another server than yours. Probe on a new one now.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Reconnect;

/// `ClusterActor` → `NodeMonitor`: send me [`NodeObserved`] now; I have just (re)started.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ResendObservation;

/// `ClusterActor` → `NodeMonitor`: what is your observation, with the figures that move by themselves? The answer comes at
/// once, from the last probe.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "NodeObservation")]
pub struct InspectObservation;

/// `NodeMonitor` → `GroupWatch`: I have met probe connections of keepers, of any group, at a node (RK-12).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct KeepersMet {
    /// The node.
    pub node: NodeAddr,
    /// The names of the connections.
    pub names: BTreeSet<ProbeName>,
}

/// HTTP → `NodeMonitor`: a keeper of another group has met this keeper at the node. List the node's clients.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ListClients;

/// `GroupWatch` → `NodeMonitor`: this keeper's probe connections have a name now. Tell the server, then list its clients. Of
/// two keepers that do so, at least one sees the other.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ProbesNamed;

/// `ClusterActor` → `NodeMonitor`: list the node's clients at once. Answered when that is done, or not possible.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ListClientsNow;

/// `ClusterActor` → `GroupWatch`: a change waits for the keepers that were met and not asked yet. Answered when all were asked.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AskOtherGroups;

/// `FailoverRun` → `ClusterActor`: look for other groups at these nodes. Answered when the result is taken in.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct FindOtherGroups(pub BTreeSet<NodeAddr>);

/// HTTP → `ClusterActor`: describe the cluster to another group of keepers.
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
    /// Its observation.
    pub observation: NodeObservation,
    /// When this state was made.
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

/// A leadership, which lasts as long as its latch node exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leadership {
    /// The epoch of this leadership.
    pub epoch: Epoch,
    /// Path of the latch node in ZooKeeper.
    pub latch: String,
}

/// `ZkSession` → `FailoverActor`: this keeper leads (`Some`), or may not lead any more (`None`).
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct LeadershipChanged(pub Option<Leadership>);

/// `FailoverActor` → `ZkSession`: send me [`LeadershipChanged`] now; I have just (re)started.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ResendLeadership;

/// `ZkSession` → `ClusterActor`: the cell with the cluster's [`SharedState`] has new content. Sent at every change and on
/// [`Subscribe`].
///
/// The state itself does not travel in a mailbox. The cell is filled before the lease is extended, and before the change is
/// acknowledged. So no answer pairs an older state with a newer lease (RK-3).
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Shared;

/// ZooKeeper's content about one cluster, as last read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharedState {
    /// The published state; `None` before the first publication.
    pub published: Option<Published>,
    /// Version of the state's node, for compare-and-set; `None` if there is no node yet.
    pub version: Option<i32>,
    /// The reports of all keepers; of this keeper, the one that was last confirmed.
    pub reports: BTreeMap<KeeperId, KeeperReport>,
    /// Keepers online.
    pub keepers: BTreeSet<KeeperId>,
    /// Questions and answers about the published primary, of each keeper whose build can ask.
    pub polls: BTreeMap<KeeperId, PollState>,
    /// Whether the set of keepers online has changed and is being read: the number that makes a majority is not known.
    pub relisting: bool,
    /// The leadership, while this keeper leads.
    pub leading: Option<Leadership>,
    /// Keepers that may still answer from before the published withdrawal; known to the leader only.
    pub unacknowledged: Unacknowledged,
}

/// `ClusterActor` → `ZkSession`: send me [`Shared`] now if it is known; I have just (re)started.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Subscribe(pub ClusterName);

/// The supervisor of the `ClusterActor` → `ZkSession`: this cluster is not managed any more. Forget it, and delete this
/// keeper's report.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Unsubscribe(pub ClusterName);

/// `ZkSession` → `ClusterActor`: send me your present [`SetReport`]. I have just (re)started, or have a new session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ResendReport;

/// `ClusterActor` → `ZkSession`: this is this keeper's report from now on. An empty report has no node in ZooKeeper.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetReport {
    /// The cluster.
    pub cluster: ClusterName,
    /// The report.
    pub report: KeeperReport,
}

/// `FailoverRun` → `ZkSession`: a guarded write of a cluster's state (RK-4). One transaction checks the latch node and the
/// version.
///
/// Answers with the written state, its generation included, and its version. The `ClusterActor` has got the same as [`Shared`]
/// before.
#[derive(Debug, Message)]
#[rtype(result = "Result<(Published, i32), WriteError>")]
pub struct WriteState {
    /// The cluster.
    pub cluster: ClusterName,
    /// The leadership under which the state was decided.
    pub leadership: Leadership,
    /// The version from which the state was decided; `None` if there was no node.
    pub version: Option<i32>,
    /// The state to write. The session fills in its epoch and generation.
    pub state: Published,
    /// Whether the published primary changes, so that the transaction raises `/generation`, too (RK-2).
    pub raise_generation: bool,
}

/// `FailoverRun` → `ZkSession`: publish in a cluster the state of another cluster, as this keeper knows it (RK-4).
///
/// Refused if the other cluster's state has changed since. Answered as [`WriteState`] is.
#[derive(Debug, Message)]
#[rtype(result = "Result<(Published, i32), WriteError>")]
pub struct TakeOver {
    /// The cluster.
    pub cluster: ClusterName,
    /// The cluster whose state is taken over.
    pub other: ClusterName,
    /// The leadership under which this was decided.
    pub leadership: Leadership,
    /// The version from which this was decided; `None` if there was no node.
    pub version: Option<i32>,
}

/// `FailoverRun` → `ZkSession`: is this still the leadership, and the state the one that was decided from? A transaction of
/// checks only, so ZooKeeper answers in its order of writes (RK-4).
#[derive(Debug, Message)]
#[rtype(result = "Result<(), WriteError>")]
pub struct Guard {
    /// The cluster.
    pub cluster: ClusterName,
    /// The leadership under which the command was decided.
    pub leadership: Leadership,
    /// The version from which the command was decided.
    pub version: Option<i32>,
}

/// `ClusterActor` → `FailoverActor`: the plan has an action or a hold, while this keeper leads.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LeaderNeeded(pub ClusterName);

/// `FailoverActor` → `ClusterActor`: plan anew, even if nothing has changed. Send [`LeaderNeeded`] if there is something to do.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Replan;

/// `FailoverRun` → `ClusterActor`: a command has ended, or a switchover. The cluster's command history records the outcome.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct CommandEnded(pub CommandOutcome);

/// `FailoverRun` → `ClusterActor` of the leader: have another keeper carry out a task. Answers with the outcome; `Unknown` if
/// that keeper does not report in time.
#[derive(Debug, Message)]
#[rtype(result = "TaskOutcome")]
pub struct Delegate {
    /// The epoch of the leadership that gives the task.
    pub epoch: Epoch,
    /// The task.
    pub task: Task,
}

/// `ClusterActor` → `TaskPerformer`: the leader has given this keeper a task.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PerformTask {
    /// The cluster.
    pub cluster: ClusterName,
    /// The id of the task.
    pub id: TaskId,
    /// The task.
    pub task: Task,
}

/// `TaskPerformer` → `ClusterActor`: a task has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TaskPerformed {
    /// The id of the task.
    pub id: TaskId,
    /// The node of the task.
    pub node: NodeAddr,
    /// The outcome.
    pub outcome: TaskOutcome,
}

/// `TaskPerformer` → `ZkSession`: does the leader that gave this task still lead, and is the state the one it decided from? A
/// transaction of checks only, as with [`Guard`] (RK-4).
#[derive(Debug, Message)]
#[rtype(result = "Result<(), WriteError>")]
pub struct GuardTask {
    /// The cluster.
    pub cluster: ClusterName,
    /// The latch node of the leader.
    pub latch: String,
    /// The version from which the leader decided.
    pub version: i32,
}

/// `FailoverRun`, `TaskPerformer` → `ZkSession`: what is the newest epoch? Refused if this latch node is gone (RK-4).
#[derive(Debug, Message)]
#[rtype(result = "Result<Epoch, WriteError>")]
pub struct ReadEpoch {
    /// The latch node of the leader that commands.
    pub latch: String,
}

/// HTTP → `ClusterActor` of the leader: switch over, in the operator's name. Answers when the switchover is done, or when
/// everything is as before.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Switched, NotSwitched>")]
pub struct Switchover(pub Requested);

/// A switchover that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switched {
    /// The old primary.
    pub from: NodeAddr,
    /// The new primary.
    pub to: NodeAddr,
    /// The generation in which the new primary is published.
    pub generation: Generation,
}

/// A switchover that was not carried out, or whose outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSwitched {
    /// This keeper does not lead.
    #[error("this keeper does not lead")]
    NotLeading,
    /// The switchover was not begun, for this reason.
    #[error("{0}")]
    Refused(String),
    /// The switchover was begun and called off: the primary is the same as before.
    #[error("called off, {primary} is the primary again: {why}")]
    CalledOff {
        /// The primary.
        primary: NodeAddr,
        /// The reason.
        why: String,
    },
    /// Another change came in between, or the switchover took too long: look at the cluster.
    #[error("not known what became of it: {0}")]
    Unknown(String),
}

/// HTTP → `ClusterActor` of the leader: an operator knows of the changes from outside. The keepers may go on (RK-12).
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

/// `FailoverRun` → `FailoverActor`: nothing is left to do for this cluster.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RunEnded(pub ClusterName);

/// A guarded write that was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The write was not made: the leadership is lost, or the state is newer than the decision.
    #[error("not written: {0}")]
    NotDone(String),
    /// The write may have been made: read the state again before anything else.
    #[error("outcome of the write unknown: {0}")]
    Unknown(String),
}

/// `ZkSession` → the root: this keeper cannot join the others, and another try would not help. End the process with this
/// message.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Fatal {
    /// The fault, and what to do about it.
    pub message: String,
}

/// The content of a keeper's heartbeat node about the keeper itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperAnnouncement {
    /// The keeper's id.
    pub id: KeeperId,
    /// The `host:port` at which others can best reach its HTTP interface.
    pub rest: String,
    /// Version of the program.
    pub version: String,
    /// Host name and process id, to identify the process that holds an id.
    pub process: String,
}

/// Anyone → `ZkSession`: give up latch, votes and membership, and close the session. Answered when that is done.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Leave;
