//! Servers of two versions, as during a rolling upgrade. `tests/servers.sh` provides a newer server and names it.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::look::{cluster, look_live};
use keeper_site::net::Net;
use keeper_site::process::command;
use keeper_site::redis::Redis;
use serde_json::json;

/// The program of a server whose dumps the installed one cannot load.
const NEWER: &str = "NEWER_SERVER";

/// The report of `check --live` for these nodes.
async fn check(net: &Net, nodes: [&Redis; 3]) -> String {
    let at = net.socket(Keeper::PORT);
    let config = json!({
        "coordination": "embedded",
        "rest-host": at.ip(),
        "rest-port": at.port(),
        "clusters": [cluster("cache", &nodes)],
    });
    look_live(&config).await.report
}

#[tokio::test]
#[ignore = "needs a newer server beside the installed one: tests/servers.sh"]
async fn of_equal_replicas_the_one_that_all_others_can_follow_takes_over() {
    let newer = std::env::var(NEWER).expect("NEWER_SERVER, as tests/servers.sh sets it");
    let net = Net::new();
    let old = Redis::start(&net).await;
    let follow = format!("{} {}", old.at().ip(), old.at().port());
    // Among equals the address decides: if versions did not count, the upgraded node would win.
    let upgraded = Redis::start_by(command(&newer), &net, &[("replicaof", &follow)]).await;
    let third = Redis::replica_of(&net, &old, &[]).await;
    old.write_keys("kept", 100).await;
    old.wait_followed_by(&[&upgraded, &third]).await;
    let nodes = [&old, &upgraded, &third];
    let keeper = Keeper::alone_for(&net, Settings::new(), &nodes).await;

    let explained = keeper.admin("clusters/cache/explain").await;
    assert_eq!(
        explained["if-the-primary-died-now"]["next"],
        json!(third.node().to_string()),
        "{explained}"
    );
    let report = check(&net, nodes).await;
    assert!(
        report.contains(&upgraded.node().to_string())
            && report.contains("is newer: once it is promoted"),
        "{report}"
    );

    old.save().await;
    old.kill();
    keeper.wait_topology("cache", &third, &[&upgraded]).await;
    old.revive().await;
    keeper
        .wait_topology("cache", &third, &[&old, &upgraded])
        .await;
    third.wait_followed_by(&[&old, &upgraded]).await;
    for redis in nodes {
        assert_eq!(redis.key_count().await, 100);
    }
}
