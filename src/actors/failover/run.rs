//! One cluster in motion: decide, do one thing, decide again, until nothing is left to do (RK-5).

use std::cell::RefCell;
use std::time::Duration;

use actix::prelude::*;
use futures::future::{join, join_all};
use tracing::Instrument as _;

use super::switch::{PAUSE, hand_over};
use super::{FailoverActor, FailoverLinks};
use crate::actors::cluster::ClusterActor;
use crate::actors::messages::{
    Commanded, Decide, Guard, Leadership, RunEnded, SettingsTried, WriteError, WriteState,
};
use crate::domain::facts::MinReplicas;
use crate::domain::node::{ClusterName, Moment, NodeAddr};
use crate::domain::plan::{Action, Change};
use crate::domain::published::Published;
use crate::ports::redis::{CommandConnection, CommandError};
use crate::supervision::ChildRef;

/// How long to wait before the same action is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// How soon to look again while writes are held up.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

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
            paused: RefCell::default(),
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
    /// A server whose writes are held up.
    paused: RefCell<Option<Paused>>,
}

/// A server whose writes are held up, since when, and the connection that they were held up on.
struct Paused {
    node: NodeAddr,
    successor: NodeAddr,
    since: Moment,
    connection: Box<dyn CommandConnection>,
}

/// Something to be done.
struct Decided {
    action: Action,
    version: Option<i32>,
    leadership: Leadership,
}

impl Driver {
    async fn drive(self) {
        let mut last = None;
        loop {
            let Some(decision) = self.decide().await else {
                if self.holds_up_writes() {
                    // The successor's clients were cut off, this keeper's probe included.
                    tokio::time::sleep(LOOK_AGAIN).await;
                    continue;
                }
                return;
            };
            if last.as_ref() == Some(&decision.action) {
                // It failed, or its effect is not seen yet.
                tokio::time::sleep(RETRY).await;
            }
            last = Some(decision.action.clone());
            match decision.action {
                Action::Write { state, change } => {
                    tell(&decision.leadership, &state, change);
                    let raise = change.raises_generation();
                    let primary = state.primary.clone();
                    let leadership = decision.leadership.clone();
                    let written = self
                        .write(decision.leadership, decision.version, state, raise)
                        .await;
                    if let Some(primary) = primary.filter(|_| written) {
                        self.let_write(&leadership, &primary).await;
                    }
                }
                Action::Promote { node, .. } => self.promote(&decision.leadership, node).await,
                Action::Switch { from, to, .. } => {
                    self.switch(&decision.leadership, from, to).await;
                }
                Action::Follow { nodes, primary } => {
                    let commands = nodes.into_iter().map(|node| {
                        self.follow(&decision.leadership, decision.version, node, &primary)
                    });
                    join_all(commands).await;
                }
                Action::SetMinReplicas { node, values } => {
                    self.set_min_replicas(&decision.leadership, decision.version, node, values)
                        .await;
                }
            }
        }
    }

    /// Whether the writes of a server are held up.
    fn holds_up_writes(&self) -> bool {
        let now = self.links.clock.now();
        let paused = self.paused.borrow();
        paused
            .as_ref()
            .is_some_and(|paused| now.since(paused.since) < PAUSE)
    }

    /// What is to be done now, from facts read now, while writes are held up only of the node that matters; `None` if there is nothing, or this keeper does not lead.
    async fn decide(&self) -> Option<Decided> {
        let only = self.paused.borrow().as_ref().map(|it| it.successor.clone());
        let decision = self.cluster.send(Decide { only }).await.ok()?;
        Some(Decided {
            action: decision.plan.action?,
            version: decision.version,
            leadership: decision.leading?,
        })
    }

    /// Whether the state is written.
    async fn write(
        &self,
        leadership: Leadership,
        version: Option<i32>,
        state: Published,
        raise_generation: bool,
    ) -> bool {
        let cluster = self.name.clone();
        let write = WriteState {
            cluster,
            leadership,
            version,
            state,
            raise_generation,
        };
        confirmed(self.links.session.send(write).await.map(|it| it.map(drop)))
    }

    /// Promotes in the order that RK-4 demands: a connection that bears the epoch, older leaders fenced off, the facts
    /// read again, the guarded write that persists the candidate, and only then the command, on that connection.
    async fn promote(&self, leadership: &Leadership, node: NodeAddr) {
        let mut connection = match self.open(leadership, &node).await {
            Ok(connection) => connection,
            Err(error) => {
                return self.commanded(leadership, node, true, Err(error)).await;
            }
        };
        let Some(Decided {
            action: Action::Promote { node: again, state },
            version,
            leadership: same,
        }) = self.decide().await
        else {
            return;
        };
        if again != node || same != *leadership {
            return;
        }
        tracing::info!(epoch = %leadership.epoch, candidate = %node, "candidate chosen");
        if !self.write(same, version, state, false).await {
            return;
        }
        let result = connection.promote().await;
        if result.is_ok() {
            tracing::info!(epoch = %leadership.epoch, %node, "promoted");
        }
        self.commanded(leadership, node, true, result).await;
    }

