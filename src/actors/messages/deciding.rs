//! Messages that ask for the next action in a cluster.

use std::collections::BTreeMap;

use actix::Message;

use super::Leadership;
use crate::domain::node::NodeAddr;
use crate::domain::plan::Plan;
use crate::domain::story::Choice;

/// `FailoverRun` → `ClusterActor`: what is to be done next?
#[derive(Debug, Message)]
#[rtype(result = "Decision")]
pub struct Decide {
    /// The nodes to read first. A node that does not answer in time is judged by its known facts.
    pub reads: Reads,
}

/// The nodes whose facts are read before the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    /// All nodes.
    All,
    /// Only this node.
    Only(NodeAddr),
    /// None: they were read a moment ago for the decision before, and nothing was changed since.
    Nothing,
}

/// The answer to [`Decide`].
#[derive(Debug, Clone)]
pub struct Decision {
    /// The next action, or why there is none.
    pub plan: Plan,
    /// The version of the published state from which this was decided.
    pub version: Option<i32>,
    /// The leadership under which this was decided; without a leadership nothing may be done.
    pub leading: Option<Leadership>,
    /// The run id of the server process that answered at each node at the decision.
    pub run_ids: BTreeMap<NodeAddr, String>,
    /// Why this node is to be promoted.
    pub choice: Option<Choice>,
}
