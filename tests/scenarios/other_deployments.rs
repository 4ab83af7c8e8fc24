//! Servers of another deployment at the cluster's addresses, and servers of the cluster that cannot show that they
//! are.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;

/// How many keys a server of another deployment has.
const FOREIGN: usize = 1_000;

/// How many keys the cluster has.
const KEPT: usize = 100;

/// Starts a server of another deployment in place of `redis`, which is dead. The server has an offset above any that
/// the cluster had.
async fn foreign_at(net: &Net, redis: &Redis) -> Redis {
    let elsewhere = Redis::start(net).await;
    // Without a replica the server would count no offset.
    let follower = Redis::replica_of(net, &elsewhere, &[]).await;
    elsewhere.write_keys("foreign", FOREIGN).await;
    follower.wait_in_step_with(&elsewhere).await;
    elsewhere.save().await;
    elsewhere.kill();
    follower.kill();
    elsewhere.moved_to(*redis.at().ip()).await
}

/// Starts a replica of `primary` in place of `redis`, which is dead.
async fn follower_at(redis: &Redis, primary: &Redis) -> Redis {
    let follows = format!("{} {}", primary.at().ip(), primary.at().port());
    Redis::start_at(*redis.at().ip(), &[("replicaof", &follows)]).await
}

/// A primary with [`KEPT`] keys and two replicas, and a keeper with a long mark-down time.
///
/// No replica copies a server that comes up at the primary's address before a keeper has seen that server.
async fn slow_to_copy(net: &Net) -> ([Redis; 3], Keeper) {
    // Redis's default, as in `returning`.
    let delay = [("repl-diskless-sync-delay", "5")];
    let primary = Redis::start_with(net, &delay).await;
    let first = Redis::replica_of(net, &primary, &delay).await;
    let second = Redis::replica_of(net, &primary, &delay).await;
    primary.write_keys("kept", KEPT).await;
    primary.wait_followed_by(&[&first, &second]).await;
    let settings = Settings::new().set("seconds-mark-down", 20);
    let keeper = Keeper::alone_for(net, settings, &[&primary, &first, &second]).await;
    ([primary, first, second], keeper)
}

/// Waits until a replica has taken over from the primary with all the cluster's keys, and the other replica follows
/// it.
async fn succeeded<'a>(keeper: &Keeper, [primary, first, second]: &'a [Redis; 3]) -> &'a Redis {
    keeper.wait_replaced("cache", primary).await;
    let [successor, other] = keeper.elected("cache", [first, second]).await;
    other.wait_in_step_with(successor).await;
    for redis in [successor, other] {
        assert_eq!(redis.key_count().await, KEPT);
    }
    successor
}

#[tokio::test]
async fn a_foreign_server_at_the_primarys_address_is_replaced_and_its_data_stay() {
    let net = Net::new();
    let (cluster, keeper) = slow_to_copy(&net).await;
    let [primary, ..] = &cluster;

    let forgets = primary.forgets_its_history().await;
    primary.kill();
    let foreign = foreign_at(&net, primary).await;
    let successor = succeeded(&keeper, &cluster).await;
    if forgets {
        // The server passes for the primary that was replaced (ADR 028).
        return foreign.wait_in_step_with(successor).await;
    }
    keeper
        .wait_plan("cache", &["holds data of its own that shares no history"])
        .await;
    assert_eq!(foreign.key_count().await, FOREIGN);
    assert!(foreign.is_primary().await);
}

#[tokio::test]
async fn a_foreign_server_at_a_replicas_address_is_named_and_not_overwritten() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    primary.write_keys("kept", 100).await;
    primary.wait_followed_by(&[&first, &second]).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary, &first, &second]).await;

    second.kill();
    let foreign = foreign_at(&net, &second).await;
    let named = format!("{} holds data of its own", second.node());
    keeper.wait_plan("cache", &[&named]).await;
    keeper.wait_probes("cache", &second, 10).await;
    assert_eq!(foreign.key_count().await, FOREIGN);
    assert!(foreign.is_primary().await);
}

