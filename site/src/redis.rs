//! A real `redis-server`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, RedisResult};
use tempfile::TempDir;

use super::link::Link;
use super::net::Net;
use super::node::Node;
use super::process::{Process, command};
use super::wait::{SOON, eventually};

mod waits;

/// The port of servers.
pub const PORT: u16 = 17_379;
/// The plain port of a server whose [`PORT`] a link has, or TLS.
const HIDDEN_PORT: u16 = 17_378;

/// The role of a server at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes writes.
    Primary,
    /// Follows another.
    Replica,
}

/// What others meet at the address of a server.
enum Front {
    /// The server itself, in plain text.
    Server,
    /// A link to the server.
    Link(Link),
    /// The server itself, which speaks TLS there.
    Tls,
}

/// One redis-server with a directory and a configuration file of its own, so that `CONFIG REWRITE` works.
pub struct Redis {
    at: SocketAddrV4,
    front: Front,
    process: Process,
    dir: Arc<TempDir>,
    /// The data directory of a server that was moved.
    _data: Option<Arc<TempDir>>,
}

// === impl Redis: life ===

impl Redis {
    /// Starts an empty server that saves nothing by itself.
    pub async fn start(net: &Net) -> Self {
        Self::start_with(net, &[]).await
    }

    /// Starts such a server with more lines of `redis.conf`, which win over the defaults of this module.
    pub async fn start_with(net: &Net, options: &[(&str, &str)]) -> Self {
        Self::launch(net.socket(PORT), Front::Server, options).await
    }

    /// Starts such a server from the command `server`, which lacks only its arguments.
    pub async fn start_by(server: Command, net: &Net, options: &[(&str, &str)]) -> Self {
        Self::launch_by(server, net.socket(PORT), Front::Server, options).await
    }

    /// Starts such a server at [`PORT`] of `host`, which the caller has taken from its network.
    pub async fn start_at(host: Ipv4Addr, options: &[(&str, &str)]) -> Self {
        Self::launch(SocketAddrV4::new(host, PORT), Front::Server, options).await
    }

    /// Starts such a server at an address whose host the caller has taken from its network.
    pub async fn start_on(at: SocketAddrV4, options: &[(&str, &str)]) -> Self {
        Self::launch(at, Front::Server, options).await
    }

    /// Starts a server that all others reach through a [`Link`], and that announces the link's address.
    pub async fn start_behind_link(net: &Net, options: &[(&str, &str)]) -> Self {
        let at = net.socket(PORT);
        let link = Link::new(at, SocketAddrV4::new(*at.ip(), HIDDEN_PORT)).await;
        Self::launch(at, Front::Link(link), options).await
    }

    /// Starts a server that speaks TLS at [`PORT`] of `host`, to its replicas, too. `options` name its certificate; the
    /// caller has taken `host` from its network. The test's own commands go to another port, in plain text.
    pub async fn start_with_tls(host: Ipv4Addr, options: &[(&str, &str)]) -> Self {
        let port = PORT.to_string();
        let tls = [("tls-port", port.as_str()), ("tls-replication", "yes")];
        let at = SocketAddrV4::new(host, PORT);
        Self::launch(at, Front::Tls, &[&tls, options].concat()).await
    }

    /// Starts a replica of `primary`, and waits until it is in step.
    pub async fn replica_of(net: &Net, primary: &Redis, options: &[(&str, &str)]) -> Self {
        let follow = format!("{} {}", primary.at.ip(), primary.at.port());
        let options = [&[("replicaof", follow.as_str())], options].concat();
        let replica = Self::start_with(net, &options).await;
        replica.wait_in_step_with(primary).await;
        replica
    }

    /// Starts a primary, and two replicas in step with it.
    pub async fn trio(net: &Net) -> [Self; 3] {
        let primary = Self::start(net).await;
        let first = Self::replica_of(net, &primary, &[]).await;
        let second = Self::replica_of(net, &primary, &[]).await;
        [primary, first, second]
    }

