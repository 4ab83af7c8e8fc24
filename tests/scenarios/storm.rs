//! Many clusters lose their primaries at the same moment.

use futures::future::join_all;
use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::tree::Tree;
use keeper_site::zookeeper::ZooKeeper;
use serde_json::Value;

const CLUSTERS: usize = 50;

#[tokio::test]
async fn fifty_clusters_that_lose_their_primaries_at_once_all_recover_and_none_twice() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("storm");
    let primaries = join_all((0..CLUSTERS).map(|_| Redis::start(&net))).await;
    let replicas = join_all(
        primaries
            .iter()
            .map(|primary| Redis::replica_of(&net, primary, &[])),
    )
    .await;
    let name = |number: usize| format!("cache-{number}");
    let mut settings = Settings::new()
        .set("tick-seconds", 1)
        .set("seconds-mark-down", 3);
    for (number, pair) in primaries.iter().zip(&replicas).enumerate() {
        settings = settings.cluster(&name(number), <[&Redis; 2]>::from(pair));
    }
    let keepers = Keepers::start(3, &net, &prefix, &settings).await;
    for (number, (primary, replica)) in primaries.iter().zip(&replicas).enumerate() {
        keepers
            .wait_topology(&name(number), primary, &[replica])
            .await;
    }
    let tree = Tree::of(&prefix).await;
    let counted = async || {
        let (generations, _) = tree.json("/generation").await;
        generations["generation"].as_u64().expect("a number")
    };
    let before = counted().await;

    primaries.iter().for_each(Redis::kill);

    for (number, replica) in replicas.iter().enumerate() {
        keepers.wait_topology(&name(number), replica, &[]).await;
    }
    let states = join_all((0..CLUSTERS).map(|number| {
        let path = format!("/clusters/{}", name(number));
        let tree = &tree;
        async move { tree.json(&path).await.0 }
    }))
    .await;
    assert!(
        states.iter().all(|state| state["failover"] == Value::Null),
        "{states:?}"
    );
    assert_eq!(
        counted().await - before,
        2 * CLUSTERS as u64,
        "each withdrawn once and published once"
    );
    for replica in &replicas {
        assert_eq!(replica.calls("replicaof").await, 1, "{}", replica.at());
    }
}
