//! An operator promotes a replica with `redis-cli`, past the keepers.

use keeper_site::checks::Checks;
use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, Role};
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;

#[tokio::test]
async fn a_promotion_by_hand_is_undone_unless_the_primary_is_dead() {
    let net = Net::fleet().await;
    let [primary, first, second] = Redis::trio(&net).await;
    primary.write_keys("kept", 100).await;
    primary.wait_followed_by(&[&first, &second]).await;
    let nodes = [&primary, &first, &second];
    let prefix = ZooKeeper::shared().await.prefix("by_hand");
    let keepers = Keepers::start_for(3, &net, &prefix, Settings::new(), &nodes).await;
    let checks = Checks::start(&keepers, "cache", &nodes);
    let leader = &keepers[keepers.wait_leader().await];
    let generation = leader.generation("cache").await;

    // The primary lives: a client that writes to the promoted node loses its writes.
    second.run::<()>("REPLICAOF NO ONE").await;
    // The keepers may have corrected the promotion before the write.
    let _ = second.try_run::<()>("SET stray 1").await;
    let corrected = format!("node={} primary={}", second.node(), primary.node());
    eventually(SOON, "the correction to be told", async || {
        let log = leader.process().log();
        let told = log
            .lines()
            .any(|line| line.contains("made to follow the primary") && line.contains(&corrected));
        told.then_some(()).ok_or("it is not")
    })
    .await;
    second.wait_role(Role::Replica).await;
    second.wait_in_step_with(&primary).await;
    second.wait_key_count(100).await;
    keepers
        .wait_topology("cache", &primary, &[&first, &second])
        .await;
    for keeper in keepers.iter() {
        keeper.wait_plan("cache", &["nothing to do"]).await;
        assert_eq!(keeper.generation("cache").await, generation);
    }
    checks.assert_only(&primary);

    // The primary is dead, and the operator is quicker than the mark-down time.
    let commands = second.calls("replicaof").await;
    primary.kill();
    second.run::<()>("REPLICAOF NO ONE").await;
    second.write_keys("by hand", 10).await;
    keepers.wait_topology("cache", &second, &[&first]).await;
    first.wait_in_step_with(&second).await;
    primary.revive().await;
    keepers
        .wait_topology("cache", &second, &[&primary, &first])
        .await;
    for redis in [&primary, &first] {
        redis.wait_in_step_with(&second).await;
        assert_eq!(redis.key_count().await, 110);
    }
    assert_eq!(
        second.calls("replicaof").await,
        commands + 1,
        "the operator's was the only one"
    );
    for keeper in keepers.iter() {
        keeper.wait_plan("cache", &["nothing to do"]).await;
        // One withdrawal and one publication.
        assert_eq!(keeper.generation("cache").await, generation + 2);
    }
    checks.assert_never_two();
}

/// Writes to the node that left count for nothing: another replica holds more of the cluster's history.
#[tokio::test]
async fn a_node_that_left_the_history_and_was_written_to_since_does_not_take_over() {
    let net = Net::fleet().await;
    let [primary, first, second] = Redis::trio(&net).await;
    let nodes = [&primary, &first, &second];
    let prefix = ZooKeeper::shared().await.prefix("left_the_history");
    let keepers = Keepers::start_for(3, &net, &prefix, Settings::new(), &nodes).await;
    let leader = &keepers[keepers.wait_leader().await];
    primary.write_keys("kept", 100).await;
    primary.wait_followed_by(&[&first, &second]).await;

    // The keepers are frozen, so that they correct nothing before the primary dies.
    for keeper in keepers.iter() {
        keeper.process().pause();
    }
    second.run::<()>("REPLICAOF NO ONE").await;
    second.write_keys("beside", 1_000).await;
    primary.write_keys("more", 100).await;
    first.wait_key_count(200).await;
    primary.kill();
    for keeper in keepers.iter() {
        keeper.process().resume();
    }
    let takes_over = leader.wait_replaced("cache", &primary).await;
    assert_eq!(takes_over, first.node());
    second.wait_in_step_with(&first).await;
    second.wait_key_count(200).await;
}

/// An operator has Redis itself fail over (`FAILOVER`) to a node that hangs. Redis pauses writes until the failover
/// ends.
#[tokio::test]
async fn a_failover_of_redis_itself_that_does_not_end_is_told_with_what_ends_it() {
    let net = Net::fleet().await;
    let [primary, first, second] = Redis::trio(&net).await;
    primary.wait_followed_by(&[&first, &second]).await;
    let nodes = [&primary, &first, &second];
    let prefix = ZooKeeper::shared().await.prefix("failover_of_redis");
    let patient = Settings::new().set("seconds-mark-down", 60);
    let keepers = Keepers::start_for(1, &net, &prefix, patient, &nodes).await;
    let keeper = &keepers[0];
    first.pause();
    primary.run::<()>("SET not-copied 1").await;
    let to = first.at();
    let failover = format!("FAILOVER TO {} {}", to.ip(), to.port());
    primary.run::<()>(&failover).await;
    let told = ["was told to FAILOVER", "waiting-for-sync", "FAILOVER ABORT"];
    keeper.wait_plan("cache", &told).await;
    assert!(keeper.calls_writable("cache", &primary).await);

    primary.run::<()>("FAILOVER ABORT").await;
    first.resume();
    keeper.wait_plan("cache", &["nothing to do"]).await;
}