    /// Switches over, in the same order, with a connection to either. The writes of `from` stay held up: see
    /// [`let_write`](Self::let_write).
    async fn switch(&self, leadership: &Leadership, from: NodeAddr, to: NodeAddr) {
        let opened = join(self.open(leadership, &from), self.open(leadership, &to)).await;
        let (mut old, mut new) = match opened {
            (Ok(old), Ok(new)) => (old, new),
            (Err(error), _) | (_, Err(error)) => {
                return self.commanded(leadership, to, true, Err(error)).await;
            }
        };
        let Some(Decided {
            action:
                Action::Switch {
                    from: old_again,
                    to: new_again,
                    state,
                },
            version,
            leadership: same,
        }) = self.decide().await
        else {
            return;
        };
        if (&old_again, &new_again) != (&from, &to) || same != *leadership {
            return;
        }
        tracing::info!(epoch = %leadership.epoch, %from, %to, "switching over");
        if !self.write(same, version, state, false).await {
            return;
        }
        let since = self.links.clock.now();
        let result = hand_over(&mut *old, &mut *new, &*self.links.clock).await;
        self.paused.replace(Some(Paused {
            node: from,
            successor: to.clone(),
            since,
            connection: old,
        }));
        if result.is_ok() {
            tracing::info!(epoch = %leadership.epoch, node = %to, "promoted");
        }
        self.commanded(leadership, to, true, result).await;
    }

    /// Once `primary` is published: makes the server whose writes are held up follow it, unless it is the one, and lets its
    /// clients go on. The publication, made after that connection was opened, is the guard of the command (RK-4).
    async fn let_write(&self, leadership: &Leadership, primary: &NodeAddr) {
        let Some(Paused {
            node,
            since,
            mut connection,
            ..
        }) = self.paused.take()
        else {
            return;
        };
        if node != *primary {
            let followed = connection.follow(primary).await;
            let failed = followed.is_err();
            self.commanded(leadership, node.clone(), false, followed)
                .await;
            if failed {
                return;
            }
        }
        match connection.unpause().await {
            Ok(()) => {
                let held_up = self.links.clock.now().since(since);
                tracing::info!(%node, ?held_up, "its writes are no longer held up");
            }
            Err(error) => {
                tracing::warn!(%node, %error, "writes are held up until the pause ends by itself");
            }
        }
    }

    /// Makes `node` follow `primary`, likewise; there is no new state to write, so the guard only checks.
    async fn follow(
        &self,
        leadership: &Leadership,
        version: Option<i32>,
        node: NodeAddr,
        primary: &NodeAddr,
    ) {
        let result = match self.open(leadership, &node).await {
            Ok(mut connection) => {
                if !self.guarded(leadership, version).await {
                    return;
                }
                connection.follow(primary).await
            }
            Err(error) => Err(error),
        };
        if result.is_ok() {
            tracing::info!(epoch = %leadership.epoch, %node, %primary, "made to follow the primary");
        }
        self.commanded(leadership, node, false, result).await;
    }

    /// Gives `node` these settings, likewise.
    async fn set_min_replicas(
        &self,
        leadership: &Leadership,
        version: Option<i32>,
        node: NodeAddr,
        values: MinReplicas,
    ) {
        let result = match self.open(leadership, &node).await {
            Ok(mut connection) => {
                if !self.guarded(leadership, version).await {
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
                tell_notes(leadership, &node, notes);
                None
            }
            Err(error) => {
                tracing::warn!(%epoch, %node, %error, "min-replicas settings not changed");
                Some(error.to_string())
            }
        };
        let _ = self.cluster.send(SettingsTried { node, failure }).await;
    }

    /// Whether this is still the leadership, and the state the one decided from (RK-4).
    async fn guarded(&self, leadership: &Leadership, version: Option<i32>) -> bool {
        let guard = Guard {
            cluster: self.name.clone(),
            leadership: leadership.clone(),
            version,
        };
        confirmed(self.links.session.send(guard).await)
    }

    /// A connection for one command, with every command that may still be under way there fenced off: an older leader's,
    /// and one of this leadership whose outcome is not known.
    async fn open(
        &self,
        leadership: &Leadership,
        node: &NodeAddr,
    ) -> Result<Box<dyn CommandConnection>, CommandError> {
        let node = self.links.redis.node(&self.name, node);
        let mut connection = node.command(leadership.epoch).await?;
        connection.fence().await?;
        Ok(connection)
    }

    async fn commanded(
        &self,
        leadership: &Leadership,
        node: NodeAddr,
        promotion: bool,
        result: Result<Vec<String>, CommandError>,
    ) {
        let failure = match result {
            Ok(notes) => {
                tell_notes(leadership, &node, notes);
                None
            }
            Err(error) => {
                let what = if promotion { "promotion" } else { "repointing" };
                tracing::warn!(epoch = %leadership.epoch, %node, %error, "{what} failed");
                Some(error.to_string())
            }
        };
        let _ = self
            .cluster
            .send(Commanded {
                node,
                promotion,
                failure,
            })
            .await;
    }
}

fn tell_notes(leadership: &Leadership, node: &NodeAddr, notes: Vec<String>) {
    for note in notes {
        tracing::warn!(epoch = %leadership.epoch, %node, note, "done, but for one thing");
    }
}

/// Whether a write to coordination is confirmed; says why not.
fn confirmed(outcome: Result<Result<(), WriteError>, impl std::fmt::Display>) -> bool {
    let error = match outcome {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => error,
        Err(gone) => WriteError::Unknown(gone.to_string()),
    };
    tracing::warn!(%error, "state not written, looking again");
    false
}

/// The story in the log: one line a step.
fn tell(leadership: &Leadership, state: &Published, change: Change) {
    let epoch = leadership.epoch;
    match (change, &state.intent, &state.primary) {
        (Change::Withdraw, Some(intent), _) => {
            tracing::warn!(%epoch, reason = intent.reason, "withdrawing the primary");
        }
        (Change::Publish, _, Some(primary)) => {
            tracing::info!(%epoch, %primary, "publishing the primary");
        }
        _ => tracing::debug!(%epoch, "noting replicas and data history"),
    }
}
