//! One cluster in motion: decide, carry out one action, decide again, until nothing is left to do (RK-5).

use std::cell::RefCell;
use std::time::Duration;

use actix::prelude::*;
use futures::future::join_all;
use tracing::Instrument as _;

use self::decided::Decided;
use self::switchover::Paused;
use super::command::{CommandAuthority, CommandContext, Target, open};
use super::{FailoverActor, FailoverLinks};
use crate::actors::cluster::ClusterActor;
use crate::actors::messages::{
    AskVoters, CommandEnded, Confirm, FindOtherGroups, Guard, Leadership, Reads, RunEnded,
    TakeOver, WriteError, WriteState,
};
use crate::domain::command_history::{CommandOutcome, Fault, RoleCommand};
use crate::domain::facts::MinReplicas;
use crate::domain::node::{ClusterName, KeeperId, Moment, NodeAddr};
use crate::domain::plan::{Action, StateChange};
use crate::domain::published::Published;
use crate::ports::redis::{CommandConnection, CommandError, Remember};
use crate::supervision::ChildRef;

mod decided;
mod delegation;
mod switchover;

/// The pause before the same action is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// The pause before the next decision while writes are held up.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// How old facts may be to decide from them again, after an action that changed nothing.
const STILL_FRESH: Duration = Duration::from_millis(100);

/// Drives one cluster until its plan has no action left. Ends with the leadership.
pub struct FailoverRun {
    cluster: ClusterName,
    links: FailoverLinks,
    ended: Addr<FailoverActor>,
}

impl FailoverRun {
    /// A run for `cluster` that tells `ended` when it has ended.
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
            paused: RefCell::default(),
        };
        let span = tracing::error_span!("failover", cluster = %self.cluster);
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

/// The loop of a run, free of actor machinery.
struct Driver {
    name: ClusterName,
    cluster: ChildRef<ClusterActor>,
    links: FailoverLinks,
    /// A server whose writes are held up.
    paused: RefCell<Option<Paused>>,
}

impl Driver {
    async fn drive(self) {
        let mut last = None;
        // When facts were read last, if no action of this run has changed anything since.
        let mut read_at: Option<Moment> = None;
        loop {
            let now = self.links.clock.now();
            let decided = if read_at.is_some_and(|at| now.since(at) < STILL_FRESH) {
                self.decide_after(Reads::Nothing).await
            } else {
                read_at = Some(now);
                self.decide().await
            };
            let Some(decision) = decided else {
                if self.holds_up_writes() {
                    // The promotion has cut off the successor's clients, this keeper's probe included.
                    tokio::time::sleep(LOOK_AGAIN).await;
                    read_at = None;
                    continue;
                }
                return;
            };
            if last.as_ref() == Some(&decision.action) {
                // The action failed, or its effect is not seen yet.
                tokio::time::sleep(RETRY).await;
            }
            last = Some(decision.action.clone());
            read_at = read_at.filter(|_| decision.action.changes_nothing());
            match decision.action.clone() {
                Action::Write { state, change } => {
                    tell(&decision.leadership, &state, change);
                    let raise = change.raises_generation();
                    let primary = state.primary.clone();
                    let leadership = decision.leadership.clone();
                    let written = self.write(leadership, decision.version, state, raise).await;
                    if let Some((version, primary)) = written.zip(primary) {
                        self.let_write(&decision, version, &primary, change).await;
                    }
                }
                Action::TakeOver(other) => self.take_over(decision, other).await,
                Action::LookFirst(nodes) => drop(self.cluster.send(FindOtherGroups(nodes)).await),
                Action::Confirm(inquiry) => drop(self.cluster.send(Confirm(inquiry)).await),
                Action::AskVoters(_) => drop(self.cluster.send(AskVoters).await),
                Action::Promote {
                    node,
                    through: Some(keeper),
                    ..
                } => self.promote_through(decision, node, keeper).await,
                Action::Promote { node, .. } => self.promote(&decision, node).await,
                Action::Switch { from, to, .. } => {
                    self.switch(&decision, from, to).await;
                }
                Action::Follow {
                    nodes,
                    primary,
                    mut through,
                } => {
                    let commands = nodes.into_iter().map(|node| {
                        let keeper = through.remove(&node);
                        self.follow(&decision, node, &primary, keeper)
                    });
                    join_all(commands).await;
                }
                Action::SetMinReplicas { node, values } => {
                    self.set_min_replicas(&decision, node, values).await;
                }
            }
        }
    }

