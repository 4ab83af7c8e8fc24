//! Servers, keepers and a client, each on its own host. A filter that bars one host from another bars no other host.

use std::net::SocketAddrV4;
use std::sync::Arc;

use keeper_site::haproxy::HaProxy;
use keeper_site::keeper::{Keeper, Settings};
use keeper_site::redis::{Redis, Role};
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::Server;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::script::client::Client;
use crate::script::figures::Acknowledgement;
use crate::script::network::{Host, Network};
use crate::script::site::{CLUSTER, PROXY_PORT, WRITABLE, recommended};

const SERVERS: [usize; 3] = [1, 2, 3];
/// The hosts of the keepers. The first also has ZooKeeper.
pub(crate) const KEEPERS: [usize; 3] = [4, 5, 6];
/// The host of the proxy and of the client.
pub(crate) const CLIENT: usize = 7;

/// Seven hosts at work.
pub(crate) struct Hosts {
    // The fields are dropped in this order: programs first, then their hosts.
    client: Client,
    proxy: HaProxy,
    keepers: Vec<Arc<Keeper>>,
    _zookeeper: (Server, TempDir),
    redis: Vec<Arc<Redis>>,
    network: Network,
}

// === impl Hosts ===

impl Hosts {
    /// Starts everything, and waits until the client on host 7 writes to the server on host 1.
    pub(crate) async fn open() -> Self {
        let network = Network::new(CLIENT);
        let redis = start_redis(&network).await;
        let dir = TempDir::new().expect("a directory for ZooKeeper");
        let zookeeper = start_zookeeper(&network, &dir).await;
        let keepers = start_keepers(&network, &zookeeper, &redis).await;
        let on: Vec<_> = KEEPERS.iter().map(|host| network.host(*host)).collect();
        let config = recommended(&on, &redis);
        let start = || async move { HaProxy::start(&config).await };
        let proxy = network.host(CLIENT).run(start).await;
        let client = Client::start(network.host(CLIENT), PROXY_PORT, Instant::now());
        let hosts = Self {
            client,
            proxy,
            keepers,
            _zookeeper: (zookeeper, dir),
            redis,
            network,
        };
        hosts.wait_primary(1).await;
        hosts
    }

    pub(crate) fn host(&self, number: usize) -> &Host {
        self.network.host(number)
    }

    /// The server on this host.
    pub(crate) fn redis(&self, host: usize) -> &Arc<Redis> {
        &self.redis[host - 1]
    }

    /// Does `work` for each keeper, on the keeper's host.
    pub(crate) async fn at_keepers<Work>(
        &self,
        work: impl Fn(Arc<Keeper>) -> Work + Clone + Send + 'static,
    ) where
        Work: Future<Output = ()> + 'static,
    {
        for (keeper, host) in self.keepers.iter().zip(KEEPERS) {
            let (work, keeper) = (work.clone(), Arc::clone(keeper));
            self.host(host).run(move || work(keeper)).await;
        }
    }

    /// Waits until another server than that on host `old` is published, and the client writes there. Returns its
    /// host.
    pub(crate) async fn wait_failover(&self, old: usize) -> usize {
        let gone = Arc::clone(self.redis(old));
        let keeper = Arc::clone(&self.keepers[0]);
        let elected = self
            .host(KEEPERS[0])
            .run(|| async move { keeper.wait_replaced(CLUSTER, &gone).await });
        let elected = elected.await;
        let new = SERVERS
            .iter()
            .find(|host| self.redis(**host).node() == elected);
        let new = *new.expect("one of ours");
        self.wait_primary(new).await;
        new
    }

