//! The programs on the five hosts.

use std::fmt::Write as _;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use keeper_site::haproxy::HaProxy;
use keeper_site::keeper::{Keeper, Settings};
use keeper_site::node::Node;
use keeper_site::redis::Redis;
use keeper_site::sentinel::Sentinel;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::{Mode, Server};
use redis::aio::MultiplexedConnection;
use serde_json::json;
use tempfile::TempDir;

use super::network::{Host, Network};

/// How many hosts there are, each with a server and a client.
pub(crate) const HOSTS: usize = 5;
/// The port of each host's proxy.
pub(crate) const PROXY_PORT: u16 = 1301;

/// The limit for one primary; Sentinels take ten seconds and more to make the old primary a replica.
const REUNION: Duration = Duration::from_mins(2);
/// The hosts with a ZooKeeper server.
const ZOOKEEPERS: [usize; 3] = [1, 3, 5];
/// The cluster and its writers' backend, as the recommended file names them.
pub(crate) const CLUSTER: &str = "cluster-1";
pub(crate) const WRITABLE: &str = "cluster-1-writable";

const FOR_KEEPERS: &str = include_str!("../../conf/haproxy.cfg");
const FOR_SENTINEL: &str = include_str!("sentinel-haproxy.cfg");

/// The manager of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    /// A keeper on each host, with ZooKeeper on hosts 1, 3 and 5.
    RedisKeeper {
        /// `lease-seconds`, if it is not the default.
        lease: Option<Duration>,
        /// The addresses that the keepers advertise.
        names: Names,
    },
    /// A Sentinel on each host; three have to agree.
    Sentinel,
}

/// The addresses by which keepers find each other.
#[allow(dead_code, reason = "the example has hosts of one kind of name only")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// The address of each host.
    Own,
    /// All hosts have one name, and each resolves it to itself; `rest-advertise` is not set.
    OneForAll,
    /// A loopback address on every host.
    Loopback,
}

/// Five hosts at work.
pub(crate) struct Site {
    // The fields are dropped in this order: programs first, then their hosts.
    _proxies: Vec<HaProxy>,
    managers: Managers,
    redis: Vec<Arc<Redis>>,
    network: Network,
}

#[expect(dead_code, reason = "held for as long as they are to run")]
enum Managers {
    Keepers(Vec<Arc<Keeper>>, Vec<Server>, TempDir),
    Sentinels(Vec<Arc<Sentinel>>),
}

// === impl Site ===

impl Site {
    /// Starts everything. Waits until the managers know every server, and every proxy sends writes only to host 1.
    ///
    /// If there are keepers, the keeper and the ZooKeeper server on host `leader` lead; that host must have one.
    pub(crate) async fn open(manager: Manager, mark_down: Duration, leader: usize) -> Self {
        let network = Network::new(HOSTS);
        let redis = start_redis(&network).await;
        let managers = match manager {
            Manager::RedisKeeper { lease, names } => {
                let settings = keeper_settings(mark_down, lease, &redis);
                start_keepers(&network, leader, (settings, names), redis[0].node()).await
            }
            Manager::Sentinel => start_sentinels(&network, mark_down, &redis).await,
        };
        let config = proxy_config(manager, &network, &redis);
        let mut proxies = Vec::new();
        for host in network.hosts() {
            let config = config.clone();
            proxies.push(
                host.run(|| async move { HaProxy::start(&config).await })
                    .await,
            );
        }
        let primary = redis[0].node().to_string();
        for proxy in &proxies {
            proxy.wait_up(WRITABLE, &[&primary]).await;
        }
        Self {
            _proxies: proxies,
            managers,
            redis,
            network,
        }
    }

    /// The hosts.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// Waits until every keeper reports that others could not be asked without ZooKeeper, with a reason that contains
    /// `why`.
    #[allow(dead_code, reason = "the example has keepers that can be asked")]
    pub(crate) async fn wait_obstacles(&self, why: &str) {
        let Managers::Keepers(keepers, ..) = &self.managers else {
            panic!("there are no keepers");
        };
        for keeper in keepers {
            let number = keeper.id().trim_start_matches("keeper-").parse();
            let host = self.network.host(number.expect("keeper-N is on host N"));
            let (keeper, why) = (Arc::clone(keeper), why.to_owned());
            host.run(|| async move {
                let what = format!("{} to say: {why}", keeper.id());
                eventually(SOON, what, async || {
                    let answer = keeper.get("/ready").await;
                    let body = answer.map_err(|error| error.to_string())?.body;
                    let told = body["failsafe-obstacles"].to_string();
                    told.contains(&why).then_some(()).ok_or(told)
                })
                .await;
            })
            .await;
        }
    }

