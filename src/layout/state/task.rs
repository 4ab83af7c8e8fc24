//! Tasks and their outcomes, within `/clusters/<name>/reports/<id>`. The leader's report has the tasks for others,
//! and their reports have the outcomes.

use serde::{Deserialize, Serialize};

use super::WireAddr;
use crate::domain::node::{Epoch, KeeperId, NodeAddr};
use crate::domain::task::{Command, Outcome, Task, TaskId};

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
                Command::Fence => WireCommand::Fence,
                Command::Promote => WireCommand::Promote,
                Command::Follow(primary) => WireCommand::Follow(primary.into()),
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
                WireCommand::Fence => Command::Fence,
                WireCommand::Promote => Command::Promote,
                WireCommand::Follow(primary) => Command::Follow(NodeAddr::from(primary)),
            },
        };
        (id(wire.epoch, wire.number), task)
    }
}

impl From<(&TaskId, &Outcome)> for WireOutcome {
    fn from((id, outcome): (&TaskId, &Outcome)) -> Self {
        Self {
            epoch: id.epoch.0,
            number: id.number,
            outcome: match outcome.clone() {
                Outcome::Done(notes) => WireEnd::Done(notes),
                Outcome::NotDone(why) => WireEnd::NotDone(why),
                Outcome::Unknown(why) => WireEnd::Unknown(why),
            },
        }
    }
}

impl From<WireOutcome> for (TaskId, Outcome) {
    fn from(wire: WireOutcome) -> Self {
        let outcome = match wire.outcome {
            WireEnd::Done(notes) => Outcome::Done(notes),
            WireEnd::NotDone(why) => Outcome::NotDone(why),
            WireEnd::Unknown(why) => Outcome::Unknown(why),
        };
        (id(wire.epoch, wire.number), outcome)
    }
}