    /// Waits until all keepers name the server on host `primary`, and the client writes there.
    async fn wait_primary(&self, primary: usize) {
        let name = self.redis(primary).node();
        let wanted = name.clone();
        self.at_keepers(move |keeper| {
            let wanted = wanted.clone();
            async move {
                let what = format!("{wanted} as its primary");
                keeper
                    .wait_status(CLUSTER, &what, |status| {
                        status.primary.as_ref() == Some(&wanted)
                    })
                    .await;
            }
        })
        .await;
        self.proxy.wait_up(WRITABLE, &[&name.to_string()]).await;
        let before = self.client.latest();
        eventually(SOON, format!("writes to host {primary}"), async || {
            let latest = self.client.latest();
            let there = latest.is_some_and(|write| write.node == primary);
            (there && latest.map(|it| it.number) != before.map(|it| it.number))
                .then_some(())
                .ok_or(format!("{latest:?}"))
        })
        .await;
    }

    /// Waits until all other servers follow the server on host `primary`.
    pub(crate) async fn wait_all_follow(&self, primary: usize) {
        for host in SERVERS.into_iter().filter(|host| *host != primary) {
            let (redis, primary) = (
                Arc::clone(self.redis(host)),
                Arc::clone(self.redis(primary)),
            );
            self.host(host)
                .run(|| async move {
                    redis.wait_role(Role::Replica).await;
                    redis.wait_in_step_with(&primary).await;
                })
                .await;
        }
        self.wait_primary(primary).await;
    }

    /// Starts the server on `host` again.
    pub(crate) async fn revive(&self, host: usize) {
        let redis = Arc::clone(self.redis(host));
        self.host(host)
            .run(|| async move { redis.revive().await })
            .await;
    }

    /// How many times HAProxy has marked a server DOWN so far.
    pub(crate) async fn falls(&self) -> u64 {
        self.proxy.falls(WRITABLE).await.values().sum()
    }

    /// Stops the client. Returns all its acknowledgements.
    pub(crate) fn acknowledged(&self) -> Vec<Acknowledgement> {
        self.client.stop()
    }

    /// How many of `keys` the server on `host` holds.
    pub(crate) async fn count_held(&self, host: usize, keys: Vec<String>) -> usize {
        let redis = Arc::clone(self.redis(host));
        let count = || async move {
            let mut connection = redis.connect().await.expect("a connection");
            let mut held = 0;
            for some in keys.chunks(1_000) {
                let mut exist = redis::cmd("EXISTS");
                exist.arg(some);
                let count: usize = exist.query_async(&mut connection).await.expect("a count");
                held += count;
            }
            held
        };
        self.host(host).run(count).await
    }
}

/// Starts a primary on host 1, and two replicas in step with it on the other hosts.
async fn start_redis(network: &Network) -> Vec<Arc<Redis>> {
    let mut servers = Vec::<Arc<Redis>>::new();
    for host in SERVERS.map(|number| network.host(number)) {
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

async fn start_zookeeper(network: &Network, dir: &TempDir) -> Server {
    let host = network.host(KEEPERS[0]);
    let at = SocketAddrV4::new(host.at(), 2181);
    let dir = dir.path().to_owned();
    let start = move || async move {
        let server = Server::start(0, &[at], &dir);
        server.wait_serving().await;
        server
    };
    host.run(start).await
}

async fn start_keepers(
    network: &Network,
    zookeeper: &Server,
    redis: &[Arc<Redis>],
) -> Vec<Arc<Keeper>> {
    let nodes = redis.iter().map(|redis| redis.at());
    let nodes = nodes.map(|at| json!({"host": at.ip(), "port": at.port()}));
    let settings = Settings::new()
        .set("zk-quorum", vec![zookeeper.at().to_string()])
        .set("zk-prefix", "/barred")
        .cluster_with(json!({"name": CLUSTER, "nodes": nodes.collect::<Vec<_>>()}));
    let mut keepers = Vec::new();
    for host in KEEPERS.map(|number| network.host(number)) {
        let (id, at, settings) = (
            format!("keeper-{}", host.number()),
            host.at(),
            settings.clone(),
        );
        let start = move || async move {
            let keeper = Keeper::launch_at(&id, at, &settings);
            keeper.wait_ready().await;
            keeper
        };
        keepers.push(Arc::new(host.run(start).await));
    }
    keepers
}
