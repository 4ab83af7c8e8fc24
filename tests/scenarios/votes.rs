//! A node is down when more than half of the online keepers say so.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;

#[tokio::test]
async fn one_vote_of_three_is_not_enough_and_goes_with_its_keeper() {
    let net = Net::fleet().await;
    let nodes = Redis::trio(&net).await;
    let [primary, first, second] = &nodes;
    let zookeeper = ZooKeeper::shared().await.prefix("one_vote_of_three");
    let keepers = [
        Keeper::launch("hasty", &net, &zookeeper, &settings(2, &nodes)).await,
        Keeper::launch("patient-1", &net, &zookeeper, &settings(600, &nodes)).await,
        Keeper::launch("patient-2", &net, &zookeeper, &settings(600, &nodes)).await,
    ];
    let [hasty, patient, _] = &keepers;
    for keeper in &keepers {
        keeper
            .wait_topology("cache", primary, &[first, second])
            .await;
    }
    let generation = patient.generation("cache").await;

    primary.pause();
    for keeper in &keepers {
        keeper.wait_votes("cache", primary, &["hasty"]).await;
    }
    for keeper in &keepers {
        keeper.wait_probes("cache", primary, 10).await;
        let view = keeper.node("cache", primary).await;
        assert_eq!(view["verdict"]["down"], false, "{view}");
        assert!(keeper.calls_writable("cache", primary).await);
    }

    hasty.process().kill();
    for keeper in &keepers[1..] {
        keeper.wait_votes("cache", primary, &[]).await;
        eventually(SOON, "two keepers online", async || {
            let view = keeper.node("cache", primary).await;
            let online = view["verdict"]["keepers"] == 2;
            online.then_some(()).ok_or_else(|| view.to_string())
        })
        .await;
    }
    primary.resume();
    for keeper in &keepers[1..] {
        keeper
            .wait_topology("cache", primary, &[first, second])
            .await;
        assert_eq!(keeper.generation("cache").await, generation);
    }
    for replica in [first, second] {
        assert_eq!(replica.calls("replicaof").await, 0);
    }
}

#[tokio::test]
async fn two_votes_of_three_are_enough_and_half_of_two_is_not() {
    let net = Net::fleet().await;
    let nodes = Redis::trio(&net).await;
    let [primary, first, second] = &nodes;
    primary.wait_followed_by(&[first, second]).await;
    let zookeeper = ZooKeeper::shared().await.prefix("two_votes_of_three");
    let hasty = Keeper::launch("hasty-1", &net, &zookeeper, &settings(2, &nodes)).await;
    let patient = Keeper::launch("patient", &net, &zookeeper, &settings(600, &nodes)).await;
    for keeper in [&hasty, &patient] {
        keeper
            .wait_topology("cache", primary, &[first, second])
            .await;
    }

    primary.pause();
    patient.wait_votes("cache", primary, &["hasty-1"]).await;
    patient.wait_probes("cache", primary, 10).await;
    let view = patient.node("cache", primary).await;
    assert_eq!(view["verdict"]["keepers"], 2, "{view}");
    assert_eq!(view["verdict"]["down"], false, "{view}");

    let second_hasty = Keeper::launch("hasty-2", &net, &zookeeper, &settings(2, &nodes)).await;
    for keeper in [&hasty, &patient, &second_hasty] {
        keeper
            .wait_status("cache", "a new primary", |status| {
                let successor = status.primary.as_ref();
                successor.is_some_and(|successor| *successor != primary.node())
            })
            .await;
    }
}

fn settings(mark_down: u64, nodes: &[Redis; 3]) -> Settings {
    Settings::new()
        .set("seconds-mark-down", mark_down)
        .set("probe-timeout-seconds", 0.2)
        .cluster("cache", nodes)
}
