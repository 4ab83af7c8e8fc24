//! Keepers on one embedded tree.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use redis_keeper::actors::messages::{
    Fatal, InspectSession, KeeperAnnouncement, LeadershipChanged, ResendReport, SessionReport,
    SetReport, SharedState, Subscribe, TakeOver, WriteError, WriteState,
};
use redis_keeper::actors::zk_session::{Dependencies, Settings, ZkSession};
use redis_keeper::adapters::clock::TokioClock;

use redis_keeper::domain::failsafe::Failsafe;
use redis_keeper::domain::group::GroupToken;
use redis_keeper::domain::identity::{Nonce, Place};
use redis_keeper::domain::lease::Lease;
use redis_keeper::domain::liveness::DownReason;
use redis_keeper::domain::node::{ClusterName, Epoch, KeeperId, Moment, NodeAddr};
use redis_keeper::domain::published::{Intent, Published, Step};
use redis_keeper::domain::report::KeeperReport;
use redis_keeper::domain::settings::FileSettings;
use redis_keeper::ports::clock::LeaseClock;
use redis_keeper::ports::coordination::{Coordination, Session};
use tokio::sync::watch;

use super::faulty::FaultyCoordination;
use super::peers::OutOfReach;

pub(crate) const HEARTBEAT: Duration = Duration::from_millis(200);
pub(crate) const LEASE: Duration = Duration::from_millis(800);
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

fn withdrawn() -> Intent {
    Intent {
        epoch: Epoch(1),
        old: None,
        old_run_id: None,
        switchover: None,
        candidate: None,
        step: Step::Withdrawn,
        reason: "test".into(),
    }
}

pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The events of all keepers, in order.
pub(crate) type Story = Rc<RefCell<Vec<(String, Option<u64>)>>>;

pub(crate) struct World {
    pub(crate) coordination: FaultyCoordination,
    clock: Arc<TokioClock>,
    drawn: Cell<u64>,
    pub(crate) story: Story,
    /// The clusters in the files of keepers that are started from now on.
    pub(crate) clusters: RefCell<Vec<&'static str>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            coordination: FaultyCoordination::default(),
            clock: Arc::new(TokioClock::new()),
            drawn: Cell::default(),
            story: Story::default(),
            clusters: RefCell::new(vec!["x"]),
        }
    }

    /// A world with a keeper `a`, which is current.
    pub(crate) async fn alone() -> (Self, Keeper) {
        let world = Self::new();
        let a = world.keeper("a");
        a.current().await;
        (world, a)
    }

    /// A world with a keeper `a` that follows `cluster` and leads.
    pub(crate) async fn led(cluster: &str) -> (Self, Keeper) {
        let world = Self::new();
        let a = world.keeper("a");
        a.subscribe(cluster).await;
        world.leader().await;
        (world, a)
    }

    /// A world with a keeper `a` that leads, and a keeper `b`.
    pub(crate) async fn pair() -> (Self, Keeper, Keeper) {
        let world = Self::new();
        let a = world.keeper("a");
        world.leader().await;
        let b = world.keeper("b");
        b.current().await;
        (world, a, b)
    }

    pub(crate) fn keeper(&self, id: &str) -> Keeper {
        self.process(id, &format!("host-{id}:1"))
    }

    pub(crate) fn process(&self, id: &str, process: &str) -> Keeper {
        self.leased(id, process, LEASE)
    }

    /// A keeper with failsafe mode.
    pub(crate) fn failsafe(&self, id: &str) -> Keeper {
        let failsafe = Failsafe {
            consent: LEASE,
            limit: Duration::from_hours(1),
        };
        self.configured(id, &format!("host-{id}:1"), LEASE, Some(failsafe))
    }

    /// A keeper with its own `lease-seconds`.
    pub(crate) fn leased(&self, id: &str, process: &str, length: Duration) -> Keeper {
        self.configured(id, process, length, None)
    }

    fn configured(
        &self,
        id: &str,
        process: &str,
        length: Duration,
        failsafe: Option<Failsafe>,
    ) -> Keeper {
        let (lease, told) = watch::channel(Lease::default());
        let shared: Rc<RefCell<BTreeMap<ClusterName, SharedState>>> = Rc::default();
        let fatal: Rc<RefCell<Option<String>>> = Rc::default();
        let story = self.story.clone();
        let name = id.to_owned();
        let dependencies = Dependencies {
            coordination: Rc::new(self.coordination.clone()),
            peers: Rc::new(OutOfReach),
            clock: self.clock.clone(),
            settings: Settings {
                file: FileSettings::default(),
                clusters: self
                    .clusters
                    .borrow()
                    .iter()
                    .map(|name| ClusterName::new(*name))
                    .collect(),
                announcement: KeeperAnnouncement {
                    id: KeeperId::new(id),
                    rest: format!("10.0.0.1:{}", 4000 + id.len()),
                    version: "test".into(),
                    process: process.into(),
                },
                heartbeat: HEARTBEAT,
                lease: length,
                failsafe,
                nonce: Nonce::drawn(self.drawn.replace(self.drawn.get() + 1)),
                place: Place::new("here"),
                group: GroupToken::drawn(1),
                step_down_after: PATIENCE,
            },
            lease,
            group: watch::Sender::default(),
            obstacles: watch::channel(Arc::default()).0,
            shared: {
                let shared = shared.clone();
                Rc::new(move |cluster, state| {
                    shared.borrow_mut().insert(cluster.clone(), state);
                })
            },
            unlisted: Rc::new(|_| {}),
            claims: Rc::default(),
            resend: Rc::new(|ResendReport| {}),
            leading: Rc::new(move |LeadershipChanged(leadership)| {
                let epoch = leadership.map(|leadership| leadership.epoch.0);
                story.borrow_mut().push((name.clone(), epoch));
            }),
            fatal: {
                let fatal = fatal.clone();
                Rc::new(move |Fatal { message }| {
                    fatal.borrow_mut().replace(message);
                })
            },
        };
        Keeper {
            address: ZkSession::new(dependencies).start(),
            shared,
            fatal,
            lease: told,
            clock: self.clock.clone(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The keeper among `keepers` that leads, once it leads for the cluster.
    pub(crate) async fn leading<'a>(&self, keepers: &'a [Keeper], cluster: &str) -> &'a Keeper {
        let leads = |keeper: &&Keeper| {
            let shared = keeper.shared(cluster);
            shared.is_some_and(|shared| shared.leading.is_some())
        };
        eventually("a leader", async || {
            keepers.iter().any(|keeper| leads(&keeper))
        })
        .await;
        keepers.iter().find(leads).expect("it leads")
    }

    pub(crate) async fn observer(&self) -> Rc<dyn Session> {
        self.coordination.connect().await.expect("reachable")
    }

    pub(crate) fn leaders(&self) -> Vec<(String, u64)> {
        let mut leaders = BTreeMap::new();
        for (keeper, epoch) in self.story.borrow().iter() {
            match epoch {
                Some(epoch) => leaders.insert(keeper.clone(), *epoch),
                None => leaders.remove(keeper),
            };
        }
        leaders.into_iter().collect()
    }

    /// Waits until exactly one keeper leads. Returns its id and its epoch.
    pub(crate) async fn leader(&self) -> (String, u64) {
        eventually("one leader", async || self.leaders().len() == 1).await;
        self.leaders().remove(0)
    }
}

