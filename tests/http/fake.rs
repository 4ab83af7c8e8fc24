//! Actors that answer as a test wants.

use std::future::{pending, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use redis_keeper::actors::cluster_api::{
    CheckAnswer, ClusterStatus, ClusterView, NodeRef, ProxyCheck, Question, Reason, RunCheck,
};
use redis_keeper::actors::messages::{
    KeeperAnnouncement, MonitorState, NotAcknowledged, NotDropped, NotSwitched, SessionReport,
    Switched,
};
use redis_keeper::domain::authority::{Authority, WhoLeads};
use redis_keeper::domain::explain::Explanation;
use redis_keeper::domain::failsafe::{ConsentRefusal, ConsentRequest};
use redis_keeper::domain::group::{GroupAnswer, GroupToken};
use redis_keeper::domain::identity::{KeeperProcess, Nonce};
use redis_keeper::domain::node::{ClusterName, Epoch, Generation, KeeperId, Moment, NodeAddr};
use redis_keeper::domain::observed::Requested;
use redis_keeper::domain::rehearsal::RehearsalRequest;
use redis_keeper::http::backend::{Backend, ChildReport, NodeReport, Readiness, Unanswered};
use redis_keeper::ports::clock::LeaseClock;

use self::views::{LAST_ALIVE, NOW, cluster_view, explanation, node_view, observation, primary};

mod manners;
mod views;

/// One cluster, `cluster-1`: a primary at 10.0.0.1:6379 and a replica at 10.0.0.2:6379. The clock of the fake stands
/// still.
pub(crate) struct Fake {
    reason: Mutex<Reason>,
    primary: Option<NodeAddr>,
    deadline: Option<Moment>,
    ready: AtomicBool,
    hung: bool,
    blocked: bool,
    down_for: AtomicUsize,
    crash: AtomicBool,
    clock: Mutex<Moment>,
    asked: Mutex<Option<(Question, NodeRef)>>,
    proxy_check: Mutex<Option<ProxyCheck>>,
    answers: AtomicUsize,
    /// The result of a switchover.
    switched: Result<Switched, NotSwitched>,
    switching_takes: Duration,
    /// The last switchover that was asked for.
    pub(crate) requested: Mutex<Option<Requested>>,
    /// Whether the cluster is held because its primary was changed from outside.
    pub(crate) held: AtomicBool,
    /// The answer to a keeper of another group.
    pub(crate) group: Mutex<Option<GroupAnswer>>,
    /// The node at which such a keeper has met this one.
    pub(crate) met_at: Mutex<Option<NodeAddr>>,
    /// The last request for a consent.
    pub(crate) consent: Mutex<Option<ConsentRequest>>,
    /// The last request of a rehearsal.
    pub(crate) rehearsal: Mutex<Option<RehearsalRequest>>,
    /// The obstacles: keepers that could not be asked without ZooKeeper, with the reasons.
    pub(crate) obstacles: Vec<String>,
    /// A trouble of ZooKeeper, though it can be reached.
    pub(crate) trouble: Option<String>,
    /// Since when and why ZooKeeper is away.
    pub(crate) outage: Option<String>,
    /// The address of the leader, if another keeper leads.
    leader: Option<SocketAddr>,
    /// The id of this keeper.
    id: &'static str,
}

/// The keeper that the fake stands for.
pub(crate) fn process() -> KeeperProcess {
    KeeperProcess::new(KeeperId::new("keeper-1"), Nonce::drawn(1))
}

impl Fake {
    /// A healthy keeper: the node that is asked about is the primary.
    pub(crate) fn healthy() -> Self {
        Self::saying(Reason::Primary)
    }

    /// A keeper that gives this answer to every question.
    pub(crate) fn saying(reason: Reason) -> Self {
        Self {
            reason: Mutex::new(reason),
            primary: Some(primary()),
            deadline: None,
            ready: AtomicBool::new(true),
            hung: false,
            blocked: false,
            down_for: AtomicUsize::new(0),
            crash: AtomicBool::new(false),
            clock: Mutex::new(NOW),
            asked: Mutex::new(None),
            proxy_check: Mutex::new(None),
            answers: AtomicUsize::new(0),
            switched: Err(NotSwitched::NotLeading),
            switching_takes: Duration::ZERO,
            requested: Mutex::default(),
            held: AtomicBool::default(),
            group: Mutex::new(Some(GroupAnswer {
                group: GroupToken::drawn(1),
                keeper: KeeperId::new("keeper-1"),
                place: "zookeeper".to_owned(),
                clusters: Vec::new(),
            })),
            met_at: Mutex::default(),
            consent: Mutex::default(),
            rehearsal: Mutex::default(),
            obstacles: Vec::new(),
            outage: None,
            trouble: None,
            leader: None,
            id: "keeper-1",
        }
    }

    pub(crate) fn set_clock(&self, now: Moment) {
        *self.clock.lock().unwrap() = now;
    }

    pub(crate) fn set_reason(&self, reason: Reason) {
        *self.reason.lock().unwrap() = reason;
    }

    /// How many questions were answered so far.
    pub(crate) fn answers(&self) -> usize {
        self.answers.load(Ordering::SeqCst)
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::SeqCst);
    }

    /// Makes the handler of the next question panic.
    pub(crate) fn crash_next(&self) {
        self.crash.store(true, Ordering::SeqCst);
    }

    pub(crate) fn last_asked(&self) -> Option<(Question, NodeRef)> {
        self.asked.lock().unwrap().clone()
    }

    /// The client that asked last; `None` if it did not name itself.
    pub(crate) fn last_asker(&self) -> Option<ProxyCheck> {
        self.proxy_check.lock().unwrap().clone()
    }

    fn answered<'a, T: 'a>(
        &self,
        cluster: &str,
        answer: T,
    ) -> LocalBoxFuture<'a, Result<T, Unanswered>> {
        if cluster != "cluster-1" {
            return ready(Err(Unanswered::NoSuchCluster)).boxed_local();
        }
        if self.hung {
            return pending().boxed_local();
        }
        let still_down = |left: usize| left.checked_sub(1);
        match self
            .down_for
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, still_down)
        {
            Ok(_) => ready(Err(Unanswered::NotAnswering)).boxed_local(),
            Err(_) => ready(Ok(answer)).boxed_local(),
        }
    }
}

