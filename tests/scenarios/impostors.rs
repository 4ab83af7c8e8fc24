//! Clients and servers that pass for others. They stop no failover, and no command reaches a wrong server.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use redis::aio::PubSub;

#[tokio::test]
async fn a_failover_is_not_stopped_by_clients_named_as_keepers_or_listening_as_sentinels() {
    let net = Net::new();
    let nodes = Redis::trio(&net).await;
    let [primary, first, second] = &nodes;
    let mut clients = Vec::new();
    for node in &nodes {
        let mut keeper = node.connect().await.expect("a connection");
        let named: () = redis::cmd("CLIENT")
            .arg(&["SETNAME", "keeper-99999999"])
            .query_async(&mut keeper)
            .await
            .expect("a name");
        clients.push((keeper, named, listener(node).await));
    }
    let settings = Settings::new().cluster("cache", [primary, first, second]);
    let keeper = Keeper::alone(&net, &settings).await;
    let plan = keeper
        .wait_plan("cache", &["listen on the channel of Redis Sentinels"])
        .await;
    assert!(!plan.contains("at work"), "{plan}");

    primary.kill();
    let [successor, other] = keeper.elected("cache", [first, second]).await;
    keeper.wait_topology("cache", successor, &[other]).await;
    let clients: String = successor.run("CLIENT LIST").await;
    assert!(!clients.contains("keeper-99999999"), "{clients}");
}

/// A client that listens on the channel of Sentinels.
async fn listener(node: &Redis) -> PubSub {
    let client = redis::Client::open(format!("redis://{}", node.at())).expect("an address");
    let mut listener = client.get_async_pubsub().await.expect("a connection");
    listener
        .subscribe("__sentinel__:hello")
        .await
        .expect("subscribed");
    listener
}

#[tokio::test]
async fn a_name_that_leads_to_another_server_is_not_commanded_there() {
    let net = Net::new();
    let primary = Redis::start(&net).await;
    let replica = Redis::start_behind_link(&net, &[]).await;
    replica.follow(&primary).await;
    primary.write_keys("kept", 10).await;
    replica.wait_in_step_with(&primary).await;
    let settings = Settings::new().cluster("cache", [&primary, &replica]);
    let keeper = Keeper::alone(&net, &settings).await;
    keeper.wait_topology("cache", &primary, &[&replica]).await;

    // The keeper's open connection still leads to the replica; a new connection does not.
    let other = Redis::start(&net).await;
    replica.link().lead_to(other.at());
    primary.kill();
    eventually(SOON, "the keeper to see another server", async || {
        let path = format!("clusters/cache/nodes/{}", replica.node());
        let node = keeper.admin(&path).await;
        let read = node["monitor"]["sighting"]["facts"]["keys"] == 0;
        read.then_some(()).ok_or_else(|| node.to_string())
    })
    .await;
    assert_eq!(other.calls("replicaof").await, 0);
    assert_eq!(replica.calls("replicaof").await, 1, "the test's own");

    replica.link().lead_back();
    other.kill();
    keeper.wait_primary("cache", &replica).await;
    assert_eq!(replica.key_count().await, 10);
}

/// Options of a replica whose primary refuses its login.
const TURNED_AWAY: [(&str, &str); 2] = [("masteruser", "nobody"), ("masterauth", "wrong")];

#[tokio::test]
async fn a_replica_that_cannot_link_since_its_start_is_not_readable_for_ever() {
    let net = Net::new();
    let primary = Redis::start(&net).await;
    let replica = Redis::replica_of(&net, &primary, &[]).await;
    primary.write_keys("kept", 10).await;
    replica.wait_in_step_with(&primary).await;
    let settings = Settings::new()
        .cluster("cache", [&primary, &replica])
        .set("max-stale-seconds", 3);
    let keeper = Keeper::alone(&net, &settings).await;
    keeper.wait_topology("cache", &primary, &[&replica]).await;

    for (setting, value) in TURNED_AWAY {
        replica
            .run::<()>(&format!("CONFIG SET {setting} {value}"))
            .await;
    }
    replica.run::<()>("CONFIG REWRITE").await;
    replica.save().await;
    replica.kill();
    replica.revive().await;
    eventually(SOON, "the replica to be refused", async || {
        let answer = keeper.is_readable("cache", &replica).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let refused = answer.code == 503 && answer.body.to_string().contains("since it started");
        refused.then_some(()).ok_or_else(|| format!("{answer:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_replica_that_never_synchronised_does_not_take_over_with_data_of_its_own() {
    let net = Net::new();
    let primary = Redis::start(&net).await;
    primary.write_keys("kept", 10).await;
    let at = primary.at();
    let follow = format!("{} {}", at.ip(), at.port());
    let foreign = Redis::start_with(&net, &TURNED_AWAY).await;
    foreign.write_keys("foreign", 20).await;
    foreign.run::<()>(&format!("REPLICAOF {follow}")).await;
    let settings = Settings::new().cluster("cache", [&primary, &foreign]);
    let keeper = Keeper::alone(&net, &settings).await;
    keeper.wait_primary("cache", &primary).await;

    primary.kill();
    let why = if foreign.forgets_its_history().await {
        "has started without any history"
    } else {
        "another data set"
    };
    keeper
        .wait_plan("cache", &["no node may take over", why])
        .await;
    assert_eq!(foreign.calls("replicaof").await, 1, "the test's own");
}
