//! The built `redis-keeper`: one process, or several.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Deref;
use std::process::Command;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::etc::Etc;
use super::link::Link;
use super::net::Net;
use super::process::{Process, command};
use super::redis::Redis;
use super::wait::{SOON, eventually};
use super::zookeeper::Prefix;

mod shipped;
mod status;
mod talk;

pub use self::status::Status;

const HTTP_PORT: u16 = 17_380;
const ZOOKEEPER_PORT: u16 = 17_181;

/// The configuration that several keepers share.
#[derive(Clone)]
pub struct Settings(Value);

/// A keeper process, with its own link to every ZooKeeper server.
pub struct Keeper {
    id: String,
    http: SocketAddrV4,
    zookeeper: Vec<Link>,
    process: Process,
    client: reqwest::Client,
    dir: TempDir,
}

/// Keepers `keeper-1`, `keeper-2`, … with the same settings.
pub struct Keepers(Vec<Keeper>);

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpAnswer {
    /// The HTTP status code.
    pub code: u16,
    /// The JSON body, or the text if it is not JSON.
    pub body: Value,
}

/// The built `redis-keeper`. Cargo builds it for tests and benches, which lie in the folder `deps` beside it. For an
/// example Cargo does not build it, so an example runs itself, and obeys `run FILE`.
pub fn program() -> String {
    let this = std::env::current_exe().expect("the path of this program");
    let folder = this.parent().expect("a program is in a folder");
    let program = if folder.ends_with("deps") {
        folder.with_file_name("redis-keeper")
    } else {
        this
    };
    program.to_str().expect("a path of characters").to_owned()
}

/// The built program as `"$@"` of a line of shell.
fn under(line: &str) -> Command {
    let mut shell = command("sh");
    shell.args(["-c", line, "sh"]).arg(program());
    shell
}

// === impl Settings ===

impl Settings {
    /// Settings without a cluster: fast ticks, no cool-down, and a mark-down time that a busy machine does not exceed
    /// by accident.
    pub fn new() -> Self {
        Self(json!({
            "tick-seconds": 0.2,
            "failover-tick-seconds": 2,
            "seconds-mark-down": 2,
            "failover-cooldown-seconds": 0,
            "clusters": [],
        }))
    }

    /// Such settings with longer times, so that a pause of a busy machine is no outage.
    pub fn patient() -> Self {
        Self::new()
            .set("zk-session-timeout-seconds", 6)
            .set("lease-seconds", 3)
            .set("failsafe-consent-seconds", 3)
    }

    /// Adds a cluster.
    #[must_use]
    pub fn cluster<'a>(self, name: &str, nodes: impl IntoIterator<Item = &'a Redis>) -> Self {
        let nodes = nodes
            .into_iter()
            .map(|redis| json!({"host": redis.at().ip(), "port": redis.at().port()}));
        self.cluster_with(json!({"name": name, "nodes": nodes.collect::<Vec<_>>()}))
    }

    /// Adds a cluster, given as its JSON.
    #[must_use]
    pub fn cluster_with(mut self, cluster: Value) -> Self {
        self.0["clusters"]
            .as_array_mut()
            .expect("a list of clusters")
            .push(cluster);
        self
    }

    /// Sets a top-level key.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0[key] = value.into();
        self
    }

    fn listening(self, at: SocketAddrV4) -> Self {
        self.set("rest-host", at.ip().to_string())
            .set("rest-port", at.port())
    }
}

// === impl Keeper: life ===

impl Keeper {
    /// The HTTP port of every keeper; each has an address of its own.
    pub const PORT: u16 = HTTP_PORT;

    /// Starts a keeper on ZooKeeper, and does not wait for it.
    pub async fn launch(id: &str, net: &Net, prefix: &Prefix<'_>, settings: &Settings) -> Self {
        Self::launch_by(command(&program()), id, net, prefix, settings).await
    }

