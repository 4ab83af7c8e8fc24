//! A `redis-server` for one test.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use keeper_site::process::{Process, command as program};
use redis_keeper::domain::node::NodeAddr;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// The limit of every wait, for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    process: Process,
    pub(crate) addr: NodeAddr,
    pub(crate) dir: TempDir,
}

impl Server {
    /// Starts a server with further `arguments`; it may still be loading.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self::start_in(dir, None, arguments).await
    }

    /// Starts a server that speaks TLS at `port`, with `node.crt` and `node.key` of `files`. Its clients' certificates are
    /// of the authority `ca`.
    pub(crate) async fn with_tls(files: &Path, port: u16, ca: &str, arguments: &[&str]) -> Self {
        let file = |name: &str| files.join(name).display().to_string();
        let own = [
            ["--tls-port", &port.to_string()],
            ["--tls-cert-file", &file("node.crt")],
            ["--tls-key-file", &file("node.key")],
            ["--tls-ca-cert-file", &file(ca)],
        ];
        let server = Self::start(&[&own.concat(), arguments].concat()).await;
        // The server opens this port after the other one.
        listens(&NodeAddr::new("127.0.0.1", port)).await;
        server
    }

    /// Starts a server with a configuration file, which the server may rewrite.
    pub(crate) async fn with_config(lines: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("redis.conf");
        let mut file = std::fs::File::create(&path).expect("a file");
        file.write_all(lines.as_bytes()).expect("a file");
        Self::start_in(dir, Some(path), &[]).await
    }

    async fn start_in(dir: TempDir, config: Option<PathBuf>, arguments: &[&str]) -> Self {
        let port = free_port();
        let mut all: Vec<String> = config
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let own = format!(
            "--port {port} --bind 127.0.0.1 --dir {} --save  --repl-diskless-sync-delay 0",
            dir.path().display()
        );
        all.extend(own.split(' ').map(str::to_owned));
        all.extend(arguments.iter().map(ToString::to_string));
        let mut redis = program("redis-server");
        redis.args(&all);
        let server = Self {
            process: Process::start("redis-server", &dir.path().join("log"), redis),
            addr: NodeAddr::new("127.0.0.1", port),
            dir,
        };
        listens(&server.addr).await;
        server
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// A client for the test's own commands, past the keeper.
    pub(crate) fn client(&self) -> redis::Connection {
        self.try_client().expect("a connection")
    }

    pub(crate) fn try_client(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open((self.addr.host(), self.addr.port()))?.get_connection()
    }

    /// Runs a command, its words separated by spaces.
    pub(crate) fn run<T: redis::FromRedisValue>(&self, words: &str) -> T {
        command(words).query(&mut self.client()).expect("an answer")
    }

    pub(crate) fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).expect("a file")
    }
}

/// A listener for answers by the test itself, and its address.
pub(crate) async fn impostor() -> (TcpListener, NodeAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    (listener, NodeAddr::new("127.0.0.1", port))
}

/// The arguments with which a server allows DEBUG: none before 7.0, where DEBUG is always allowed.
pub(crate) fn debugging() -> &'static [&'static str] {
    let version = Command::new("redis-server").arg("--version").output();
    let version = version.expect("redis-server is installed").stdout;
    let version = String::from_utf8_lossy(&version).into_owned();
    if version.contains("v=5.") || version.contains("v=6.") {
        &[]
    } else {
        &["--enable-debug-command", "local"]
    }
}

/// A port at which no process listens yet.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

pub(crate) fn command(words: &str) -> redis::Cmd {
    let mut command = redis::Cmd::new();
    for word in words.split(' ') {
        command.arg(word);
    }
    command
}

/// Waits until `attempt` returns a value, and returns that value.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Runs `openssl` in `dir`.
pub(crate) fn openssl(dir: &Path, words: &str) {
    let done = Command::new("openssl")
        .args(words.split(' '))
        .current_dir(dir)
        .output()
        .expect("openssl is installed");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

async fn listens(addr: &NodeAddr) {
    eventually("it listens", async || {
        tokio::net::TcpStream::connect((addr.host(), addr.port()))
            .await
            .ok()
    })
    .await;
}