    /// Starts a primary and two replicas in step with it, each behind a link of its own.
    pub async fn trio_behind_links(net: &Net) -> [Self; 3] {
        let [primary, first, second] = [
            Self::start_behind_link(net, &[]).await,
            Self::start_behind_link(net, &[]).await,
            Self::start_behind_link(net, &[]).await,
        ];
        for replica in [&first, &second] {
            replica.follow(&primary).await;
            replica.wait_in_step_with(&primary).await;
        }
        [primary, first, second]
    }

    async fn launch(at: SocketAddrV4, front: Front, options: &[(&str, &str)]) -> Self {
        Self::launch_by(command("redis-server"), at, front, options).await
    }

    async fn launch_by(
        mut server: Command,
        at: SocketAddrV4,
        front: Front,
        options: &[(&str, &str)],
    ) -> Self {
        let dir = TempDir::new().expect("a directory for redis-server");
        let (ip, announced) = (at.ip(), at.port());
        let port = front.plain_port(announced);
        let mut lines = format!(
            "bind {ip}\nport {port}\ndir {}\nprotected-mode no\nsave \"\"\nrepl-diskless-sync-delay 0\n\
             replica-announce-ip {ip}\nreplica-announce-port {announced}\n",
            dir.path().display(),
        );
        for (key, value) in options {
            writeln!(lines, "{key} {value}").expect("a string takes all");
        }
        let file = dir.path().join("redis.conf");
        std::fs::write(&file, lines).expect("redis.conf");
        server.arg(&file);
        let log = dir.path().join("log");
        let process = Process::start(format!("redis-server {at}"), &log, server);
        let redis = Self {
            at,
            front,
            process,
            dir: Arc::new(dir),
            _data: None,
        };
        redis.wait_answering().await;
        redis
    }

    /// Kills the server; unsaved data are lost.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// The process, to send it other signals.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Freezes the server: its connections stay open, and it answers nothing.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Ends a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Starts the server with its last `SAVE` and its rewritten configuration, and waits for an answer.
    pub async fn revive(&self) {
        self.process.restart();
        self.wait_answering().await;
    }

    /// Starts the server in the same way, and does not wait.
    pub fn restart(&self) {
        self.process.restart();
    }

    /// Starts a server with the data of this dead one, at [`PORT`] of `host`, which is taken from the network.
    pub async fn moved_to(&self, host: Ipv4Addr) -> Self {
        let dir = self.dir.path().display().to_string();
        Self {
            _data: Some(Arc::clone(&self.dir)),
            ..Self::start_at(host, &[("dir", &dir)]).await
        }
    }

    /// Deletes the server's data from the disk.
    pub fn forget(&self) {
        for entry in std::fs::read_dir(self.dir.path()).expect("its directory") {
            let path = entry.expect("its directory").path();
            if path.extension().is_some_and(|it| it == "rdb") {
                std::fs::remove_file(path).expect("its own file");
            }
        }
    }

    /// The link before the server.
    ///
    /// # Panics
    /// Unless the server was started behind a link.
    pub fn link(&self) -> &Link {
        match &self.front {
            Front::Link(link) => link,
            Front::Server | Front::Tls => panic!("{} was started without a link", self.at),
        }
    }
}

// === impl Front ===

impl Front {
    /// The port at which the server itself answers in plain text; others reach the server at `port`.
    fn plain_port(&self, port: u16) -> u16 {
        match self {
            Self::Server => port,
            Self::Link(_) | Self::Tls => HIDDEN_PORT,
        }
    }
}

// === impl Redis: talk ===

impl Redis {
    /// The address at which others reach the server.
    pub fn at(&self) -> SocketAddrV4 {
        self.at
    }

    /// The address at which the server itself answers in plain text: past its link, or past TLS.
    pub fn plain_address(&self) -> SocketAddrV4 {
        let port = self.front.plain_port(self.at.port());
        SocketAddrV4::new(*self.at.ip(), port)
    }

    /// The server's name in a keeper's configuration and answers.
    pub fn node(&self) -> Node {
        Node {
            host: self.at.ip().to_string(),
            port: self.at.port(),
        }
    }

