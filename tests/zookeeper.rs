//! The ZooKeeper adapter, and the session actor above it, on a real server.

use std::cell::RefCell;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use redis_keeper::actors::messages::{
    InspectSession, KeeperAnnouncement, Leadership, Leading, Leave, SetReport, SharedState,
    Subscribe, WriteError, WriteState,
};
use redis_keeper::actors::zk_session::{Dependencies, Settings, ZkSession};
use redis_keeper::adapters::clock::BootClock;
use redis_keeper::adapters::zookeeper::ZooKeeper;
use redis_keeper::domain::facts::DownReason;
use redis_keeper::domain::lease::Lease;
use redis_keeper::domain::node::{ClusterName, KeeperId, NodeAddr};
use redis_keeper::domain::published::Published;
use redis_keeper::domain::verdict::Report;
use redis_keeper::ports::clock::LeaseClock;
use redis_keeper::ports::coordination::{
    Children, Coordination, CoordinationError, CreateKind, Fired, Session, SessionState, Watch,
    Write,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout};

const PATIENCE: Duration = Duration::from_mins(1);
const SESSION_TIMEOUT: Duration = Duration::from_secs(2);

// === the server ===

/// Servers alive at once: more would starve each other on a small machine.
static PLACES: Semaphore = Semaphore::const_new(2);

/// A standalone server on a free port of the loopback interface. It dies with the thread that started it.
struct Server {
    directory: tempfile::TempDir,
    port: u16,
    process: Child,
    _place: SemaphorePermit<'static>,
}

impl Server {
    async fn start() -> Self {
        let place = PLACES.acquire().await.expect("never closed");
        let directory = tempfile::tempdir().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let at = directory.path();
        let configuration = format!(
            "tickTime=500\nminSessionTimeout=1000\nmaxSessionTimeout=60000\ndataDir={}\nclientPort={port}\n\
             clientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=*\nmaxClientCnxns=0\n",
            at.join("data").display()
        );
        let logging = "log4j.rootLogger=WARN, OUT\nlog4j.appender.OUT=org.apache.log4j.ConsoleAppender\n\
                       log4j.appender.OUT.layout=org.apache.log4j.SimpleLayout\n";
        std::fs::write(at.join("zoo.cfg"), configuration).expect("written");
        std::fs::write(at.join("log4j.properties"), logging).expect("written");
        let process = spawn(at);
        let mut server = Self {
            directory,
            port,
            process,
            _place: place,
        };
        server.ready().await;
        server
    }

    async fn ready(&mut self) {
        eventually("the server answers", async || {
            assert!(
                self.process.try_wait().expect("a child").is_none(),
                "the server ended"
            );
            let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await
            else {
                return false;
            };
            let mut answer = String::new();
            let asked = async {
                stream.write_all(b"ruok").await?;
                stream.read_to_string(&mut answer).await
            };
            matches!(timeout(Duration::from_secs(1), asked).await, Ok(Ok(_))) && answer == "imok"
        })
        .await;
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("alive");
    }

    fn kill(&mut self) {
        self.process.kill().expect("alive");
        self.process.wait().expect("ended");
    }

    async fn restart(&mut self) {
        self.process = spawn(self.directory.path());
        self.ready().await;
    }

    fn coordination(&self, prefix: &str) -> ZooKeeper {
        self.patient(prefix, SESSION_TIMEOUT)
    }

    fn patient(&self, prefix: &str, session_timeout: Duration) -> ZooKeeper {
        let servers = vec![format!("127.0.0.1:{}", self.port)];
        ZooKeeper::new(servers, prefix, session_timeout, None)
    }
}

