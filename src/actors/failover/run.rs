//! One cluster in motion: decide, do one thing, decide again, until nothing is left to do (RK-5).

use std::time::Duration;

use actix::prelude::*;
use futures::future::join_all;
use tracing::Instrument as _;

use super::{FailoverActor, FailoverLinks};
use crate::actors::cluster::ClusterActor;
use crate::actors::messages::{
    Commanded, Decide, Decision, Leadership, RunEnded, WriteError, WriteState,
};
use crate::domain::node::{ClusterName, NodeAddr};
use crate::domain::plan::{Action, Change};
use crate::domain::published::Published;
use crate::ports::redis::CommandError;
use crate::supervision::ChildRef;

/// How long to wait before the same action is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Drives one cluster to where its plan has nothing more to do. Dies with the leadership.
pub struct FailoverRun {
    cluster: ClusterName,
    links: FailoverLinks,
    ended: Addr<FailoverActor>,
}

impl FailoverRun {
    /// A run for `cluster` that tells `ended` when it is through.
    pub fn new(cluster: ClusterName, links: FailoverLinks, ended: Addr<FailoverActor>) -> Self {
        Self {
            cluster,
            links,
            ended,
        }
    }
}

impl Actor for FailoverRun {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(cluster) = self.links.clusters.get(self.cluster.as_str()) else {
            return ctx.stop();
        };
        let driver = Driver {
            name: self.cluster.clone(),
            cluster,
            links: self.links.clone(),
        };
        let span = tracing::info_span!("failover", cluster = %self.cluster);
        let through = driver
            .drive()
            .instrument(span)
            .into_actor(self)
            .map(|(), run, ctx| {
                run.ended.do_send(RunEnded(run.cluster.clone()));
                ctx.stop();
            });
        ctx.spawn(through);
    }
}

/// The loop itself, free of actor machinery.
struct Driver {
    name: ClusterName,
    cluster: ChildRef<ClusterActor>,
    links: FailoverLinks,
}

impl Driver {
    async fn drive(self) {
        let mut last = None;
        loop {
            let Ok(Decision {
                plan,
                version,
                leading: Some(leadership),
            }) = self.cluster.send(Decide).await
            else {
                return;
            };
            let Some(action) = plan.action else { return };
            if last.as_ref() == Some(&action) {
                // It failed, or its effect is not seen yet.
                tokio::time::sleep(RETRY).await;
            }
            last = Some(action.clone());
            match action {
                Action::Write { state, change } => {
                    self.write(leadership, version, state, change).await;
                }
                Action::Promote(node) => self.promote(&leadership, node).await,
                Action::Follow { nodes, primary } => {
                    self.follow(&leadership, nodes, &primary).await;
                }
            }
        }
    }

    async fn write(
        &self,
        leadership: Leadership,
        version: Option<i32>,
        state: Published,
        change: Change,
    ) {
        tell(&leadership, &state, change);
        let cluster = self.name.clone();
        let raise_generation = change.raises_generation();
        let write = WriteState {
            cluster,
            leadership,
            version,
            state,
            raise_generation,
        };
        let error = match self.links.session.send(write).await {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error,
            Err(gone) => WriteError::Unknown(gone.to_string()),
        };
        tracing::warn!(%error, "state not written, looking again");
    }

    async fn promote(&self, leadership: &Leadership, node: NodeAddr) {
        let result = self.command(leadership, &node, None).await;
        if result.is_ok() {
            tracing::info!(epoch = %leadership.epoch, %node, "promoted");
        }
        self.commanded(leadership, node, result, "promotion failed")
            .await;
    }

    async fn follow(&self, leadership: &Leadership, nodes: Vec<NodeAddr>, primary: &NodeAddr) {
        let commands = nodes.into_iter().map(|node| async {
            let result = self.command(leadership, &node, Some(primary)).await;
            if result.is_ok() {
                tracing::info!(epoch = %leadership.epoch, %node, %primary, "made to follow the primary");
            }
            self.commanded(leadership, node, result, "repointing failed").await;
        });
        join_all(commands).await;
    }

    /// One command on a connection of its own: follow `primary`, or be the primary.
    async fn command(
        &self,
        leadership: &Leadership,
        node: &NodeAddr,
        primary: Option<&NodeAddr>,
    ) -> Result<Vec<String>, CommandError> {
        let mut connection = self
            .links
            .redis
            .node(&self.name, node)
            .command(leadership.epoch)
            .await?;
        match primary {
            Some(primary) => connection.follow(primary).await,
            None => connection.promote().await,
        }
    }

    async fn commanded(
        &self,
        leadership: &Leadership,
        node: NodeAddr,
        result: Result<Vec<String>, CommandError>,
        failed: &'static str,
    ) {
        let failure = match result {
            Ok(notes) => {
                for note in notes {
                    tracing::warn!(epoch = %leadership.epoch, %node, note, "done, but for one thing");
                }
                None
            }
            Err(error) => {
                tracing::warn!(epoch = %leadership.epoch, %node, %error, "{failed}");
                Some(error.to_string())
            }
        };
        let _ = self.cluster.send(Commanded { node, failure }).await;
    }
}

/// The story in the log: one line a step.
fn tell(leadership: &Leadership, state: &Published, change: Change) {
    let epoch = leadership.epoch;
    let intent = state.intent.as_ref();
    match (change, intent, &state.primary) {
        (Change::Withdraw, Some(intent), _) => {
            tracing::warn!(%epoch, reason = intent.reason, "withdrawing the primary");
        }
        (Change::Choose, Some(intent), _) => {
            let candidate = intent.candidate.as_ref().map(ToString::to_string);
            tracing::info!(%epoch, candidate, "candidate chosen");
        }
        (Change::Publish, _, Some(primary)) => {
            tracing::info!(%epoch, %primary, "publishing the primary");
        }
        _ => tracing::debug!(%epoch, "noting replicas and data history"),
    }
}