    /// Waits until exactly one server is a primary, and all others are replicas. Returns the primary's host.
    pub(crate) async fn wait_one_primary(&self) -> usize {
        eventually(REUNION, "one primary", async || {
            let mut roles = Vec::new();
            for (host, redis) in self.network.hosts().iter().zip(&self.redis) {
                let redis = Arc::clone(redis);
                let info = host.run(|| async move { redis.info("replication").await });
                let info = info.await.map_err(|error| error.to_string())?;
                roles.push((host.number(), info["role"].clone()));
            }
            let mut primaries = roles.iter().filter(|(_, role)| role == "master");
            match (primaries.next(), primaries.next()) {
                (Some((primary, _)), None) => Ok(*primary),
                _ => Err(format!("{roles:?}")),
            }
        })
        .await
    }

    /// For each of `keys`, whether the server on `host` holds it.
    pub(crate) async fn held_at(&self, host: usize, keys: Vec<String>) -> Vec<bool> {
        let redis = Arc::clone(&self.redis[host - 1]);
        let host = self.network.host(host);
        host.run(|| async move {
            let mut connection = redis.connect().await.expect("a connection");
            let mut held = Vec::with_capacity(keys.len());
            for some in keys.chunks(1_000) {
                held.extend(exist(&mut connection, some).await);
            }
            held
        })
        .await
    }
}

async fn exist(connection: &mut MultiplexedConnection, keys: &[String]) -> Vec<bool> {
    let mut reads = redis::pipe();
    for key in keys {
        reads.exists(key);
    }
    let held = reads.query_async(connection).await;
    held.expect("a primary that answers")
}

/// Starts a primary on host 1, and replicas in step with it on the other hosts.
async fn start_redis(network: &Network) -> Vec<Arc<Redis>> {
    let mut servers = Vec::<Arc<Redis>>::new();
    for host in network.hosts() {
        let (at, primary) = (host.at(), servers.first().cloned());
        let redis = host.run(move || async move {
            let Some(primary) = primary else {
                return Redis::start_at(at, &[]).await;
            };
            let follow = format!("{} {}", primary.at().ip(), primary.at().port());
            let redis = Redis::start_at(at, &[("replicaof", &follow)]).await;
            redis.wait_in_step_with(&primary).await;
            redis
        });
        servers.push(Arc::new(redis.await));
    }
    servers
}

fn keeper_settings(mark_down: Duration, lease: Option<Duration>, redis: &[Arc<Redis>]) -> Settings {
    let nodes = redis
        .iter()
        .map(|redis| json!({"host": redis.at().ip(), "port": redis.at().port()}));
    let settings = Settings::new()
        .set("seconds-mark-down", mark_down.as_secs_f64())
        .cluster_with(json!({"name": CLUSTER, "nodes": nodes.collect::<Vec<_>>()}));
    match lease {
        None => settings,
        // The shortest session that allows this lease.
        Some(lease) => settings
            .set("lease-seconds", lease.as_secs_f64())
            .set("zk-session-timeout-seconds", (2 * lease).as_secs_f64()),
    }
}

async fn start_keepers(
    network: &Network,
    leader: usize,
    (settings, names): (Settings, Names),
    primary: Node,
) -> Managers {
    let dir = TempDir::new().expect("a directory for ZooKeeper");
    let zookeeper = start_zookeeper(network, &dir, leader).await;
    let quorum = zookeeper.iter().map(|server| server.at().to_string());
    let settings = settings.set("zk-quorum", quorum.collect::<Vec<_>>());
    // The keeper that starts first leads.
    let mut hosts: Vec<_> = network.hosts().iter().collect();
    hosts.sort_by_key(|host| host.number() != leader);
    let mut keepers = Vec::<Arc<Keeper>>::new();
    for host in &hosts {
        let (id, at) = (format!("keeper-{}", host.number()), host.at());
        let (settings, first) = (settings.clone(), keepers.is_empty());
        let keeper = host.run(move || async move {
            let keeper = match names {
                Names::Own => Keeper::launch_at(&id, at, &settings),
                Names::OneForAll => Keeper::launch_named(&id, at, "localhost", &settings),
                Names::Loopback => {
                    let settings = settings.set("rest-advertise", "127.0.0.1");
                    Keeper::launch_named(&id, at, &id, &settings)
                }
            };
            if first {
                wait_leading(&keeper).await;
            }
            keeper
        });
        keepers.push(Arc::new(keeper.await));
    }
    for (host, keeper) in hosts.iter().zip(&keepers) {
        let (keeper, primary) = (Arc::clone(keeper), primary.clone());
        host.run(|| async move {
            keeper.wait_ready().await;
            let what = "the primary of host 1 and four replicas";
            keeper
                .wait_status(CLUSTER, what, |status| {
                    status.primary.as_ref() == Some(&primary) && status.replicas.len() == HOSTS - 1
                })
                .await;
        })
        .await;
    }
    Managers::Keepers(keepers, zookeeper, dir)
}

