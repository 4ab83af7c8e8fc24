//! A connection goes mute, and the server behind it lives.

use keeper_site::checks::Checks;
use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::zookeeper::ZooKeeper;

/// More ticks than a mark-down time has.
const PAST_MARK_DOWN: u64 = 15;

#[tokio::test]
async fn a_primary_whose_established_flows_go_mute_is_not_voted_down() {
    let net = Net::fleet().await;
    let nodes = Redis::trio_behind_links(&net).await;
    let [primary, first, second] = &nodes;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("mute_flows");
    let settings = Settings::new().cluster("cache", &nodes);
    let keepers = Keepers::start(3, &net, &prefix, &settings).await;
    keepers
        .wait_topology("cache", primary, &[first, second])
        .await;
    let generation = keepers[0].generation("cache").await;
    let checks = Checks::start(&keepers, "cache", &[primary, first, second]);
    for _ in 0..3 {
        primary.link().mute_flows();
        for keeper in keepers.iter() {
            keeper.wait_probes("cache", primary, PAST_MARK_DOWN).await;
        }
    }
    assert_eq!(keepers[0].generation("cache").await, generation);
    for keeper in keepers.iter() {
        assert!(keeper.calls_writable("cache", primary).await);
        let log = keeper.process().log();
        assert!(!log.contains("held down"), "{log}");
        assert!(
            log.contains("a probe connection went mute and was replaced"),
            "{log}"
        );
    }
    checks.assert_never_two();
}
