//! The leader knows and reports an obstacle to commands before a failover needs them.

use std::time::Duration;

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::eventually;

/// Keepers try commands every 30 s.
const TRIED_WITHIN: Duration = Duration::from_mins(1);

/// Waits until a trial has found an obstacle, and the plan says so in these words.
pub(super) async fn wait_told(keeper: &Keeper, words: &[&str]) {
    let what = format!("the plan to say {words:?}");
    eventually(TRIED_WITHIN, what, async || {
        let view = keeper.admin("clusters/cache").await;
        let plan = view["plan"].as_str().unwrap_or_default().to_owned();
        let told = words.iter().all(|words| plan.contains(words));
        told.then_some(()).ok_or(plan)
    })
    .await;
}

#[tokio::test]
async fn a_password_that_all_servers_ask_for_and_keepers_lack_is_told_though_probes_go_on() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    let nodes = [&primary, &first, &second];
    let keeper = Keeper::alone_for(&net, Settings::new(), &nodes).await;
    keeper.wait_plan("cache", &["nothing to do"]).await;
    let mut owners = Vec::new();
    for redis in nodes {
        let mut owner = redis.connect().await.expect("a connection");
        let set = redis::cmd("CONFIG")
            .arg(&["SET", "requirepass", "new"])
            .to_owned();
        set.query_async::<()>(&mut owner).await.expect("it is set");
        owners.push(owner);
    }
    wait_told(&keeper, &["no failover is possible", "NOAUTH"]).await;
    let page = keeper.get("/metrics").await.expect("the metrics").body;
    let page = page.as_str().expect("text");
    let sample = r#"redis_keeper_cluster_nodes_not_commandable{cluster="cache"} 3"#;
    assert!(page.contains(sample), "{page}");
    let node = keeper.node("cache", &first).await;
    assert_eq!(node["sighting"]["commandable"], false, "{node}");

    for owner in &mut owners {
        let set = redis::cmd("CONFIG")
            .arg(&["SET", "requirepass", ""])
            .to_owned();
        set.query_async::<()>(owner).await.expect("it is set");
    }
    keeper.wait_plan("cache", &["nothing to do"]).await;
}

#[tokio::test]
async fn a_replica_that_a_keeper_may_not_promote_is_named_and_another_takes_over() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    let revoked = first.try_run::<()>("ACL SETUSER default -replicaof").await;
    if revoked.is_err() {
        // Redis has ACLs since 6.0.
        return;
    }
    let nodes = [&primary, &first, &second];
    let settings = Settings::new();
    let keeper = Keeper::alone_for(&net, settings, &nodes).await;
    let at = first.node().to_string();
    if first
        .try_run::<()>("ACL DRYRUN default PING")
        .await
        .is_err()
    {
        // Redis can try commands out (`ACL DRYRUN`) since 7.0.
        return;
    }
    wait_told(&keeper, &["cannot command", &at, "REPLICAOF"]).await;
    primary.kill();
    let takes_over = keeper.wait_replaced("cache", &primary).await;
    assert_eq!(takes_over, second.node());
}