async fn wait_leading(keeper: &Keeper) {
    eventually(SOON, "the first keeper to lead", async || {
        keeper.leads_with().await.ok_or("it does not")
    })
    .await;
}

async fn start_zookeeper(network: &Network, dir: &TempDir, leader: usize) -> Vec<Server> {
    const PORT: u16 = 2181;
    // Of servers with equally new data, the one with the highest id becomes the leader.
    let mut numbers = ZOOKEEPERS;
    numbers.sort_by_key(|host| *host == leader);
    let addresses = numbers.map(|host| SocketAddrV4::new(network.host(host).at(), PORT));
    let mut servers = Vec::new();
    for (index, number) in numbers.into_iter().enumerate().rev() {
        let dir = dir.path().to_owned();
        let start = move || async move { Server::start(index, &addresses, &dir) };
        servers.push(network.host(number).run(start).await);
    }
    let mut serving = Vec::new();
    for (number, server) in numbers.into_iter().rev().zip(servers) {
        let wait = || async move {
            server.wait_serving().await;
            let leads = server.mode().await == Ok(Mode::Leader);
            (server, leads)
        };
        let (server, leads) = network.host(number).run(wait).await;
        if leads != (number == leader) {
            eprintln!("not as wanted: the ZooKeeper server on host {number} leads: {leads}");
        }
        serving.push(server);
    }
    serving
}

async fn start_sentinels(network: &Network, mark_down: Duration, redis: &[Arc<Redis>]) -> Managers {
    let primary = redis[0].at();
    let mut sentinels = Vec::new();
    for host in network.hosts() {
        let at = host.at();
        let start = move || async move { Sentinel::launch(at, primary, 3, mark_down) };
        sentinels.push(Arc::new(host.run(start).await));
    }
    for (host, sentinel) in network.hosts().iter().zip(&sentinels) {
        let sentinel = Arc::clone(sentinel);
        host.run(|| async move { sentinel.wait_knowing(HOSTS - 1, HOSTS).await })
            .await;
    }
    Managers::Sentinels(sentinels)
}

/// The recommended file for keepers, or the usual one for Sentinel, with the addresses of this site.
fn proxy_config(manager: Manager, network: &Network, redis: &[Arc<Redis>]) -> String {
    let template = match manager {
        Manager::RedisKeeper { .. } => FOR_KEEPERS,
        Manager::Sentinel => FOR_SENTINEL,
    };
    let keepers: Vec<_> = network.hosts().iter().collect();
    filled_in(template, &keepers, redis)
}

/// The recommended file for keepers, with the addresses of these hosts.
#[allow(dead_code, reason = "the example has sites of one kind only")]
pub(crate) fn recommended(keepers: &[&Host], redis: &[Arc<Redis>]) -> String {
    filled_in(FOR_KEEPERS, keepers, redis)
}

fn filled_in(template: &str, keepers_on: &[&Host], redis: &[Arc<Redis>]) -> String {
    const SOCKET: &str = "stats socket /run/haproxy/admin.sock mode 600 level admin";
    let (mut keepers, mut nodes) = (String::new(), String::new());
    for host in keepers_on {
        let (number, at) = (host.number(), host.at());
        writeln!(keepers, "  server keeper-{number} {at}:{}", Keeper::PORT).expect("a string");
    }
    for node in redis.iter().map(|redis| redis.node()) {
        writeln!(nodes, "  server {node} {node}").expect("a string");
    }
    let mut config = String::new();
    for line in template.lines().filter(|line| line.trim() != SOCKET) {
        // The first of several servers in the file stands for all.
        match line.trim().split(' ').collect::<Vec<_>>()[..] {
            ["server", "keeper-1", _] => config += &keepers,
            ["server", "192.168.1.40:6379", _] => config += &nodes,
            ["server", ..] => {}
            _ => config = config + line + "\n",
        }
    }
    assert!(!config.contains("192.168"), "an address is left: {config}");
    config
}
