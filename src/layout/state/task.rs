//! Tasks and their outcomes, within `/clusters/<name>/reports/<id>`. The leader's report has the tasks for others,
//! and their reports have the outcomes.

use serde::{Deserialize, Serialize};

use super::WireAddr;
use crate::domain::node::{Epoch, KeeperId, NodeAddr};
use crate::domain::task::{Task, TaskCommand, TaskId, TaskOutcome};

#[derive(Serialize, Deserialize)]
pub(super) struct WireTask {
    epoch: u64,
    number: u64,
    keeper: String,
    latch: String,
    version: i32,
    node: WireAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    command: WireCommand,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireCommand {
    Fence,
    Promote,
    Follow(WireAddr),
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireOutcome {
    epoch: u64,
    number: u64,
    outcome: WireEnd,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireEnd {
    Done(Vec<String>),
    NotDone(String),
    Unknown(String),
}

fn id(epoch: u64, number: u64) -> TaskId {
    TaskId {
        epoch: Epoch(epoch),
        number,
    }
}

impl From<(&TaskId, &Task)> for WireTask {
    fn from((id, task): (&TaskId, &Task)) -> Self {
        Self {
            epoch: id.epoch.0,
            number: id.number,
            keeper: task.keeper.to_string(),
            latch: task.latch.clone(),
            version: task.version,
            node: (&task.node).into(),
            run_id: task.run_id.clone(),
            command: match &task.command {
                TaskCommand::Fence => WireCommand::Fence,
                TaskCommand::Promote => WireCommand::Promote,
                TaskCommand::Follow(primary) => WireCommand::Follow(primary.into()),
            },
        }
    }
}

impl From<WireTask> for (TaskId, Task) {
    fn from(wire: WireTask) -> Self {
        let task = Task {
            keeper: KeeperId::new(wire.keeper),
            latch: wire.latch,
            version: wire.version,
            node: wire.node.into(),
            run_id: wire.run_id,
            command: match wire.command {
                WireCommand::Fence => TaskCommand::Fence,
                WireCommand::Promote => TaskCommand::Promote,
                WireCommand::Follow(primary) => TaskCommand::Follow(NodeAddr::from(primary)),
            },
        };
        (id(wire.epoch, wire.number), task)
    }
}

impl From<(&TaskId, &TaskOutcome)> for WireOutcome {
    fn from((id, outcome): (&TaskId, &TaskOutcome)) -> Self {
        Self {
            epoch: id.epoch.0,
            number: id.number,
            outcome: match outcome.clone() {
                TaskOutcome::Done(notes) => WireEnd::Done(notes),
                TaskOutcome::NotDone(why) => WireEnd::NotDone(why),
                TaskOutcome::Unknown(why) => WireEnd::Unknown(why),
            },
        }
    }
}

impl From<WireOutcome> for (TaskId, TaskOutcome) {
    fn from(wire: WireOutcome) -> Self {
        let outcome = match wire.outcome {
            WireEnd::Done(notes) => TaskOutcome::Done(notes),
            WireEnd::NotDone(why) => TaskOutcome::NotDone(why),
            WireEnd::Unknown(why) => TaskOutcome::Unknown(why),
        };
        (id(wire.epoch, wire.number), outcome)
    }
}
