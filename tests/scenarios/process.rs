//! A keeper as a process: its log, its file descriptors, its port.

use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddrV4, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

// === the log ===

/// A pipe that takes the place of standard error.
struct LogPipe {
    path: PathBuf,
    /// A handle that keeps the pipe open, whether or not the test reads it.
    end: File,
    _dir: TempDir,
}

impl LogPipe {
    fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("log");
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo of coreutils").success());
        let end = File::options().read(true).write(true).open(&path);
        let end = end.expect("the pipe");
        Self {
            path,
            end,
            _dir: dir,
        }
    }

    /// The line of shell that starts a keeper with this pipe as its log.
    fn line(&self) -> String {
        format!("exec \"$@\" 2>{}", self.path.display())
    }

    /// Reads the pipe from now on, into the returned bytes.
    fn read(&self) -> Arc<Mutex<Vec<u8>>> {
        let all = Arc::new(Mutex::new(Vec::new()));
        let (mut end, read) = (self.end.try_clone().expect("a handle"), all.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = end.read(&mut buffer) {
                let mut all = read.lock().expect("no panic");
                all.extend_from_slice(&buffer[..count]);
            }
        });
        all
    }
}

/// The name of the metric of dropped log lines, up to its value.
const LOST: &str = "redis_keeper_log_lines_dropped_total ";

