//! From no session to a connection on which everything is read, again after each loss.

use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use futures::channel::mpsc;
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;

use super::ZkSession;
use super::event::Event;
use super::membership::{JoinError, Joined, join};
use super::phase::{Connection, Phase};
use crate::actors::messages::Fatal;
use crate::ports::coordination::{Session, SessionState};

impl ZkSession {
    pub(super) fn connect(&mut self, ctx: &mut Context<Self>) {
        if self.phase.over() {
            return;
        }
        self.phase = Phase::Connecting;
        let coordination = self.dependencies.coordination.clone();
        ctx.spawn(
            async move { coordination.connect().await }
                .into_actor(self)
                .map(|outcome, act, ctx| match outcome {
                    Ok(session) => act.connected(session, ctx),
                    Err(error) => {
                        act.report_trouble(&error);
                        act.retry_later(ctx, Self::connect);
                    }
                }),
        );
    }

    fn connected(&mut self, session: Rc<dyn Session>, ctx: &mut Context<Self>) {
        if self.phase.over() {
            return;
        }
        self.clusters.new_session();
        self.limit_lease(session.timeout());
        let state = session.state();
        self.phase = Phase::Disconnected(session);
        self.follow_session(state, ctx);
    }

    /// Limits the lease to half the session timeout that was granted (RK-3). A lease that is shorter than other
    /// keepers assume is safe.
    fn limit_lease(&mut self, granted: Duration) {
        let configured = self.dependencies.settings.lease;
        let lease = configured.min(granted / 2);
        if lease < configured {
            tracing::warn!(
                ?granted,
                ?configured,
                ?lease,
                "ZooKeeper grants a shorter session than asked for, so the lease is cut to half of it: lower \
                 lease-seconds in all keepers, or raise maxSessionTimeout in ZooKeeper"
            );
        }
        self.lease_book.set_length(lease);
    }

    /// Acts on the state of the session, now and at every change, for as long as the session lives.
    fn follow_session(
        &mut self,
        mut state: watch::Receiver<SessionState>,
        ctx: &mut Context<Self>,
    ) {
        let now = *state.borrow_and_update();
        self.session_is(now, ctx);
        if now != SessionState::Expired {
            ctx.spawn(
                async move {
                    let _ = state.changed().await;
                    state
                }
                .into_actor(self)
                .map(|state, act, ctx| act.follow_session(state, ctx)),
            );
        }
    }

    fn session_is(&mut self, state: SessionState, ctx: &mut Context<Self>) {
        if self.phase.over() {
            return;
        }
        match state {
            SessionState::Connected(number) => {
                let known = self.phase.connection().map(|it| it.number);
                if let Some(session) = self.phase.session().cloned()
                    && known != Some(number)
                {
                    self.begin(session, number, ctx);
                }
            }
            SessionState::Disconnected => {
                self.drop_connection("the connection is lost", ctx);
                self.report_trouble(&"the connection is lost");
                self.go_on(ctx);
            }
            SessionState::Expired => {
                self.revoke_lease();
                self.drop_connection("the session is over", ctx);
                self.report_trouble(&"the session is over");
                self.connect(ctx);
            }
        }
    }

    /// Drops everything that was asked, read or watched so far.
    pub(super) fn drop_connection(&mut self, why: &'static str, ctx: &mut Context<Self>) {
        self.stop_leading(why);
        self.contact.lost();
        if let Some(connection) = self.phase.disconnect() {
            ctx.cancel_future(connection.handle);
        }
        self.lease_book.forget();
    }

    /// Starts on a connection of the session: joins, then reads everything.
    fn begin(&mut self, session: Rc<dyn Session>, number: u64, ctx: &mut Context<Self>) {
        self.drop_connection("everything is read again", ctx);
        let serial = self.contact.begins();
        let (futures, added) = mpsc::unbounded::<LocalBoxFuture<'static, Event>>();
        let events = added.buffer_unordered(usize::MAX);
        self.phase = Phase::Joining(Connection {
            session,
            number,
            serial,
            futures,
            handle: ctx.add_stream(events.map(move |event| (serial, event))),
        });
        self.clusters.new_connection();
        self.keepers.new_connection();
        self.failsafe.group.new_connection();
        self.join();
    }

