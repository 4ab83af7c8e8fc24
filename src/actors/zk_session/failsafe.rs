//! Going on without ZooKeeper while all keepers consent (RK-8): registering, and asking the others.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, ready};
use tokio::time::timeout;

use self::over::Over;
use super::ZkSession;
use super::event::{Event, PAUSE};
use super::subject::Subject;
use crate::actors::messages::{DropKeeper, FailsafeReport, NotDropped};
use crate::domain::failsafe::{ConsentRefusal, ConsentRequest, Consents, unproven};
use crate::domain::identity::KeeperProcess;
use crate::domain::keepers::failsafe_group::Amendment;
use crate::domain::keepers::failsafe_member::FailsafeMember;
use crate::domain::lease::Lease;
use crate::domain::node::{Generation, KeeperId, Moment};
use crate::layout::paths;
use crate::layout::state::Document;
use crate::ports::coordination::{CoordinationError, CreateKind, Session, Write};

mod over;

/// This keeper's state in failsafe mode, which outlives connections.
#[derive(Debug)]
pub(super) struct ConsentState {
    pub(super) started: Moment,
    /// The consents of the other keepers.
    consents: Consents,
    /// Why others do not consent, as each said last.
    refusals: BTreeMap<KeeperId, String>,
    /// The keepers, with their sessions, to which this keeper consented, and when last; as long as the consent binds.
    pub(super) consented: BTreeMap<(KeeperId, i64), Moment>,
    /// Since when heartbeats are confirmed on this connection.
    pub(super) contact: Option<Moment>,
    /// When the last heartbeat was confirmed, on any connection.
    pub(super) heard: Option<Moment>,
    /// Whether it was logged that this keeper goes on by consent.
    going_on: bool,
}

impl ConsentState {
    pub(super) fn new(started: Moment) -> Self {
        Self {
            started,
            consents: Consents::default(),
            refusals: BTreeMap::new(),
            consented: BTreeMap::new(),
            contact: None,
            heard: None,
            going_on: false,
        }
    }

    pub(super) fn contact_lost(&mut self) {
        self.contact = None;
    }

    /// Forgets all consents: the clock has stood still, so it is not known when they were given.
    pub(super) fn consents_lost(&mut self) {
        self.consents = Consents::default();
    }

    /// Notes a confirmed heartbeat.
    pub(super) fn contact_made(&mut self, now: Moment) {
        self.contact.get_or_insert(now);
        self.heard = Some(now);
    }
}

// === impl ZkSession: registering ===

impl ZkSession {
    /// Updates this keeper's registration to the current list of members, one write at a time.
    pub(super) fn amend_registration(&mut self) {
        let settings = &self.dependencies.settings;
        let own = settings.failsafe.map(|failsafe| FailsafeMember {
            rest: settings.announcement.rest.clone(),
            nonce: Some(settings.nonce.clone()),
            place: Some(settings.place.clone()),
            asks: None,
            limit: failsafe.limit,
        });
        let Some(online) = self.phase.online_mut() else {
            return;
        };
        let session = online.session();
        if online.requests.amendment.is_under_way() {
            return;
        }
        let Some(amendment) = self.failsafe_group.amendment(own.as_ref()) else {
            return;
        };
        online.requests.amendment.begin(());
        if let Amendment::Declare(registration, _) = &amendment {
            self.failsafe_group.sending(registration);
        }
        let path = paths::registration(&self.identity.id);
        self.spawn(write(&*session, &path, amendment).map(Event::Amended));
    }

    /// Whether the others can ask this process. No heartbeat counts before.
    pub(super) fn is_registered(&self) -> bool {
        self.dependencies.settings.failsafe.is_none() || self.failsafe_group.has_registered()
    }

    /// Takes in the outcome of a write to the registration. The watch on it tells what was written.
    pub(super) fn amended(&mut self, outcome: Result<(), CoordinationError>) {
        if let Some(online) = self.phase.online_mut() {
            online.requests.amendment.end();
        }
        match outcome {
            Ok(()) => self.amend_registration(),
            Err(error) => {
                if !self.failsafe_group.has_registered() {
                    // Heartbeats do not count before the registration.
                    self.report_trouble(&format!("no registration for failsafe: {error}"));
                }
                self.spawn(tokio::time::sleep(PAUSE).map(|()| Event::Changed(Subject::Circle)));
            }
        }
    }

    /// Notes that another keeper has changed its failsafe list, or has none any more.
    pub(super) fn amended_by(&mut self, keeper: &KeeperId) {
        let settings = &self.dependencies.settings;
        let consent = settings.failsafe.map_or(Duration::ZERO, |it| it.consent);
        let beyond = consent.saturating_sub(settings.lease);
        let now = self.dependencies.clock.now();
        self.keepers.amended(keeper, now.after(beyond));
    }