    /// Writes the state, guarded. Returns the version of the written state; `None` if the write is not confirmed.
    async fn write(
        &self,
        leadership: Leadership,
        version: Option<i32>,
        state: Published,
        raise_generation: bool,
    ) -> Option<i32> {
        let cluster = self.name.clone();
        let write = WriteState {
            cluster,
            leadership,
            version,
            state,
            raise_generation,
        };
        let written = confirmed(self.links.session.send(write).await);
        written.map(|(_, version)| version)
    }

    /// Publishes in this cluster the state that another cluster publishes.
    async fn take_over(&self, decision: Decided, other: ClusterName) {
        let Leadership { epoch, .. } = &decision.leadership;
        tracing::warn!(%epoch, %other, "taking over what another cluster is published with: more keepers have this one");
        let take_over = TakeOver {
            cluster: self.name.clone(),
            other,
            leadership: decision.leadership,
            version: decision.version,
        };
        confirmed(self.links.session.send(take_over).await);
    }

    /// Promotes a node in the order that RK-4 demands:
    /// 1. Open a connection that bears the epoch and leads to the server decided about; fence off older leaders.
    /// 2. Read the facts again, and decide again.
    /// 3. Make the guarded write that persists the candidate.
    /// 4. Send the command, on that connection.
    async fn promote(&self, first: &Decided, node: NodeAddr) {
        let leadership = &first.leadership;
        let mut connection = match self.open(first, &node).await {
            Ok(connection) => connection,
            Err(error) => {
                return self
                    .commanded(leadership, node, RoleCommand::Promotion, Err(error))
                    .await;
            }
        };
        let Some(second) = self.decide().await else {
            return;
        };
        let Action::Promote {
            node: again,
            state,
            through: None,
        } = second.action.clone()
        else {
            return;
        };
        if again != node || !second.confirms(first, &[&node]) {
            return;
        }
        let why = second.choice.as_ref().map(tracing::field::display);
        tracing::info!(epoch = %leadership.epoch, candidate = %node, why, "candidate chosen");
        let leads = leadership.clone();
        let written = self.write(leads, second.version, state, false).await;
        if written.is_none() {
            return;
        }
        let result = connection.promote(Remember::AtOnce).await;
        if result.is_ok() {
            tracing::info!(epoch = %leadership.epoch, %node, "promoted");
        }
        self.commanded(leadership, node, RoleCommand::Promotion, result)
            .await;
    }

    /// Makes `node` follow `primary`, in the same order, or through `keeper`. No new state is written, so the guard only
    /// checks.
    async fn follow(
        &self,
        decision: &Decided,
        node: NodeAddr,
        primary: &NodeAddr,
        keeper: Option<KeeperId>,
    ) {
        if let Some(keeper) = keeper {
            return self.follow_through(decision, node, primary, keeper).await;
        }
        let leadership = &decision.leadership;
        let result = match self.open(decision, &node).await {
            Ok(mut connection) => {
                if !self.guarded(leadership, decision.version).await {
                    return;
                }
                connection.follow(primary, Remember::AtOnce).await
            }
            Err(error) => Err(error),
        };
        if result.is_ok() {
            tracing::info!(epoch = %leadership.epoch, %node, %primary, "made to follow the primary");
        }
        self.commanded(leadership, node, RoleCommand::Repointing, result)
            .await;
    }

    /// Sets `min-replicas-to-write` and `min-replicas-max-lag` of `node`, in the same order.
    async fn set_min_replicas(&self, decision: &Decided, node: NodeAddr, values: MinReplicas) {
        let leadership = &decision.leadership;
        let result = match self.open(decision, &node).await {
            Ok(mut connection) => {
                if !self.guarded(leadership, decision.version).await {
                    return;
                }
                connection.set_min_replicas(values).await
            }
            Err(error) => Err(error),
        };
        let (epoch, MinReplicas { to_write, max_lag }) = (leadership.epoch, values);
        let failure = match result {
            Ok(notes) => {
                tracing::info!(%epoch, %node, to_write, max_lag, "min-replicas settings changed");
                log_notes(leadership, &node, notes);
                None
            }
            Err(error) => {
                tracing::warn!(%epoch, %node, %error, "min-replicas settings not changed");
                Some(error.to_string())
            }
        };
        self.record(CommandOutcome::Settings { node, failure })
            .await;
    }

