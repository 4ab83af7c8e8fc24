//! The withdrawal of a primary is confirmed (RK-2): who asks whom.

use actix::Message;

use crate::domain::confirmation::{Finding, Inquiry, Told};
use crate::domain::facts::NodeFacts;
use crate::domain::node::ClusterName;

/// `ClusterActor` → `NodeMonitor`: ask the node now, on a new connection. Answers what came of it; an answer of the node
/// is a proof of life like any other.
#[derive(Debug, Message)]
#[rtype(result = "Asked")]
pub struct AskAnew;

/// What came of asking a node on a new connection.
#[derive(Debug)]
pub struct Asked {
    /// In short.
    pub finding: Finding,
    /// What the process said of itself, if it answered with that.
    pub facts: Option<Box<NodeFacts>>,
    /// It answered with something that names no process, and that does not pass by itself.
    pub unproven: bool,
}

impl From<Finding> for Asked {
    fn from(finding: Finding) -> Self {
        Self {
            finding,
            facts: None,
            unproven: false,
        }
    }
}

/// `FailoverRun` → `ClusterActor`: ask the successor, then the primary. Answers once what came of it is taken in.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Confirm(pub Inquiry);

/// `FailoverRun` → `ClusterActor`: have the other keepers ask the primary, too.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AskVoters;

/// `ClusterActor` → `ZkSession`: what this keeper asks the others of the published primary of this cluster, and what it
/// answers. Told with the heartbeat, of all clusters at once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetPoll {
    /// The cluster.
    pub cluster: ClusterName,
    /// What it asks and answers; nothing, mostly.
    pub told: Told,
}