    /// Starts once more on the same connection.
    pub(super) fn begin_again(&mut self, ctx: &mut Context<Self>) {
        if let Some(connection) = self.phase.connection() {
            let (session, number) = (connection.session.clone(), connection.number);
            self.begin(session, number, ctx);
        }
    }

    pub(super) fn join(&self) {
        let Some(session) = self.phase.session().cloned() else {
            return;
        };
        let identity = self.identity.clone();
        self.spawn(async move { Event::Joined(join(&*session, &identity).await) });
    }

    pub(super) fn joined(&mut self, outcome: Result<Joined, JoinError>, ctx: &mut Context<Self>) {
        match outcome {
            Ok(Joined { version, group }) => {
                let before = self.dependencies.group.borrow().clone();
                if let Some(before) = before.filter(|before| *before != group) {
                    let what = format!("/group went from {before} to {group}");
                    return self.set_back(&what, ctx);
                }
                self.dependencies.group.send_replace(Some(group));
                self.contact.joined();
                let unread = self.clusters.names().cloned().collect();
                self.phase.joined(version, unread);
                if self.story.trouble.take().is_some() || !self.keepers.known() {
                    let coordination = self.dependencies.coordination.describe();
                    tracing::info!(coordination, keeper = %self.identity.me.id, "joined the keepers");
                }
                self.read_everything();
            }
            Err(JoinError::Refused(message)) => {
                tracing::error!(why = message, "this keeper cannot take part");
                self.refuse(message, ctx);
            }
            Err(JoinError::Coordination(error)) => {
                self.report_trouble(&error);
                let wait = self.contact.next_retry();
                self.spawn(tokio::time::sleep(wait).map(|()| Event::Rejoin));
            }
        }
    }

    fn refuse(&mut self, message: String, ctx: &mut Context<Self>) {
        self.drop_connection("this keeper cannot take part", ctx);
        self.phase = Phase::Refused;
        (self.dependencies.fatal)(Fatal { message });
    }

    /// Ends this keeper, since `ZooKeeper` has lost data, as `what` shows.
    ///
    /// Generations are counted anew there. So this keeper cannot tell whether its knowledge is newer or older than
    /// what ZooKeeper has now. From now on this keeper answers nothing. A new process goes on with what ZooKeeper
    /// has.
    pub(super) fn set_back(&mut self, what: &str, ctx: &mut Context<Self>) {
        if self.phase.over() {
            return;
        }
        let now = self.dependencies.clock.now();
        self.lease_book.revoke(now);
        self.end_lease(now);
        self.refuse(
            format!(
                "ZooKeeper's data were lost or set back: {what}. This keeper ends, since what it knows counts no more; start \
                 it again, and it goes on with what ZooKeeper has"
            ),
            ctx,
        );
    }

    /// Joins again and reads everything again, since the own heartbeat node is gone or replaced.
    pub(super) fn rejoin(&mut self, ctx: &mut Context<Self>) {
        tracing::warn!(keeper = %self.identity.me.id, "the keeper's own node is gone: joining again");
        self.begin_again(ctx);
    }

    /// Logs trouble, once until it changes.
    pub(super) fn report_trouble(&mut self, trouble: &dyn std::fmt::Display) {
        let coordination = &*self.dependencies.coordination;
        self.story.log_trouble(coordination, trouble.to_string());
    }

    fn retry_later(&mut self, ctx: &mut Context<Self>, again: fn(&mut Self, &mut Context<Self>)) {
        let wait = self.contact.next_retry();
        ctx.run_later(wait, again);
    }
}
