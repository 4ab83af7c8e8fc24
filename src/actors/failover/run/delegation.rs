//! Commands through another keeper, at nodes that the leader does not reach itself (RK-4).

use super::{Decided, Driver};
use crate::actors::messages::Delegate;
use crate::domain::command_history::RoleCommand;
use crate::domain::node::{KeeperId, NodeAddr};
use crate::domain::plan::Action;
use crate::domain::task::{Task, TaskCommand, TaskOutcome};
use crate::ports::redis::CommandError;

impl Driver {
    /// Promotes `node` through `keeper`, in the order that RK-4 demands:
    /// 1. `keeper` fences off older leaders, and reads the node again.
    /// 2. This keeper decides again.
    /// 3. This keeper makes the guarded write that persists the candidate.
    /// 4. `keeper` sends the command.
    pub(super) async fn promote_through(&self, first: Decided, node: NodeAddr, keeper: KeeperId) {
        let leadership = &first.leadership;
        let fenced = self
            .delegate(&first, first.version, &keeper, &node, TaskCommand::Fence)
            .await;
        if fenced.is_err() {
            return self
                .ended(
                    leadership,
                    node,
                    RoleCommand::Promotion,
                    Some(keeper),
                    fenced,
                )
                .await;
        }
        let Some(second) = self.decide().await else {
            return;
        };
        let Action::Promote {
            node: again,
            state,
            through: Some(same_keeper),
        } = second.action.clone()
        else {
            return;
        };
        let same = (&again, &same_keeper) == (&node, &keeper);
        if !same || !second.confirms(&first, &[&node]) {
            return;
        }
        let why = second.choice.as_ref().map(tracing::field::display);
        tracing::info!(epoch = %leadership.epoch, candidate = %node, through = %keeper, why, "candidate chosen");
        let version = self
            .write(leadership.clone(), second.version, state, false)
            .await;
        if version.is_none() {
            return;
        }
        let promoted = self
            .delegate(&first, version, &keeper, &node, TaskCommand::Promote)
            .await;
        if promoted.is_ok() {
            tracing::info!(epoch = %leadership.epoch, %node, through = %keeper, "promoted");
        }
        self.ended(
            leadership,
            node,
            RoleCommand::Promotion,
            Some(keeper),
            promoted,
        )
        .await;
    }

    pub(super) async fn follow_through(
        &self,
        decision: &Decided,
        node: NodeAddr,
        primary: &NodeAddr,
        keeper: KeeperId,
    ) {
        let (leadership, command) = (&decision.leadership, TaskCommand::Follow(primary.clone()));
        let followed = self
            .delegate(decision, decision.version, &keeper, &node, command)
            .await;
        if followed.is_ok() {
            tracing::info!(epoch = %leadership.epoch, %node, %primary, through = %keeper, "made to follow the primary");
        }
        self.ended(
            leadership,
            node,
            RoleCommand::Repointing,
            Some(keeper),
            followed,
        )
        .await;
    }

    /// Has `keeper` send a command to `node`. Two conditions guard the command:
    /// - the server decided about still answers there;
    /// - the state still has the version.
    async fn delegate(
        &self,
        decided: &Decided,
        version: Option<i32>,
        keeper: &KeeperId,
        node: &NodeAddr,
        command: TaskCommand,
    ) -> Result<Vec<String>, CommandError> {
        let Some(version) = version else {
            let nothing = "nothing is published that could guard it";
            return Err(CommandError::NotDone(nothing.to_owned()));
        };
        let task = Task {
            keeper: keeper.clone(),
            latch: decided.leadership.latch.clone(),
            version,
            node: node.clone(),
            run_id: decided.run_ids.get(node).cloned(),
            command,
        };
        let delegate = Delegate {
            epoch: decided.leadership.epoch,
            task,
        };
        match self.cluster.send(delegate).await {
            Ok(TaskOutcome::Done(notes)) => Ok(notes),
            Ok(TaskOutcome::NotDone(why)) => Err(CommandError::NotDone(format!("{keeper}: {why}"))),
            Ok(TaskOutcome::Unknown(why)) => Err(CommandError::Unknown(format!("{keeper}: {why}"))),
            Err(gone) => Err(CommandError::Unknown(gone.to_string())),
        }
    }
}
