//! What is to be done next in a cluster.

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
    /// Whose facts to read first. A node that does not answer in time is judged by what is known.
    pub reads: Reads,
}

/// The nodes whose facts are read before it is decided what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    /// All.
    All,
    /// This one.
    Only(NodeAddr),
    /// None: they were read for the decision before, a moment ago, and nothing was changed since.
    Nothing,
}

/// The answer to [`Decide`].
#[derive(Debug, Clone)]
pub struct Decision {
    /// The next action, or why there is none.
    pub plan: Plan,
    /// The version of the published state it was decided from.
    pub version: Option<i32>,
    /// The leadership it was decided under; without one nothing may be done.
    pub leading: Option<Leadership>,
    /// Which server process answered at each node when it was decided.
    pub run_ids: BTreeMap<NodeAddr, String>,
    /// Why the node is chosen that is to be promoted.
    pub choice: Option<Choice>,
}