    /// As the leader, deletes the registrations of keepers that have been gone for so long that none of them can
    /// still go on.
    pub(super) fn drop_the_dead(&mut self, now: Moment) {
        let (Some(failsafe), Some(_)) = (self.dependencies.settings.failsafe, &self.leadership)
        else {
            return;
        };
        let (Some(session), Some(latch)) = (self.online(), self.latch()) else {
            return;
        };
        let dead = self.failsafe_group.registered();
        let dead = dead.filter(|keeper| self.keepers.is_dead(keeper, failsafe, now));
        for keeper in dead {
            let Some(version) = self.failsafe_group.version(keeper) else {
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
            .failsafe_group
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
        let Some(failsafe) = self.dependencies.settings.failsafe else {
            return;
        };
        let Some(lease) = self.lease_book.lease().deadline else {
            return;
        };
        self.log_failsafe(now);
        if !self.out_of_touch(now) {
            // These refusals are from an outage that is over.
            self.consent_state.refusals.clear();
        }
        // A keeper does not go on from a state that it knows to be superseded.
        let over = now >= lease.after(failsafe.limit);
        if over || self.lease_book.waits() || self.phase.over() || !self.out_of_touch(now) {
            return;
        }
        let Some(others) = self.failsafe_group.to_ask() else {
            return;
        };
        if let Some((one, other)) = self.two_sharing(&others) {
            let why = ConsentRefusal::SharedAddress(one.clone(), other).to_string();
            self.consent_state.refusals = BTreeMap::from([(one, why)]);
            return;
        }
        let mut failsafe_group = others.clone();
        failsafe_group.insert(self.identity.id.clone());
        let request = ConsentRequest {
            from: self.me.id.clone(),
            nonce: Some(self.me.nonce.clone()),
            to: None,
            session: self.phase.session().map_or(0, |session| session.id()),
            generation: self.lease_book.highest(),
            failsafe_group,
        };
        for keeper in &others {
            let Some(registration) = self.failsafe_group.registration(keeper) else {
                continue;
            };
            let Some(nonce) = registration.nonce.clone() else {
                let why = "it cannot prove its consent: a former build";
                self.consent_state
                    .refusals
                    .insert(keeper.clone(), why.to_owned());
                continue;
            };
            let to = KeeperProcess::new(keeper.clone(), nonce);
            let request = ConsentRequest {
                to: Some(to.clone()),
                ..request.clone()
            };
            let peers = &self.dependencies.peers;
            let asked = peers.ask_consent(&registration.rest, &request);
            let asked = timeout(failsafe.consent, asked).into_actor(self);
            ctx.spawn(asked.map(move |answer, act, _| {
                let answer = answer.unwrap_or_else(|_| Err("it does not answer".to_owned()));
                act.answered(&to, request.generation, now, answer);
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
        let keeper = asked.id.clone();
        let proven = answer.and_then(|by| match unproven(asked, &by, &self.me) {
            None => Ok(()),
            Some(why) => Err(why),
        });
        match proven {
            Ok(()) => {
                self.consent_state.refusals.remove(&keeper);
                self.consent_state.consents.given(keeper, generation, sent);
                self.consented_by_all();
            }
            Err(why) => {
                self.consent_state.refusals.insert(keeper, why);
            }
        }
    }

    /// Extends the lease for as long as all keepers on the list consent.
    fn consented_by_all(&self) {
        let settings = &self.dependencies.settings;
        let until = self.failsafe_group.to_ask().and_then(|others| {
            if self.two_sharing(&others).is_some() {
                return None;
            }
            let lease = self.lease_book.lease().deadline?;
            let generation = self.lease_book.highest();
            let times = (lease, self.dependencies.clock.now());
            let consents = &self.consent_state.consents;
            consents.until(&others, generation, times, settings.failsafe?)
        });
        if let (Some(until), false) = (until, self.lease_book.waits()) {
            self.publish_lease(Lease {
                deadline: Some(until),
                consented: true,
            });
        }
    }

    /// Logs when this keeper begins and ends to go on by consent.
    fn log_failsafe(&mut self, now: Moment) {
        let leased = self.lease_book.lease().holds(now);
        let consented = self.dependencies.lease.borrow().holds(now) && !leased;
        if consented == std::mem::replace(&mut self.consent_state.going_on, consented) {
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
        let settings = &self.dependencies.settings;
        let end = self.lease_book.lease().deadline.zip(settings.failsafe);
        let end = end.map(|(lease, failsafe)| lease.after(failsafe.limit));
        match (end, self.failsafe_group.to_ask()) {
            _ if self.phase.over() => Over::Left,
            (None, _) => Over::Revoked,
            (Some(end), _) if now >= end => Over::Limit,
            _ if self.lease_book.waits() => Over::Superseded,
            (_, None) => Over::NobodyKnown,
            _ if !self.out_of_touch(now) => Over::InTouch,
            (_, Some(asked)) if self.consent_state.refusals.is_empty() => Over::Late(asked),
            _ => Over::Refused(&self.consent_state.refusals),
        }
    }

    pub(super) fn failsafe_report(&self) -> Option<FailsafeReport> {
        self.dependencies.settings.failsafe?;
        let now = self.dependencies.clock.now();
        let told = *self.dependencies.lease.borrow();
        Some(FailsafeReport {
            going_on: told.consented && told.holds(now),
            failsafe_group: self.failsafe_group.registered().cloned().collect(),
            asks: self.failsafe_group.to_ask(),
            refusals: self.consent_state.refusals.clone(),
            rehearsed: self
                .rehearsals
                .tried()
                .map(|(id, it)| (id.clone(), it))
                .collect(),
            now,
        })
    }
}
