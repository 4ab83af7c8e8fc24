//! The drain (RK-10): clients still reach a silent primary, so no successor takes writes before their HAProxies have
//! noticed.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::node::Node;
use keeper_site::redis::Redis;
use keeper_site::site::{RECOMMENDED, Site, WRITES};
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;

/// Longer than any test waits, in seconds: a failover that happens follows from HAProxy's words.
const FOR_EVER: u64 = 3_600;

/// Keepers that never end a drain by `drain-seconds`.
async fn patient(prefix: &str) -> Trio {
    let settings = Settings::new().set("drain-seconds", FOR_EVER);
    Trio::start(prefix, 3, settings).await
}

/// Checks `node` at `keeper` as HAProxy `haproxy`, which takes the node for `state`. Returns the status code.
async fn check(keeper: &Keeper, node: &Node, haproxy: &str, state: &str) -> u16 {
    let header = format!("{state}; name=writes/{node}; node={haproxy}; weight=1/1");
    let path = "/cluster/cache/is-writable";
    let answer = keeper.get_with_state(path, header.as_bytes()).await;
    answer.expect("an answer").code
}

async fn assert_nobody_took_over(redis: &[Redis; 3]) {
    let [_, first, second] = redis;
    assert!(!first.is_primary().await && !second.is_primary().await);
}

#[tokio::test]
async fn a_silent_primary_is_replaced_once_every_haproxy_that_asked_any_keeper_says_down() {
    let Trio { keepers, redis, .. } = &patient("drained").await;
    let old = redis[0].node();
    let leader = keepers.wait_leader().await;
    let (told, other) = (&keepers[(leader + 1) % 3], &keepers[(leader + 2) % 3]);

    assert_eq!(check(told, &old, "lb1", "UP").await, 200);
    assert_eq!(check(other, &old, "lb2", "UP").await, 200);
    redis[0].pause();
    let words = ["drain-seconds", "lb1/writes", "lb2/writes"];
    keepers[leader].wait_plan("cache", &words).await;
    assert_nobody_took_over(redis).await;

    // The leader waits for lb1 until a check of lb1 says DOWN, though lb1 has got a 503.
    assert_eq!(check(other, &old, "lb1", "UP").await, 503);
    assert_eq!(check(other, &old, "lb1", "DOWN").await, 503);
    let plan = eventually(SOON, "lb2 alone to be waited for", async || {
        let view = keepers[leader].admin("clusters/cache").await;
        let plan = view["plan"].as_str().expect("words").to_owned();
        let alone = plan.contains("lb2/writes") && !plan.contains("lb1/writes");
        alone.then_some(plan.clone()).ok_or(plan)
    })
    .await;
    assert!(!plan.contains("not told yet"), "{plan}");
    assert_nobody_took_over(redis).await;

    assert_eq!(check(told, &old, "lb2", "DOWN").await, 503);
    for keeper in keepers.iter() {
        keeper.wait_replaced("cache", &redis[0]).await;
    }
}

#[tokio::test]
async fn a_silent_primary_with_checks_by_path_is_not_replaced_before_drain_seconds() {
    let Trio { keepers, redis, .. } = &patient("drained_unnamed").await;
    let old = redis[0].node();
    let leader = keepers.wait_leader().await;
    let path = format!("/cluster/cache/is-writable/{old}");
    let answer = keepers[(leader + 1) % 3].get(&path).await;
    assert_eq!(answer.expect("an answer").code, 200);
    redis[0].pause();
    keepers[leader].wait_plan("cache", &["drain-seconds"]).await;
    // Keepers called the primary writable while it was published, and answer 503 since the withdrawal.
    assert_eq!(check(&keepers[leader], &old, "lb1", "DOWN").await, 503);
    assert_nobody_took_over(redis).await;
}

#[tokio::test]
async fn a_primary_that_was_killed_is_replaced_whatever_haproxy_says() {
    let settings = Settings::new().set("drain-seconds", FOR_EVER);
    let settings = settings.set("tick-seconds", 1).set("seconds-mark-down", 4);
    let Trio { keepers, redis, .. } = &Trio::start("not_drained", 3, settings).await;
    for keeper in keepers.iter() {
        assert_eq!(check(keeper, &redis[0].node(), "lb1", "UP").await, 200);
    }
    let view = keepers[0].admin("clusters/cache").await;
    let seen = &view["haproxies"][0];
    assert_eq!(
        (&seen["name"], &seen["state"]),
        (&"lb1".into(), &"UP".into())
    );
    // A process that is killed with an unread question resets its connection, and a reset proves no end. The keepers
    // of a host probe at the same instants, so the test kills the process between two probes.
    eventually(SOON, "a rest between two probes", async || {
        let node = keepers[0].node("cache", &redis[0]).await;
        let age = node["monitor"]["last-probe"]["age-seconds"].as_f64();
        let rests = age.is_some_and(|age| (0.2..0.5).contains(&age));
        rests.then_some(()).ok_or(node)
    })
    .await;
    redis[0].kill();
    for keeper in keepers.iter() {
        keeper.wait_replaced("cache", &redis[0]).await;
    }
}

#[tokio::test]
async fn a_primary_that_stands_still_is_replaced_after_a_real_haproxy_has_marked_it_down() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("drained_proxy");
    let settings = Settings::new().set("drain-seconds", FOR_EVER);
    // Two seconds between two checks: long enough to see which comes first.
    let slow = [("inter 200ms", "inter 2s")];
    let site = Site::open_with(net, &prefix, RECOMMENDED, &slow, settings).await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    let leader = site.keepers.wait_leader().await;

    primary.pause();
    let waits = format!("/{WRITES} at ");
    site.keepers[leader]
        .wait_plan("cluster-1", &["drain-seconds", &waits])
        .await;
    eventually(SOON, "a successor", async || {
        let promoted = first.is_primary().await || second.is_primary().await;
        promoted.then_some(()).ok_or("nobody yet")
    })
    .await;
    let servers = site.proxy.servers(WRITES).await;
    assert_eq!(servers[&primary.node().to_string()], "DOWN", "{servers:?}");
    let asked: Vec<_> = site.keepers.iter().collect();
    let elected = site.wait_failover(&asked, primary).await;
    site.proxy
        .wait_up(WRITES, &[&elected.node().to_string()])
        .await;
}
