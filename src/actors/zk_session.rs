//! The actor that holds the coordination session: membership, heartbeat and lease, leader latch, the state of every
//! cluster, this keeper's reports, guarded writes.
//!
//! Safety rests on three things kept in plain structs beside it: what a heartbeat is worth
//! ([`lease_book`], RK-3), what may be applied ([`cluster`]: never a lower generation), and what guards a write
//! ([`writing`], RK-4). Watches only hasten. On every new connection all requests, reads and watches of the one before
//! are dropped, and everything is read again before anything counts.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures::channel::mpsc;
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;

use self::cluster::Cluster;
use self::joining::{Identity, JoinError, join};
use self::leading::Campaign;
use self::lease_book::LeaseBook;
use self::reading::Event;
use self::standing::Standing;
use self::writing::Counter;
use super::Outbox;
use super::messages::{Fatal, KeeperAnnouncement, Leadership, Leading, ResendReport, SharedState};
use crate::domain::lease::Lease;
use crate::domain::node::{ClusterName, Generation, KeeperId};
use crate::layout::state::KeeperRecord;
use crate::ports::clock::LeaseClock;
use crate::ports::coordination::{Coordination, Session, SessionState};

mod beating;
mod cluster;
mod handlers;
mod joining;
mod leading;
mod lease_book;
mod reading;
mod report_slot;
mod reporting;
mod standing;
mod writing;

/// What [`ZkSession`] needs. Cloned for every restart.
#[derive(Clone)]
pub struct Dependencies {
    /// Makes sessions.
    pub coordination: Rc<dyn Coordination>,
    /// Measures the lease.
    pub clock: Arc<dyn LeaseClock>,
    /// What the operator decided.
    pub settings: Settings,
    /// Where the lease is told; only ever extended.
    pub lease: watch::Sender<Lease>,
    /// To the actor of the cluster named.
    pub shared: Rc<dyn Fn(&ClusterName, SharedState)>,
    /// To the actors of all clusters.
    pub resend: Outbox<ResendReport>,
    /// To the failover actor.
    pub leading: Outbox<Leading>,
    /// To the root.
    pub fatal: Outbox<Fatal>,
}

/// What the operator decided.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This keeper.
    pub announcement: KeeperAnnouncement,
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// How long a heartbeat vouches for what is known, from its sending: at most half the session timeout (RK-3).
    pub lease: Duration,
}

/// The coordination session of this keeper.
pub struct ZkSession {
    dependencies: Dependencies,
    identity: Identity,
    phase: Phase,
    session: Option<Rc<dyn Session>>,
    /// The number of the connection in use, as the session counts them.
    connection: u64,
    line: Option<Line>,
    lines: u64,
    retry: Duration,
    /// What is wrong, as logged last.
    trouble: Option<String>,
    clusters: BTreeMap<ClusterName, Cluster>,
    subscriptions: u64,
    keepers: Option<BTreeMap<KeeperId, KeeperRecord>>,
    lease_book: LeaseBook,
    leadership: Option<Leadership>,
}

/// How far a keeper has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Disconnected,
    Joining,
    Reading,
    Current,
    /// Ended by a [`Fatal`].
    Refused,
    /// Ended by a [`Leave`](super::messages::Leave).
    Left,
}

/// All that belongs to one connection, from its beginning until everything is read again. Dropped as a whole, and what
/// still arrives from it is ignored.
struct Line {
    number: u64,
    /// What is under way. Many futures behind one of actix, which polls each of its own at every wake.
    futures: mpsc::UnboundedSender<LocalBoxFuture<'static, Event>>,
    handle: SpawnHandle,
    /// `/generation` as read before anything else.
    first_generation: Option<Generation>,
    keepers_read: bool,
    /// Clusters that were not read completely.
    unread: BTreeSet<ClusterName>,
    /// Version of this keeper's own node.
    own_version: i32,
    beating: bool,
    /// `None` until it was read.
    standing: Option<Standing>,
    campaign: Campaign,
    counter: Counter,
}

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(2);

// === impl ZkSession ===

