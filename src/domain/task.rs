//! Tasks: commands that another keeper carries out at a server, where the leader does not reach the server (RK-4).

use std::fmt;

use super::node::{Epoch, KeeperId, NodeAddr};

/// Identifies a task for good: no two leaderships share an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId {
    /// The leadership that gives the task.
    pub epoch: Epoch,
    /// Numbers the tasks of one leadership.
    pub number: u64,
}

/// One command, with the conditions that must still hold when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The keeper that is to carry it out.
    pub keeper: KeeperId,
    /// The latch node of the leader: once it is gone, the task is stale.
    pub latch: String,
    /// The version of the cluster's published state from which the leader decided. With another version the task is
    /// stale.
    pub version: i32,
    /// The node of the server.
    pub node: NodeAddr,
    /// The process there about which the leader decided; `None` from a leader of a former build.
    pub run_id: Option<String>,
    /// The command.
    pub command: TaskCommand,
}

/// The commands that another keeper can carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskCommand {
    /// Kill the connections of older leaders, so that what is read afterwards stays true until this leader commands.
    Fence,
    /// Become a primary.
    Promote,
    /// Follow this node.
    Follow(NodeAddr),
}

/// How a task ended, by what is known to have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOutcome {
    /// The task was done. The texts name commands that were refused without spoiling it.
    Done(Vec<String>),
    /// The task was not done and will not be, and why.
    NotDone(String),
    /// The task may have been done, or may still be, and why that is not known.
    Unknown(String),
}

impl Task {
    /// Why the task is stale, as far as the executing keeper knows, which has seen the epoch `newest` published.
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
            TaskCommand::Fence => write!(f, "fence off older leaders at {node}"),
            TaskCommand::Promote => write!(f, "promote {node}"),
            TaskCommand::Follow(primary) => write!(f, "make {node} follow {primary}"),
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
