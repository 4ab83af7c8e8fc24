//! Going on without ZooKeeper while all keepers consent (RK-8): registering, and asking the others.

use actix::prelude::*;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};
use tokio::time::timeout;

use super::ZkSession;
use super::event::{Event, PAUSE};
use super::subject::Subject;
use crate::actors::messages::{DropKeeper, FailsafeReport, NotDropped};
use crate::domain::failsafe::unproven;
use crate::domain::identity::KeeperProcess;
use crate::domain::keepers::failsafe::ConsentQuestion;
use crate::domain::keepers::failsafe::over::Over;
use crate::domain::keepers::failsafe_group::Amendment;
use crate::domain::lease::Lease;
use crate::domain::node::{Generation, KeeperId, Moment};
use crate::layout::paths;
use crate::layout::state::Document;
use crate::ports::coordination::{CoordinationError, CreateKind, Session, Write};

// === impl ZkSession: registering ===

impl ZkSession {
    /// Updates this keeper's registration to the current list of members, one write at a time.
    pub(super) fn amend_registration(&mut self) {
        let Some(online) = self.phase.online_mut() else {
            return;
        };
        let session = online.session();
        if online.requests.amendment.is_under_way() {
            return;
        }
        let Some(amendment) = self.failsafe.amendment() else {
            return;
        };
        online.requests.amendment.begin(());
        if let Amendment::Declare(registration, _) = &amendment {
            self.failsafe.group.sending(registration);
        }
        let path = paths::registration(&self.identity.me.id);
        self.spawn(write(&*session, &path, amendment).map(Event::Amended));
    }

    /// Takes in the outcome of a write to the registration. The watch on it tells what was written.
    pub(super) fn amended(&mut self, outcome: Result<(), CoordinationError>) {
        if let Some(online) = self.phase.online_mut() {
            online.requests.amendment.end();
        }
        match outcome {
            Ok(()) => self.amend_registration(),
            Err(error) => {
                if !self.failsafe.group.has_registered() {
                    // Heartbeats do not count before the registration.
                    self.report_trouble(&format!("no registration for failsafe: {error}"));
                }
                self.spawn(tokio::time::sleep(PAUSE).map(|()| Event::Changed(Subject::Circle)));
            }
        }
    }

    /// As the leader, deletes the registrations of keepers that have been gone for so long that none of them can
    /// still go on.
    pub(super) fn drop_the_dead(&mut self, now: Moment) {
        let Some(failsafe) = self.failsafe.settings.filter(|_| self.leading.leads()) else {
            return;
        };
        let (Some(session), Some(latch)) = (self.online(), self.latch()) else {
            return;
        };
        let dead = self.failsafe.group.registered();
        let dead = dead.filter(|keeper| self.keepers.is_dead(keeper, failsafe, now));
        for keeper in dead {
            let Some(version) = self.failsafe.group.version(keeper) else {
                continue;
            };
            tracing::warn!(%keeper, "gone for good: it is not asked any more without ZooKeeper");
            let check = Write::Check {
                path: latch.clone(),
                version: None,
            };
            let delete = Write::Delete {
                path: paths::registration(keeper),
                version: Some(version),
            };
            // The watch on the failsafe group tells the outcome. If the deletion failed, the next heartbeat tries
            // again.
            drop(session.multi(vec![check, delete]));
        }
    }
}

impl Handler<DropKeeper> for ZkSession {
    type Result = ResponseActFuture<Self, Result<(), NotDropped>>;

    fn handle(&mut self, DropKeeper(keeper): DropKeeper, _: &mut Self::Context) -> Self::Result {
        let dropped = match self.dropping(&keeper) {
            Ok(dropped) => dropped,
            Err(why) => return Box::pin(ready(Err(why)).into_actor(self)),
        };
        let told = dropped.map(move |outcome| {
            outcome.map_err(|error| NotDropped::Unknown(error.to_string()))?;
            tracing::warn!(%keeper, "an operator took it off: it is not asked any more without ZooKeeper");
            Ok(())
        });
        Box::pin(told.into_actor(self))
    }
}

impl ZkSession {
    /// Takes a keeper that is not online off the failsafe group.
    fn dropping(
        &self,
        keeper: &KeeperId,
    ) -> Result<LocalBoxFuture<'static, Result<(), CoordinationError>>, NotDropped> {
        let current = self.phase.is_current();
        let (Some(session), true) = (self.online(), current) else {
            return Err(NotDropped::NoContact);
        };
        let version = self
            .failsafe
            .group
            .version(keeper)
            .ok_or(NotDropped::Unregistered)?;
        if self.keepers.is_online(keeper) {
            return Err(NotDropped::Online);
        }
        Ok(session.delete(&paths::registration(keeper), Some(version)))
    }
}