impl ZkSession {
    /// The session of the keeper described, to be started.
    pub fn new(dependencies: Dependencies) -> Self {
        let settings = &dependencies.settings;
        let identity = Identity {
            id: settings.announcement.id.clone(),
            record: KeeperRecord {
                rest: settings.announcement.rest.clone(),
                version: settings.announcement.version.clone(),
                process: settings.announcement.process.clone(),
            },
            heartbeat: settings.heartbeat,
        };
        Self {
            identity,
            phase: Phase::Connecting,
            session: None,
            connection: 0,
            line: None,
            lines: 0,
            retry: FIRST_RETRY,
            trouble: None,
            clusters: BTreeMap::new(),
            subscriptions: 0,
            keepers: None,
            lease_book: LeaseBook::new(settings.lease),
            leadership: None,
            dependencies,
        }
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        if self.over() {
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
        if self.over() {
            return;
        }
        self.connection = 0;
        for cluster in self.clusters.values_mut() {
            cluster.own.new_session();
        }
        let state = session.state();
        self.session = Some(session);
        self.follow_session(state, ctx);
    }

    /// Acts on the state as it is and on every change of it, as long as the session lives.
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
        if self.over() {
            return;
        }
        match state {
            SessionState::Connected(connection) if connection != self.connection => {
                self.connection = connection;
                self.begin(ctx);
            }
            SessionState::Connected(_) => {}
            SessionState::Disconnected => {
                self.phase = Phase::Disconnected;
                self.drop_line("the connection is lost", ctx);
                self.report_trouble(&"the connection is lost");
            }
            SessionState::Expired => {
                self.drop_line("the session is over", ctx);
                self.report_trouble(&"the session is over");
                self.session = None;
                self.connect(ctx);
            }
        }
    }

    /// Everything that was asked, read or watched so far counts no more.
    fn drop_line(&mut self, why: &'static str, ctx: &mut Context<Self>) {
        self.stop_leading(why);
        if let Some(line) = self.line.take() {
            ctx.cancel_future(line.handle);
        }
        self.lease_book.forget();
    }

