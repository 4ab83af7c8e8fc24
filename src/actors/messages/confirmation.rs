//! Messages of the confirmation of a withdrawal (RK-2).

use actix::Message;

use crate::domain::confirmation::{Finding, Inquiry, PollState};
use crate::domain::facts::NodeFacts;
use crate::domain::node::ClusterName;

/// `ClusterActor` → `NodeMonitor`: ask the node now, on a new connection. An answer of the node is a proof of life,
/// as any answer is.
#[derive(Debug, Message)]
#[rtype(result = "NewConnectionResult")]
pub struct ProbeOnNewConnection;

/// The outcome of a question on a new connection.
#[derive(Debug)]
pub struct NewConnectionResult {
    /// The outcome in short.
    pub finding: Finding,
    /// The facts, if the process answered with them.
    pub facts: Option<Box<NodeFacts>>,
    /// Whether the answer names no process, for a reason that does not pass by itself.
    pub unproven: bool,
}

impl From<Finding> for NewConnectionResult {
    fn from(finding: Finding) -> Self {
        Self {
            finding,
            facts: None,
            unproven: false,
        }
    }
}

/// `FailoverRun` → `ClusterActor`: ask the successor, then the primary. Answered when the outcome is taken in.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Confirm(pub Inquiry);

/// `FailoverRun` → `ClusterActor`: have the other keepers ask the primary, too.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AskVoters;

/// `ClusterActor` → `ZkSession`: this keeper's question to the others about this cluster's published primary, and its
/// answers. The heartbeat carries those of all clusters at once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetPoll {
    /// The cluster.
    pub cluster: ClusterName,
    /// The question and the answers; mostly empty.
    pub told: PollState,
}
