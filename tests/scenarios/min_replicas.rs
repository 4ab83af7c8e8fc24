//! The operator's own `min-replicas-to-write`: the keeper reports its effect on a failover before there is one.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::look::{cluster, look_live};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use serde_json::json;

#[tokio::test]
async fn a_replica_that_would_refuse_every_write_once_promoted_is_named_before_and_after() {
    let net = Net::new();
    let demands = [("min-replicas-to-write", "1")];
    let primary = Redis::start_with(&net, &demands).await;
    let replica = Redis::replica_of(&net, &primary, &demands).await;
    let settings = Settings::new();
    let keeper = Keeper::alone_for(&net, settings, &[&primary, &replica]).await;
    let (one, other) = (primary.node().to_string(), replica.node().to_string());
    let before = format!(
        "if {one} died, {other} would have 0 replicas and its min-replicas-to-write is 1: it would refuse every write"
    );
    keeper.wait_plan("cache", &[&before]).await;
    let view = keeper.admin("clusters/cache/explain").await;
    let sentence = view["if-the-primary-died-now"]["sentence"].as_str();
    let sentence = sentence.expect("a sentence");
    let words = format!("{other} would take over");
    assert!(
        sentence.contains(&words) && sentence.contains("it would refuse every write"),
        "{view}"
    );

    primary.kill();
    let successor = keeper.wait_replaced("cache", &primary).await;
    assert_eq!(successor, replica.node(), "it forbids nothing");
    let after = format!("{other} refuses every write (NOREPLICAS)");
    keeper.wait_plan("cache", &[&after]).await;
    let refused = replica.try_run::<String>("SET key value").await;
    let refused = refused.expect_err("it refuses").to_string();
    assert!(refused.contains("NOREPLICAS"), "{refused}");

    replica
        .run::<()>("CONFIG SET min-replicas-to-write 0")
        .await;
    primary.revive().await;
    keeper.wait_topology("cache", &replica, &[&primary]).await;
}

#[tokio::test]
async fn enough_replicas_or_settings_that_cannot_be_read_are_no_warning() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    for redis in [&primary, &first, &second] {
        redis.run::<()>("CONFIG SET min-replicas-to-write 1").await;
    }
    let nodes = [&primary, &first, &second];
    let keeper = Keeper::alone_for(&net, Settings::new(), &nodes).await;
    keeper.wait_plan("cache", &["nothing to do"]).await;
    let view = keeper.node("cache", &first).await;
    assert_eq!(view["sighting"]["min-replicas"]["to-write"], 1, "{view}");
}

#[tokio::test]
async fn a_look_before_use_tells_what_would_refuse_writes_and_what_does() {
    let net = Net::new();
    let demands = [("min-replicas-to-write", "1")];
    let primary = Redis::start_with(&net, &demands).await;
    let replica = Redis::replica_of(&net, &primary, &demands).await;
    let nodes = [&primary, &replica];
    let would = "it would have 0 replicas at most, and refuse every write";
    eventually(SOON, "the replica to be in touch", async || {
        let before = look(&nodes).await;
        let told = before.matches(would).count() == 2 && !before.contains("NOREPLICAS");
        told.then_some(()).ok_or(before)
    })
    .await;
    replica.kill();
    eventually(SOON, "the primary to have lost its replica", async || {
        let after = look(&nodes).await;
        let told = after.contains("refuses every write (NOREPLICAS)");
        told.then_some(()).ok_or(after)
    })
    .await;
}

/// The report of `check --live` for these nodes.
async fn look(nodes: &[&Redis]) -> String {
    let config = json!({
        "coordination": "embedded",
        "clusters": [cluster("cache", nodes)],
    });
    look_live(&config).await.report
}