/// A replica of another cluster comes up at the address, linked to its own primary.
#[tokio::test]
async fn another_clusters_replica_at_a_replicas_address_is_named_and_not_overwritten() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    let outside = Redis::start(&net).await;
    outside.write_keys("foreign", FOREIGN).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary, &first, &second]).await;

    second.kill();
    let foreign = follower_at(&second, &outside).await;
    foreign.wait_in_step_with(&outside).await;
    let named = format!("{} holds data of its own", second.node());
    keeper.wait_plan("cache", &[&named]).await;
    keeper.wait_probes("cache", &second, 10).await;
    assert_eq!(foreign.key_count().await, FOREIGN);
    foreign.wait_in_step_with(&outside).await;
}

/// The process at the primary's address is no primary, and answers, so it is never voted down.
#[tokio::test]
async fn another_process_of_any_kind_at_the_primarys_address_is_replaced() {
    for clustered in [true, false] {
        let net = Net::new();
        let (cluster, keeper) = slow_to_copy(&net).await;
        let [primary, ..] = &cluster;
        let outside = Redis::start(&net).await;
        outside.write_keys("foreign", FOREIGN).await;

        primary.kill();
        let _another = if clustered {
            Redis::start_at(*primary.at().ip(), &[("cluster-enabled", "yes")]).await
        } else {
            follower_at(primary, &outside).await
        };
        succeeded(&keeper, &cluster).await;
    }
}

/// A primary with 100 keys and its two replicas, all with append-only files, and a keeper for them.
async fn append_only_trio(net: &Net) -> ([Redis; 3], Keeper) {
    let aof = [("appendonly", "yes")];
    let primary = Redis::start_with(net, &aof).await;
    let first = Redis::replica_of(net, &primary, &aof).await;
    let second = Redis::replica_of(net, &primary, &aof).await;
    primary.write_keys("kept", 100).await;
    primary.wait_followed_by(&[&first, &second]).await;
    for redis in [&primary, &first, &second] {
        redis.wait_append_only().await;
    }
    let keeper = Keeper::alone_for(net, Settings::new(), &[&primary, &first, &second]).await;
    ([primary, first, second], keeper)
}

#[tokio::test]
async fn with_append_only_files_everywhere_a_restart_of_all_finds_the_primary_again() {
    let net = Net::new();
    let ([primary, first, second], keeper) = append_only_trio(&net).await;
    for redis in [&primary, &first, &second] {
        redis.kill();
    }
    keeper.wait_plan("cache", &["no node may take over"]).await;
    for redis in [&first, &second, &primary] {
        redis.revive().await;
    }
    keeper
        .wait_topology("cache", &primary, &[&first, &second])
        .await;
    for redis in [&primary, &first, &second] {
        redis.wait_key_count(100).await;
    }
}

#[tokio::test]
async fn a_replaced_primary_with_an_append_only_file_is_a_replica_again() {
    let net = Net::new();
    let aof = [("appendonly", "yes")];
    let primary = Redis::start_with(&net, &aof).await;
    let first = Redis::replica_of(&net, &primary, &aof).await;
    primary.write_keys("kept", 100).await;
    primary.wait_followed_by(&[&first]).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary, &first]).await;

    primary.kill();
    keeper.wait_primary("cache", &first).await;
    primary.revive().await;
    keeper.wait_topology("cache", &first, &[&primary]).await;
    primary.wait_in_step_with(&first).await;
}

#[tokio::test]
async fn a_drained_cluster_fails_over() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    primary.write_keys("job", 1).await;
    primary.wait_followed_by(&[&first, &second]).await;
    let nodes = [&primary, &first, &second];
    let keeper = Keeper::alone_for(&net, Settings::new(), &nodes).await;
    primary.run::<()>("DEL job:0").await;
    primary.wait_followed_by(&[&first, &second]).await;
    keeper.wait_probes("cache", &primary, 2).await;

    primary.kill();
    let [successor, other] = keeper.elected("cache", [&first, &second]).await;
    keeper.wait_topology("cache", successor, &[other]).await;
}

#[tokio::test]
async fn a_replica_that_started_without_history_is_adopted_once_promoted_by_hand() {
    let net = Net::new();
    let ([primary, first, second], keeper) = append_only_trio(&net).await;
    for redis in [&primary, &first, &second] {
        redis.kill();
    }
    first.revive().await;
    keeper
        .wait_plan("cache", &["has started without any history"])
        .await;
    first.run::<()>("REPLICAOF NO ONE").await;
    keeper.wait_topology("cache", &first, &[]).await;
    assert_eq!(first.key_count().await, 100);
}
