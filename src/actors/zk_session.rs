//! The actor that holds the coordination session: membership, heartbeat and lease, leader latch, the state of every
//! cluster, this keeper's reports, guarded writes.
//!
//! Safety rests on three things kept in plain structs beside it: what a heartbeat is worth
//! (`lease_book`, RK-3), what may be applied (`cluster`: never a lower generation), and what guards a write
//! (`writing`, RK-4). Watches only hasten. On every new connection all requests, reads and watches of the one before
//! are dropped, and everything is read again before anything counts.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures::FutureExt;
use futures::channel::mpsc;
use futures::future::LocalBoxFuture;
use tokio::sync::watch;

use self::circle::Circle;
use self::cluster::Cluster;
use self::failsafe::Part;
use self::joining::Identity;
use self::leading::Campaign;
use self::lease_book::LeaseBook;
use self::pace::Pace;
use self::polls::Polls;
use self::reading::Event;
use self::roll::Roll;
use self::standing::Standing;
use self::story::Log;
use self::writing::Counter;
use super::Outbox;
use super::messages::{Fatal, KeeperAnnouncement, Leadership, Leading, ResendReport, SharedState};
use crate::domain::claims::Claims;
use crate::domain::failsafe::Failsafe;
use crate::domain::group::GroupToken;
use crate::domain::identity::{KeeperProcess, Nonce, Place};
use crate::domain::lease::Lease;
use crate::domain::node::{ClusterName, Generation, KeeperId, Moment};
use crate::domain::rehearsal::Rehearsals;
use crate::domain::settings::{FileSettings, SettingComparison};
use crate::domain::yielding::Yielding;
use crate::layout::keeper::KeeperRecord;
use crate::ports::clock::LeaseClock;
use crate::ports::coordination::{Coordination, Session};
use crate::ports::peers::Peers;

mod acknowledging;
mod authority;
mod beating;
mod circle;
mod claims;
mod cluster;
mod connecting;
mod consents;
mod failsafe;
mod handlers;
mod joining;
mod leading;
mod lease_book;
mod pace;
mod polls;
mod reading;
mod rehearsal;
mod report_slot;
mod reporting;
mod roll;
mod settings;
mod standing;
mod story;
mod subject;
mod tasks;
mod unlisted;
mod writing;
mod yielding;

pub use self::joining::stranger_below;

/// Where the state of the cluster named goes: to its actor.
pub type SharedOutbox = Rc<dyn Fn(&ClusterName, SharedState)>;

/// Where the clusters go that ZooKeeper has and the file lacks.
pub type LackingOutbox = Rc<dyn Fn(&BTreeSet<ClusterName>)>;

/// What [`ZkSession`] needs. Cloned for every restart.
#[derive(Clone)]
pub struct Dependencies {
    /// Makes sessions.
    pub coordination: Rc<dyn Coordination>,
    /// The other keepers.
    pub peers: Rc<dyn Peers>,
    /// Measures the lease.
    pub clock: Arc<dyn LeaseClock>,
    /// What the operator decided.
    pub settings: Settings,
    /// Where the lease is told; shortened only by its revocation.
    pub lease: watch::Sender<Lease>,
    /// Where it is told who could not be asked without ZooKeeper, and why.
    pub obstacles: watch::Sender<Arc<[String]>>,
    /// Where the group is told that this keeper has joined.
    pub group: watch::Sender<Option<GroupToken>>,
    /// To the actor of the cluster named.
    pub shared: SharedOutbox,
    /// Where the clusters are told that the file lacks.
    pub unlisted: LackingOutbox,
    /// Which published clusters have which servers.
    pub claims: Rc<RefCell<Claims>>,
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
    /// Tells this process from every other that has the same id (RK-8).
    pub nonce: Nonce,
    /// Where it runs.
    pub place: Place,
    /// The clusters of its file.
    pub clusters: BTreeSet<ClusterName>,
    /// The settings of its file that are compared with those of the others.
    pub file: FileSettings,
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// How long a heartbeat vouches for what is known, from its sending: at most half the session timeout (RK-3).
    pub lease: Duration,
    /// How this keeper goes on without ZooKeeper; `None`: not at all (RK-8).
    pub failsafe: Option<Failsafe>,
    /// How long this keeper must see less than another before it makes way for that one as the leader.
    pub patience: Duration,
    /// The token of the group if this keeper is the first below its prefix (RK-12).
    pub group: GroupToken,
}

