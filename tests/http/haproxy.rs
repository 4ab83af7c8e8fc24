//! `conf/haproxy.cfg` under a real HAProxy: a keeper that is missing, frozen or without a lease has no effect on
//! clients.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis_keeper::actors::cluster_api::Reason;
use redis_keeper::http::server;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::fake::Fake;
use crate::served::Served;

/// The limit of every wait of a test.
const DEADLINE: Duration = Duration::from_mins(1);

/// The keepers' port in the sample configuration.
const PORT: u16 = 46379;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/haproxy.cfg");

#[actix_web::test]
async fn haproxy_has_no_objection_to_the_recommended_configuration() {
    let check = Command::new("haproxy").args(["-c", "-f", CONFIG]).output();
    let output = check.await.expect("haproxy is installed");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        !said.contains("WARNING") && !said.contains("ALERT"),
        "{said}"
    );
}

#[actix_web::test]
async fn no_one_keeper_missing_frozen_or_without_a_lease_is_felt() {
    let mut site = Site::start("127.77.1").await;
    let client = site.client_session().await;
    for fault in [
        Fault::Killed,
        Fault::Frozen,
        Fault::LeaseLost,
        Fault::ActorDown,
        Fault::Lacking,
    ] {
        for keeper in 0..site.keepers.len() {
            site.set(keeper, fault).await;
            site.checks_go_on(keeper, fault.checks()).await;
            site.mend(keeper, fault);
            site.checks_go_on(keeper, 10).await;
            site.nothing_was_felt(&format!("keeper {keeper} {fault:?}"))
                .await;
        }
    }
    assert!(client.echoes() > 0);
    client.ends_unbroken().await;
}

#[actix_web::test]
async fn keepers_that_are_not_ready_are_asked_and_without_a_lease_nothing_is_writable() {
    let site = Site::start("127.77.2").await;
    for keeper in 0..site.keepers.len() {
        site.keepers[keeper].fake.set_ready(false);
    }
    let any = |stat: &Stat| stat["redis-keeper/BACKEND"]["status"] == "DOWN";
    site.until("the keepers are out", any).await;
    site.checks_go_on(0, 30).await;
    site.nothing_was_felt("no keeper is ready, all answer")
        .await;

    for keeper in &site.keepers {
        keeper.fake.set_reason(Reason::NoLease);
    }
    let down = |stat: &Stat| stat["cluster-1-writable/BACKEND"]["status"] == "DOWN";
    site.until("nothing is writable", down).await;
}

/// A fault of a keeper.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The kernel refuses connections.
    Killed,
    /// The kernel accepts connections, and no process serves them.
    Frozen,
    /// The keeper answers that it has no lease, and that it is not ready.
    LeaseLost,
    /// The keeper answers that it is ready, and that it cannot answer.
    ActorDown,
    /// The keeper answers that it is ready, and that there is no such node: the cluster is not in its file.
    Lacking,
}

impl Fault {
    /// How many checks the fault lasts. A freeze outlasts `timeout check`, since a thawed keeper could answer in time
    /// otherwise.
    fn checks(self) -> usize {
        match self {
            Self::Frozen => 80,
            Self::Killed | Self::LeaseLost | Self::ActorDown | Self::Lacking => 30,
        }
    }
}

// === the site: three keepers, three nodes, one HAProxy ===

type Stat = BTreeMap<String, BTreeMap<String, String>>;

struct Site {
    net: &'static str,
    keepers: Vec<Keeper>,
    _nodes: Vec<Echo>,
    socket: PathBuf,
    _haproxy: Child,
    _directory: TempDir,
}

struct Keeper {
    host: String,
    fake: Arc<Fake>,
    server: Option<Served>,
    frozen: Option<std::net::TcpListener>,
}

impl Keeper {
    fn serve(&mut self, listener: std::net::TcpListener) {
        self.server = Some(Served::on(listener, Arc::clone(&self.fake)));
    }
}

impl Site {
    async fn start(net: &'static str) -> Self {
        let mut keepers = Vec::new();
        for last in 1..=3 {
            let primary = format!("{net}.40:6379").parse().unwrap();
            let mut keeper = Keeper {
                host: format!("{net}.{last}"),
                fake: Arc::new(Fake::healthy().with_primary(primary)),
                server: None,
                frozen: None,
            };
            keeper.serve(server::bind(&keeper.host, PORT).unwrap());
            keepers.push(keeper);
        }
        let mut nodes = Vec::new();
        for last in [40, 50, 60] {
            nodes.push(Echo::start(&format!("{net}.{last}:6379")).await);
        }
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let haproxy = haproxy(net, directory.path(), &socket);
        let site = Self {
            net,
            keepers,
            _nodes: nodes,
            socket,
            _haproxy: haproxy,
            _directory: directory,
        };
        let settled = |stat: &Stat| {
            let up = |server: &str| stat[&format!("cluster-1-writable/{server}")]["status"] == "UP";
            let node = |last| format!("{net}.{last}:6379");
            up(&node(40)) && !up(&node(50)) && !up(&node(60))
        };
        site.until("the checks have settled", settled).await;
        site
    }

