//! The actor that holds the ZooKeeper session: membership, heartbeat and lease, leader latch, the state of every
//! cluster, this keeper's reports, and guarded writes.
//!
//! The knowledge that the session gathers is in [`domain::keepers`](crate::domain::keepers), and safety rests on the
//! types there. `guarded_write` beside this file has what guards a write (RK-4).
//!
//! Watches only make a keeper faster. On every new connection the keeper drops all requests, reads and watches of the
//! connection before. Then it reads everything again before anything counts.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;

use self::event::Event;
use self::leading::Leading;
use self::membership::Identity;
use self::phase::{Online, Phase};
use self::story::Story;
use super::Outbox;
use super::messages::{Fatal, KeeperAnnouncement, LeadershipChanged, ResendReport, SharedState};
use crate::domain::claims::Claims;
use crate::domain::failsafe::Failsafe;
use crate::domain::group::GroupToken;
use crate::domain::identity::{KeeperProcess, Nonce, Place};
use crate::domain::keepers::clusters::Clusters;
use crate::domain::keepers::contact::Contact;
use crate::domain::keepers::failsafe::FailsafeState;
use crate::domain::keepers::keeper_table::KeeperTable;
use crate::domain::keepers::lease_book::LeaseBook;
use crate::domain::keepers::polls::Polls;
use crate::domain::keepers::record::KeeperRecord;
use crate::domain::lease::Lease;
use crate::domain::node::{ClusterName, Generation};
use crate::domain::settings::{FileSettings, SettingComparison};
use crate::ports::clock::LeaseClock;
use crate::ports::coordination::{Coordination, Session};
use crate::ports::peers::Peers;

mod acknowledgements;
mod authority;
mod campaign;
mod claims;
mod connection;
mod consents;
mod decoded;
mod event;
mod failsafe;
mod guarded_write;
mod handlers;
mod heartbeat;
mod heartbeat_latency;
mod leadership_transfer;
mod leading;
mod membership;
mod phase;
mod polls;
mod rehearsal;
mod reports;
mod settings;
mod story;
mod subject;
mod tasks;
mod unlisted;
mod watched_reads;

pub use self::membership::stranger_below;

/// Takes the state of the named cluster to its actor.
pub type SharedOutbox = Rc<dyn Fn(&ClusterName, SharedState)>;

/// Takes the clusters that ZooKeeper has and the file lacks.
pub type LackingOutbox = Rc<dyn Fn(&BTreeSet<ClusterName>)>;

/// Everything that a [`ZkSession`] needs. Cloned for every restart.
#[derive(Clone)]
pub struct Dependencies {
    /// Opens sessions with ZooKeeper.
    pub coordination: Rc<dyn Coordination>,
    /// Asks the other keepers without ZooKeeper.
    pub peers: Rc<dyn Peers>,
    /// The clock that measures the lease.
    pub clock: Arc<dyn LeaseClock>,
    /// The settings of the operator.
    pub settings: Settings,
    /// The cell with the lease. Only a revocation makes the lease shorter.
    pub lease: watch::Sender<Lease>,
    /// The cell with the keepers that could not be asked without ZooKeeper, each with the reason.
    pub obstacles: watch::Sender<Arc<[String]>>,
    /// The cell with the group, once this keeper has joined it.
    pub group: watch::Sender<Option<GroupToken>>,
    /// To the actor of the named cluster: its state.
    pub shared: SharedOutbox,
    /// Takes the clusters that the file lacks.
    pub unlisted: LackingOutbox,
    /// Which published clusters have which servers.
    pub claims: Rc<RefCell<Claims>>,
    /// To the actors of all clusters: send your reports again.
    pub resend: Outbox<ResendReport>,
    /// To the failover actor: whether this keeper leads.
    pub leading: Outbox<LeadershipChanged>,
    /// To the root: end the process.
    pub fatal: Outbox<Fatal>,
}

/// The settings of the operator.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This keeper, as its heartbeat node announces it.
    pub announcement: KeeperAnnouncement,
    /// Tells this process apart from every other with the same id (RK-8).
    pub nonce: Nonce,
    /// The place where this process runs.
    pub place: Place,
    /// The clusters of this keeper's file.
    pub clusters: BTreeSet<ClusterName>,
    /// The settings of this keeper's file that are compared with those of other keepers.
    pub file: FileSettings,
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// How long a heartbeat vouches for this keeper's knowledge, from its sending. At most half the session timeout
    /// (RK-3).
    pub lease: Duration,
    /// The settings of failsafe mode; `None` if it is switched off (RK-8).
    pub failsafe: Option<Failsafe>,
    /// How long this keeper must see less than another one before it steps down for that keeper.
    pub step_down_after: Duration,
    /// The token that the group gets if this keeper is the first below its prefix (RK-12).
    pub group: GroupToken,
}

/// This keeper's session with ZooKeeper.
pub struct ZkSession {
    dependencies: Dependencies,
    identity: Identity,
    phase: Phase,
    contact: Contact,
    clusters: Clusters,
    keepers: KeeperTable,
    other_files: SettingComparison,
    /// This keeper's questions about published primaries, and its answers.
    polls: Polls,
    lease_book: LeaseBook,
    failsafe: FailsafeState,
    leading: Leading,
    story: Story,
}

