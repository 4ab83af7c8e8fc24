//! The messages of other actors to the session.

use std::rc::Rc;

use actix::prelude::*;
use futures::future::ready;

use super::ZkSession;
use super::guarded_write::{GuardError, Guarded, check};
use super::phase::Phase;
use crate::actors::messages::{
    Guard, InspectSession, KeeperAnnouncement, Leadership, LeadershipChanged, Leave,
    ResendLeadership, SessionReport, SetReport, Subscribe, TakeOver, Unsubscribe, WriteError,
    WriteState,
};
use crate::domain::keepers::cluster_copy::ClusterCopy;
use crate::domain::keepers::record::KeeperRecord;
use crate::domain::node::{ClusterName, Generation};
use crate::domain::published::Published;
use crate::domain::timing::departure::CLOSED_WITHIN;
use crate::layout::paths;
use crate::ports::coordination::{Session, SessionState};

impl ZkSession {
    pub(super) fn unsubscribe(&mut self, name: &ClusterName) {
        let Some(cluster) = self.clusters.unsubscribe(name) else {
            return;
        };
        if let Some(reading) = self.phase.reading_mut() {
            reading.unread.remove(name);
        }
        self.polls.forget(name);
        self.claim(name);
        if let (Some(session), true) = (self.online(), cluster.own.may_exist()) {
            drop(session.delete(&paths::report(name, &self.identity.me.id), None));
        }
    }

    pub(super) fn subscribe(&mut self, name: &ClusterName) {
        let Some(serial) = self.clusters.subscribe(name) else {
            return;
        };
        if let Some(reading) = self.phase.reading_mut() {
            reading.unread.insert(name.clone());
        }
        self.follow_cluster(name, serial);
    }

    /// The session and the latch node that guard a command or write to a cluster under `leadership`. The error is the
    /// reason why none may be made.
    fn guarded_by(
        &self,
        leadership: &Leadership,
        name: &ClusterName,
    ) -> Result<(Rc<dyn Session>, String), String> {
        let lost = || format!("epoch {} leads no more", leadership.epoch);
        if self.leading.leadership() != Some(leadership) {
            return Err(lost());
        }
        let session = self.online().ok_or_else(lost)?;
        let latch = self.latch().ok_or_else(lost)?;
        let cluster = self
            .clusters
            .get(name)
            .ok_or_else(|| format!("cluster {name} is not followed"))?;
        match cluster.unwritable() {
            Some(reason) => Err(reason),
            None => Ok((session, latch)),
        }
    }

    fn guarded(&self, write: WriteState) -> Result<Guarded, String> {
        let (session, latch) = self.guarded_by(&write.leadership, &write.cluster)?;
        let counter = self.phase.online().map(|online| online.counter.clone());
        let published = self
            .clusters
            .get(&write.cluster)
            .and_then(ClusterCopy::published);
        Ok(Guarded {
            session,
            latch,
            counter: counter.unwrap_or_default(),
            state: Published {
                epoch: write.leadership.epoch,
                generation: published.map_or_else(Generation::default, |it| it.generation),
                by: if write.raise_generation {
                    Some(self.identity.me.id.clone())
                } else {
                    write.state.by
                },
                ..write.state
            },
            cluster: write.cluster,
            version: write.version,
            raise_generation: write.raise_generation,
            beside: None,
        })
    }

    /// Prepares the write of another cluster's state, as this keeper knows it, to this cluster.
    fn heir(&self, take_over: TakeOver) -> Result<Guarded, String> {
        let TakeOver {
            cluster,
            other,
            leadership,
            version,
        } = take_over;
        let left = self.clusters.get(&other);
        let left = left.and_then(|it| it.published().cloned().zip(it.version()));
        let (state, other_version) =
            left.ok_or_else(|| format!("cluster {other} is not published any more"))?;
        let guarded = self.guarded(WriteState {
            cluster,
            leadership,
            version,
            state,
            raise_generation: true,
        })?;
        Ok(Guarded {
            beside: Some((other, other_version)),
            ..guarded
        })
    }

    /// Sends a guarded write, and takes in its outcome.
    fn send_guarded(
        &self,
        name: ClusterName,
        guarded: Result<Guarded, String>,
    ) -> ResponseActFuture<Self, Result<(Published, i32), WriteError>> {
        match guarded {
            Ok(guarded) => Box::pin(guarded.write().into_actor(self).map(
                move |outcome, act, _| {
                    let (published, version) =
                        outcome.map_err(|failure| act.refused(&name, failure))?;
                    act.written(&name, &published, version);
                    Ok((published, version))
                },
            )),
            Err(reason) => Box::pin(ready(Err(WriteError::NotDone(reason))).into_actor(self)),
        }
    }