    /// Starts such a keeper by a line of shell, in which `"$@"` is the keeper.
    pub async fn launch_under(
        line: &str,
        id: &str,
        net: &Net,
        prefix: &Prefix<'_>,
        settings: &Settings,
    ) -> Self {
        Self::launch_by(under(line), id, net, prefix, settings).await
    }

    async fn launch_by(
        program: Command,
        id: &str,
        net: &Net,
        prefix: &Prefix<'_>,
        settings: &Settings,
    ) -> Self {
        let mut links = Vec::new();
        for server in prefix.zookeeper().servers() {
            links.push(Link::new(net.socket(ZOOKEEPER_PORT), server.at()).await);
        }
        let quorum: Vec<_> = links.iter().map(|link| link.at().to_string()).collect();
        let settings = settings
            .clone()
            .set("zk-quorum", quorum)
            .set("zk-prefix", prefix.path());
        let at = net.socket(HTTP_PORT);
        Self::run(id, at, links, settings.listening(at), program)
    }

    /// Starts a keeper on `host`, with `settings` that name the ZooKeeper servers, and does not wait for it.
    pub fn launch_at(id: &str, host: Ipv4Addr, settings: &Settings) -> Self {
        let at = SocketAddrV4::new(host, HTTP_PORT);
        let settings = settings.clone().listening(at);
        Self::run(id, at, Vec::new(), settings, command(&program()))
    }

    /// Starts such a keeper on a host with this name. The keeper listens on all addresses, and advertises one only if
    /// `settings` do.
    pub fn launch_named(id: &str, host: Ipv4Addr, name: &str, settings: &Settings) -> Self {
        const NAMED: &str = r#"hostname "$0" && exec "$@""#;
        let at = SocketAddrV4::new(host, HTTP_PORT);
        let everywhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, HTTP_PORT);
        let mut keeper = command("unshare");
        keeper
            .args(["--uts", "--", "sh", "-c", NAMED, name])
            .arg(program());
        let settings = settings.clone().listening(everywhere);
        Self::run(id, at, Vec::new(), settings, keeper)
    }

    /// Starts a keeper with embedded coordination, and does not wait for it.
    pub fn launch_embedded(id: &str, net: &Net, settings: &Settings) -> Self {
        let at = net.socket(HTTP_PORT);
        let settings = settings.clone().set("coordination", "embedded");
        Self::run(
            id,
            at,
            Vec::new(),
            settings.listening(at),
            command(&program()),
        )
    }

    /// Starts such a keeper by a line of shell, in which `"$@"` is the keeper.
    pub fn launch_embedded_under(line: &str, id: &str, net: &Net, settings: &Settings) -> Self {
        let at = net.socket(HTTP_PORT);
        let settings = settings.clone().set("coordination", "embedded");
        Self::run(id, at, Vec::new(), settings.listening(at), under(line))
    }

    /// Starts the command `keeper`, which lacks only its arguments.
    fn run(
        id: &str,
        http: SocketAddrV4,
        zookeeper: Vec<Link>,
        settings: Settings,
        keeper: Command,
    ) -> Self {
        let Settings(config) = settings.set("keeper-id", id);
        Self::run_file(id, http, zookeeper, &config.to_string(), keeper)
    }

    /// Starts the command `keeper` with a file of this text.
    fn run_file(
        id: &str,
        http: SocketAddrV4,
        zookeeper: Vec<Link>,
        text: &str,
        mut keeper: Command,
    ) -> Self {
        let dir = TempDir::new().expect("a directory for a keeper");
        let file = dir.path().join("keeper.conf");
        std::fs::write(&file, text).expect("keeper.conf");
        keeper.arg("run").arg(&file);
        let process = Process::start(id, &dir.path().join("log"), keeper);
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(2))
            .build()
            .expect("an HTTP client");
        Self {
            id: id.to_owned(),
            http,
            zookeeper,
            process,
            client,
            dir,
        }
    }

    /// The keeper's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The keeper's HTTP address.
    pub fn http(&self) -> SocketAddrV4 {
        self.http
    }

    /// The process, to kill it, pause it, restart it, or read its log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Changes the keeper's file, and restarts the keeper.
    pub async fn reconfigure(&self, change: impl FnOnce(&mut Value)) {
        let file = self.dir.path().join("keeper.conf");
        let text = std::fs::read_to_string(&file).expect("keeper.conf");
        let mut config = serde_json::from_str(&text).expect("JSON");
        change(&mut config);
        std::fs::write(&file, config.to_string()).expect("keeper.conf");
        self.process.terminate();
        self.process.wait_exit().await;
        self.process.restart();
    }

    /// Closes the keeper's connections to ZooKeeper, and refuses new ones.
    pub async fn cut_from_zookeeper(&self) {
        join_all(self.zookeeper.iter().map(Link::cut)).await;
    }

    /// Lets nothing pass between the keeper and ZooKeeper; the connections stay open.
    pub fn silence_zookeeper(&self) {
        self.zookeeper.iter().for_each(Link::silence);
    }

    /// The keeper's links to the ZooKeeper servers.
    pub fn zookeeper_links(&self) -> impl Iterator<Item = &Link> {
        self.zookeeper.iter()
    }

    /// Ends a cut or a silence.
    pub async fn restore_zookeeper(&self) {
        join_all(self.zookeeper.iter().map(Link::restore)).await;
    }
}

