//! Keepers on one embedded tree, on virtual time.

use std::cell::RefCell;
use std::collections::BTreeSet;

use futures::future::join_all;

use super::*;
use crate::actors::messages::{
    InspectSession, Leave, SessionReport, SetReport, Subscribe, Unsubscribe, WriteError, WriteState,
};
use crate::adapters::clock::TokioClock;
use crate::adapters::embedded::Embedded;
use crate::domain::facts::DownReason;
use crate::domain::node::NodeAddr;
use crate::domain::published::Published;
use crate::domain::verdict::Report;
use crate::layout::paths;
use crate::layout::state::Document;
use crate::ports::coordination::{CreateKind, Session};

const HEARTBEAT: Duration = Duration::from_millis(200);
const LEASE: Duration = Duration::from_millis(800);

fn on_virtual_time(test: impl Future<Output = ()>) {
    actix::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    })
    .block_on(test);
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What keepers did, in order.
type Story = Rc<RefCell<Vec<(String, Option<u64>)>>>;

struct World {
    embedded: Embedded,
    clock: Arc<TokioClock>,
    story: Story,
}

impl World {
    fn new() -> Self {
        Self {
            embedded: Embedded::new(),
            clock: Arc::new(TokioClock::new()),
            story: Story::default(),
        }
    }

    fn keeper(&self, id: &str) -> Keeper {
        self.process(id, &format!("host-{id}:1"))
    }