impl LeaseClock for Fake {
    fn now(&self) -> Moment {
        *self.clock.lock().unwrap()
    }
}

impl Backend for Fake {
    fn clusters(&self) -> Vec<ClusterName> {
        vec![ClusterName::new("cluster-1")]
    }

    fn nodes(&self, cluster: &str) -> Vec<NodeAddr> {
        let known = cluster == "cluster-1";
        known.then(primary).into_iter().collect()
    }

    fn ask<'a>(
        &'a self,
        cluster: &'a str,
        ask: RunCheck,
    ) -> LocalBoxFuture<'a, Result<CheckAnswer, Unanswered>> {
        *self.proxy_check.lock().unwrap() = ask.proxy_check.as_deref().cloned();
        *self.asked.lock().unwrap() = Some((ask.question, NodeRef::clone(&ask.node)));
        if self.crash.swap(false, Ordering::SeqCst) {
            return async { panic!("asked to crash") }.boxed_local();
        }
        let is_primary = ask.node.server_name == self.primary.as_ref().map(ToString::to_string);
        let reason = self.reason.lock().unwrap().clone();
        let reason = match (ask.question, reason, &self.primary) {
            (Question::Writable, Reason::Primary, Some(primary)) if !is_primary => {
                Reason::NotPrimary(primary.clone())
            }
            (Question::Readable, Reason::Primary, _) if !is_primary => Reason::Replica,
            (_, reason, _) => reason,
        };
        self.answers.fetch_add(1, Ordering::SeqCst);
        let answer = CheckAnswer {
            reason,
            node: ask
                .node
                .server_name
                .as_deref()
                .and_then(|name| name.parse().ok()),
            generation: Some(Generation(7)),
            deadline: self.deadline,
            consented: false,
        };
        self.answered(cluster, answer)
    }

    fn status<'a>(
        &'a self,
        cluster: &'a str,
    ) -> LocalBoxFuture<'a, Result<Result<ClusterStatus, Reason>, Unanswered>> {
        let status = ClusterStatus {
            primary: self.primary.clone(),
            replicas: vec![NodeAddr::new("10.0.0.2", 6379)],
            deadline: self.deadline,
            consented: false,
        };
        self.answered(cluster, Ok(status))
    }

    fn inspect_cluster<'a>(
        &'a self,
        cluster: &'a str,
    ) -> LocalBoxFuture<'a, Result<ClusterView, Unanswered>> {
        self.answered(cluster, cluster_view())
    }

    fn explain_cluster<'a>(
        &'a self,
        cluster: &'a str,
    ) -> LocalBoxFuture<'a, Result<Explanation, Unanswered>> {
        self.answered(cluster, explanation())
    }

    fn acknowledge<'a>(
        &'a self,
        cluster: &'a str,
    ) -> LocalBoxFuture<'a, Result<Result<(), NotAcknowledged>, Unanswered>> {
        let held = self.held.load(Ordering::SeqCst);
        self.answered(cluster, held.then_some(()).ok_or(NotAcknowledged::Nothing))
    }

    fn inspect_node<'a>(
        &'a self,
        cluster: &'a str,
        node: NodeAddr,
    ) -> LocalBoxFuture<'a, Result<Option<NodeReport>, Unanswered>> {
        let report = (node == primary()).then(|| NodeReport {
            view: node_view(),
            monitor: Some(MonitorState {
                observation: observation(),
                now: NOW,
                last_probe: Some((NOW, Duration::from_micros(500))),
                last_alive: Some(LAST_ALIVE),
                consecutive_failures: 0,
                probes: 10,
                failures: 1,
            }),
            restarts: 2,
        });
        self.answered(cluster, report)
    }

    fn switchover<'a>(
        &'a self,
        cluster: &'a str,
        requested: Requested,
    ) -> LocalBoxFuture<'a, Result<Result<Switched, NotSwitched>, Unanswered>> {
        let (switched, takes) = (self.switched.clone(), self.switching_takes);
        *self.requested.lock().unwrap() = Some(requested);
        let answered = self.answered(cluster, switched);
        async move {
            tokio::time::sleep(takes).await;
            answered.await
        }
        .boxed_local()
    }

    fn inspect_session(&self) -> LocalBoxFuture<'_, Result<SessionReport, Unanswered>> {
        let keeper = KeeperId::new(self.id);
        let announced = |id: &KeeperId, rest: String| KeeperAnnouncement {
            id: id.clone(),
            rest,
            version: "0.1.0".to_owned(),
            process: "host/1".to_owned(),
        };
        let mut keepers = vec![announced(&keeper, "10.0.1.1:4379".to_owned())];
        let other = self.leader.map(|rest| {
            let other = KeeperId::new("keeper-2");
            keepers.push(announced(&other, rest.to_string()));
            other
        });
        let report = SessionReport {
            coordination: "zookeeper".to_owned(),
            state: "current",
            trouble: self.trouble.clone(),
            session: Some(0x1234),
            leader: Some(other.unwrap_or_else(|| keeper.clone())),
            keeper,
            group: Some(GroupToken::drawn(1)),
            who_leads: WhoLeads {
                authority: match &self.leader {
                    None => Authority::Leads(Epoch(3)),
                    Some(at) => Authority::Follows {
                        leader: KeeperId::new("keeper-2"),
                        rest: Some(at.to_string()),
                    },
                },
                stopped: None,
            },
            epoch: None,
            generation: 7,
            failsafe: None,
            settings: [].into(),
            differences: [].into(),
            overlaps: [].into(),
            keepers,
        };
        self.answered("cluster-1", report)
    }

    fn group<'a>(
        &'a self,
        met_at: Option<&'a NodeAddr>,
    ) -> LocalBoxFuture<'a, Result<Option<GroupAnswer>, Unanswered>> {
        *self.met_at.lock().unwrap() = met_at.cloned();
        self.answered("cluster-1", self.group.lock().unwrap().clone())
    }

    fn consent(
        &self,
        request: ConsentRequest,
    ) -> LocalBoxFuture<'_, Result<Result<KeeperProcess, ConsentRefusal>, Unanswered>> {
        let (holds, asked) = (Generation(7), request.generation);
        self.consent.lock().unwrap().replace(request);
        let consent = if asked == holds {
            Ok(process())
        } else {
            Err(ConsentRefusal::OtherGeneration { holds, asked })
        };
        self.answered("cluster-1", consent)
    }

    fn rehearse(
        &self,
        request: RehearsalRequest,
    ) -> LocalBoxFuture<'_, Result<KeeperProcess, Unanswered>> {
        self.rehearsal.lock().unwrap().replace(request);
        self.answered("cluster-1", process())
    }

    fn outage(&self) -> Option<String> {
        self.outage.clone()
    }

    fn obstacles(&self) -> Arc<[String]> {
        self.obstacles.clone().into()
    }

    fn drop_keeper(
        &self,
        keeper: KeeperId,
    ) -> LocalBoxFuture<'_, Result<Result<(), NotDropped>, Unanswered>> {
        let dropped = match keeper.as_str() {
            "gone" => Ok(()),
            "online" => Err(NotDropped::Online),
            "cut-off" => Err(NotDropped::NoContact),
            "changing" => Err(NotDropped::Unknown("it has another version".to_owned())),
            _ => Err(NotDropped::Unregistered),
        };
        self.answered("cluster-1", dropped)
    }

    fn readiness(&self) -> LocalBoxFuture<'_, Result<Readiness, Unanswered>> {
        let readiness = if self.ready.load(Ordering::SeqCst) {
            Readiness::Ready {
                until: self.deadline,
                failsafe: false,
            }
        } else {
            Readiness::NotReady("the session is lost".to_owned())
        };
        self.answered("cluster-1", readiness)
    }

    fn event_loop(&self) -> LocalBoxFuture<'_, Result<(), Unanswered>> {
        if self.blocked {
            pending().boxed_local()
        } else {
            ready(Ok(())).boxed_local()
        }
    }

    fn supervision(&self) -> ChildReport {
        let child = ChildReport {
            name: "zk-session".to_owned(),
            state: "running",
            restarts: 1,
            last_exit: Some("panicked: boom".to_owned()),
            uptime: Duration::from_secs(3),
            children: Vec::new(),
        };
        ChildReport {
            name: "root".to_owned(),
            last_exit: None,
            children: vec![child.clone()],
            ..child
        }
    }
}