// === impl ZkSession ===

impl ZkSession {
    /// Creates the session of the keeper that is described, to be started.
    pub fn new(dependencies: Dependencies) -> Self {
        let settings = &dependencies.settings;
        let announcement = &settings.announcement;
        let me = KeeperProcess::new(announcement.id.clone(), settings.nonce.clone());
        let now = dependencies.clock.now();
        Self {
            phase: Phase::Connecting,
            contact: Contact::new(now),
            clusters: Clusters::default(),
            keepers: KeeperTable::new(me.id.clone(), settings.lease, settings.failsafe),
            other_files: SettingComparison::with(settings.file.clone()),
            polls: Polls::default(),
            lease_book: LeaseBook::new(settings.lease),
            failsafe: FailsafeState::new(
                &me,
                settings.failsafe,
                &announcement.rest,
                &settings.place,
                now,
            ),
            leading: Leading::default(),
            story: Story::new(settings.lease),
            identity: Identity {
                me,
                record: KeeperRecord {
                    rest: announcement.rest.clone(),
                    version: announcement.version.clone(),
                    process: announcement.process.clone(),
                    lease: settings.lease,
                    failsafe: settings.failsafe,
                    acknowledged: Generation::default(),
                    polls: Some(BTreeMap::new()),
                },
                file: settings.file.clone(),
                heartbeat: settings.heartbeat,
                group: settings.group.clone(),
            },
            dependencies,
        }
    }
}

impl Actor for ZkSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        (self.dependencies.resend)(ResendReport);
        ctx.run_interval(self.dependencies.settings.heartbeat, Self::tick);
        self.connect(ctx);
    }
}

impl StreamHandler<(u64, Event)> for ZkSession {
    fn handle(&mut self, (serial, event): (u64, Event), ctx: &mut Self::Context) {
        let connection = self.phase.connection();
        if connection.is_none_or(|connection| connection.serial != serial) {
            return;
        }
        match event {
            Event::Joined(outcome) => self.joined(outcome, ctx),
            Event::Rejoin => self.join(),
            Event::Generation(outcome) => self.first_generation_read(outcome),
            Event::Read(subject, outcome) => self.read(subject, outcome),
            Event::Changed(subject) => self.changed(subject),
            Event::KeeperFired(keeper, session, fired) => self.keeper_fired(keeper, session, fired),
            Event::Surveyed(survey) => self.surveyed(&survey),
            Event::Fetch(name) => self.fetch(&name),
            Event::Fetched(name, serial, outcome) => self.fetched(&name, serial, outcome),
            Event::Subtree(name, serial) => self.subtree_made(&name, serial),
            Event::Heartbeat {
                sent,
                written,
                read,
            } => self.heartbeat_done(sent, written, read, ctx),
            Event::LatchWritten(outcome) => self.latch_written(outcome),
            Event::Raised(outcome) => self.raised(outcome),
            Event::CampaignAgain => self.campaign_again(),
            Event::SetBack(what) => self.set_back(&what, ctx),
            Event::Begin => self.begin_again(ctx),
            Event::GenerationRechecked(known, outcome) => {
                self.generation_rechecked(known, outcome, ctx);
            }
            Event::ChangesRead(outcome) => self.changes_read(outcome, ctx),
            Event::Silence => {
                if let Some(online) = self.phase.online_mut() {
                    online.silence = None;
                }
            }
            Event::Deposed(outcome) => self.deposed(outcome),
            Event::Amended(outcome) => self.amended(outcome),
            Event::Reported(name, serial, outcome) => self.reported(&name, serial, outcome),
            Event::Converge(name, serial) => self.converge_if(&name, serial),
        }
        self.settle(ctx);
    }

    /// The stream of one connection ends; the actor goes on.
    fn finished(&mut self, _: &mut Self::Context) {}
}

// === helpers ===

impl ZkSession {
    /// Runs a future for as long as this connection lasts.
    fn spawn(&self, future: impl Future<Output = Event> + 'static) {
        if let Some(connection) = self.phase.connection() {
            connection.spawn(future);
        }
    }

    /// The session, if this keeper is online.
    fn online(&self) -> Option<Rc<dyn Session>> {
        self.phase.online().map(Online::session)
    }

    fn share(&mut self, name: &ClusterName) {
        let unacknowledged = self.unacknowledged(name);
        let Some(cluster) = self.clusters.get_mut(name) else {
            return;
        };
        if !self.keepers.known() || !cluster.known() {
            return;
        }
        cluster.unacknowledged.clone_from(&unacknowledged);
        let state = SharedState {
            published: cluster.published().cloned(),
            version: cluster.version(),
            reports: cluster.reports.clone(),
            keepers: self.keepers.online(),
            polls: self.keepers.polls_of(name),
            relisting: self.keepers.relisting(),
            leading: self.leading.leadership().cloned(),
            unacknowledged,
        };
        (self.dependencies.shared)(name, state);
    }

    fn share_all(&mut self) {
        let names: Vec<ClusterName> = self.clusters.names().cloned().collect();
        for name in &names {
            self.note_claim(name);
        }
        for name in names {
            self.share(&name);
        }
    }
}
