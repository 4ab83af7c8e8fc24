//! What others ask of the session.

use std::time::Duration;

use actix::prelude::*;
use futures::future::ready;

use super::cluster::Cluster;
use super::writing::{Failure, Guarded};
use super::{Phase, ZkSession};
use crate::actors::messages::{
    InspectSession, KeeperAnnouncement, LeadAgain, Leading, Leave, SessionReport, SetReport,
    Subscribe, Unsubscribe, WriteError, WriteState,
};
use crate::domain::node::ClusterName;
use crate::domain::published::Published;
use crate::layout::paths;
use crate::ports::coordination::SessionState;

/// How long [`Leave`] waits for the session to be closed.
const FAREWELL: Duration = Duration::from_millis(500);

impl ZkSession {
    fn subscribe(&mut self, name: &ClusterName) {
        if self.clusters.contains_key(name) {
            return;
        }
        self.subscriptions += 1;
        let serial = self.subscriptions;
        self.clusters.insert(name.clone(), Cluster::new(serial));
        if let Some(line) = &mut self.line {
            line.unread.insert(name.clone());
        }
        self.follow_cluster(name, serial);
    }

    /// What a write is guarded with, or why it cannot be made.
    fn guard(&self, write: WriteState) -> Result<Guarded, String> {
        let lost = || format!("epoch {} leads no more", write.leadership.epoch);
        if self.leadership.as_ref() != Some(&write.leadership) {
            return Err(lost());
        }
        let session = self.online().ok_or_else(lost)?;
        let latch = self.latch().ok_or_else(lost)?;
        let line = self.line.as_ref().ok_or_else(lost)?;
        let cluster = self
            .clusters
            .get(&write.cluster)
            .ok_or_else(|| format!("cluster {} is not followed", write.cluster))?;
        if let Some(reason) = cluster.unwritable() {
            return Err(reason);
        }
        let generation = cluster.published().map(|published| published.generation);
        Ok(Guarded {
            session,
            latch,
            counter: line.counter.clone(),
            state: Published {
                epoch: write.leadership.epoch,
                generation: generation.unwrap_or_default(),
                ..write.state
            },
            cluster: write.cluster,
            version: write.version,
            raise_generation: write.raise_generation,
        })
    }

    fn written(
        &mut self,
        name: &ClusterName,
        outcome: Result<(Published, i32), Failure>,
    ) -> Result<(Published, i32), WriteError> {
        match outcome {
            Ok((published, version)) => {
                if let Some(cluster) = self.clusters.get_mut(name) {
                    cluster.wrote(published.clone(), version);
                    self.share(name);
                }
                Ok((published, version))
            }
            Err(Failure::Deposed) => {
                self.stop_leading("a guarded write was refused: the latch node is gone");
                Err(WriteError::NotDone("the leadership is lost".into()))
            }
            Err(Failure::Write(error)) => {
                if let (WriteError::Unknown(_), Some(cluster)) =
                    (&error, self.clusters.get_mut(name))
                {
                    cluster.doubt_state();
                    self.fetch(name);
                }
                Err(error)
            }
        }
    }
}

impl Handler<Subscribe> for ZkSession {
    type Result = ();

    fn handle(&mut self, Subscribe(name): Subscribe, _: &mut Self::Context) {
        self.subscribe(&name);
        self.share(&name);
    }
}

impl Handler<Unsubscribe> for ZkSession {
    type Result = ();

    fn handle(&mut self, Unsubscribe(name): Unsubscribe, ctx: &mut Self::Context) {
        let Some(cluster) = self.clusters.remove(&name) else {
            return;
        };
        if let Some(line) = &mut self.line {
            line.unread.remove(&name);
        }
        if let (Some(session), true) = (self.online(), cluster.own.may_exist()) {
            drop(session.delete(&paths::report(&name, &self.identity.id), None));
        }
        self.settle(ctx);
    }
}

impl Handler<SetReport> for ZkSession {
    type Result = ();

    fn handle(&mut self, SetReport { cluster, report }: SetReport, _: &mut Self::Context) {
        self.subscribe(&cluster);
        if let Some(entry) = self.clusters.get_mut(&cluster) {
            entry.own.want(report);
            self.converge(&cluster);
        }
    }
}

impl Handler<WriteState> for ZkSession {
    type Result = ResponseActFuture<Self, Result<(Published, i32), WriteError>>;

    fn handle(&mut self, write: WriteState, _: &mut Self::Context) -> Self::Result {
        let name = write.cluster.clone();
        match self.guard(write) {
            Ok(guarded) => Box::pin(
                guarded
                    .write()
                    .into_actor(self)
                    .map(move |outcome, act, _| act.written(&name, outcome)),
            ),
            Err(reason) => Box::pin(ready(Err(WriteError::NotDone(reason))).into_actor(self)),
        }
    }
}

impl Handler<InspectSession> for ZkSession {
    type Result = MessageResult<InspectSession>;

    fn handle(&mut self, _: InspectSession, _: &mut Self::Context) -> Self::Result {
        let standing = self.line.as_ref().and_then(|line| line.standing.as_ref());
        let keepers = self.keepers.iter().flatten();
        MessageResult(SessionReport {
            coordination: self.dependencies.coordination.describe(),
            state: match self.phase {
                Phase::Connecting => "connecting",
                Phase::Disconnected => "disconnected",
                Phase::Joining => "joining",
                Phase::Reading => "reading",
                Phase::Current => "current",
                Phase::Refused => "refused",
                Phase::Left => "left",
            },
            session: self.session.as_ref().map(|session| session.id()),
            keeper: self.identity.id.clone(),
            leader: standing.and_then(|standing| standing.leader.clone()),
            epoch: self.leadership.as_ref().map(|leadership| leadership.epoch),
            generation: self.lease_book.highest().0,
            keepers: keepers
                .map(|(id, record)| KeeperAnnouncement {
                    id: id.clone(),
                    rest: record.rest.clone(),
                    version: record.version.clone(),
                    process: record.process.clone(),
                })
                .collect(),
        })
    }
}

impl Handler<Leave> for ZkSession {
    type Result = ResponseActFuture<Self, ()>;

    /// Closing the session removes latch, reports and membership in one transaction. It closes when its last user is
    /// gone, so everything under way is dropped with it.
    fn handle(&mut self, _: Leave, ctx: &mut Self::Context) -> Self::Result {
        self.drop_line("this keeper leaves", ctx);
        self.phase = Phase::Left;
        let state = self.session.take().map(|session| session.state());
        let closed = async move {
            if let Some(mut state) = state {
                let over = state.wait_for(|state| *state == SessionState::Expired);
                if tokio::time::timeout(FAREWELL, over).await.is_err() {
                    tracing::warn!("coordination did not confirm the farewell");
                }
            }
        };
        Box::pin(closed.into_actor(self))
    }
}

impl Handler<LeadAgain> for ZkSession {
    type Result = ();

    fn handle(&mut self, _: LeadAgain, _: &mut Self::Context) {
        (self.dependencies.leading)(Leading(self.leadership.clone()));
    }
}
