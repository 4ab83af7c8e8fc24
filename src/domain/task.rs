//! Tasks: what the leader has another keeper do at a server that it does not reach itself (RK-4).

use std::fmt;

use super::node::{Epoch, KeeperId, NodeAddr};

/// Names a task for good: no two leaderships share an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId {
    /// The leadership that gives it.
    pub epoch: Epoch,
    /// Tells the tasks of one leadership apart.
    pub number: u64,
}

/// One command, and what must still hold when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Who is to carry it out.
    pub keeper: KeeperId,
    /// The latch node of the leader: once it is gone, the task is stale.
    pub latch: String,
    /// The version of the cluster's published state that the leader decided from: once it is another, the task is stale.
    pub version: i32,
    /// The server.
    pub node: NodeAddr,
    /// The process there that the leader decided about; `None` from a leader of a former build.
    pub run_id: Option<String>,
    /// What to do there.
    pub command: Command,
}

/// What can be done through another keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Kill the connections of older leaders, so that what is read afterwards stays true until this leader commands.
    Fence,
    /// Become a primary.
    Promote,
    /// Follow this node.
    Follow(NodeAddr),
}

/// How a task ended, by what is known to have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done; what was refused without spoiling it.
    Done(Vec<String>),
    /// It was not done and will not be, and why.
    NotDone(String),
    /// It may have been done, or may still be, and why that is not known.
    Unknown(String),
}

impl Task {
    /// Why it is stale as far as the executing keeper knows, which has seen `newest` published.
    pub fn stale(id: TaskId, newest: Epoch) -> Option<String> {
        let epoch = id.epoch;
        (epoch < newest)
            .then(|| format!("stale: a task of epoch {epoch}, and {newest} has led since"))
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = &self.node;
        match &self.command {
            Command::Fence => write!(f, "fence off older leaders at {node}"),
            Command::Promote => write!(f, "promote {node}"),
            Command::Follow(primary) => write!(f, "make {node} follow {primary}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_an_epoch_older_than_the_published_one_is_stale() {
        let id = |epoch| TaskId {
            epoch: Epoch(epoch),
            number: 1,
        };
        assert_eq!(Task::stale(id(7), Epoch(7)), None);
        assert_eq!(Task::stale(id(8), Epoch(7)), None, "nothing written yet");
        let why = Task::stale(id(6), Epoch(7)).expect("stale");
        assert!(why.contains("epoch 6") && why.contains('7'), "{why}");
    }
}
