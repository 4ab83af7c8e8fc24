//! A keeper in this process, asked over HTTP.

use std::net::SocketAddrV4;
use std::rc::Rc;
use std::sync::{Arc, LazyLock, Once};
use std::time::Duration;

use keeper_site::net::Net;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use redis_keeper::actors::cluster::ClusterActor;
use redis_keeper::actors::node_monitor::NodeMonitor;
use redis_keeper::adapters::embedded::Embedded;
use redis_keeper::app::{Daemon, Front, Ports};
use redis_keeper::config::Config;
use redis_keeper::domain::identity::{Nonce, Place};
use redis_keeper::domain::node::NodeAddr;
use redis_keeper::http::server::bind;
use redis_keeper::supervision::{ChildRef, install_panic_hook};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

use super::asking::{Client, client};
use super::faulty::{FaultyClock, FaultyRedis};
use super::peers::OutOfReach;
use super::redis::{FakeRedis, FakeServer, primary, replica_of};

const SOON: Duration = Duration::from_secs(30);

/// A keeper with one cluster: a primary and two replicas.
pub(crate) struct Site {
    pub(crate) daemon: Daemon,
    pub(crate) redis: Rc<FaultyRedis>,
    pub(crate) clock: Arc<FaultyClock>,
    pub(crate) nodes: [NodeAddr; 3],
    http: SocketAddrV4,
    client: reqwest::Client,
    _net: Net,
    _turn: MutexGuard<'static, ()>,
}

/// The listener and the limits of an HTTP server at `http`.
pub(crate) fn front(http: SocketAddrV4) -> Front {
    Front {
        listener: bind(&http.ip().to_string(), http.port()).expect("a port of its own"),
        connections: 100,
        metrics: metrics(),
    }
}

/// The recorder of metrics: a process can have only one.
fn metrics() -> PrometheusHandle {
    static METRICS: LazyLock<PrometheusHandle> = LazyLock::new(|| {
        PrometheusBuilder::new()
            .install_recorder()
            .expect("the first recorder")
    });
    METRICS.clone()
}

/// The configuration of a keeper that listens at `http`.
pub(crate) fn config(http: SocketAddrV4, nodes: &[NodeAddr]) -> Config {
    let nodes = nodes
        .iter()
        .map(|node| json!({"host": node.host(), "port": node.port()}));
    let text = json!({
        "keeper-id": "keeper-1",
        "coordination": "embedded",
        "rest-host": http.ip(),
        "rest-port": http.port(),
        "tick-seconds": 0.1,
        "seconds-mark-down": 1,
        "failover-tick-seconds": 1,
        "admin-operations": true,
        "clusters": [{"name": "cache", "nodes": nodes.collect::<Vec<_>>()}],
    });
    let parsed = Config::parse("keeper.conf", &text.to_string(), std::iter::empty());
    parsed.unwrap_or_else(|error| panic!("{error}")).0
}

/// A primary and two replicas, of which the second lags.
pub(crate) fn trio(servers: &FakeRedis) -> [NodeAddr; 3] {
    let nodes = [1, 2, 3].map(|number| NodeAddr::new(format!("10.0.0.{number}"), 6379));
    let history = servers.server(&nodes[0]);
    history.tells(|info| {
        info.keys = Some(1);
        info.offset = Some(2);
    });
    for (replica, offset) in nodes[1..].iter().zip([2, 1]) {
        servers.server(replica).tells(|info| {
            *info = primary(usize::from(replica.host().as_bytes()[7]));
            info.keys = Some(1);
            info.replication_id = primary(0).replication_id;
            info.role = Some(replica_of(&nodes[0]));
            info.offset = Some(offset);
        });
    }
    nodes
}

impl Site {
    /// Starts the keeper, and waits until it calls the first node writable.
    pub(crate) async fn start() -> Self {
        static HOOK: Once = Once::new();
        // One site at a time: the tests look at spans of microseconds.
        static TURN: Mutex<()> = Mutex::const_new(());
        HOOK.call_once(install_panic_hook);
        let turn = TURN.lock().await;
        let net = Net::new();
        let http = net.socket(17_380);
        let redis = Rc::new(FaultyRedis::default());
        let nodes = trio(&redis.servers);
        let clock = Arc::new(FaultyClock::default());
        let ports = Ports {
            redis: redis.clone(),
            coordination: Rc::new(Embedded::new()),
            peers: Rc::new(OutOfReach),
            clock: clock.clone(),
            seed: 1,
            nonce: Nonce::drawn(1),
            place: Place::new("here"),
        };
        let daemon = Daemon::start(&config(http, &nodes), ports, front(http));
        let site = Self {
            daemon,
            redis,
            clock,
            nodes,
            http,
            client: client(),
            _net: net,
            _turn: turn,
        };
        site.wait_writable(0).await;
        site.eventually("every node to be online", async || {
            let cluster = site.get("/admin/clusters/cache").await.1;
            let nodes = cluster["nodes"].as_array().cloned().unwrap_or_default();
            let online = nodes.len() == 3 && nodes.iter().all(|node| node["online"] == true);
            online.then_some(()).ok_or(cluster)
        })
        .await;
        site
    }

