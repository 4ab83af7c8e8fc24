//! No keeper reaches any server for a while. When the cut ends, a replica often answers first, and the healthy
//! primary stays.

use futures::future::join_all;
use keeper_site::checks::Checks;
use keeper_site::insistence::Insistence;
use keeper_site::keeper::{Keepers, Settings};
use keeper_site::link::Link;
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::zookeeper::ZooKeeper;

const ROUNDS: usize = 4;
const KEEPERS: [&str; 3] = ["keeper-1", "keeper-2", "keeper-3"];

/// How the ways to the servers are cut.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    /// No packet passes.
    Silent,
    /// Connections are refused.
    Refusing,
}

async fn a_healthy_primary_outlives_cuts(prefix: &str, cut: Cut) {
    let net = Net::fleet().await;
    let nodes = Redis::trio_behind_links(&net).await;
    let [primary, first, second] = &nodes;
    let prefix = ZooKeeper::shared().await.prefix(prefix);
    let nodes = [primary, first, second];
    let keepers = Keepers::start_for(3, &net, &prefix, Settings::patient(), &nodes).await;
    primary.wait_followed_by(&[first, second]).await;
    let generation = keepers[0].generation("cache").await;
    let checks = Checks::start(&keepers, "cache", &nodes);
    // Silence towards keepers says nothing of clients, so the keepers go on calling the primary writable.
    let insists = cut == Cut::Silent;
    let insistence = insists.then(|| Insistence::start(&keepers, &[("cache", primary)]));
    for round in 1..=ROUNDS {
        for node in nodes {
            match cut {
                Cut::Silent => node.link().silence(),
                Cut::Refusing => node.link().cut().await,
            }
        }
        let voted_down = keepers
            .iter()
            .flat_map(|keeper| nodes.map(|node| keeper.wait_votes("cache", node, &KEEPERS)));
        join_all(voted_down).await;
        // The primary's link is restored last.
        join_all([second, first, primary].map(Redis::link).map(Link::restore)).await;
        let taken_back = keepers
            .iter()
            .flat_map(|keeper| nodes.map(|node| keeper.wait_votes("cache", node, &[])));
        join_all(taken_back).await;
        keepers
            .wait_topology("cache", primary, &[first, second])
            .await;
        for keeper in keepers.iter() {
            let now = keeper.generation("cache").await;
            assert_eq!(now, generation, "round {round}: the primary was withdrawn");
        }
    }
    checks.assert_only(primary);
    if let Some(insistence) = insistence {
        insistence.assert_always_yes();
    }
}

#[tokio::test]
async fn a_healthy_primary_is_not_replaced_when_a_cut_ends_that_swallowed_everything() {
    a_healthy_primary_outlives_cuts("end_of_silence", Cut::Silent).await;
}

#[tokio::test]
async fn a_healthy_primary_is_not_replaced_when_a_cut_ends_that_refused_connections() {
    a_healthy_primary_outlives_cuts("end_of_refusal", Cut::Refusing).await;
}
