//! A real Redis Sentinel.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use redis::FromRedisValue;
use tempfile::TempDir;

use super::net::Net;
use super::process::{Process, command};
use super::redis::{Redis, connect};
use super::wait::{SOON, eventually};

const PORT: u16 = 17_380;

/// A Sentinel process.
pub struct Sentinel {
    at: SocketAddrV4,
    process: Process,
    _dir: TempDir,
}

// === impl Sentinel ===

impl Sentinel {
    /// Starts a Sentinel that is alone, and waits until it has subscribed at `primary`. It watches, and lacks the
    /// quorum to act.
    pub async fn start(net: &Net, primary: &Redis) -> Self {
        let sentinel = Self::launch(net.host(), primary.at(), 2, Duration::from_secs(30));
        eventually(SOON, "the sentinel to subscribe", async || {
            let clients: String = primary.run("CLIENT LIST TYPE pubsub").await;
            let there = clients.contains("name=sentinel-");
            there.then_some(()).ok_or(clients)
        })
        .await;
        sentinel
    }

    /// Starts a Sentinel on `host`, and does not wait for it.
    ///
    /// The Sentinel takes `primary` for down after `down_after` without a good answer, and acts when `quorum`
    /// Sentinels agree.
    pub fn launch(
        host: Ipv4Addr,
        primary: SocketAddrV4,
        quorum: usize,
        down_after: Duration,
    ) -> Self {
        Self::launch_at(SocketAddrV4::new(host, PORT), primary, quorum, down_after)
    }

    /// Starts such a Sentinel at an address that another server may have.
    pub fn launch_at(
        at: SocketAddrV4,
        primary: SocketAddrV4,
        quorum: usize,
        down_after: Duration,
    ) -> Self {
        let dir = TempDir::new().expect("a directory for a sentinel");
        let (host, port) = (at.ip(), at.port());
        let lines = format!(
            "bind {host}\nport {port}\ndir {}\nprotected-mode no\nsentinel announce-ip {host}\n\
             sentinel monitor watched {} {} {quorum}\n\
             sentinel down-after-milliseconds watched {}\n",
            dir.path().display(),
            primary.ip(),
            primary.port(),
            down_after.as_millis(),
        );
        let file = dir.path().join("sentinel.conf");
        std::fs::write(&file, lines).expect("sentinel.conf");
        let mut server = command("redis-server");
        server.arg(&file).arg("--sentinel");
        let process = Process::start(format!("sentinel {at}"), &dir.path().join("log"), server);
        Self {
            at,
            process,
            _dir: dir,
        }
    }

    /// The address of the primary that Sentinel gives to clients.
    pub async fn primary(&self) -> SocketAddrV4 {
        let (host, port): (String, u16) = self.run("GET-MASTER-ADDR-BY-NAME").await;
        SocketAddrV4::new(host.parse().expect("an address"), port)
    }

    /// Has the Sentinel stop watching the cluster.
    pub async fn remove(&self) {
        self.run::<()>("REMOVE").await;
    }

    /// Asks the Sentinel to end, and waits for the end.
    pub async fn stop(&self) {
        self.process.terminate();
        self.process.wait_exit().await;
    }

    /// Runs a subcommand of `SENTINEL` about the cluster.
    async fn run<T: FromRedisValue>(&self, subcommand: &str) -> T {
        let mut connection = connect(self.at).await.expect("a connection");
        let mut command = redis::cmd("SENTINEL");
        let reply = command.arg(subcommand).arg("watched");
        let reply = reply.query_async(&mut connection).await;
        reply.unwrap_or_else(|error| panic!("{subcommand} at {}: {error}", self.at))
    }

    /// Waits until the Sentinel knows this many `replicas` and `sentinels`, itself included.
    pub async fn wait_knowing(&self, replicas: usize, sentinels: usize) {
        let wanted = format!(",slaves={replicas},sentinels={sentinels}");
        eventually(SOON, format_args!("{} to know all", self.at), async || {
            let mut connection = connect(self.at).await.map_err(|error| error.to_string())?;
            let info = redis::cmd("INFO")
                .arg("sentinel")
                .query_async::<String>(&mut connection)
                .await
                .map_err(|error| error.to_string())?;
            info.contains(&wanted).then_some(()).ok_or(info)
        })
        .await;
    }
}