    /// The server with this index.
    pub(crate) fn server(&self, place: usize) -> Rc<FakeServer> {
        self.redis.servers.server(&self.nodes[place])
    }

    /// The status code and the body of `GET path`.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(reqwest::Method::GET, path).await
    }

    /// The status code and the body of the answer to a request without a body.
    pub(crate) async fn ask(&self, method: reqwest::Method, path: &str) -> (u16, Value) {
        let url = format!("http://{}{path}", self.http);
        match self.client.request(method, url).send().await {
            Ok(answer) => {
                let code = answer.status().as_u16();
                let text = answer.text().await.unwrap_or_default();
                (
                    code,
                    serde_json::from_str(&text).unwrap_or(Value::String(text)),
                )
            }
            Err(error) => (0, error.to_string().into()),
        }
    }

    /// The path of `is-writable` about the node with this index.
    pub(crate) fn is_writable(&self, place: usize) -> String {
        format!("/cluster/cache/is-writable/{}", self.nodes[place])
    }

    /// Waits until the node with this index is writable.
    pub(crate) async fn wait_writable(&self, place: usize) {
        self.eventually("a node to be writable", async || {
            let (code, body) = self.get(&self.is_writable(place)).await;
            (code == 200).then_some(()).ok_or(body)
        })
        .await;
    }

    /// The supervision tree as a list: each path with its entry.
    pub(crate) async fn tree(&self) -> Vec<(String, Value)> {
        let (_, root) = self.get("/admin/supervision").await;
        let mut places = Vec::new();
        flatten("", root, &mut places);
        places
    }

    /// The entry at `path` in the tree.
    pub(crate) async fn place(&self, path: &str) -> Value {
        let tree = self.tree().await;
        let found = tree.iter().find(|(place, _)| place == path);
        found
            .unwrap_or_else(|| panic!("no {path} in {tree:?}"))
            .1
            .clone()
    }

    /// The cluster's actor.
    pub(crate) fn cluster_actor(&self) -> ChildRef<ClusterActor> {
        let actor = self.daemon.references().clusters.get("cache");
        actor.expect("its actor")
    }

    /// The monitor of a node.
    pub(crate) fn monitor(&self, place: usize) -> ChildRef<NodeMonitor> {
        let clusters = &self.daemon.references().clusters;
        let monitor = clusters.monitor("cache", &self.nodes[place]);
        monitor.expect("a monitor")
    }

    /// Waits until the child at `path` runs again after this many restarts.
    pub(crate) async fn wait_restarts(&self, path: &str, restarts: u64) {
        let what = format!("restart {restarts} of {path}");
        self.eventually(&what, async || {
            let place = self.place(path).await;
            let up = place["state"] == "running" && place["restarts"] == restarts;
            up.then_some(()).ok_or(place)
        })
        .await;
    }

    /// Waits until `client` has had `more` further answers.
    pub(crate) async fn wait_answers(&self, client: &Client, more: u64) {
        let asked = client.asked();
        self.eventually("more answers", async || {
            let now = client.asked();
            (now > asked + more).then_some(()).ok_or(now.into())
        })
        .await;
    }

    /// The path of a node's monitor in the tree.
    pub(crate) fn monitor_at(&self, place: usize) -> String {
        format!("root/cluster:cache/node:{}", self.nodes[place])
    }

    /// How many probes the present incarnation of a monitor has sent.
    pub(crate) async fn probes(&self, place: usize) -> u64 {
        let (_, node) = self
            .get(&format!(
                "/admin/clusters/cache/nodes/{}",
                self.nodes[place]
            ))
            .await;
        node["monitor"]["probes"].as_u64().unwrap_or_default()
    }

    /// Waits until `look` returns `Ok`.
    pub(crate) async fn eventually<T>(
        &self,
        what: &str,
        mut look: impl AsyncFnMut() -> Result<T, Value>,
    ) -> T {
        let deadline = Instant::now() + SOON;
        loop {
            match look().await {
                Ok(found) => return found,
                Err(seen) => assert!(
                    Instant::now() < deadline,
                    "waited for {what}; last seen: {seen:#}"
                ),
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The path of `is-readable` about the node with this index.
    pub(crate) fn is_readable(&self, place: usize) -> String {
        format!("/cluster/cache/is-readable/{}", self.nodes[place])
    }

    /// Begins to `GET path` without a pause, in a thread of its own.
    pub(crate) fn client(&self, path: &str) -> Client {
        Client::start(format!("http://{}{path}", self.http))
    }

    /// Stops the keeper in order.
    pub(crate) async fn stop(self) {
        self.daemon
            .run(std::future::ready(()))
            .await
            .expect("an orderly end");
    }
}

fn flatten(above: &str, mut place: Value, places: &mut Vec<(String, Value)>) {
    let name = place["name"].as_str().unwrap_or_default();
    let path = if above.is_empty() {
        name.to_owned()
    } else {
        format!("{above}/{name}")
    };
    let children = place["children"].take();
    places.push((path.clone(), place));
    for child in children.as_array().cloned().unwrap_or_default() {
        flatten(&path, child, places);
    }
}