    /// Opens a connection in plain text, past the link if there is one.
    pub async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        connect(self.plain_address()).await
    }

    /// Runs one command, its words separated by spaces.
    pub async fn try_run<T: FromRedisValue>(&self, words: &str) -> RedisResult<T> {
        let mut words = words.split_whitespace();
        let mut command = redis::cmd(words.next().expect("a command"));
        command.arg(words.collect::<Vec<_>>());
        command.query_async(&mut self.connect().await?).await
    }

    /// Runs one command that must succeed, its words separated by spaces.
    pub async fn run<T: FromRedisValue>(&self, words: &str) -> T {
        let reply = self.try_run(words).await;
        reply.unwrap_or_else(|error| panic!("{words} at {}: {error}", self.at))
    }

    /// Saves the server's data. A save for a replica may still be running, though the replica has everything.
    pub async fn save(&self) {
        eventually(SOON, format!("{} to save", self.at), async || {
            let saved: RedisResult<()> = self.try_run("SAVE").await;
            saved.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Tells the server, as an operator does, to follow `primary`.
    pub async fn follow(&self, primary: &Redis) {
        let (at, port) = (primary.at.ip(), primary.at.port());
        self.run::<()>(&format!("REPLICAOF {at} {port}")).await;
    }

    /// One section of `INFO`.
    pub async fn info(&self, section: &str) -> RedisResult<BTreeMap<String, String>> {
        let text: String = self.try_run(&format!("INFO {section}")).await?;
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        Ok(pairs
            .map(|(key, value)| (key.into(), value.into()))
            .collect())
    }

    /// How many times the server has run `command`, in lower case, since its start.
    pub async fn calls(&self, command: &str) -> u64 {
        let statistics = self.info("commandstats").await.expect("statistics");
        statistics
            .get(&format!("cmdstat_{command}"))
            .and_then(|line| line.strip_prefix("calls=")?.split(',').next())
            .map_or(0, |calls| calls.parse().expect("a count"))
    }

    /// Writes `count` keys named after `name`. A new replica may get the keys up to a second late (Redis 7.0). Its first
    /// ACK then came before the primary's fork for the synchronisation had ended. See
    /// [`wait_followed_by`](Self::wait_followed_by).
    pub async fn write_keys(&self, name: &str, count: usize) {
        let mut writes = redis::pipe();
        for key in 0..count {
            writes.set(format!("{name}:{key}"), key).ignore();
        }
        let mut connection = self.connect().await.expect("a connection");
        let written: RedisResult<()> = writes.query_async(&mut connection).await;
        written.unwrap_or_else(|error| panic!("writing to {}: {error}", self.at));
    }

    /// The product: `Redis` or `Valkey`.
    pub async fn product(&self) -> &'static str {
        let server = self.info("server").await.expect("a server that answers");
        match server.get("server_name").map(String::as_str) {
            Some("valkey") => "Valkey",
            _ => "Redis",
        }
    }

    /// Whether the server is older than 7.0. Its dumps keep no history: they do not show whose data it has (ADR 028).
    pub async fn forgets_its_history(&self) -> bool {
        let server = self.info("server").await.expect("a server that answers");
        server["redis_version"].starts_with(['5', '6'])
    }

    /// Seconds since the server's start, by its own clock.
    pub async fn uptime(&self) -> u64 {
        let server = self.info("server").await.expect("a server that answers");
        server["uptime_in_seconds"].parse().expect("a number")
    }

    /// Whether the server says that it is a primary.
    pub async fn is_primary(&self) -> bool {
        let info = self.info("replication").await;
        info.is_ok_and(|info| info["role"] == "master")
    }

    /// How many keys the server holds.
    pub async fn key_count(&self) -> usize {
        self.run("DBSIZE").await
    }
}

/// Connects to a Redis server, or to a proxy before one. No answer within a second is an error.
pub async fn connect(at: SocketAddrV4) -> RedisResult<MultiplexedConnection> {
    let patience = Some(Duration::from_secs(1));
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(patience)
        .set_response_timeout(patience);
    Client::open(format!("redis://{at}"))?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}