fn spawn(at: &Path) -> Child {
    let jars = [
        "zookeeper",
        "slf4j-log4j12",
        "log4j-1.2",
        "netty-codec",
        "netty-resolver",
    ]
    .map(|jar| format!("/usr/share/java/{jar}.jar"));
    Command::new("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "java",
            "-Xmx96m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
        ])
        .arg(format!("{}:{}", at.display(), jars.join(":")))
        .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
        .arg(at.join("zoo.cfg"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("setpriv and java are installed")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn reaches(session: &dyn Session, wanted: impl FnMut(&SessionState) -> bool) {
    let mut state = session.state();
    let reached = timeout(PATIENCE, state.wait_for(wanted)).await;
    reached
        .expect("in time")
        .expect("the session tells its end");
}

// === the adapter ===

#[tokio::test]
async fn watches_tell_of_creation_change_arrival_and_of_a_deletion_that_nothing_preceded() {
    let server = Server::start().await;
    let zookeeper = server.coordination("/watches");
    let session = zookeeper.connect().await.unwrap();
    let other = zookeeper.connect().await.unwrap();
    let fires = async |watch: Watch| timeout(PATIENCE, watch).await.expect("it fires");
    let persistent = CreateKind::Persistent;

    let (absent, watch) = session.get_and_watch("/w").await.unwrap();
    assert_eq!(absent, None);
    other.create("/w", b"", persistent).await.unwrap();
    assert_eq!(fires(watch).await, Fired::Changed);
    let (_, watch) = session.get_and_watch("/w").await.unwrap();
    other.set("/w", b"1", None).await.unwrap();
    assert_eq!(fires(watch).await, Fired::Changed);

    let (_, watch) = session.children_and_watch("/w").await.unwrap();
    other.create("/w/n", b"", persistent).await.unwrap();
    assert_eq!(fires(watch).await, Fired::Changed);
    other.delete("/w/n", None).await.unwrap();
    let children = session.children("/w").await.unwrap();
    assert_eq!((children.names.len(), children.changes), (0, 2));

    let (_, watch) = session.get_and_watch("/w").await.unwrap();
    other.delete("/w", None).await.unwrap();
    assert_eq!(fires(watch).await, Fired::Deleted);
    other.create("/w", b"", persistent).await.unwrap();
    let (_, watch) = session.get_and_watch("/w").await.unwrap();
    other.set("/w", b"1", None).await.unwrap();
    other.delete("/w", None).await.unwrap();
    assert_eq!(fires(watch).await, Fired::Changed, "what came first");
}

#[tokio::test]
async fn the_adapter_keeps_the_contract_of_its_port() {
    let server = Server::start().await;
    let zookeeper = server.coordination("/deep/prefix");
    let session = zookeeper.connect().await.unwrap();
    let other = zookeeper.connect().await.unwrap();
    assert_ne!(session.id(), other.id());

    // Nodes and versions.
    assert_eq!(session.get("/a").await.unwrap(), None);
    let created = session
        .create("/a", b"0", CreateKind::Persistent)
        .await
        .unwrap();
    assert_eq!(created.path, "/a");
    assert_eq!(session.set("/a", b"1", Some(0)).await, Ok(1));
    let refused = session.set("/a", b"2", Some(0)).await;
    assert_eq!(refused, Err(CoordinationError::BadVersion("/a".into())));
    let node = other.get("/a").await.unwrap().unwrap();
    assert_eq!((node.data, node.version, node.owner), (b"1".to_vec(), 1, 0));
    assert_eq!(node.created, created.created);
    let refused = session.create("/a", b"", CreateKind::Persistent).await;
    assert_eq!(
        refused.unwrap_err(),
        CoordinationError::NodeExists("/a".into())
    );
    let nothing = session.children("/none").await;
    assert_eq!(nothing, Ok(Children::default()));
    let root = session.children("/").await.unwrap();
    assert_eq!((root.names, root.changes), (vec!["a".to_owned()], 1));

    // Transactions.
    let writes = vec![
        Write::Check {
            path: "/a".into(),
            version: None,
        },
        Write::Create {
            path: "/b".into(),
            data: b"b".to_vec(),
        },
        Write::Set {
            path: "/a".into(),
            data: b"3".to_vec(),
            version: Some(9),
        },
    ];
    let Err(CoordinationError::MultiRefused(index, why)) = session.multi(writes).await else {
        panic!("it was made");
    };
    assert_eq!(
        (index, *why),
        (2, CoordinationError::BadVersion("/a".into()))
    );
    assert_eq!(session.get("/b").await, Ok(None));
    let gone = vec![Write::Check {
        path: "/none".into(),
        version: None,
    }];
    assert!(matches!(
        session.multi(gone).await,
        Err(CoordinationError::MultiRefused(0, _))
    ));
    let writes = vec![
        Write::Create {
            path: "/b".into(),
            data: b"b".to_vec(),
        },
        Write::Set {
            path: "/a".into(),
            data: b"3".to_vec(),
            version: Some(1),
        },
    ];
    session.multi(writes).await.unwrap();

    // Requests are sent at the call, not at the first poll.
    let never_polled = session.set("/b", b"sent", None);
    assert_eq!(session.get("/b").await.unwrap().unwrap().data, b"sent");
    drop(never_polled);

    // A session ends with its last user, and its ephemeral nodes with it.
    let sequential = CreateKind::EphemeralSequential;
    let first = other.create("/a/n-", b"", sequential).await.unwrap();
    let second = session.create("/a/n-", b"", sequential).await.unwrap();
    assert!(
        first.path < second.path && first.path.starts_with("/a/n-"),
        "{first:?} {second:?}"
    );
    let (_, watch) = session.get_and_watch(&first.path).await.unwrap();
    drop(other);
    timeout(SESSION_TIMEOUT / 2, watch)
        .await
        .expect("closed, not expired");
    assert_eq!(session.get(&first.path).await, Ok(None));
}

#[tokio::test]
async fn with_authentication_the_nodes_are_closed_to_others() {
    let server = Server::start().await;
    let servers = vec![format!("127.0.0.1:{}", server.port)];
    let digest = Some("keeper:secret".to_owned());
    let ours = ZooKeeper::new(servers, "/closed", SESSION_TIMEOUT, digest)
        .connect()
        .await
        .unwrap();
    ours.create("/a", b"1", CreateKind::Persistent)
        .await
        .unwrap();
    assert_eq!(ours.set("/a", b"2", None).await, Ok(1));
    let theirs = server.coordination("/").connect().await.unwrap();
    let refused = theirs.get("/closed/a").await;
    assert_eq!(refused, Err(CoordinationError::NoAuth("/closed/a".into())));
}

#[tokio::test]
async fn a_restart_of_the_server_is_a_reconnection_and_fires_the_watches() {
    let mut server = Server::start().await;
    let session = server.patient("/p", PATIENCE).connect().await.unwrap();
    session
        .create("/a", b"0", CreateKind::Persistent)
        .await
        .unwrap();
    session
        .create("/e", b"", CreateKind::Ephemeral)
        .await
        .unwrap();
    let (_, watch) = session.get_and_watch("/a").await.unwrap();
    assert_eq!(*session.state().borrow(), SessionState::Connected(1));
    server.kill();
    reaches(&*session, |state| *state == SessionState::Disconnected).await;
    timeout(PATIENCE, watch)
        .await
        .expect("the watch tells to read again");
    let waiting = session.set("/a", b"1", Some(0));
    server.restart().await;
    reaches(&*session, |state| *state == SessionState::Connected(2)).await;
    assert_eq!(
        waiting.await,
        Ok(1),
        "what was asked meanwhile is sent on reconnection"
    );
    assert!(
        session.get("/e").await.unwrap().is_some(),
        "the session lives on"
    );
    let (_, watch) = session.get_and_watch("/a").await.unwrap();
    session.set("/a", b"2", None).await.unwrap();
    timeout(PATIENCE, watch).await.expect("armed again");
}

#[tokio::test]
async fn a_server_out_of_reach_for_too_long_is_the_end_of_the_session() {
    let server = Server::start().await;
    let session = server.coordination("/p").connect().await.unwrap();
    session
        .create("/e", b"", CreateKind::Ephemeral)
        .await
        .unwrap();
    server.signal(Signal::STOP);
    reaches(&*session, |state| *state == SessionState::Expired).await;
    assert_eq!(session.get("/e").await, Err(CoordinationError::Expired));
    assert!(
        server.coordination("/p").connect().await.is_err(),
        "an attempt has its end"
    );
    server.signal(Signal::CONT);
    let next = server.coordination("/p").connect().await.unwrap();
    eventually("the ephemeral node is gone", async || {
        next.get("/e").await == Ok(None)
    })
    .await;
}

// === the session actor ===

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
        clock: Arc::new(BootClock),
        settings: Settings {
            announcement: KeeperAnnouncement {
                id: KeeperId::new(id),
                rest: "127.0.0.1:1".into(),
                version: "test".into(),
                process: format!("{id}:1"),
            },
            heartbeat: Duration::from_millis(200),
            lease: Duration::from_millis(800),
        },
        lease,
        shared: Rc::new(move |_, state| drop(share.send_replace(state))),
        resend: Rc::new(drop),
        leading: {
            let leadership = leadership.clone();
            Rc::new(move |Leading(leading)| *leadership.borrow_mut() = leading)
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

fn vote(host: &str) -> Report {
    Report {
        votes: [(NodeAddr::new(host, 1), DownReason::Refused)].into(),
        ..Report::default()
    }
}

#[test]
fn keepers_on_a_real_server_survive_its_restart_its_silence_and_each_other() {
    actix::System::new().block_on(async {
        let mut server = Server::start().await;
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

        // Killed and restarted within the session timeout or not: they lead and hold leases again.
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

        // Silent for longer than the session timeout: new sessions, everything made again.
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

        // A deposed leadership writes nothing; one that leaves hands over at once.
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
