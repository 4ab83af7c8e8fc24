//! Servers come back from whatever state. Each finds its place, and none costs another server its data.

use keeper_site::calls::Calls;
use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, Role};

#[tokio::test]
async fn a_primary_that_returns_with_its_data_within_the_mark_down_time_stays_the_primary() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    primary.write_keys("kept", 100).await;
    let settings = Settings::new().set("seconds-mark-down", 20);
    let keeper = Keeper::alone_for(&net, settings, &[&primary, &first, &second]).await;
    primary.wait_followed_by(&[&first, &second]).await;
    let generation = keeper.generation("cache").await;
    let calls = Calls::since_now(&[&first, &second]).await;

    primary.save().await;
    primary.kill();
    primary.revive().await;
    if primary.forgets_its_history().await {
        // The server cannot show whose data it has, so a replica with the cluster's history takes over, and no write
        // is lost.
        keeper.wait_replaced("cache", &primary).await;
        let [successor, other] = keeper.elected("cache", [&first, &second]).await;
        for redis in [&primary, other] {
            redis.wait_in_step_with(successor).await;
            assert_eq!(redis.key_count().await, 100);
        }
        return;
    }
    primary.wait_followed_by(&[&first, &second]).await;
    keeper
        .wait_topology("cache", &primary, &[&first, &second])
        .await;
    keeper.wait_probes("cache", &primary, 10).await;
    keeper.wait_plan("cache", &["nothing to do"]).await;
    assert_eq!(keeper.generation("cache").await, generation);
    calls.assert_harmless().await;
    assert_eq!(primary.key_count().await, 100);
}

#[tokio::test]
async fn a_primary_reborn_empty_does_not_take_its_replicas_data_with_it() {
    reborn_with(0, Replicas::Answer).await;
}

#[tokio::test]
async fn a_primary_reborn_from_an_old_dump_does_not_take_its_replicas_newer_data_with_it() {
    reborn_with(50, Replicas::Answer).await;
}

#[tokio::test]
async fn a_primary_reborn_from_an_old_dump_while_its_replicas_stand_still_is_not_accepted() {
    reborn_with(50, Replicas::StandStill).await;
}

/// The behaviour of the replicas when the primary comes back.
#[derive(PartialEq, Eq)]
enum Replicas {
    Answer,
    StandStill,
}

/// A primary comes back within the mark-down time with `saved` of its 100 keys.
async fn reborn_with(saved: usize, replicas: Replicas) {
    let net = Net::new();
    // Redis's default since 7.0, on which these scenarios depend; other tests save the time. Earlier servers send a
    // dump from disk at once, and their replicas drop their data before a keeper can act.
    let delay = [
        ("repl-diskless-sync", "yes"),
        ("repl-diskless-sync-delay", "5"),
    ];
    let primary = Redis::start_with(&net, &delay).await;
    let first = Redis::replica_of(&net, &primary, &delay).await;
    let second = Redis::replica_of(&net, &primary, &delay).await;
    let settings = Settings::new().set("seconds-mark-down", 20);
    let keeper = Keeper::alone_for(&net, settings, &[&primary, &first, &second]).await;
    if saved > 0 {
        primary.write_keys("old", saved).await;
        primary.save().await;
    }
    primary.write_keys("new", 100 - saved).await;
    primary.wait_followed_by(&[&first, &second]).await;

    let stalled = replicas == Replicas::StandStill;
    for replica in [&first, &second].into_iter().filter(|_| stalled) {
        replica.pause();
        keeper.wait_trouble("cache", replica).await;
    }
    primary.kill();
    primary.revive().await;
    assert_eq!(primary.key_count().await, saved);
    if stalled {
        keeper.wait_probes("cache", &primary, 3).await;
        let held = if primary.forgets_its_history().await {
            "another process answers at"
        } else {
            "came back with less data than"
        };
        keeper.wait_plan("cache", &[held]).await;
        first.resume();
        second.resume();
    }
    keeper.wait_replaced("cache", &primary).await;
    let (successor, other) = if first.is_primary().await {
        (&first, &second)
    } else {
        (&second, &first)
    };
    keeper
        .wait_topology("cache", successor, &[&primary, other])
        .await;
    for redis in [&primary, other] {
        redis.wait_in_step_with(successor).await;
    }
    for redis in [&primary, &first, &second] {
        assert_eq!(redis.key_count().await, 100);
    }
}

#[tokio::test]
async fn a_replica_that_was_dead_during_the_failover_is_repointed_on_its_return() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    primary.write_keys("kept", 100).await;
    first.wait_in_step_with(&primary).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary, &first, &second]).await;

    second.kill();
    primary.kill();
    keeper.wait_topology("cache", &first, &[]).await;
    // The replica looks for the old primary, which is dead.
    second.revive().await;
    keeper.wait_topology("cache", &first, &[&second]).await;
    second.wait_in_step_with(&first).await;
    assert_eq!(second.key_count().await, 100);
    // After its next restart the replica does not look for the old primary any more.
    second.kill();
    second.revive().await;
    second.wait_in_step_with(&first).await;
}