    fn process(&self, id: &str, process: &str) -> Keeper {
        let (lease, told) = watch::channel(Lease::default());
        let shared: Rc<RefCell<BTreeMap<ClusterName, SharedState>>> = Rc::default();
        let fatal: Rc<RefCell<Option<String>>> = Rc::default();
        let story = self.story.clone();
        let name = id.to_owned();
        let dependencies = Dependencies {
            coordination: Rc::new(self.embedded.clone()),
            clock: self.clock.clone(),
            settings: Settings {
                announcement: KeeperAnnouncement {
                    id: KeeperId::new(id),
                    rest: format!("10.0.0.1:{}", 4000 + id.len()),
                    version: "test".into(),
                    process: process.into(),
                },
                heartbeat: HEARTBEAT,
                lease: LEASE,
            },
            lease,
            shared: {
                let shared = shared.clone();
                Rc::new(move |cluster, state| {
                    shared.borrow_mut().insert(cluster.clone(), state);
                })
            },
            resend: Rc::new(|ResendReport| {}),
            leading: Rc::new(move |Leading(leadership)| {
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

    async fn observer(&self) -> Rc<dyn Session> {
        self.embedded.connect().await.expect("reachable")
    }

    fn leaders(&self) -> Vec<(String, u64)> {
        let mut leaders = BTreeMap::new();
        for (keeper, epoch) in self.story.borrow().iter() {
            match epoch {
                Some(epoch) => leaders.insert(keeper.clone(), *epoch),
                None => leaders.remove(keeper),
            };
        }
        leaders.into_iter().collect()
    }

    /// Waits until exactly one keeper leads, and tells which, with which epoch.
    async fn leader(&self) -> (String, u64) {
        eventually("one leader", async || self.leaders().len() == 1).await;
        self.leaders().remove(0)
    }
}

struct Keeper {
    address: Addr<ZkSession>,
    shared: Rc<RefCell<BTreeMap<ClusterName, SharedState>>>,
    fatal: Rc<RefCell<Option<String>>>,
    lease: watch::Receiver<Lease>,
    clock: Arc<TokioClock>,
}

impl Keeper {
    async fn report(&self) -> SessionReport {
        self.address.send(InspectSession).await.expect("running")
    }

    async fn session(&self) -> i64 {
        self.report().await.session.expect("a session")
    }

    fn leased(&self) -> bool {
        self.lease.borrow().holds(self.clock.now())
    }

    async fn current(&self) {
        eventually("current and leased", async || {
            self.report().await.state == "current" && self.leased()
        })
        .await;
    }

    fn shared(&self, cluster: &str) -> Option<SharedState> {
        self.shared
            .borrow()
            .get(&ClusterName::new(cluster))
            .cloned()
    }

    async fn write(
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
                ..Published::default()
            },
            raise_generation: true,
        };
        self.address.send(write).await.expect("running")
    }

    async fn subscribe(&self, cluster: &str) {
        self.address.do_send(Subscribe(ClusterName::new(cluster)));
        eventually("shared", async || self.shared(cluster).is_some()).await;
    }

    fn set_report(&self, cluster: &str, hosts: &[&str]) {
        let votes = hosts
            .iter()
            .map(|host| (NodeAddr::new(*host, 1), DownReason::Refused));
        self.address.do_send(SetReport {
            cluster: ClusterName::new(cluster),
            report: Report {
                votes: votes.collect(),
            },
        });
    }

    fn votes(&self, cluster: &str) -> Vec<(String, usize)> {
        let shared = self.shared(cluster).expect("shared");
        let votes = shared.reports.into_iter();
        votes
            .map(|(keeper, report)| (keeper.to_string(), report.votes.len()))
            .collect()
    }

    fn primary(&self, cluster: &str) -> Option<String> {
        let published = self.shared(cluster)?.published?;
        published.primary.map(|primary| primary.host().to_owned())
    }
}

#[test]
fn one_of_three_keepers_leads_and_all_see_the_same() {
    on_virtual_time(async {
        let world = World::new();
        let keepers = ["a", "b", "c"].map(|id| world.keeper(id));
        let (leader, epoch) = world.leader().await;
        assert_eq!(epoch, 1);
        for keeper in &keepers {
            keeper.current().await;
            keeper.subscribe("x").await;
            eventually("three keepers", async || {
                let report = keeper.report().await;
                report.keepers.len() == 3 && report.leader == Some(KeeperId::new(&*leader))
            })
            .await;
            let ids = ["a", "b", "c"].map(KeeperId::new);
            assert_eq!(keeper.shared("x").unwrap().keepers, BTreeSet::from(ids));
        }
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert_eq!(
            world.leaders(),
            [(leader, 1)],
            "a quiet ensemble keeps its leader"
        );
    });
}

#[test]
fn a_leader_whose_session_expires_stops_before_the_next_begins_and_takes_part_again() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        world.leader().await;
        let b = world.keeper("b");
        b.current().await;
        world.embedded.expire(a.session().await);
        eventually("b leads", async || world.leaders() == [("b".to_owned(), 2)]).await;
        let story = [("a", Some(1)), ("a", None), ("b", Some(2))];
        assert_eq!(
            *world.story.borrow(),
            story.map(|(who, epoch)| (who.to_owned(), epoch))
        );
        a.current().await;
        world.embedded.expire(b.session().await);
        eventually("a leads again", async || {
            world.leaders() == [("a".to_owned(), 3)]
        })
        .await;
    });
}

#[test]
fn a_second_keeper_with_the_same_id_is_refused_and_told_who_holds_it() {
    on_virtual_time(async {
        let world = World::new();
        let first = world.process("a", "first:1");
        first.current().await;
        let second = world.process("a", "second:2");
        eventually("refused", async || second.fatal.borrow().is_some()).await;
        let message = second.fatal.borrow().clone().unwrap();
        assert!(
            message.contains("keeper-id a is held by first:1 at 10.0.0.1:4001"),
            "{message}"
        );
        assert!(first.fatal.borrow().is_none());
        assert_eq!(world.leader().await, ("a".to_owned(), 1));
        assert_eq!(second.report().await.state, "refused");
    });
}

#[test]
fn the_leftover_of_an_earlier_run_is_waited_out() {
    on_virtual_time(async {
        let world = World::new();
        let earlier = world.keeper("a");
        earlier.current().await;
        // Its process is gone, its session not yet.
        let session = earlier.session().await;
        world.embedded.disconnect(session);
        let again = world.keeper("a");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(again.report().await.state, "joining");
        assert!(again.fatal.borrow().is_none());
        world.embedded.set_reachable(false);
        world.embedded.expire(session);
        again.current().await;
    });
}

