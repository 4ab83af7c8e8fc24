//! HAProxies that are run or configured differently from the sample, and many HAProxies at once.

use std::fmt::Write as _;
use std::time::Duration;

use futures::future::join_all;
use keeper_site::haproxy::HaProxy;
use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::node::Node;
use keeper_site::raw_session::RawSession;
use keeper_site::redis::Redis;
use keeper_site::site::{RECOMMENDED, Site};
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use keeper_site::writer::Writer;
use keeper_site::zookeeper::{Server, ZooKeeper};
use tokio::time::{Instant, sleep};

/// The method and version of a sample's checks.
const GET_WRITABLE: &str =
    "meth GET uri /cluster/cluster-1/is-writable ver HTTP/1.1 hdr Host localhost";
const GET_READABLE: &str =
    "meth GET uri /cluster/cluster-1/is-readable ver HTTP/1.1 hdr Host localhost";
const GET_READY: &str = "meth GET uri /ready ver HTTP/1.1 hdr Host localhost";

#[tokio::test]
async fn checks_by_the_method_that_haproxy_has_by_default_find_the_primary() {
    let net = Net::fleet().await;
    let prefix = ZooKeeper::shared().await.prefix("options");
    let changes = [
        (GET_WRITABLE, "uri /cluster/cluster-1/is-writable"),
        (GET_READABLE, "uri /cluster/cluster-1/is-readable"),
        (GET_READY, "uri /ready"),
    ];
    let site = Site::open(net, &prefix, RECOMMENDED, &changes).await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    let writer = Writer::start(site.writes());
    writer.wait_writes(50).await;
    assert_eq!(writer.stop().refusals, Vec::<String>::new());
}

#[tokio::test]
async fn sessions_of_before_a_reload_of_haproxy_end_with_its_old_process() {
    let net = Net::fleet().await;
    let prefix = ZooKeeper::shared().await.prefix("reloaded");
    let mut site = Site::open(net, &prefix, RECOMMENDED, &[]).await;
    site.proxy = site.proxy.into_service().await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;

    let mut session = RawSession::open(site.writes()).await;
    site.proxy.reload().await;
    session.wait_shut().await;
    site.wait_routes(primary, &[first, second]).await;
    let writer = Writer::start(site.writes());
    writer.wait_writes(50).await;
    assert_eq!(writer.stop().refusals, Vec::<String>::new());
}

#[tokio::test]
async fn a_session_of_an_old_haproxy_process_is_shut_once_its_primary_is_reached() {
    let net = Net::fleet().await;
    let prefix = ZooKeeper::shared().await.prefix("reloaded_for_ever");
    let without = [("hard-stop-after 1s", "")];
    let mut site = Site::open(net, &prefix, RECOMMENDED, &without).await;
    site.proxy = site.proxy.into_service().await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;

    let mut session = RawSession::open(site.writes()).await;
    site.proxy.reload().await;
    site.wait_routes(primary, &[first, second]).await;
    session.ping().await;
    primary.pause();
    let asked: Vec<_> = site.keepers.iter().collect();
    let elected = site.wait_failover(&asked, primary).await;
    primary.resume();
    session.wait_shut().await;
    primary.wait_in_step_with(elected).await;
}

/// Checks by path without a state header: by HTTP, and as plain text over TCP.
fn checks_by_path(node: &Node) -> [String; 2] {
    let path = format!("/cluster/cache/is-writable/{node}");
    let crlf = "\\r\\n";
    [
        format!("option httpchk\n  http-check send uri {path}"),
        format!(
            "option tcp-check\n  tcp-check connect\n  \
             tcp-check send \"GET {path} HTTP/1.0{crlf}{crlf}\"\n  tcp-check expect rstring ^HTTP/1.[01]\\ 200"
        ),
    ]
}

/// A HAProxy before `redis` with a backend for each way of asking: `writes-0` and `writes-1`.
///
/// Each server is checked in a backend of its own, since each has its own path.
async fn asking_by_path(keepers: &Keepers, redis: &[Redis; 3]) -> HaProxy {
    let mut config = "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1h\n  \
                      timeout server 1h\n"
        .to_owned();
    let keeper = keepers[0].http();
    for way in [0, 1] {
        writeln!(config, "backend writes-{way}").expect("a string");
        for (number, redis) in redis.iter().enumerate() {
            let node = redis.node();
            writeln!(
                config,
                "  server {node} {node} track path-{way}-{number}/it"
            )
            .expect("a string");
        }
        for (number, redis) in redis.iter().enumerate() {
            let node = redis.node();
            let (check, ip, port) = (&checks_by_path(&node)[way], keeper.ip(), keeper.port());
            writeln!(
                config,
                "backend path-{way}-{number}\n  {check}\n  \
                 server it {node} check addr {ip} port {port} inter 200ms fall 1 rise 1"
            )
            .expect("a string");
        }
    }
    HaProxy::start(&config).await
}