    async fn set(&mut self, keeper: usize, fault: Fault) {
        let keeper = &mut self.keepers[keeper];
        match fault {
            Fault::Killed | Fault::Frozen => {
                let server = keeper.server.take().unwrap();
                if let Fault::Frozen = fault {
                    keeper.frozen = Some(server.listener.try_clone().unwrap());
                }
                server.stop().await;
            }
            Fault::LeaseLost => {
                keeper.fake.set_ready(false);
                keeper.fake.set_reason(Reason::NoLease);
            }
            Fault::ActorDown => keeper.fake.set_reason(Reason::NotAnswering),
            Fault::Lacking => keeper.fake.set_reason(Reason::NoSuchNode),
        }
    }

    fn mend(&mut self, keeper: usize, fault: Fault) {
        let keeper = &mut self.keepers[keeper];
        match fault {
            Fault::Killed => {
                let listener = server::bind(&keeper.host, PORT).unwrap();
                keeper.serve(listener);
            }
            Fault::Frozen => {
                let listener = keeper.frozen.take().unwrap();
                keeper.serve(listener);
            }
            Fault::LeaseLost | Fault::ActorDown | Fault::Lacking => {
                keeper.fake.set_ready(true);
                keeper.fake.set_reason(Reason::Primary);
            }
        }
    }

    /// Waits until the other keepers have answered `checks` more checks.
    async fn checks_go_on(&self, but: usize, checks: usize) {
        let answers = || -> usize {
            let others = self.keepers.iter().enumerate().filter(|(at, _)| *at != but);
            others.map(|(_, keeper)| keeper.fake.answers()).sum()
        };
        let enough = answers() + checks;
        let going_on = async {
            while answers() < enough {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, going_on).await.expect("checks go on");
    }

    /// Asserts that no server that should be UP was ever marked DOWN.
    async fn nothing_was_felt(&self, when: &str) {
        let stat = self.stat().await;
        let node = |last| format!("{}.{last}:6379", self.net);
        for server in [
            format!("cluster-1-writable/{}", node(40)),
            format!("cluster-1-readable/{}", node(40)),
            format!("cluster-1-readable/{}", node(50)),
            format!("cluster-1-readable/{}", node(60)),
        ] {
            let found = &stat[&server];
            let (status, downs) = (found["status"].as_str(), found["chkdown"].as_str());
            assert_eq!((status, downs), ("UP", "0"), "{server}, {when}: {found:?}");
        }
    }

    async fn until(&self, what: &str, condition: impl Fn(&Stat) -> bool) {
        let met = async {
            while !condition(&self.stat().await) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(DEADLINE, met).await.expect(what);
    }

    /// The table of `show stat`: by `proxy/server`, then by column.
    async fn stat(&self) -> Stat {
        let text = loop {
            let Ok(mut socket) = UnixStream::connect(&self.socket).await else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            socket.write_all(b"show stat\n").await.unwrap();
            let mut text = String::new();
            socket.read_to_string(&mut text).await.unwrap();
            break text;
        };
        let mut lines = text.trim_start_matches("# ").lines();
        let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
        lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let fields = line.split(',').map(str::to_owned);
                let row: BTreeMap<_, _> = columns
                    .iter()
                    .map(|name| (*name).to_owned())
                    .zip(fields)
                    .collect();
                (format!("{}/{}", row["pxname"], row["svname"]), row)
            })
            .collect()
    }

    /// Opens a client's session that writes through HAProxy from now on.
    async fn client_session(&self) -> Session {
        let addr = format!("{}.100:1301", self.net);
        let connection = TcpStream::connect(addr).await.unwrap();
        Session::start(connection)
    }
}

fn haproxy(net: &str, directory: &Path, socket: &Path) -> Child {
    let config = std::fs::read_to_string(CONFIG)
        .unwrap()
        .replace("192.168.1.", &format!("{net}."))
        .replace("127.0.0.1", &format!("{net}.100"))
        .replace("bind :", &format!("bind {net}.100:"))
        .replace("/run/haproxy/admin.sock", &socket.display().to_string());
    let file = directory.join("haproxy.cfg");
    std::fs::write(&file, config).unwrap();
    // HAProxy dies with this process, however the process ends.
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "haproxy", "-db", "-f"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("haproxy is installed")
}

// === a server in place of Redis, and its client ===

struct Echo(JoinHandle<()>);

impl Echo {
    async fn start(addr: &str) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        Self(actix_web::rt::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                actix_web::rt::spawn(async move {
                    let (mut from, mut to) = connection.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        }))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Session {
    echoes: Arc<AtomicUsize>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Session {
    fn start(mut connection: TcpStream) -> Self {
        let echoes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&echoes);
        let task = actix_web::rt::spawn(async move {
            loop {
                let mut word = *b"ping";
                connection.write_all(&word).await?;
                connection.read_exact(&mut word).await?;
                counted.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(5)).await;
            }
        });
        Self { echoes, task }
    }

    fn echoes(&self) -> usize {
        self.echoes.load(Ordering::SeqCst)
    }

    /// Asserts that the session still has its first connection, and that the connection still carries bytes.
    async fn ends_unbroken(mut self) {
        let enough = self.echoes() + 3;
        let carries = async {
            while self.echoes() < enough {
                tokio::select! {
                    ended = &mut self.task => panic!("the session was cut: {ended:?}"),
                    () = sleep(Duration::from_millis(5)) => {}
                }
            }
        };
        timeout(DEADLINE, carries)
            .await
            .expect("the session carries");
        self.task.abort();
    }
}
