//! The programs on the three hosts.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use keeper_site::haproxy::HaProxy;
use keeper_site::keeper::{Keeper, Settings as KeeperSettings};
use keeper_site::node::Node;
use keeper_site::process::Process;
use keeper_site::redis::Redis;
use keeper_site::zookeeper::Server;
use serde_json::json;
use tempfile::TempDir;

use crate::Settings;
use crate::network::Network;
use crate::schedule::{Cluster, HOSTS, Persistence, Target};

/// The port of the HAProxy on each host for clients of the first cluster. The other clusters have the next ports.
const PROXY_PORT: u16 = 1301;
const READABLE_PORT: u16 = 9301;
const ZOOKEEPER_PORT: u16 = 2181;
const TEMPLATE: &str = include_str!("../../conf/haproxy.cfg");

/// Three hosts. The host with number `n` has the `n`th of each kind of program.
pub(crate) struct Site {
    // The fields are dropped in this order: the programs first, then the hosts on which they run.
    proxies: Vec<Arc<HaProxy>>,
    keepers: Vec<Arc<Keeper>>,
    zookeeper: Vec<Arc<Server>>,
    redis: Vec<Vec<Arc<Redis>>>,
    network: Network,
    _dir: TempDir,
}

/// The name of a cluster.
pub(crate) fn name(cluster: usize) -> String {
    format!("cluster-{}", cluster + 1)
}

/// The port of the HAProxy on each host for clients of a cluster.
pub(crate) fn proxy_port(cluster: usize) -> u16 {
    PROXY_PORT + port_offset(cluster)
}

fn port_offset(cluster: usize) -> u16 {
    u16::try_from(cluster).expect("a few clusters")
}

/// The address of a node. Every cluster has a network of its own on the same cable.
fn address(cluster: usize, host: usize) -> Ipv4Addr {
    let octet = |number: usize| u8::try_from(number).expect("a small number");
    Ipv4Addr::new(10, 0, octet(cluster + 1), octet(host))
}

// === impl Site ===

impl Site {
    /// Starts all programs. The nodes of host 1 are the primaries.
    pub(crate) async fn open(clusters: &[Cluster], settings: &Settings) -> Self {
        let network = Network::new(HOSTS);
        for host in network.hosts() {
            for cluster in 0..clusters.len() {
                let at = address(cluster, host.number());
                let order = format!("address add {at}/24 dev eth0\n");
                host.namespace().ip(&order);
            }
        }
        let dir = TempDir::new().expect("a directory for ZooKeeper");
        let zookeeper = start_zookeeper(&network, &dir).await;
        let mut redis = Vec::new();
        for (number, cluster) in clusters.iter().enumerate() {
            redis.push(start_redis(&network, number, cluster).await);
        }
        let all = keeper_settings(clusters, settings, &redis, &zookeeper);
        let mut keepers = Vec::new();
        for host in network.hosts() {
            let (id, at, all) = (format!("keeper-{}", host.number()), host.at(), all.clone());
            let keeper = host.run(move || async move { Keeper::launch_at(&id, at, &all) });
            keepers.push(Arc::new(keeper.await));
        }
        let config = proxy_config(&network, &redis);
        let mut proxies = Vec::new();
        for host in network.hosts() {
            let config = config.clone();
            let proxy = host.run(|| async move { HaProxy::start(&config).await });
            proxies.push(Arc::new(proxy.await));
        }
        Self {
            proxies,
            keepers,
            zookeeper,
            redis,
            network,
            _dir: dir,
        }
    }

    /// The hosts.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// All keepers.
    pub(crate) fn keepers(&self) -> &[Arc<Keeper>] {
        &self.keepers
    }

    /// The nodes of each cluster.
    pub(crate) fn redis(&self) -> &[Vec<Arc<Redis>>] {
        &self.redis
    }

    /// The host of a node.
    pub(crate) fn host_of(node: &Node) -> Option<usize> {
        node.host.rsplit('.').next()?.parse().ok()
    }

    /// The process of a target.
    pub(crate) fn process(&self, target: Target) -> &Process {
        match target {
            Target::Keeper(host) => self.keepers[host - 1].process(),
            Target::ZooKeeper(host) => self.zookeeper[host - 1].process(),
            Target::Proxy(host) => self.proxies[host - 1].process(),
            Target::Redis { cluster, host } => self.redis[cluster][host - 1].process(),
        }
    }
}