/// How often `keeper` has answered that a node is not writable.
async fn firm_noes(keeper: &Keeper) -> u64 {
    let page = keeper.get("/metrics").await.expect("the metrics").body;
    let page = page.as_str().expect("text");
    let sample = r#"redis_keeper_http_checks_total{question="is-writable",answer="no"} "#;
    let mut counts = page.lines().filter_map(|line| line.strip_prefix(sample));
    let count = counts.next().expect("a count");
    count.parse().expect("a number")
}

#[tokio::test]
async fn a_haproxy_that_checks_by_path_is_waited_for_even_once_it_marked_down() {
    let settings = Settings::new().set("drain-seconds", 3_600);
    let Trio { keepers, redis, .. } = &Trio::start("by_path", 3, settings).await;
    let proxy = asking_by_path(keepers, redis).await;
    let old = redis[0].node().to_string();
    for backend in ["writes-0", "writes-1"] {
        proxy.wait_up(backend, &[&old]).await;
    }

    redis[0].pause();
    for backend in ["writes-0", "writes-1"] {
        proxy.wait_up(backend, &[]).await;
    }
    let leader = keepers.wait_leader().await;
    keepers[leader].wait_plan("cache", &["drain-seconds"]).await;
    // Several checks of the HAProxy later.
    let before = firm_noes(&keepers[0]).await;
    eventually(SOON, "more checks", async || {
        let answered = firm_noes(&keepers[0]).await - before;
        (answered > 20).then_some(()).ok_or(answered)
    })
    .await;
    keepers[leader].wait_plan("cache", &["drain-seconds"]).await;
    assert!(!redis[1].is_primary().await && !redis[2].is_primary().await);
}

/// How many transactions `server` commits in five seconds in which `round` runs again and again.
async fn transactions_during(server: &Server, mut round: impl AsyncFnMut()) -> u64 {
    let (before, end) = (
        server.transactions().await,
        Instant::now() + Duration::from_secs(5),
    );
    while Instant::now() < end {
        round().await;
    }
    server.transactions().await - before
}

#[tokio::test]
async fn many_haproxies_of_any_name_cause_hardly_more_writes_to_zookeeper() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::ensemble(&net, 1).await;
    let prefix = zookeeper.prefix("many_haproxies");
    let redis = Redis::trio(&net).await;
    let nodes = redis.each_ref();
    let keepers = Keepers::start_for(3, &net, &prefix, Settings::new(), &nodes).await;
    let [server] = zookeeper.servers() else {
        unreachable!("one server")
    };
    // All HAProxies check the primary at once, each at another keeper, as round-robin has it.
    let ask = async |names: Vec<String>| {
        let asked = names.iter().enumerate().map(async |(number, name)| {
            let (keeper, node) = (&keepers[number % 3], nodes[0].node());
            let state = ["UP", "DOWN"][number / 3 % 2];
            let header = format!("{state}; name=writes/{node}; node={name}; weight=1/1");
            let path = "/cluster/cache/is-writable";
            // A keeper on a busy host may answer a burst late; HAProxy checks again, too.
            eventually(SOON, "a yes", async || {
                let answer = keeper.get_with_state(path, header.as_bytes()).await;
                let answer = answer.expect("an answer");
                (answer.code == 200).then_some(()).ok_or(answer.body)
            })
            .await;
        });
        join_all(asked).await;
        sleep(Duration::from_millis(100)).await;
    };
    let at_rest = transactions_during(server, async || sleep(Duration::from_millis(100)).await);
    let at_rest = at_rest.await;
    let many = transactions_during(server, async || {
        ask((0..200).map(|number| format!("lb{number}")).collect()).await;
    });
    let many = many.await;
    let mut number = 0..;
    let forged = transactions_during(server, async || {
        let names = number.by_ref().take(200);
        ask(names.map(|number| format!("forged{number}")).collect()).await;
    });
    let forged = forged.await;
    let asked = number.start;
    assert!(asked > 1_000, "too few were forged: {asked}");
    let most = 2 * at_rest;
    assert!(many < most && forged < most, "{at_rest}, {many}, {forged}");
}