    /// Starts anew on a connection: joins, then reads everything.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        self.drop_line("everything is read again", ctx);
        self.phase = Phase::Joining;
        self.lines += 1;
        let number = self.lines;
        let (futures, added) = mpsc::unbounded::<LocalBoxFuture<'static, Event>>();
        let events = added.buffer_unordered(usize::MAX);
        self.line = Some(Line {
            number,
            futures,
            handle: ctx.add_stream(events.map(move |event| (number, event))),
            first_generation: None,
            keepers_read: false,
            unread: self.clusters.keys().cloned().collect(),
            own_version: 0,
            beating: false,
            standing: None,
            campaign: Campaign::Idle,
            counter: Counter::default(),
        });
        for cluster in self.clusters.values_mut() {
            cluster.own.new_connection();
            cluster.forget();
        }
        self.join();
    }

    fn join(&self) {
        let Some(session) = self.session.clone() else {
            return;
        };
        let identity = self.identity.clone();
        self.spawn(async move { Event::Joined(join(&*session, &identity).await) });
    }

    fn joined(&mut self, outcome: Result<i32, JoinError>, ctx: &mut Context<Self>) {
        match outcome {
            Ok(version) => {
                self.retry = FIRST_RETRY;
                if let Some(line) = &mut self.line {
                    line.own_version = version;
                }
                self.phase = Phase::Reading;
                if self.trouble.take().is_some() || self.keepers.is_none() {
                    let coordination = self.dependencies.coordination.describe();
                    tracing::info!(coordination, keeper = %self.identity.id, "joined the keepers");
                }
                self.read_everything();
                self.beat();
            }
            Err(JoinError::Refused(message)) => {
                tracing::error!(message, "this keeper cannot take part");
                self.phase = Phase::Refused;
                self.drop_line("this keeper cannot take part", ctx);
                self.session = None;
                (self.dependencies.fatal)(Fatal { message });
            }
            Err(JoinError::Coordination(error)) => {
                self.report_trouble(&error);
                let wait = self.next_retry();
                self.spawn(tokio::time::sleep(wait).map(|()| Event::Rejoin));
            }
        }
    }

    /// The own node was found gone or replaced: the keeper joins again and reads everything again.
    fn rejoin(&mut self, ctx: &mut Context<Self>) {
        tracing::warn!(keeper = %self.identity.id, "the keeper's own node is gone: joining again");
        self.begin(ctx);
    }

    /// Runs a future for as long as this connection lasts.
    fn spawn(&self, future: impl Future<Output = Event> + 'static) {
        if let Some(line) = &self.line {
            // The receiver lives as long as the line.
            let _ = line.futures.unbounded_send(future.boxed_local());
        }
    }

    fn over(&self) -> bool {
        matches!(self.phase, Phase::Refused | Phase::Left)
    }

    /// Joined, on a connection that is up.
    fn online(&self) -> Option<Rc<dyn Session>> {
        match self.phase {
            Phase::Reading | Phase::Current => self.session.clone(),
            _ => None,
        }
    }

    /// Logs what is wrong, once until it changes.
    fn report_trouble(&mut self, trouble: &dyn std::fmt::Display) {
        let trouble = trouble.to_string();
        if self.trouble.as_ref() != Some(&trouble) {
            let coordination = self.dependencies.coordination.describe();
            tracing::warn!(
                coordination,
                trouble,
                "coordination is away; trying until it is back"
            );
            self.trouble = Some(trouble);
        }
    }

    fn next_retry(&mut self) -> Duration {
        let wait = self.retry;
        self.retry = (wait * 2).min(LONGEST_RETRY);
        wait
    }

    fn retry_later(&mut self, ctx: &mut Context<Self>, again: fn(&mut Self, &mut Context<Self>)) {
        let wait = self.next_retry();
        ctx.run_later(wait, again);
    }

    fn share(&mut self, name: &ClusterName) {
        let Some(keepers) = &self.keepers else { return };
        let Some(cluster) = self.clusters.get_mut(name) else {
            return;
        };
        if !cluster.known() {
            return;
        }
        let state = SharedState {
            published: cluster.published().cloned(),
            version: cluster.version(),
            reports: cluster.reports.clone(),
            keepers: keepers.keys().cloned().collect(),
            leading: self.leadership.clone(),
        };
        (self.dependencies.shared)(name, state);
    }

    fn share_all(&mut self) {
        let names: Vec<ClusterName> = self.clusters.keys().cloned().collect();
        for name in names {
            self.share(&name);
        }
    }
}

impl Actor for ZkSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        (self.dependencies.resend)(ResendReport);
        ctx.run_interval(self.dependencies.settings.heartbeat, |act, _| act.tick());
        self.connect(ctx);
    }
}

impl StreamHandler<(u64, Event)> for ZkSession {
    fn handle(&mut self, (number, event): (u64, Event), ctx: &mut Self::Context) {
        if self.line.as_ref().is_none_or(|line| line.number != number) {
            return;
        }
        match event {
            Event::Joined(outcome) => self.joined(outcome, ctx),
            Event::Rejoin => self.join(),
            Event::Generation(outcome) => self.first_generation_read(outcome),
            Event::Read(subject, outcome) => self.read(subject, outcome),
            Event::Changed(subject) => self.follow(subject),
            Event::Fetched(name, serial, outcome) => self.fetched(&name, serial, outcome, ctx),
            Event::Subtree(name, serial) => self.subtree_made(&name, serial),
            Event::Beat {
                sent,
                written,
                read,
            } => self.beaten(sent, written, read, ctx),
            Event::LatchWritten(outcome) => self.latch_written(outcome),
            Event::Raised(outcome) => self.raised(outcome),
            Event::CampaignAgain => self.campaign_again(),
            Event::Reported(name, serial, outcome) => self.reported(&name, serial, outcome),
            Event::Converge(name, serial) => self.converge_if(&name, serial),
        }
        self.settle(ctx);
    }

    /// A line ends; the actor goes on.
    fn finished(&mut self, _: &mut Self::Context) {}
}

#[cfg(test)]
mod tests;