// === impl Keeper: wait ===

impl Keeper {
    /// Waits until the keeper holds a lease.
    pub async fn wait_ready(&self) {
        eventually(SOON, format_args!("{} to be ready", self.id), async || {
            let answer = self
                .get("/ready")
                .await
                .map_err(|error| error.to_string())?;
            let ready = (answer.code == 200).then_some(());
            ready.ok_or_else(|| format!("{answer:?}"))
        })
        .await;
    }
}

// === impl Keepers ===

impl Keepers {
    /// Starts `count` keepers, and waits until all are ready.
    ///
    /// # Panics
    /// If `net` is not a [`Net::fleet`].
    pub async fn start(count: usize, net: &Net, prefix: &Prefix<'_>, settings: &Settings) -> Self {
        let commands = (0..count).map(|_| command(&program()));
        Self::start_by(commands, net, prefix, settings).await
    }

    /// Starts such keepers; each has files of its own below `/etc`.
    pub async fn start_with(
        etc: &[Etc],
        net: &Net,
        prefix: &Prefix<'_>,
        settings: &Settings,
    ) -> Self {
        let commands = etc.iter().map(|etc| etc.command(&program()));
        Self::start_by(commands, net, prefix, settings).await
    }

    async fn start_by(
        commands: impl Iterator<Item = Command>,
        net: &Net,
        prefix: &Prefix<'_>,
        settings: &Settings,
    ) -> Self {
        assert!(net.is_fleet(), "a fleet waits for its turn: Net::fleet()");
        let mut keepers = Vec::new();
        for (number, command) in (1..).zip(commands) {
            let id = format!("keeper-{number}");
            keepers.push(Keeper::launch_by(command, &id, net, prefix, settings).await);
        }
        Self::of(keepers).await
    }

    /// Starts `count` keepers for a cluster `cache` of `nodes`. Waits until every keeper names the first node as the
    /// primary of the others.
    pub async fn start_for(
        count: usize,
        net: &Net,
        prefix: &Prefix<'_>,
        settings: Settings,
        nodes: &[&Redis],
    ) -> Self {
        let settings = settings.cluster("cache", nodes.iter().copied());
        let keepers = Self::start(count, net, prefix, &settings).await;
        let (primary, replicas) = nodes.split_first().expect("a primary");
        keepers.wait_topology("cache", primary, replicas).await;
        keepers
    }
}

impl Deref for Keepers {
    type Target = [Keeper];

    fn deref(&self) -> &[Keeper] {
        &self.0
    }
}
