//! HAProxy in front of a cluster and its keepers, configured by the project's own files.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use serde_json::json;

use super::haproxy::HaProxy;
use super::keeper::{Keeper, Keepers, Settings};
use super::net::Net;
use super::node::Node;
use super::redis::{Redis, connect};
use super::wait::{SOON, eventually};
use super::zookeeper::Prefix;

/// A file of HAProxy for keepers of the former kind.
pub const CLASSIC: &str = include_str!("../../tests/compat/haproxy.cfg");
/// The file of HAProxy that is shipped.
pub const RECOMMENDED: &str = include_str!("../../conf/haproxy.cfg");

/// The backend for writes in those files.
pub const WRITES: &str = "cluster-1-writable";
const READS: &str = "cluster-1-readable";

/// Three servers, three keepers, and HAProxy in front of them.
pub struct Site {
    /// The servers, the primary first.
    pub redis: [Redis; 3],
    /// The keepers of the cluster `cluster-1`.
    pub keepers: Keepers,
    /// The HAProxy.
    pub proxy: HaProxy,
    front: Ipv4Addr,
    // Dropped last: with the network, this fleet's turn ends.
    _net: Net,
}

// === impl Site ===

impl Site {
    /// Starts a site with the file `config`, after replacing its addresses and making these `changes`.
    pub async fn open(
        net: Net,
        prefix: &Prefix<'_>,
        config: &str,
        changes: &[(&str, &str)],
    ) -> Self {
        Self::open_with(net, prefix, config, changes, Settings::new()).await
    }

    /// Starts such a site, with these settings for the keepers.
    pub async fn open_with(
        net: Net,
        prefix: &Prefix<'_>,
        config: &str,
        changes: &[(&str, &str)],
        settings: Settings,
    ) -> Self {
        let redis = Redis::trio(&net).await;
        let settings = settings
            .set("admin-operations", true)
            .cluster("cluster-1", &redis);
        let keepers = Keepers::start(3, &net, prefix, &settings).await;
        let [primary, first, second] = &redis;
        keepers
            .wait_topology("cluster-1", primary, &[first, second])
            .await;
        Self::open_for(net, (redis, keepers), config, changes).await
    }

    /// Starts HAProxy in front of servers and keepers that are already running.
    pub async fn open_for(
        net: Net,
        (redis, keepers): ([Redis; 3], Keepers),
        config: &str,
        changes: &[(&str, &str)],
    ) -> Self {
        let front = net.host();
        let mut config = config
            .replace(
                "stats socket /run/haproxy/admin.sock mode 600 level admin",
                "",
            )
            .replace("bind *:", &format!("bind {front}:"))
            .replace("bind :", &format!("bind {front}:"))
            .replace("bind 127.0.0.1:4380", &format!("bind {front}:4380"))
            .replace(
                "addr 127.0.0.1 port 4380",
                &format!("addr {front} port 4380"),
            );
        for (node, redis) in ["192.168.1.40", "192.168.1.50", "192.168.1.60"]
            .iter()
            .zip(&redis)
        {
            config = config.replace(&format!("{node}:6379"), &redis.node().to_string());
        }
        for (number, keeper) in keepers.iter().enumerate() {
            for (network, port) in [("192.168.1", 46379), ("192.169.1", 4379)] {
                let old = format!("{network}.{}:{port}", number + 1);
                config = config.replace(&old, &keeper.http().to_string());
            }
        }
        for (from, to) in changes {
            assert!(config.contains(from), "{from}");
            config = config.replace(from, to);
        }
        // Look only at the beginning of a word: addresses of tests may be 127.192.168.1.
        let kept = config
            .split_whitespace()
            .find(|word| word.starts_with("192.16"));
        assert_eq!(kept, None, "an address was not replaced: {config}");
        Self::open_at(front, net, (redis, keepers), &config).await
    }

    /// Starts HAProxy at `front` with a complete file, for servers and keepers that are already running.
    pub async fn open_at(
        front: Ipv4Addr,
        net: Net,
        (redis, keepers): ([Redis; 3], Keepers),
        config: &str,
    ) -> Self {
        let proxy = HaProxy::start(config).await;
        Self {
            redis,
            keepers,
            proxy,
            front,
            _net: net,
        }
    }

    /// The address for clients that write.
    pub fn writes(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.front, 1301)
    }

    /// The address for clients that read.
    pub fn reads(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.front, 9301)
    }

    /// Waits until HAProxy sends writes only to `primary`, and reads to it and to `replicas`.
    pub async fn wait_routes(&self, primary: &Redis, replicas: &[&Redis]) {
        let name = |redis: &Redis| redis.node().to_string();
        let all: Vec<_> = [primary]
            .iter()
            .chain(replicas)
            .map(|it| name(it))
            .collect();
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        self.proxy.wait_up(WRITES, &[&name(primary)]).await;
        self.proxy.wait_up(READS, &all).await;
    }

    /// The addresses of the servers that answer reads.
    pub async fn readers(&self) -> Vec<String> {
        let mut readers = Vec::new();
        for _ in 0..12 {
            let mut session = connect(self.reads()).await.expect("a session");
            let command = redis::cmd("CONFIG").arg("GET").arg("bind").to_owned();
            let answer: (String, String) =
                command.query_async(&mut session).await.expect("an answer");
            readers.push(answer.1);
        }
        readers.sort();
        readers.dedup();
        readers
    }

    /// The server of this node.
    pub fn find(&self, node: &Node) -> &Redis {
        let found = self.redis.iter().find(|redis| redis.node() == *node);
        found.expect("one of ours")
    }

    /// The server that is neither of these.
    pub fn third(&self, one: &Redis, other: &Redis) -> &Redis {
        let third = self
            .redis
            .iter()
            .find(|it| it.at() != one.at() && it.at() != other.at());
        third.expect("three of them")
    }

    /// How many times each server went from UP to DOWN, in the backend of writes and in that of reads.
    pub async fn falls(&self) -> [BTreeMap<String, u64>; 2] {
        [
            self.proxy.falls(WRITES).await,
            self.proxy.falls(READS).await,
        ]
    }

    /// Kills the primary, and waits until HAProxy sends writes to the successor.
    pub async fn fail_over(&self, primary: &Redis) -> &Redis {
        primary.kill();
        let asked: Vec<_> = self.keepers.iter().collect();
        let elected = self.wait_failover(&asked, primary).await;
        self.wait_routes(elected, &[self.third(primary, elected)])
            .await;
        elected
    }

    /// Asks for a switchover to `to`, again while `to` has not caught up and the keeper refuses.
    pub async fn switch_over(&self, to: &Redis) {
        let path = "/admin/clusters/cluster-1/switchover";
        eventually(SOON, format!("{} to take over", to.node()), async || {
            let body = json!({ "to": to.node().to_string() });
            let answer = self.keepers[0].post(path, &body).await;
            let answer = answer.map_err(|error| error.to_string())?;
            (answer.code == 200)
                .then_some(())
                .ok_or_else(|| format!("{answer:?}"))
        })
        .await;
    }

    /// Waits until all keepers in `asked` name another primary than `old`, and returns that primary.
    pub async fn wait_failover(&self, asked: &[&Keeper], old: &Redis) -> &Redis {
        let mut elected = None;
        for keeper in asked {
            elected = Some(keeper.wait_replaced("cluster-1", old).await);
        }
        self.find(&elected.expect("a primary"))
    }
}