    /// Whether this is still the leadership, and the state the one that was decided from (RK-4).
    async fn guarded(&self, leadership: &Leadership, version: Option<i32>) -> bool {
        let guard = Guard {
            cluster: self.name.clone(),
            leadership: leadership.clone(),
            version,
        };
        confirmed(self.links.session.send(guard).await).is_some()
    }

    async fn open(
        &self,
        decided: &Decided,
        node: &NodeAddr,
    ) -> Result<Box<dyn CommandConnection>, CommandError> {
        let means = CommandContext {
            redis: &*self.links.redis,
            clusters: &self.links.clusters,
            session: &self.links.session,
        };
        let target = Target {
            cluster: &self.name,
            node,
            run_id: decided.run_ids.get(node).map(String::as_str),
        };
        let authority = CommandAuthority {
            epoch: decided.leadership.epoch,
            latch: &decided.leadership.latch,
        };
        open(means, target, authority).await
    }

    async fn commanded(
        &self,
        leadership: &Leadership,
        node: NodeAddr,
        command: RoleCommand,
        result: Result<Vec<String>, CommandError>,
    ) {
        self.ended(leadership, node, command, None, result).await;
    }

    /// Records how a command ended that this keeper, or another one (`through`), has sent.
    async fn ended(
        &self,
        leadership: &Leadership,
        node: NodeAddr,
        command: RoleCommand,
        through: Option<KeeperId>,
        result: Result<Vec<String>, CommandError>,
    ) {
        let fault = match result {
            Ok(notes) => {
                log_notes(leadership, &node, notes);
                None
            }
            Err(error) => {
                tracing::warn!(epoch = %leadership.epoch, %node, %error, "{command} failed");
                Some(Fault {
                    why: error.to_string(),
                    cut: matches!(error, CommandError::Cut(_)),
                })
            }
        };
        self.record(CommandOutcome::Role {
            node,
            command,
            through,
            fault,
        })
        .await;
    }

    /// Has the cluster's command history record the outcome, before the next decision.
    async fn record(&self, outcome: CommandOutcome) {
        let _ = self.cluster.send(CommandEnded(outcome)).await;
    }
}

fn log_notes(leadership: &Leadership, node: &NodeAddr, notes: Vec<String>) {
    for note in notes {
        tracing::warn!(epoch = %leadership.epoch, %node, note, "done, but for one thing");
    }
}

/// The answer of a confirmed write to ZooKeeper. Otherwise logs why the write is not confirmed.
fn confirmed<T>(outcome: Result<Result<T, WriteError>, impl std::fmt::Display>) -> Option<T> {
    let error = match outcome {
        Ok(Ok(answer)) => return Some(answer),
        Ok(Err(error)) => error,
        Err(gone) => WriteError::Unknown(gone.to_string()),
    };
    tracing::warn!(%error, "state not written, looking again");
    None
}

/// Logs each step of a change.
fn tell(leadership: &Leadership, state: &Published, change: StateChange) {
    let epoch = leadership.epoch;
    match (change, &state.intent, &state.primary) {
        (StateChange::Withdraw, Some(intent), _) => {
            let primary = intent.old.as_ref().map(tracing::field::display);
            let reason = intent.reason.as_str();
            if intent.switchover.is_some() {
                tracing::info!(%epoch, primary, reason, "withdrawing the primary");
            } else {
                tracing::warn!(%epoch, primary, reason, "withdrawing the primary");
            }
        }
        (StateChange::Publish | StateChange::Resume, _, Some(primary)) => {
            tracing::info!(%epoch, %primary, "publishing the primary");
        }
        (StateChange::Accept, _, Some(primary)) => tracing::warn!(
            %epoch, %primary,
            "accepting another process as the primary, which lacks data of the cluster, or has data of another history: no \
             node that holds the cluster's newest data may take over"
        ),
        _ => tracing::debug!(%epoch, "noting replicas and data history"),
    }
}
