//! Carries out the leader's commands to nodes that the leader does not reach. Every keeper has this actor.

use std::rc::Rc;

use actix::prelude::*;
use tracing::Instrument as _;

use super::command::{CommandAuthority, CommandContext, Target, open};
use crate::actors::Directory;
use crate::actors::messages::{GuardTask, PerformTask, TaskPerformed, WriteError};
use crate::actors::zk_session::ZkSession;
use crate::domain::node::ClusterName;
use crate::domain::task::{Task, TaskCommand, TaskId, TaskOutcome};
use crate::ports::redis::{CommandError, Redis, Remember};
use crate::supervision::ChildRef;

/// Everything that a [`TaskPerformer`] needs of others.
#[derive(Clone)]
pub struct PerformerLinks {
    /// The clusters of this keeper.
    pub clusters: Directory,
    /// Asks ZooKeeper for the guard of a task.
    pub session: ChildRef<ZkSession>,
    /// Commands servers.
    pub redis: Rc<dyn Redis>,
}

/// Carries out tasks, side by side. A task that is lost in a crash is not carried out later: its connection is gone.
pub struct TaskPerformer {
    links: PerformerLinks,
}

impl TaskPerformer {
    /// Creates an actor that waits for tasks.
    pub fn new(links: PerformerLinks) -> Self {
        Self { links }
    }
}

impl Actor for TaskPerformer {
    type Context = Context<Self>;
}

impl Handler<PerformTask> for TaskPerformer {
    type Result = ();

    fn handle(&mut self, perform: PerformTask, ctx: &mut Self::Context) {
        let PerformTask { cluster, id, task } = perform;
        let links = self.links.clone();
        let span = tracing::error_span!("task", %cluster, epoch = %id.epoch);
        let performed = async move {
            let outcome = match perform_task(&links, &cluster, id, &task).await {
                Ok(notes) => TaskOutcome::Done(notes),
                Err(CommandError::NotDone(why)) => TaskOutcome::NotDone(why),
                Err(CommandError::Unknown(why) | CommandError::Cut(why)) => {
                    TaskOutcome::Unknown(why)
                }
            };
            match &outcome {
                TaskOutcome::Done(_) => tracing::info!(%task, "done for the leader"),
                TaskOutcome::NotDone(why) => tracing::warn!(%task, why, "not done for the leader"),
                TaskOutcome::Unknown(why) => tracing::warn!(%task, why, "outcome unknown"),
            }
            let node = task.node;
            if let Some(actor) = links.clusters.get(cluster.as_str()) {
                actor.do_send(TaskPerformed { id, node, outcome });
            }
        };
        ctx.spawn(performed.instrument(span).into_actor(self));
    }
}

/// Carries out a task in the order that RK-4 demands:
/// 1. Open a connection that bears the epoch and leads to the server that is meant; fence off older leaders.
/// 2. Ask for the guard.
/// 3. Send the command, on that connection.
async fn perform_task(
    links: &PerformerLinks,
    cluster: &ClusterName,
    id: TaskId,
    task: &Task,
) -> Result<Vec<String>, CommandError> {
    let means = CommandContext {
        redis: &*links.redis,
        clusters: &links.clusters,
        session: &links.session,
    };
    let target = Target {
        cluster,
        node: &task.node,
        run_id: task.run_id.as_deref(),
    };
    let authority = CommandAuthority {
        epoch: id.epoch,
        latch: &task.latch,
    };
    let mut connection = open(means, target, authority).await?;
    let guard = GuardTask {
        cluster: cluster.clone(),
        latch: task.latch.clone(),
        version: task.version,
    };
    let checked = links.session.send(guard).await;
    checked
        .unwrap_or_else(|gone| Err(WriteError::Unknown(gone.to_string())))
        .map_err(|error| CommandError::NotDone(format!("refused: {error}")))?;
    match &task.command {
        TaskCommand::Fence => Ok(Vec::new()),
        TaskCommand::Promote => connection.promote(Remember::AtOnce).await,
        TaskCommand::Follow(primary) => connection.follow(primary, Remember::AtOnce).await,
    }
}