pub(crate) struct Keeper {
    pub(crate) address: Addr<ZkSession>,
    shared: Rc<RefCell<BTreeMap<ClusterName, SharedState>>>,
    pub(crate) fatal: Rc<RefCell<Option<String>>>,
    pub(crate) lease: watch::Receiver<Lease>,
    clock: Arc<TokioClock>,
}

impl Keeper {
    pub(crate) async fn report(&self) -> SessionReport {
        self.address.send(InspectSession).await.expect("running")
    }

    pub(crate) async fn session(&self) -> i64 {
        self.report().await.session.expect("a session")
    }

    pub(crate) fn leased(&self) -> bool {
        self.lease.borrow().holds(self.clock.now())
    }

    /// Waits until the keeper is refused. Returns the reason.
    pub(crate) async fn refused(&self) -> String {
        eventually("refused", async || self.fatal.borrow().is_some()).await;
        self.fatal.borrow().clone().expect("it is refused")
    }

    pub(crate) async fn current(&self) {
        eventually("current and leased", async || {
            self.report().await.state == "current" && self.leased()
        })
        .await;
    }

    pub(crate) fn shared(&self, cluster: &str) -> Option<SharedState> {
        self.shared
            .borrow()
            .get(&ClusterName::new(cluster))
            .cloned()
    }

    pub(crate) async fn write(
        &self,
        cluster: &str,
        primary: Option<&str>,
    ) -> Result<(Published, i32), WriteError> {
        let known = self.shared(cluster).expect("shared");
        let write = WriteState {
            cluster: ClusterName::new(cluster),
            leadership: known.leading.expect("leading"),
            version: known.version,
            state: Published {
                primary: primary.map(|host| NodeAddr::new(host, 1)),
                intent: primary.is_none().then(withdrawn),
                ..Published::default()
            },
            raise_generation: true,
        };
        self.address.send(write).await.expect("running")
    }

    pub(crate) async fn take_over(
        &self,
        cluster: &str,
        other: &str,
    ) -> Result<(Published, i32), WriteError> {
        let known = self.shared(cluster).expect("shared");
        let take_over = TakeOver {
            cluster: ClusterName::new(cluster),
            other: ClusterName::new(other),
            leadership: known.leading.expect("leading"),
            version: known.version,
        };
        self.address.send(take_over).await.expect("running")
    }

    pub(crate) async fn subscribe(&self, cluster: &str) {
        self.address.do_send(Subscribe(ClusterName::new(cluster)));
        eventually("shared", async || self.shared(cluster).is_some()).await;
    }

    pub(crate) fn set_report(&self, cluster: &str, hosts: &[&str]) {
        let votes = hosts
            .iter()
            .map(|host| (NodeAddr::new(*host, 1), DownReason::Refused));
        self.address.do_send(SetReport {
            cluster: ClusterName::new(cluster),
            report: KeeperReport {
                votes: votes.collect(),
                ..KeeperReport::default()
            },
        });
    }

    pub(crate) fn votes(&self, cluster: &str) -> Vec<(String, usize)> {
        let shared = self.shared(cluster).expect("shared");
        let votes = shared.reports.into_iter();
        votes
            .map(|(keeper, report)| (keeper.to_string(), report.votes.len()))
            .collect()
    }

    /// The keepers that the leader waits for before it goes on from the published state.
    pub(crate) fn waits_for(&self, cluster: &str) -> String {
        let shared = self.shared(cluster).expect("shared");
        shared.unacknowledged.to_string()
    }

    pub(crate) fn primary(&self, cluster: &str) -> Option<String> {
        let published = self.shared(cluster)?.published?;
        published.primary.map(|primary| primary.host().to_owned())
    }
}
