//! The hosts of keepers have no route to ZooKeeper: each `connect()` fails at once.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::Server;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::TURN;
use crate::script::network::{Host, Network};
use crate::script::site::CLUSTER;

/// The host of ZooKeeper. Three hosts of keepers follow; the first of them also has a server.
const ZOOKEEPER: usize = 1;
const HOSTS: usize = 4;
/// The session timeout, in seconds. A lease and a consent last half of it, so that a busy machine ends neither.
const SESSION: u64 = 4;
/// How long a keeper is watched. A keeper gives its session up after 7/5 of the timeout. If it hangs then, its
/// watchdog kills it within another 5 s.
const LENGTH: Duration = Duration::from_secs(SESSION * 7 / 5 + 5 + 4);
/// The time between two questions to a keeper.
const PAUSE: Duration = Duration::from_millis(50);
/// The share of one processor that a keeper may use: it is built without optimisation, and the machine does other
/// work.
const MOST_CPU: f64 = 0.5;

/// Changes the route of `host` to the host of ZooKeeper.
fn route(network: &Network, order: &str, kind: &str, host: &Host) {
    let to = network.host(ZOOKEEPER).at();
    host.namespace()
        .ip(&format!("route {order} {kind} {to}/32\n"));
}

/// The processor time that the keeper has used so far.
fn used(keeper: &Keeper) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", keeper.process().id()));
    let stat = stat.expect("the keeper runs");
    // After the name, which ends with the last parenthesis: utime is the 12th field, stime the 13th, in ticks of 10
    // ms.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|it| it.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(10 * ticks)
}

/// Asks the keeper on `host` for a while, which begins with its first answer. Asserts three things:
///
/// - The keeper answers each time.
/// - The keeper works little.
/// - With `node`, the keeper calls this node writable each time.
async fn assert_well(host: &Host, keeper: &Arc<Keeper>, node: Option<&Arc<Redis>>) {
    let (keeper, node) = (Arc::clone(keeper), node.map(Arc::clone));
    host.run(move || async move {
        eventually(SOON, format!("{} to answer", keeper.id()), async || {
            keeper
                .get("/health")
                .await
                .map_err(|error| error.to_string())
        })
        .await;
        let (begin, before) = (Instant::now(), used(&keeper));
        let mut slowest = Duration::ZERO;
        while begin.elapsed() < LENGTH {
            let asked = Instant::now();
            let health = keeper.get("/health").await;
            slowest = slowest.max(asked.elapsed());
            let after = begin.elapsed();
            let health = health.unwrap_or_else(|error| {
                panic!("{} after {after:?}: {error:?}", keeper.id());
            });
            assert_eq!(health.code, 200, "{} after {after:?}", keeper.id());
            if let Some(node) = &node {
                let answer = keeper.is_writable(CLUSTER, node).await;
                let answer = answer.expect("an answer");
                assert_eq!(answer.code, 200, "{} after {after:?}", keeper.id());
            }
            sleep(PAUSE).await;
        }
        let cpu =
            used(&keeper).saturating_sub(before).as_secs_f64() / begin.elapsed().as_secs_f64();
        eprintln!(
            "{}: {cpu:.3} of a processor, slowest answer {slowest:?}",
            keeper.id()
        );
        assert!(cpu < MOST_CPU, "{}: {cpu} of a processor", keeper.id());
    })
    .await;
}

async fn launch(host: &Host, settings: &Settings) -> Arc<Keeper> {
    let (id, at) = (format!("keeper-{}", host.number()), host.at());
    let settings = settings.clone();
    let launch = move || async move { Keeper::launch_at(&id, at, &settings) };
    Arc::new(host.run(launch).await)
}

async fn start_zookeeper(host: &Host, dir: &TempDir) -> Server {
    let (at, dir) = (SocketAddrV4::new(host.at(), 2181), dir.path().to_owned());
    let start = move || async move {
        let server = Server::start(0, &[at], &dir);
        server.wait_serving().await;
        server
    };
    host.run(start).await
}

#[tokio::test]
async fn keepers_go_on_when_all_their_connections_to_zookeeper_fail_at_once() {
    let _turn = (TURN.lock().await, Net::fleet().await);
    let network = Network::new(HOSTS);
    let [first, second, late] = [2, 3, 4].map(|number| network.host(number));
    let dir = TempDir::new().expect("a directory for ZooKeeper");
    let zookeeper = start_zookeeper(network.host(ZOOKEEPER), &dir).await;
    let at = first.at();
    let start = move || async move { Redis::start_at(at, &[]).await };
    let redis = Arc::new(first.run(start).await);
    let nodes = json!([{"host": redis.at().ip(), "port": redis.at().port()}]);
    let settings = Settings::new()
        .set("zk-quorum", vec![zookeeper.at().to_string()])
        .set("zk-session-timeout-seconds", SESSION)
        .set("lease-seconds", SESSION / 2)
        .set("failsafe-consent-seconds", SESSION / 2)
        .cluster_with(json!({"name": CLUSTER, "nodes": nodes}));
    let keepers = [
        launch(first, &settings).await,
        launch(second, &settings).await,
    ];
    for (host, keeper) in [first, second].into_iter().zip(&keepers) {
        let (keeper, redis) = (Arc::clone(keeper), Arc::clone(&redis));
        host.run(|| async move {
            keeper.wait_ready().await;
            keeper.wait_primary(CLUSTER, &redis).await;
        })
        .await;
    }

    let barred = [
        (first, "unreachable"),
        (second, "prohibit"),
        (late, "unreachable"),
    ];
    for (host, kind) in barred {
        route(&network, "add", kind, host);
    }
    // The other keepers do not ask the newcomer: none of them knows it.
    let newcomer = launch(late, &settings).await;
    tokio::join!(
        assert_well(first, &keepers[0], Some(&redis)),
        assert_well(second, &keepers[1], Some(&redis)),
        assert_well(late, &newcomer, None),
    );
    for (host, kind) in barred {
        route(&network, "delete", kind, host);
    }
    let all = [
        (first, &keepers[0]),
        (second, &keepers[1]),
        (late, &newcomer),
    ];
    for (host, keeper) in all {
        let keeper = Arc::clone(keeper);
        host.run(|| async move { keeper.wait_ready().await }).await;
    }
}