#[tokio::test]
async fn after_a_blackout_the_first_to_return_with_the_data_serves() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    let empty = Redis::start(&net).await;
    primary.write_keys("kept", 100).await;
    let nodes = [&primary, &first, &second, &empty];
    let keeper = Keeper::alone_for(&net, Settings::new(), &nodes).await;
    first.wait_in_step_with(&primary).await;
    first.save().await;

    for redis in nodes {
        redis.kill();
    }
    keeper.wait_plan("cache", &["no node may take over"]).await;
    // The second server was a replica of the primary, and comes back without data.
    second.revive().await;
    keeper
        .wait_plan("cache", &["no node may take over", "is empty"])
        .await;
    first.revive().await;
    keeper.wait_topology("cache", &first, &[&second]).await;
    second.wait_in_step_with(&first).await;
    primary.revive().await;
    empty.revive().await;
    keeper
        .wait_topology("cache", &first, &[&primary, &second, &empty])
        .await;
    for redis in nodes {
        redis.wait_key_count(100).await;
    }
}

#[tokio::test]
async fn a_replica_that_follows_a_server_from_outside_is_corrected() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    let outside = Redis::start(&net).await;
    primary.write_keys("kept", 100).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary, &first, &second]).await;

    second.follow(&outside).await;
    second.wait_in_step_with(&primary).await;
    second.wait_key_count(100).await;
    keeper.wait_plan("cache", &["nothing to do"]).await;
}

#[tokio::test]
async fn a_replica_of_a_replica_is_made_to_follow_the_primary() {
    let net = Net::new();
    let [primary, first, second] = chain(&net).await;
    let settings = Settings::new().cluster("cache", [&primary, &first, &second]);
    let keeper = Keeper::alone(&net, &settings).await;
    second.wait_in_step_with(&primary).await;
    keeper
        .wait_topology("cache", &primary, &[&first, &second])
        .await;
    assert_eq!(first.calls("replicaof").await, 0);
}

#[tokio::test]
async fn a_replica_of_a_replica_is_left_alone_where_chains_are_accepted() {
    let net = Net::new();
    let [primary, first, second] = chain(&net).await;
    let calls = Calls::since_now(&[&first, &second]).await;
    let settings = Settings::new().set("chained-replicas", "accept");
    let keeper = Keeper::alone_for(&net, settings, &[&primary, &first, &second]).await;
    keeper.wait_plan("cache", &["nothing to do"]).await;
    keeper.wait_probes("cache", &second, 10).await;
    calls.assert_harmless().await;

    // The first server is gone for good, so the second follows the primary directly.
    first.kill();
    second.wait_in_step_with(&primary).await;
}

#[tokio::test]
async fn a_replica_promoted_by_hand_is_a_replica_again_and_never_writable() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    primary.write_keys("kept", 100).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary, &first, &second]).await;

    second.run::<()>("REPLICAOF NO ONE").await;
    assert!(!keeper.calls_writable("cache", &second).await);
    second.wait_role(Role::Replica).await;
    second.wait_in_step_with(&primary).await;
}

#[tokio::test]
async fn an_old_primary_that_returns_waits_for_no_synchronisation_of_another() {
    let net = Net::new();
    let [old, new, third] = Redis::trio(&net).await;
    old.write_keys("kept", 150).await;
    old.wait_followed_by(&[&new, &third]).await;
    old.save().await;
    let settings = Settings::new().set("parallel-syncs", 1);
    let keeper = Keeper::alone_for(&net, settings, &[&old, &new, &third]).await;

    third.kill();
    old.kill();
    keeper.wait_topology("cache", &new, &[]).await;
    // The third server comes back empty, and copies everything for a quarter of a minute.
    let slow = "CONFIG SET rdb-key-save-delay 100000";
    new.run::<()>(slow).await;
    third.forget();
    third.revive().await;
    third.wait_synchronising_with(&new).await;
    old.revive().await;
    old.wait_role(Role::Replica).await;
    third.wait_synchronising_with(&new).await;
    assert!(!keeper.calls_writable("cache", &old).await);

    // The synchronisation that is under way keeps its pace; the other one follows.
    new.run::<()>("CONFIG SET rdb-key-save-delay 0").await;
    for redis in [&third, &old] {
        redis.wait_in_step_with(&new).await;
        assert_eq!(redis.key_count().await, 150);
    }
    keeper.wait_topology("cache", &new, &[&old, &third]).await;
}

/// A chain: a primary, its replica, and a replica of that replica.
async fn chain(net: &Net) -> [Redis; 3] {
    let primary = Redis::start(net).await;
    let first = Redis::replica_of(net, &primary, &[]).await;
    let second = Redis::replica_of(net, &first, &[]).await;
    [primary, first, second]
}