#[test]
fn after_a_reconnection_everything_is_read_again_and_the_leader_has_a_new_epoch() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        a.subscribe("x").await;
        assert_eq!(world.leader().await, ("a".to_owned(), 1));
        eventually("leading shared", async || {
            a.shared("x").unwrap().leading.is_some()
        })
        .await;
        let session = a.session().await;
        world.embedded.disconnect(session);
        eventually("stopped", async || world.leaders().is_empty()).await;
        assert_eq!(a.report().await.state, "disconnected");
        let published = Published {
            primary: Some(NodeAddr::new("p", 1)),
            generation: Generation(1),
            ..Published::default()
        };
        let observer = world.observer().await;
        observer
            .set("/clusters/x", &published.encode(), None)
            .await
            .unwrap();
        world.embedded.reconnect(session);
        eventually("read again", async || a.primary("x") == Some("p".into())).await;
        assert_eq!(world.leader().await, ("a".to_owned(), 2));
        assert_eq!(a.session().await, session);
    });
}

#[test]
fn the_lease_runs_out_once_heartbeats_are_not_confirmed_and_leading_ends_with_it() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        a.current().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(a.leased(), "heartbeats hold it");
        world.embedded.disconnect(a.session().await);
        let last = a.lease.borrow().deadline;
        tokio::time::sleep(LEASE).await;
        assert!(!a.leased());
        assert_eq!(a.lease.borrow().deadline, last);
    });
}

#[test]
fn a_deposed_leader_writes_nothing() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        a.subscribe("x").await;
        world.leader().await;
        a.write("x", None).await.unwrap();
        let known = a.shared("x").unwrap();
        let observer = world.observer().await;
        let latch = observer.children(paths::LEADER).await.unwrap().remove(0);
        // The write is on its way before its watch can tell the keeper anything.
        let deleted = observer.delete(&format!("/leader/{latch}"), None);
        let outcome = a.write("x", Some("p")).await;
        deleted.await.unwrap();
        assert!(
            matches!(outcome, Err(WriteError::NotDone(_))),
            "{outcome:?}"
        );
        let node = observer.get("/clusters/x").await.unwrap().unwrap();
        assert_eq!(Some(node.version), known.version);
        assert_eq!(
            world.leader().await.1,
            2,
            "it leads again, with another latch node"
        );
    });
}

#[test]
fn a_state_decided_from_an_old_version_is_not_written() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        a.subscribe("x").await;
        world.leader().await;
        let (first, second) = futures::join!(a.write("x", Some("p")), a.write("x", Some("q")));
        assert_eq!(first.unwrap().0.generation, Generation(1));
        assert!(matches!(second, Err(WriteError::NotDone(_))));
        assert_eq!(a.primary("x"), Some("p".into()));
        assert_eq!(
            a.write("x", None).await.unwrap().0.generation,
            Generation(2)
        );
    });
}

#[test]
fn writes_of_many_clusters_go_side_by_side_and_each_has_its_own_generation() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        let b = world.keeper("b");
        let names: Vec<String> = (0..200).map(|n| format!("c{n}")).collect();
        for name in &names {
            a.subscribe(name).await;
            b.subscribe(name).await;
        }
        world.leader().await;
        eventually("leading shared", async || {
            a.shared("c199").unwrap().leading.is_some()
        })
        .await;
        let written = join_all(names.iter().map(|name| a.write(name, Some("p")))).await;
        let generations: BTreeSet<u64> = written
            .iter()
            .map(|written| written.as_ref().unwrap().0.generation.0)
            .collect();
        assert_eq!(generations, (1..=200).collect());
        eventually("b sees all", async || {
            names.iter().all(|name| b.primary(name) == Some("p".into()))
        })
        .await;
        eventually("b has applied all", async || {
            b.report().await.generation == 200
        })
        .await;
        b.current().await;
    });
}

