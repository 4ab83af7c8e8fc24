//! The leader does not reach servers that other keepers reach.

use keeper_site::checks::Checks;
use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, Role};
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;
use serde_json::json;

#[tokio::test]
async fn a_leader_that_reaches_no_replica_fails_over_through_the_keepers_that_do() {
    let net = Net::fleet().await;
    let nodes = Redis::trio_behind_links(&net).await;
    let patient = Redis::start(&net).await;
    let [primary, first, second] = &nodes;
    primary.write_keys("kept", 100).await;
    primary.wait_followed_by(&[first, second]).await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("blind_leader");
    // A leader waits for the longest mark-down time of its clusters before it steps down, so this leader goes on
    // leading.
    let at = patient.at();
    let settings = Settings::new()
        .cluster("cache", &nodes)
        .cluster_with(json!({
            "name": "patient",
            "seconds-mark-down": 120,
            "nodes": [{"host": at.ip(), "port": at.port()}],
        }));
    let keepers = Keepers::start(3, &net, &prefix, &settings).await;
    keepers
        .wait_topology("cache", primary, &[first, second])
        .await;
    let checks = Checks::start(&keepers, "cache", &[primary, first, second]);
    let leader = keepers.wait_leader().await;
    let epoch = keepers[leader].leads_with().await;

    for replica in [first, second] {
        replica.link().bar(keepers[leader].process().id());
    }
    primary.kill();
    for keeper in keepers.iter() {
        keeper.wait_replaced("cache", primary).await;
    }
    let [successor, other] = keepers[leader].elected("cache", [first, second]).await;
    successor.wait_role(Role::Primary).await;
    other.wait_in_step_with(successor).await;
    assert_eq!(successor.key_count().await, 100);

    assert_eq!(keepers[leader].leads_with().await, epoch, "it still leads");
    let deeds = keepers[leader].deeds();
    let through = |what: &str| {
        let mut deeds = deeds.iter().filter(|deed| deed.what == what);
        deeds.any(|deed| deed.line.contains("through=keeper-"))
    };
    assert!(through("promoted"), "{deeds:#?}");
    eventually(SOON, "the other to be made to follow", async || {
        let made = keepers[leader].deeds();
        let mut made = made
            .iter()
            .filter(|deed| deed.what == "made to follow the primary");
        let made = made.any(|deed| deed.line.contains("through=keeper-"));
        made.then_some(()).ok_or("not told yet")
    })
    .await;
    checks.assert_never_two();
}

#[tokio::test]
async fn a_leader_that_sees_less_than_the_others_makes_way_for_them() {
    let net = Net::fleet().await;
    let nodes = Redis::trio_behind_links(&net).await;
    let [primary, first, second] = &nodes;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("makes_way");
    let settings = Settings::new().cluster("cache", &nodes);
    let keepers = Keepers::start(3, &net, &prefix, &settings).await;
    keepers
        .wait_topology("cache", primary, &[first, second])
        .await;
    let leader = keepers.wait_leader().await;
    first.link().bar(keepers[leader].process().id());
    eventually(SOON, "it to make way", async || {
        let log = keepers[leader].process().log();
        let makes_way = log.contains("stepping down for a keeper that sees more nodes alive");
        makes_way.then_some(()).ok_or("it does not")
    })
    .await;
    keepers.wait_leader_other_than(Some(leader)).await;
}

/// One keeper kept its password when the servers' password changed. That keeper comes to lead, and the servers tell
/// it nothing.
#[tokio::test]
async fn a_leader_that_the_servers_turn_away_makes_way_for_the_others() {
    let net = Net::fleet().await;
    let nodes = Redis::trio(&net).await;
    let [primary, first, second] = &nodes;
    for node in &nodes {
        node.run::<()>("ACL SETUSER keeper on >secret ~* &* +@all")
            .await;
    }
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("turned_away");
    let access = json!({"username": "keeper", "password": "secret"});
    let settings = Settings::new()
        .set("redis", access)
        .cluster("cache", &nodes);
    let keepers = Keepers::start(3, &net, &prefix, &settings).await;
    keepers
        .wait_topology("cache", primary, &[first, second])
        .await;

    // A client that is not logged in is told nothing.
    for node in &nodes {
        node.run::<()>("ACL SETUSER default -info").await;
    }
    let leader = keepers.wait_leader().await;
    let odd = &keepers[(leader + 1) % 3];
    odd.reconfigure(|config| config["redis"]["password"] = "former".into())
        .await;
    odd.wait_ready().await;
    for keeper in keepers.iter().filter(|keeper| keeper.id() != odd.id()) {
        keeper.process().terminate();
        keeper.process().wait_exit().await;
        keeper.process().restart();
        keeper.wait_ready().await;
    }
    eventually(SOON, "it to make way", async || {
        let log = odd.process().log();
        let makes_way = log.contains("stepping down for a keeper that sees more nodes alive");
        makes_way.then_some(()).ok_or(log)
    })
    .await;
    primary.kill();
    keepers[leader].wait_replaced("cache", primary).await;
}