/// Starts a primary on host 1 and replicas on the other hosts, and waits until the replicas are in step.
async fn start_redis(network: &Network, number: usize, cluster: &Cluster) -> Vec<Arc<Redis>> {
    let mut servers = Vec::<Arc<Redis>>::new();
    for host in network.hosts() {
        let at = address(number, host.number());
        let mut options: Vec<(&str, String)> = match cluster.persistence {
            Persistence::None => vec![("rdb-del-sync-files", "yes".into())],
            Persistence::Dump => vec![("save", "5 1".into())],
            Persistence::AppendOnly => vec![("appendonly", "yes".into())],
        };
        if cluster.barred == Some(host.number()) {
            options.push(("replica-priority", "0".into()));
        }
        let primary = servers.first().cloned();
        let redis = host.run(move || async move {
            if let Some(primary) = &primary {
                let follow = format!("{} {}", primary.at().ip(), primary.at().port());
                options.push(("replicaof", follow));
            }
            let options: Vec<_> = options
                .iter()
                .map(|(key, value)| (*key, &**value))
                .collect();
            let redis = Redis::start_at(at, &options).await;
            if let Some(primary) = primary {
                redis.wait_in_step_with(&primary).await;
            }
            redis
        });
        servers.push(Arc::new(redis.await));
    }
    servers
}

async fn start_zookeeper(network: &Network, dir: &TempDir) -> Vec<Arc<Server>> {
    let at = |host: usize| SocketAddrV4::new(network.host(host).at(), ZOOKEEPER_PORT);
    let all: Vec<_> = (1..=HOSTS).map(at).collect();
    let mut servers = Vec::new();
    for host in network.hosts() {
        let (index, all, dir) = (host.number() - 1, all.clone(), dir.path().to_owned());
        let server = host.run(move || async move { Server::start(index, &all, &dir) });
        servers.push(Arc::new(server.await));
    }
    for (host, server) in network.hosts().iter().zip(&servers) {
        let server = Arc::clone(server);
        host.run(|| async move { server.wait_serving().await })
            .await;
    }
    servers
}

fn keeper_settings(
    clusters: &[Cluster],
    settings: &Settings,
    redis: &[Vec<Arc<Redis>>],
    zookeeper: &[Arc<Server>],
) -> KeeperSettings {
    let quorum = zookeeper.iter().map(|server| server.at().to_string());
    let all = KeeperSettings::new()
        .set("zk-quorum", quorum.collect::<Vec<_>>())
        .set("seconds-mark-down", settings.mark_down)
        .set("zk-session-timeout-seconds", settings.session)
        .set("lease-seconds", settings.lease)
        .set("failover-cooldown-seconds", settings.cooldown)
        .set("drain-seconds", settings.drain)
        .set("admin-operations", true);
    let clusters = clusters.iter().zip(redis).enumerate();
    clusters.fold(all, |all, (number, (cluster, redis))| {
        let nodes = redis
            .iter()
            .map(|redis| json!({"host": redis.at().ip(), "port": redis.at().port()}));
        let safety = if cluster.majority { "majority" } else { "none" };
        all.cluster_with(json!({
            "name": name(number),
            "write-safety": safety,
            "nodes": nodes.collect::<Vec<_>>(),
        }))
    })
}

/// The recommended configuration of HAProxy, with the addresses and clusters of this site.
fn proxy_config(network: &Network, redis: &[Vec<Arc<Redis>>]) -> String {
    const SOCKET: &str = "  stats socket /run/haproxy/admin.sock mode 600 level admin\n";
    let (common, cluster) = TEMPLATE
        .split_once("# The primary.")
        .expect("the recommended file");
    let mut keepers = String::new();
    for host in network.hosts() {
        let (number, at) = (host.number(), host.at());
        writeln!(keepers, "  server keeper-{number} {at}:{}", Keeper::PORT).expect("a string");
    }
    let mut config = with_servers(&common.replace(SOCKET, ""), "keeper-1", &keepers);
    for (number, redis) in redis.iter().enumerate() {
        let mut nodes = String::new();
        for redis in redis {
            writeln!(nodes, "  server {0} {0}", redis.node()).expect("a string");
        }
        let port = |port: u16| format!("bind :{}", port + port_offset(number));
        let own = cluster
            .replace("cluster-1", &name(number))
            .replace("bind :1301", &port(PROXY_PORT))
            .replace("bind :9301", &port(READABLE_PORT));
        config += &with_servers(&format!("#{own}"), "192.168.1.40:6379", &nodes);
    }
    assert!(!config.contains("192.168"), "an address is left: {config}");
    config
}

/// Replaces the servers in `text` by `servers`, which come in place of the one named `first`.
fn with_servers(text: &str, first: &str, servers: &str) -> String {
    let mut replaced = String::new();
    for line in text.lines() {
        match line.trim().split(' ').collect::<Vec<_>>()[..] {
            ["server", name, _] if name == first => replaced += servers,
            ["server", ..] => {}
            _ => replaced = replaced + line + "\n",
        }
    }
    replaced
}