/// Asks the keeper until it has dropped so many lines that the pipe is surely full.
async fn wait_lost(keeper: &Keeper) {
    eventually(4 * SOON, "lines to be lost", async || {
        for _ in 0..50 {
            keeper.get("/").await.map_err(|error| error.to_string())?;
        }
        let page = keeper.get("/metrics").await;
        let page = page.map_err(|error| error.to_string())?.body;
        let mut lines = page.as_str().unwrap_or_default().lines();
        let counted = lines.find_map(|line| line.strip_prefix(LOST));
        let lost = counted.and_then(|count| count.parse::<u64>().ok());
        lost.filter(|lost| *lost > 0).ok_or(format!("{counted:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_keeper_whose_log_nobody_reads_fails_over_answers_and_ends_in_time() {
    let net = Net::new();
    let redis = Redis::trio(&net).await;
    let [primary, first, second] = &redis;
    let pipe = LogPipe::new();
    let settings = Settings::new().cluster("cache", &redis);
    let settings = settings.set("log-level", "trace");
    let keeper = Keeper::launch_embedded_under(&pipe.line(), "keeper", &net, &settings);
    keeper
        .wait_topology("cache", primary, &[first, second])
        .await;
    wait_lost(&keeper).await;

    let says = keeper.is_writable("cache", primary).await;
    assert_eq!(says.expect("an answer").code, 200);
    primary.kill();
    let [elected, _] = keeper.elected("cache", [first, second]).await;
    let says = keeper.is_writable("cache", elected).await;
    assert_eq!(says.expect("an answer").code, 200);
    let health = keeper.get("/health").await.expect("an answer");
    assert_eq!(health.code, 200);

    let asked = Instant::now();
    keeper.process().terminate();
    let status = keeper.process().wait_exit().await;
    assert_eq!(status.code(), Some(0));
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(4), "systemd kills it: {took:?}");
}

#[tokio::test]
async fn a_log_that_is_read_again_says_how_much_of_it_was_lost() {
    let net = Net::new();
    let redis = Redis::start(&net).await;
    let pipe = LogPipe::new();
    let settings = Settings::new().cluster("cache", [&redis]);
    let settings = settings.set("log-level", "trace");
    let keeper = Keeper::launch_embedded_under(&pipe.line(), "keeper", &net, &settings);
    keeper.wait_primary("cache", &redis).await;
    wait_lost(&keeper).await;

    let read = pipe.read();
    eventually(SOON, "how many were lost", async || {
        let read = read.lock().expect("no panic");
        let text = String::from_utf8_lossy(&read);
        let line = text
            .lines()
            .find(|line| line.contains("lines of the log were lost"));
        let told = line.is_some_and(|line| line.contains("lines=") && line.contains("WARN"));
        told.then_some(()).ok_or(format!("{line:?}"))
    })
    .await;
    keeper.process().terminate();
    keeper.process().wait_exit().await;
    eventually(SOON, "the last line", async || {
        let read = read.lock().expect("no panic");
        let text = String::from_utf8_lossy(&read);
        let last = text.lines().rfind(|line| line.contains("INFO"));
        let stopped = last.is_some_and(|line| line.ends_with("stopped"));
        stopped.then_some(()).ok_or(format!("{last:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_keeper_whose_log_cannot_be_written_goes_on() {
    let net = Net::new();
    let redis = Redis::start(&net).await;
    let settings = Settings::new().cluster("cache", [&redis]);
    for line in ["exec \"$@\" 2>/dev/full", "exec \"$@\" 2>&-"] {
        let keeper = Keeper::launch_embedded_under(line, "keeper", &net, &settings);
        keeper.wait_primary("cache", &redis).await;
        keeper.process().terminate();
        let status = keeper.process().wait_exit().await;
        assert_eq!(status.code(), Some(0), "{line}");
    }
}

// === descriptors ===

/// How many connections others hold open at a keeper.
const IDLE: usize = 5000;

/// How many more descriptors this process needs.
const SPARE: u64 = 1000;

/// Whether this process may open so many connections; prints a message if it may not.
fn may_open_them() -> bool {
    let limit = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= IDLE as u64 + SPARE);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let may = enough(limit.current)
        || (enough(limit.maximum) && setrlimit(Resource::Nofile, raised).is_ok());
    if !may {
        eprintln!("left out: this process may not open {IDLE} connections: {limit:?}");
    }
    may
}

/// How long such a client stays away after its connection was closed. The value is a property of the client, and no
/// test waits for it.
const STAYS_AWAY: Duration = Duration::from_secs(10);

/// Holds a connection open for ever, and opens a new one some time after the other end closed it.
async fn hold(at: SocketAddrV4, says: &'static [u8], number: usize) {
    // The connections begin spread over time: neither all at once nor one by one.
    sleep(Duration::from_millis(number as u64 / 4)).await;
    loop {
        if let Ok(mut connection) = TcpStream::connect(at).await {
            let _ = connection.write_all(says).await;
            let _ = connection.read(&mut [0; 256]).await;
        }
        sleep(STAYS_AWAY).await;
    }
}

/// Checks as HAProxy does, on a connection of its own. Returns how long the answer took.
async fn check(at: SocketAddrV4, node: &Redis) -> Duration {
    let asked = Instant::now();
    let request = format!(
        "GET /cluster/cache/is-writable/{} HTTP/1.1\r\nhost: keeper\r\nconnection: close\r\n\r\n",
        node.node()
    );
    let answer = timeout(SOON, async {
        let mut connection = TcpStream::connect(at).await?;
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    });
    let answer = answer.await.expect("in time").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    asked.elapsed()
}

#[tokio::test]
async fn many_idle_clients_and_half_requests_keep_no_check_from_a_keeper() {
    if !may_open_them() {
        return;
    }
    let net = Net::fleet().await;
    let redis = Redis::trio(&net).await;
    let [primary, first, second] = &redis;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("idle_clients");
    let settings = Settings::patient().cluster("cache", &redis);
    let line = "ulimit -n 1024; exec \"$@\"";
    let keeper = Keeper::launch_under(line, "keeper-1", &net, &prefix, &settings).await;
    keeper
        .wait_topology("cache", primary, &[first, second])
        .await;

    let mut clients = JoinSet::new();
    for number in 0..IDLE {
        let says: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /cluster/cache/is-writable HTTP/1.1\r\nhost: kee",
            _ => b"POST /failsafe/consent HTTP/1.1\r\nhost: keeper\r\ncontent-length: 400\r\n\r\n{",
        };
        clients.spawn(hold(keeper.http(), says, number));
    }
    let mut took = Vec::new();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(12) {
        took.push(check(keeper.http(), primary).await);
        sleep(Duration::from_millis(100)).await;
    }
    took.sort();
    let usual = took[took.len() * 9 / 10];
    eprintln!(
        "{} checks: {usual:?} for nine of ten, {:?} at most",
        took.len(),
        took[took.len() - 1]
    );
    assert!(usual < Duration::from_millis(100), "{took:?}");

    // The keeper needs new connections to ZooKeeper and to the servers.
    keeper.cut_from_zookeeper().await;
    primary.run::<()>("CLIENT KILL TYPE normal").await;
    keeper.restore_zookeeper().await;
    keeper.wait_ready().await;
    primary.kill();
    let [elected, _] = keeper.elected("cache", [first, second]).await;
    check(keeper.http(), elected).await;
    let log = keeper.process().log();
    assert!(!log.contains("Too many open files"), "{log}");
}

// === the port ===

#[tokio::test]
async fn a_port_that_is_in_use_for_a_moment_is_waited_for_and_then_named() {
    let net = Net::new();
    let redis = Redis::start(&net).await;
    let settings = Settings::new().cluster("cache", [&redis]);
    let keeper = Keeper::launch_embedded("keeper", &net, &settings);
    keeper.wait_ready().await;
    keeper.process().kill();

    let holder = TcpListener::bind(keeper.http()).expect("the port is free");
    keeper.process().restart();
    eventually(SOON, "it to say so", async || {
        let log = keeper.process().log();
        log.contains("trying again").then_some(()).ok_or(log)
    })
    .await;
    drop(holder);
    keeper.wait_ready().await;
    keeper.process().kill();

    let _holder = TcpListener::bind(keeper.http()).expect("the port is free");
    keeper.process().restart();
    let status = keeper.process().wait_exit().await;
    assert_eq!(status.code(), Some(1));
    let log = keeper.process().log();
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains("rest-port"), "{last}");
}
