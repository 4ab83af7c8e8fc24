//! The session actor above the adapter.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use redis_keeper::actors::messages::{
    InspectSession, KeeperAnnouncement, Leadership, LeadershipChanged, Leave, SetReport,
    SharedState, Subscribe, WriteError, WriteState,
};
use redis_keeper::actors::zk_session::{Dependencies, Settings, ZkSession};
use redis_keeper::adapters::clock::BootClock;
use redis_keeper::domain::group::GroupToken;
use redis_keeper::domain::identity::{Nonce, Place};
use redis_keeper::domain::lease::Lease;
use redis_keeper::domain::liveness::DownReason;
use redis_keeper::domain::node::{ClusterName, KeeperId, NodeAddr};
use redis_keeper::domain::published::Published;
use redis_keeper::domain::report::KeeperReport;
use redis_keeper::domain::settings::FileSettings;
use redis_keeper::ports::clock::LeaseClock;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::peers::OutOfReach;
use crate::server::{PATIENCE, SESSION_TIMEOUT, Server, eventually};

struct Keeper {
    address: Addr<ZkSession>,
    lease: watch::Receiver<Lease>,
    leadership: Rc<RefCell<Option<Leadership>>>,
    shared: watch::Receiver<SharedState>,
}

fn keeper(server: &Server, id: &str) -> Keeper {
    let (lease, told) = watch::channel(Lease::default());
    let (share, shared) = watch::channel(SharedState::default());
    let leadership = Rc::new(RefCell::new(None));
    let dependencies = Dependencies {
        coordination: Rc::new(server.coordination("/keepers-of/test")),
        peers: Rc::new(OutOfReach),
        clock: Arc::new(BootClock),
        settings: Settings {
            announcement: KeeperAnnouncement {
                id: KeeperId::new(id),
                rest: "127.0.0.1:1".into(),
                version: "test".into(),
                process: format!("{id}:1"),
            },
            file: FileSettings::default(),
            clusters: [ClusterName::new("x")].into(),
            heartbeat: Duration::from_millis(200),
            lease: Duration::from_millis(800),
            step_down_after: Duration::from_secs(3),
            failsafe: None,
            nonce: Nonce::drawn(1),
            place: Place::new("here"),
            group: GroupToken::drawn(1),
        },
        lease,
        group: watch::Sender::default(),
        obstacles: watch::channel(Arc::default()).0,
        shared: Rc::new(move |_, state| drop(share.send_replace(state))),
        unlisted: Rc::new(|_| {}),
        claims: Rc::default(),
        resend: Rc::new(drop),
        leading: {
            let leadership = leadership.clone();
            Rc::new(move |LeadershipChanged(leading)| *leadership.borrow_mut() = leading)
        },
        fatal: Rc::new(|fatal| panic!("{fatal:?}")),
    };
    Keeper {
        address: ZkSession::new(dependencies).start(),
        lease: told,
        leadership,
        shared,
    }
}

impl Keeper {
    async fn current(&self) {
        eventually("current", async || {
            let report = self.address.send(InspectSession).await.expect("running");
            report.state == "current" && self.lease.borrow().holds(BootClock.now())
        })
        .await;
    }

    async fn leads(&self) -> Leadership {
        eventually("leading", async || self.leadership.borrow().is_some()).await;
        self.leadership.borrow().clone().expect("leading")
    }
}

async fn write(
    keeper: &Keeper,
    leadership: &Leadership,
    host: &str,
) -> Result<Published, WriteError> {
    let write = WriteState {
        cluster: ClusterName::new("x"),
        leadership: leadership.clone(),
        version: keeper.shared.borrow().version,
        state: Published {
            primary: Some(NodeAddr::new(host, 1)),
            ..Published::default()
        },
        raise_generation: true,
    };
    let written = keeper.address.send(write).await.expect("running");
    written.map(|(published, _)| published)
}

fn vote(host: &str) -> KeeperReport {
    KeeperReport {
        votes: [(NodeAddr::new(host, 1), DownReason::Refused)].into(),
        ..KeeperReport::default()
    }
}

#[test]
fn keepers_on_a_real_server_survive_its_restart_its_silence_and_each_other() {
    actix::System::new().block_on(async {
        let server = Server::start().await;
        let cluster = ClusterName::new("x");
        let a = keeper(&server, "a");
        let first = a.leads().await;
        let mut b = keeper(&server, "b");
        for keeper in [&a, &b] {
            keeper.address.do_send(Subscribe(cluster.clone()));
            keeper.current().await;
        }

        let written = write(&a, &first, "p").await.unwrap();
        let published = |shared: &SharedState| shared.published.as_ref() == Some(&written);
        timeout(PATIENCE, b.shared.wait_for(published))
            .await
            .expect("in time")
            .unwrap();
        a.address.do_send(SetReport {
            cluster: cluster.clone(),
            report: vote("p"),
        });
        let from_a =
            |shared: &SharedState| shared.reports.get(&KeeperId::new("a")) == Some(&vote("p"));
        timeout(PATIENCE, b.shared.wait_for(from_a))
            .await
            .expect("in time")
            .unwrap();

        // The server is killed and restarted, within the session timeout or later. The keepers lead and hold leases
        // again.
        server.kill();
        eventually("nobody leads", async || a.leadership.borrow().is_none()).await;
        eventually("no lease", async || {
            !a.lease.borrow().holds(BootClock.now())
        })
        .await;
        server.restart().await;
        a.current().await;
        b.current().await;
        eventually("one leads", async || {
            a.leadership.borrow().is_some() || b.leadership.borrow().is_some()
        })
        .await;

        // The server is silent for longer than the session timeout: the keepers get new sessions, and create
        // everything anew.
        server.signal(Signal::STOP);
        for keeper in [&a, &b] {
            eventually("the session is over", async || {
                keeper
                    .address
                    .send(InspectSession)
                    .await
                    .expect("running")
                    .session
                    .is_none()
            })
            .await;
        }
        server.signal(Signal::CONT);
        a.current().await;
        b.current().await;
        timeout(PATIENCE, b.shared.wait_for(from_a))
            .await
            .expect("in time")
            .unwrap();

        // A deposed leader writes nothing. A keeper that leaves hands the leadership over at once.
        assert!(write(&a, &first, "q").await.is_err());
        let left = Instant::now();
        a.address.send(Leave).await.unwrap();
        assert!(
            left.elapsed() < Duration::from_millis(500),
            "{:?}",
            left.elapsed()
        );
        let gone = |shared: &SharedState| !shared.keepers.contains(&KeeperId::new("a"));
        timeout(SESSION_TIMEOUT / 2, b.shared.wait_for(gone))
            .await
            .expect("closed, not expired")
            .unwrap();
        let last = b.leads().await;
        assert!(last.epoch.0 > 1);
        b.address.send(Leave).await.unwrap();
    });
}