fn write(
    session: &dyn Session,
    path: &str,
    amendment: Amendment,
) -> LocalBoxFuture<'static, Result<(), CoordinationError>> {
    match amendment {
        Amendment::Register(registration) => session
            .create(path, &registration.encode(), CreateKind::Persistent)
            .map(|created| created.map(drop))
            .boxed_local(),
        Amendment::Declare(registration, version) => session
            .set(path, &registration.encode(), Some(version))
            .map(|set| set.map(drop))
            .boxed_local(),
        Amendment::Withdraw(version) => session.delete(path, Some(version)),
    }
}

// === impl ZkSession: asking ===

impl ZkSession {
    /// Whether ZooKeeper does not answer, by one of two signs:
    /// - no connection exists on which everything was read;
    /// - a heartbeat is not confirmed when the next one is due.
    pub(super) fn out_of_touch(&self, now: Moment) -> bool {
        let heartbeat = self.dependencies.settings.heartbeat;
        let late = |sent: &Moment| now.since(*sent) >= heartbeat;
        let heartbeats = self.phase.current();
        heartbeats.is_none_or(|heartbeats| heartbeats.in_flight.get().is_some_and(late))
    }

    /// Asks all keepers on the list for their consent, if ZooKeeper does not answer.
    pub(super) fn go_on(&mut self, ctx: &mut Context<Self>) {
        let now = self.dependencies.clock.now();
        let Some(failsafe) = self.failsafe.settings else {
            return;
        };
        let Some(limit) = self.failsafe.limit(&self.lease_book) else {
            return;
        };
        self.log_failsafe(now);
        if !self.out_of_touch(now) {
            self.failsafe.consents.forget_refusals();
            return;
        }
        // A keeper does not go on from a state that it knows to be superseded.
        if now >= limit || self.lease_book.waits() || self.phase.over() {
            return;
        }
        let Some(others) = self.failsafe.group.to_ask() else {
            return;
        };
        let session = self.phase.session().map_or(0, |session| session.id());
        let generation = self.lease_book.highest();
        for question in self.failsafe.requests(&others, session, generation) {
            let ConsentQuestion {
                rest,
                asked,
                request,
            } = question;
            let answer = self.dependencies.peers.ask_consent(&rest, &request);
            let answer = timeout(failsafe.consent, answer).into_actor(self);
            ctx.spawn(answer.map(move |answer, act, _| {
                let answer = answer.unwrap_or_else(|_| Err("it does not answer".to_owned()));
                act.answered(&asked, generation, now, answer);
            }));
        }
        if others.is_empty() {
            self.consented_by_all();
        }
    }

    /// Takes in the answer that came from the address of the process that was `asked`.
    fn answered(
        &mut self,
        asked: &KeeperProcess,
        generation: Generation,
        sent: Moment,
        answer: Result<KeeperProcess, String>,
    ) {
        let proven = answer.and_then(|by| match unproven(asked, &by, &self.identity.me) {
            None => Ok(()),
            Some(why) => Err(why),
        });
        let consents = &mut self.failsafe.consents;
        if consents.answered(asked.id.clone(), generation, sent, proven) {
            self.consented_by_all();
        }
    }

    /// Extends the lease for as long as all keepers on the list consent.
    fn consented_by_all(&self) {
        let now = self.dependencies.clock.now();
        if let Some(until) = self.failsafe.consented_until(&self.lease_book, now) {
            self.publish_lease(Lease::Consented(until));
        }
    }

    /// Logs when this keeper begins and ends to go on by consent.
    fn log_failsafe(&mut self, now: Moment) {
        let leased = self.lease_book.lease().holds(now);
        let consented = self.dependencies.lease.borrow().holds(now) && !leased;
        if consented == std::mem::replace(&mut self.story.going_on, consented) {
            return;
        }
        if consented {
            tracing::warn!(
                "ZooKeeper does not answer: going on with the consent of all keepers (failsafe). Stop and restart none of \
                 them now: it could not consent again before ZooKeeper is back, and no keeper would call a node writable"
            );
        } else if leased {
            tracing::info!("ZooKeeper answers again: failsafe is over");
        } else {
            tracing::warn!(why = %self.why_over(now), "failsafe is over");
        }
    }

    /// Why this keeper does not go on by consent any more.
    pub(super) fn why_over(&self, now: Moment) -> Over<'_> {
        if self.phase.over() {
            return Over::Left;
        }
        let in_touch = !self.out_of_touch(now);
        self.failsafe.why_over(&self.lease_book, in_touch, now)
    }

    pub(super) fn failsafe_report(&self) -> Option<FailsafeReport> {
        self.failsafe.settings?;
        let now = self.dependencies.clock.now();
        let told = *self.dependencies.lease.borrow();
        Some(FailsafeReport {
            going_on: told.is_consented() && told.holds(now),
            failsafe_group: self.failsafe.group.registered().cloned().collect(),
            asks: self.failsafe.group.to_ask(),
            refusals: self.failsafe.consents.refusals().clone(),
            rehearsed: self
                .failsafe
                .rehearsals
                .tried()
                .map(|(id, it)| (id.clone(), it))
                .collect(),
            now,
        })
    }
}
