//! A host is lost with every process on it.

use keeper_site::checks::Checks;
use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;
use rustix::process::Signal;

#[tokio::test]
async fn the_rest_fails_over_when_primary_leader_and_a_zookeeper_server_die_at_once() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::ensemble(&net, 3).await;
    let prefix = zookeeper.prefix("host_loss");
    let [primary, first, second] = Redis::trio(&net).await;
    primary.write_keys("kept", 100).await;
    let nodes = [&primary, &first, &second];
    let keepers = Keepers::start_for(3, &net, &prefix, Settings::new(), &nodes).await;
    primary.wait_followed_by(&[&first, &second]).await;
    let checks = Checks::start(&keepers, "cache", &nodes);
    let leader = keepers.wait_leader().await;
    let epoch = keepers[leader].leads_with().await;
    // The lost ZooKeeper server is the leader of the ensemble.
    let server = zookeeper.leader().await;

    for process in [
        keepers[leader].process(),
        server.process(),
        primary.process(),
    ] {
        process.signal(Signal::KILL);
    }

    let left = |keeper: &&Keeper| keeper.id() != keepers[leader].id();
    for keeper in keepers.iter().filter(left) {
        keeper
            .wait_status("cache", "another primary and a replica", |status| {
                let primary_now = status.primary.as_ref();
                primary_now.is_some_and(|it| *it != primary.node()) && status.replicas.len() == 1
            })
            .await;
    }
    let heir = keepers.wait_leader_other_than(Some(leader)).await;
    assert!(keepers[heir].leads_with().await > epoch);
    let [winner, other] = keepers[heir].elected("cache", [&first, &second]).await;
    winner.write_keys("new", 10).await;
    other.wait_in_step_with(winner).await;

    // The host comes back.
    server.revive().await;
    primary.revive().await;
    keepers[leader].process().restart();
    keepers
        .wait_topology("cache", winner, &[&primary, other])
        .await;
    eventually(SOON, "the old primary to hold all", async || {
        let keys = primary.key_count().await;
        (keys == 110).then_some(()).ok_or(keys)
    })
    .await;
    checks.assert_never_two();
}