#[test]
fn after_an_unknown_outcome_the_state_is_read_before_anything_else_is_written() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        a.subscribe("x").await;
        world.leader().await;
        a.write("x", Some("p")).await.unwrap();
        let session = a.session().await;
        world.embedded.cut_at_next_request(session);
        let outcome = a.write("x", None).await;
        assert!(
            matches!(outcome, Err(WriteError::Unknown(_))),
            "{outcome:?}"
        );
        eventually("stopped", async || world.leaders().is_empty()).await;
        world.embedded.reconnect(session);
        world.leader().await;
        eventually("what was written after all is read", async || {
            a.primary("x").is_none() && a.shared("x").unwrap().leading.is_some()
        })
        .await;
        let (state, _) = a.write("x", Some("q")).await.unwrap();
        assert_eq!(state.generation, Generation(3));
    });
}

#[test]
fn reports_reach_the_others_and_go_with_their_keeper() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        let b = world.keeper("b");
        a.subscribe("x").await;
        b.subscribe("x").await;
        a.set_report("x", &["p"]);
        b.set_report("x", &["p", "q"]);
        let both = [("a".to_owned(), 1), ("b".to_owned(), 2)];
        eventually("both see both", async || {
            a.votes("x") == both && b.votes("x") == both
        })
        .await;
        a.set_report("x", &[]);
        eventually("taken back", async || b.votes("x") == both[1..]).await;
        world.embedded.set_reachable(false);
        world.embedded.expire(b.session().await);
        eventually("gone with b", async || {
            let shared = a.shared("x").unwrap();
            shared.reports.is_empty() && shared.keepers.len() == 1
        })
        .await;
        world.embedded.set_reachable(true);
        eventually("made again", async || a.votes("x") == both[1..]).await;
        b.address.do_send(Unsubscribe(ClusterName::new("x")));
        eventually("taken back with the cluster", async || {
            a.votes("x").is_empty()
        })
        .await;
    });
}

#[test]
fn a_keeper_that_leaves_takes_everything_with_it() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        world.leader().await;
        let b = world.keeper("b");
        b.current().await;
        a.set_report("x", &["p"]);
        let before = tokio::time::Instant::now();
        a.address.send(Leave).await.unwrap();
        assert!(before.elapsed() < Duration::from_millis(50));
        let observer = world.observer().await;
        assert_eq!(observer.children(paths::KEEPERS).await.unwrap(), ["b"]);
        assert_eq!(observer.children(paths::LEADER).await.unwrap().len(), 1);
        assert!(
            observer
                .children("/clusters/x/reports")
                .await
                .unwrap()
                .is_empty()
        );
        eventually("b leads", async || world.leaders() == [("b".to_owned(), 2)]).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(a.report().await.state, "left");
    });
}

#[test]
fn leaving_while_disconnected_is_not_waited_for_long() {
    on_virtual_time(async {
        let world = World::new();
        world.embedded.set_reachable(false);
        let a = world.keeper("a");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(a.report().await.state, "connecting");
        world.embedded.set_reachable(true);
        a.current().await;
        world.embedded.disconnect(a.session().await);
        eventually("noticed", async || a.report().await.state == "disconnected").await;
        let before = tokio::time::Instant::now();
        a.address.send(Leave).await.unwrap();
        assert!(before.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn an_own_node_that_somebody_removed_is_made_again() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        a.current().await;
        let observer = world.observer().await;
        observer.delete("/keepers/a", None).await.unwrap();
        eventually("made again", async || {
            observer.get("/keepers/a").await.unwrap().is_some()
        })
        .await;
        a.current().await;
    });
}

#[test]
fn a_prefix_of_the_older_project_is_refused() {
    on_virtual_time(async {
        let world = World::new();
        let observer = world.observer().await;
        for path in ["/leader", "/leader/_c_1-latch-0000000000", "/clusters"] {
            observer
                .create(path, b"", CreateKind::Persistent)
                .await
                .unwrap();
        }
        let a = world.keeper("a");
        eventually("refused", async || a.fatal.borrow().is_some()).await;
        assert!(
            observer.get(paths::FORMAT).await.unwrap().is_none(),
            "nothing is written there"
        );
    });
}