/// The coordination session of this keeper.
pub struct ZkSession {
    dependencies: Dependencies,
    identity: Identity,
    /// This very process.
    me: KeeperProcess,
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
    /// Those among them that the file lacks.
    unlisted: BTreeSet<ClusterName>,
    subscriptions: u64,
    roll: Roll,
    /// What this keeper asks the others of published primaries, and answers.
    polls: Polls,
    circle: Circle,
    /// Keepers that a failover would wait for beyond all leases, and until when, as told last.
    foreseen: BTreeMap<KeeperId, Moment>,
    part: Part,
    rehearsals: Rehearsals,
    /// Everything was read once since the start.
    was_current: bool,
    lease_book: LeaseBook,
    pace: Pace,
    leadership: Option<Leadership>,
    yielding: Yielding,
    /// What was told in the log of keepers and of this one's lease.
    log: Log,
    /// Why this keeper stopped leading the last time, and when.
    stopped: Option<(&'static str, Moment)>,
    settings: SettingComparison,
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
    /// Clusters that were not read completely.
    unread: BTreeSet<ClusterName>,
    /// Version of this keeper's own node.
    own_version: i32,
    /// When the heartbeat was sent that is not answered yet.
    beating: Option<Moment>,
    /// The registration for failsafe is being written.
    amending: bool,
    /// What the last heartbeat sent acknowledges.
    acknowledged: Generation,
    /// `/generation` is being read to learn what has changed, and whether it is to be read once more.
    looking: Option<bool>,
    /// When the roll will be looked at again, though nothing was heard.
    silence: Option<Moment>,
    /// Keepers whose files' settings are followed.
    files: BTreeSet<KeeperId>,
    /// It is being looked up whether silence is what it seems.
    surveying: bool,
    /// A silent leader is being deposed.
    deposing: bool,
    /// `None` until it was read.
    standing: Option<Standing>,
    campaign: Campaign,
    counter: Counter,
}

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
                lease: settings.lease,
                failsafe: settings.failsafe,
                acknowledged: Generation::default(),
                polls: Some(BTreeMap::new()),
            },
            file: settings.file.clone(),
            heartbeat: settings.heartbeat,
            group: settings.group.clone(),
        };
        let me = KeeperProcess::new(identity.id.clone(), settings.nonce.clone());
        Self {
            identity,
            phase: Phase::Connecting,
            session: None,
            connection: 0,
            line: None,
            lines: 0,
            retry: connecting::FIRST_RETRY,
            trouble: None,
            clusters: BTreeMap::new(),
            unlisted: BTreeSet::new(),
            subscriptions: 0,
            polls: Polls::default(),
            roll: Roll::new(
                settings.announcement.id.clone(),
                settings.lease,
                settings.failsafe,
            ),
            circle: Circle::new(me.clone()),
            me,
            foreseen: BTreeMap::new(),
            part: Part::new(dependencies.clock.now()),
            rehearsals: Rehearsals::default(),
            was_current: false,
            lease_book: LeaseBook::new(settings.lease),
            pace: Pace::new(settings.lease),
            leadership: None,
            yielding: Yielding::default(),
            log: Log::default(),
            stopped: None,
            settings: SettingComparison::with(settings.file.clone()),
            dependencies,
        }
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

    fn share(&mut self, name: &ClusterName) {
        let unacknowledged = self.unacknowledged(name);
        let Some(cluster) = self.clusters.get_mut(name) else {
            return;
        };
        if !self.roll.known() || !cluster.known() {
            return;
        }
        cluster.unacknowledged.clone_from(&unacknowledged);
        let state = SharedState {
            published: cluster.published().cloned(),
            version: cluster.version(),
            reports: cluster.reports.clone(),
            keepers: self.roll.online(),
            polls: self.polls_of(name),
            recounting: self.roll.recounting(),
            leading: self.leadership.clone(),
            unacknowledged,
        };
        (self.dependencies.shared)(name, state);
    }

    fn share_all(&mut self) {
        let names: Vec<ClusterName> = self.clusters.keys().cloned().collect();
        for name in &names {
            self.note_claim(name);
        }
        for name in names {
            self.share(&name);
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
    fn handle(&mut self, (number, event): (u64, Event), ctx: &mut Self::Context) {
        if self.line.as_ref().is_none_or(|line| line.number != number) {
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
            Event::Beat {
                sent,
                written,
                read,
            } => self.beaten(sent, written, read, ctx),
            Event::LatchWritten(outcome) => self.latch_written(outcome),
            Event::Raised(outcome) => self.raised(outcome),
            Event::CampaignAgain => self.campaign_again(),
            Event::SetBack(what) => self.set_back(&what, ctx),
            Event::Begin => self.begin(ctx),
            Event::Recounted(known, outcome) => self.recounted(known, outcome, ctx),
            Event::Looked(outcome) => self.looked(outcome, ctx),
            Event::Silence => {
                if let Some(line) = &mut self.line {
                    line.silence = None;
                }
            }
            Event::Deposed(outcome) => self.deposed(outcome),
            Event::Amended(outcome) => self.amended(outcome),
            Event::Reported(name, serial, outcome) => self.reported(&name, serial, outcome),
            Event::Converge(name, serial) => self.converge_if(&name, serial),
        }
        self.settle(ctx);
    }

    /// A line ends; the actor goes on.
    fn finished(&mut self, _: &mut Self::Context) {}
}