    /// Takes in a written state, before the answer is sent.
    fn written(&mut self, name: &ClusterName, published: &Published, version: i32) {
        if let Some(cluster) = self.clusters.get_mut(name) {
            cluster.wrote(published.clone(), version);
            self.claim(name);
            self.share(name);
        }
    }

    /// Takes in a write that was not confirmed: stops leading if deposed, reads the state again if the outcome is
    /// unknown.
    fn refused(&mut self, name: &ClusterName, failure: GuardError) -> WriteError {
        match failure {
            GuardError::Deposed => {
                self.stop_leading("a guarded write was refused: the latch node is gone");
                WriteError::NotDone("the leadership is lost".into())
            }
            GuardError::Write(error) => {
                if let (WriteError::Unknown(_), Some(cluster)) =
                    (&error, self.clusters.get_mut(name))
                {
                    cluster.doubt_state();
                    self.fetch(name);
                }
                error
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
        self.unsubscribe(&name);
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
        self.send_guarded(write.cluster.clone(), self.guarded(write))
    }
}

impl Handler<TakeOver> for ZkSession {
    type Result = ResponseActFuture<Self, Result<(Published, i32), WriteError>>;

    fn handle(&mut self, take_over: TakeOver, _: &mut Self::Context) -> Self::Result {
        self.send_guarded(take_over.cluster.clone(), self.heir(take_over))
    }
}

impl Handler<Guard> for ZkSession {
    type Result = ResponseActFuture<Self, Result<(), WriteError>>;

    fn handle(&mut self, guard: Guard, _: &mut Self::Context) -> Self::Result {
        let (name, version) = (guard.cluster, guard.version);
        match self.guarded_by(&guard.leadership, &name) {
            Ok((session, latch)) => Box::pin(
                check(session, latch, name.clone(), version)
                    .into_actor(self)
                    .map(move |outcome, act, _| {
                        outcome.map_err(|failure| act.refused(&name, failure))
                    }),
            ),
            Err(reason) => Box::pin(ready(Err(WriteError::NotDone(reason))).into_actor(self)),
        }
    }
}

impl Handler<InspectSession> for ZkSession {
    type Result = MessageResult<InspectSession>;

    fn handle(&mut self, _: InspectSession, _: &mut Self::Context) -> Self::Result {
        let latch_view = self.phase.latch_view();
        let online = self.keepers.online();
        MessageResult(SessionReport {
            coordination: self.dependencies.coordination.describe(),
            state: self.phase.name(),
            trouble: self.story.trouble.clone(),
            session: self.phase.session().map(|session| session.id()),
            keeper: self.identity.me.id.clone(),
            group: self.dependencies.group.borrow().clone(),
            leader: latch_view
                .and_then(|latch_view| latch_view.leader.as_ref())
                .map(|latch| latch.keeper.clone()),
            epoch: self.leading.epoch(),
            generation: self.lease_book.highest().0,
            who_leads: self.who_leads(),
            failsafe: self.failsafe_report(),
            differences: self.clusters.differences(&online),
            settings: self.setting_differences(),
            overlaps: self.clusters.overlaps(&online),
            keepers: self
                .keepers
                .announcements()
                .map(|(id, record)| {
                    let told = |field: fn(&KeeperRecord) -> &String| {
                        record.map_or_else(|| "unknown".to_owned(), |record| field(record).clone())
                    };
                    KeeperAnnouncement {
                        id: id.clone(),
                        rest: told(|record| &record.rest),
                        version: told(|record| &record.version),
                        process: told(|record| &record.process),
                    }
                })
                .collect(),
        })
    }
}

impl Handler<Leave> for ZkSession {
    type Result = ResponseActFuture<Self, ()>;

    /// Closes the session, which removes latch, reports and membership in one transaction. The session closes when
    /// its last user is gone. So everything under way is dropped with it.
    fn handle(&mut self, _: Leave, ctx: &mut Self::Context) -> Self::Result {
        if let Some(session) = self.online()
            && self.failsafe.settings.is_some()
        {
            // The others need not ask a keeper that has left. If this deletion does not arrive, the leader makes it
            // later.
            drop(session.delete(&paths::registration(&self.identity.me.id), None));
        }
        self.drop_connection("this keeper leaves", ctx);
        let state = self.phase.session().map(|session| session.state());
        self.phase = Phase::Left;
        let closed = async move {
            if let Some(mut state) = state {
                let over = state.wait_for(|state| *state == SessionState::Expired);
                if tokio::time::timeout(CLOSED_WITHIN, over).await.is_err() {
                    tracing::warn!("coordination did not confirm the farewell");
                }
            }
        };
        Box::pin(closed.into_actor(self))
    }
}

impl Handler<ResendLeadership> for ZkSession {
    type Result = ();

    fn handle(&mut self, _: ResendLeadership, _: &mut Self::Context) {
        (self.dependencies.leading)(LeadershipChanged(self.leading.leadership().cloned()));
    }
}
