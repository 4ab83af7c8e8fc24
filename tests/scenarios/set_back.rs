//! ZooKeeper loses data: it is set back to a copy, or starts empty.

use keeper_site::checks::Checks;
use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;

/// The copy has the same generation. Only notes on the published primary changed since the copy.
#[tokio::test]
async fn keepers_end_when_zookeeper_is_set_back_and_fail_over_once_they_run_again() {
    lost("set_back", Loss::SetBack).await;
}

#[tokio::test]
async fn keepers_end_when_zookeeper_begins_with_nothing_and_fail_over_once_they_run_again() {
    lost("emptied", Loss::All).await;
}

#[derive(PartialEq, Eq)]
enum Loss {
    SetBack,
    All,
}

async fn lost(name: &str, loss: Loss) {
    let net = Net::fleet().await;
    let redis = Redis::trio(&net).await;
    let [primary, first, second] = redis.each_ref();
    let zookeeper = ZooKeeper::ensemble(&net, 1).await;
    let [server] = zookeeper.servers() else {
        panic!("one server")
    };
    let prefix = zookeeper.prefix(name);
    let settings = Settings::patient();
    let keepers = Keepers::start_for(3, &net, &prefix, settings, &[primary, first, second]).await;
    keepers
        .wait_topology("cache", primary, &[first, second])
        .await;

    server.process().kill();
    let mut copy = server.copy();
    if loss == Loss::All {
        copy = tempfile::TempDir::new().expect("a directory");
    }
    server.revive().await;
    let kept = version(&keepers[0]).await;
    second.kill();
    let noted = wait_version(&keepers[0], kept + 1).await;
    second.revive().await;
    // For a keeper that has not read the newer version, nothing goes back.
    for keeper in keepers.iter() {
        wait_version(keeper, noted + 1).await;
    }

    let checks = Checks::start(&keepers, "cache", &[primary, first, second]);
    server.process().kill();
    server.set_back_to(&copy);
    server.revive().await;
    for keeper in keepers.iter() {
        keeper.process().wait_exit().await;
        let log = keeper.process().log();
        assert!(log.contains("lost or set back"), "{}: {log}", keeper.id());
    }
    for keeper in keepers.iter() {
        keeper.process().restart();
    }
    for keeper in keepers.iter() {
        keeper.wait_ready().await;
    }
    keepers
        .wait_topology("cache", primary, &[first, second])
        .await;
    checks.assert_only(primary);
    primary.kill();
    keepers[0].wait_replaced("cache", primary).await;
}

/// The version of the cluster's node in ZooKeeper, as the keeper has read it.
async fn version(keeper: &Keeper) -> i64 {
    wait_version(keeper, 0).await
}

async fn wait_version(keeper: &Keeper, least: i64) -> i64 {
    eventually(SOON, format!("version {least} of the state"), async || {
        let view = keeper.admin("clusters/cache").await;
        let version = view["version"].as_i64();
        version.filter(|version| *version >= least).ok_or(view)
    })
    .await
}
