//! The election: the best eligible node takes over, and no other.

use std::slice;
use std::time::Duration;

use keeper_site::checks::Checks;
use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, Role};
use keeper_site::wait::{SOON, eventually};
use serde_json::json;
use tokio::time::Instant;

/// More bytes than the sockets between two servers hold: a replica that was frozen meanwhile lacks some of them.
const MORE_THAN_SOCKETS_HOLD: usize = 48 << 20;

#[tokio::test]
async fn the_replica_with_the_greatest_offset_takes_over_whatever_the_priorities() {
    let net = Net::new();
    let primary = Redis::start(&net).await;
    let behind = Redis::replica_of(&net, &primary, &[("replica-priority", "1")]).await;
    let ahead = Redis::replica_of(&net, &primary, &[("replica-priority", "200")]).await;
    primary.write_keys("kept", 100).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary, &behind, &ahead]).await;

    leave_behind(&primary, &behind, &[&ahead]).await;
    primary.kill();
    behind.resume();
    keeper.wait_topology("cache", &ahead, &[&behind]).await;
    behind.wait_in_step_with(&ahead).await;
    assert_eq!(behind.key_count().await, ahead.key_count().await);
}

#[tokio::test]
async fn of_replicas_with_equal_offsets_the_preferred_one_takes_over() {
    let net = Net::new();
    let primary = Redis::start(&net).await;
    let other = Redis::replica_of(&net, &primary, &[]).await;
    let preferred = Redis::replica_of(&net, &primary, &[("replica-priority", "10")]).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary, &other, &preferred]).await;
    primary.wait_followed_by(&[&other, &preferred]).await;

    primary.kill();
    keeper.wait_topology("cache", &preferred, &[&other]).await;
}

#[tokio::test]
async fn a_configured_priority_overrides_that_of_the_server() {
    let net = Net::new();
    let primary = Redis::start(&net).await;
    let preferred = Redis::replica_of(&net, &primary, &[]).await;
    let other = Redis::replica_of(&net, &primary, &[("replica-priority", "10")]).await;
    let settings = Settings::new().cluster_with(json!({"name": "cache", "nodes": [
        {"host": primary.at().ip(), "port": primary.at().port()},
        {"host": preferred.at().ip(), "port": preferred.at().port(), "priority": 5},
        {"host": other.at().ip(), "port": other.at().port()},
    ]}));
    let keeper = Keeper::alone(&net, &settings).await;
    keeper
        .wait_topology("cache", &primary, &[&preferred, &other])
        .await;
    primary.wait_followed_by(&[&preferred, &other]).await;

    primary.kill();
    keeper.wait_topology("cache", &preferred, &[&other]).await;
}

#[tokio::test]
async fn without_an_eligible_replica_no_node_takes_over_and_each_refusal_is_told() {
    let net = Net::new();
    let primary = Redis::start(&net).await;
    if primary.forgets_its_history().await {
        // Such a server's loading cannot be slowed down either.
        return;
    }
    let never = Redis::replica_of(&net, &primary, &[("replica-priority", "0")]).await;
    // Loading takes 10 ms a key, and the server answers after each key.
    let slow_to_load = [
        ("key-load-delay", "10000"),
        ("loading-process-events-interval-bytes", "1024"),
    ];
    let loading = Redis::replica_of(&net, &primary, &slow_to_load).await;
    let behind = Redis::replica_of(&net, &primary, &[]).await;
    let syncing = Redis::start(&net).await;
    fill(&primary, 3000).await;
    let all = [&primary, &never, &loading, &behind, &syncing];
    primary.wait_followed_by(&[&never, &loading, &behind]).await;
    loading.save().await;
    // A first synchronisation that does not end before the primary dies.
    primary
        .run::<()>("CONFIG SET rdb-key-save-delay 1000000")
        .await;

    let settings = Settings::new()
        .set("max-lag-bytes", 1 << 20)
        .cluster("cache", all);
    let keeper = Keeper::alone(&net, &settings).await;
    keeper.wait_primary("cache", &primary).await;
    syncing.wait_role(Role::Replica).await;
    leave_behind(&primary, &behind, &[&never]).await;
    loading.kill();
    loading.restart();
    primary.kill();
    behind.resume();

    let refusal = |redis: &Redis, reason: &str| format!("{} {reason}", redis.node());
    let refusals = [
        refusal(&primary, "is the primary to be replaced"),
        refusal(&never, "has priority 0"),
        refusal(&loading, "is loading its data set"),
        refusal(&syncing, "has never completed a synchronisation"),
        refusal(&behind, "is "),
        "bytes behind, more than max-lag-bytes 1048576".to_owned(),
    ];
    let refusals: Vec<_> = refusals.iter().map(String::as_str).collect();
    keeper.wait_plan("cache", &refusals).await;
    keeper.wait_probes("cache", &never, 10).await;
    for redis in [&never, &behind] {
        redis.wait_role(Role::Replica).await;
    }
    assert!(!keeper.calls_writable("cache", &primary).await);
    let told = keeper.process().log();
    assert_eq!(told.matches("withdrawing").count(), 0, "{told}");

    never.run::<()>("CONFIG SET replica-priority 100").await;
    keeper.wait_primary("cache", &never).await;
    for redis in [&behind, &syncing] {
        redis.wait_in_step_with(&never).await;
    }
    for redis in [&behind, &syncing] {
        assert_eq!(redis.key_count().await, never.key_count().await);
    }
}

#[tokio::test]
async fn a_primary_without_replicas_stays_primary_and_is_writable_once_it_is_back() {
    let net = Net::new();
    let primary = Redis::start(&net).await;
    primary.write_keys("kept", 10).await;
    primary.save().await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary]).await;

    primary.kill();
    keeper.wait_plan("cache", &["no node may take over"]).await;
    assert!(!keeper.calls_writable("cache", &primary).await);
    primary.revive().await;
    keeper.wait_topology("cache", &primary, &[]).await;
    assert_eq!(primary.key_count().await, 10);
}

#[tokio::test]
async fn when_the_best_replica_fails_its_promotion_the_next_takes_over_at_once() {
    let net = Net::new();
    let primary = Redis::start(&net).await;
    let best = Redis::replica_of(&net, &primary, &[("replica-priority", "1")]).await;
    let second = Redis::replica_of(&net, &primary, &[]).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary, &best, &second]).await;
    primary.wait_followed_by(&[&best, &second]).await;
    eventually(
        SOON,
        "the keeper to know that it may command it",
        async || {
            let node = keeper.node("cache", &best).await;
            let may = node["monitor"]["sighting"]["commandable"] == true;
            may.then_some(()).ok_or(node)
        },
    )
    .await;

    // From here on the replica's user may not promote it. The next trial of commands comes within 30 s.
    if best
        .try_run::<()>("ACL SETUSER default -replicaof")
        .await
        .is_err()
    {
        // Redis has ACLs since 6.0.
        return;
    }
    primary.kill();
    keeper.wait_primary("cache", &second).await;
    let log = keeper.process().log();
    let promoted = log.find("promoted").expect("the success is told");
    if let Some(failed) = log.find("promotion failed") {
        assert!(failed < promoted, "{log}");
        return;
    }
    // A trial came in between, and reported before the election that the command is not allowed.
    let held = "the refusal to be held against it";
    eventually(SOON, held, async || {
        let log = keeper.process().log();
        let told = log.contains("nodes cannot be commanded");
        told.then_some(()).ok_or(log)
    })
    .await;
}

#[tokio::test]
async fn when_the_promoted_node_dies_before_the_others_follow_it_the_next_takes_over() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    primary.write_keys("kept", 100).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary, &first, &second]).await;
    primary.wait_followed_by(&[&first, &second]).await;

    // A frozen server cannot be told to follow another.
    second.pause();
    primary.kill();
    keeper.wait_topology("cache", &first, &[]).await;
    first.kill();
    second.resume();
    keeper.wait_topology("cache", &second, &[]).await;
    assert_eq!(second.key_count().await, 100);

    primary.revive().await;
    first.revive().await;
    keeper
        .wait_topology("cache", &second, &[&primary, &first])
        .await;
    for redis in [&primary, &first] {
        redis.wait_in_step_with(&second).await;
        assert_eq!(redis.key_count().await, 100);
    }
}

#[tokio::test]
async fn a_node_that_dies_the_moment_it_is_promoted_is_replaced_by_the_next() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    primary.write_keys("kept", 100).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &[&primary, &first, &second]).await;
    primary.wait_followed_by(&[&first, &second]).await;

    primary.kill();
    let [promoted, other] = promoted(&first, &second).await;
    promoted.kill();
    keeper.wait_topology("cache", other, &[]).await;
    assert_eq!(other.key_count().await, 100);

    promoted.revive().await;
    keeper.wait_topology("cache", other, &[promoted]).await;
    promoted.wait_in_step_with(other).await;
}

#[tokio::test]
async fn a_candidate_that_falls_silent_is_passed_over_and_its_late_promotion_is_undone() {
    let net = Net::new();
    let primary = Redis::start(&net).await;
    let silent = Redis::start_behind_link(&net, &[("replica-priority", "1")]).await;
    silent.follow(&primary).await;
    let next_best = Redis::replica_of(&net, &primary, &[]).await;
    primary.write_keys("kept", 100).await;
    let nodes = [&primary, &silent, &next_best];
    let keeper = Keeper::alone_for(&net, Settings::new(), &nodes).await;
    primary.wait_followed_by(&[&silent, &next_best]).await;

    primary.kill();
    let held_down = "node is held down by a majority of the keepers";
    let held_down = format!("{held_down} node={}", primary.node());
    eventually(SOON, "the primary to be held down", async || {
        let log = keeper.process().log();
        log.contains(&held_down).then_some(()).ok_or("it is not")
    })
    .await;
    // Commands to this node may be under way without an answer. They reach the node when the election is over.
    silent.link().silence();
    keeper.wait_primary("cache", &next_best).await;
    let checks = Checks::start(slice::from_ref(&keeper), "cache", &nodes);
    silent.link().restore().await;
    keeper.wait_topology("cache", &next_best, &[&silent]).await;
    silent.wait_in_step_with(&next_best).await;
    checks.assert_never_again(&silent);
}

#[tokio::test]
async fn a_successor_that_dies_soon_is_replaced_once_the_cool_down_is_over_and_not_before() {
    const COOLDOWN: Duration = Duration::from_secs(12);
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    // Only the end of the cool-down leads to the second failover.
    let settings = Settings::new()
        .set("failover-cooldown-seconds", COOLDOWN.as_secs())
        .set("failover-tick-seconds", 3600);
    let keeper = Keeper::alone_for(&net, settings, &[&primary, &first, &second]).await;
    primary.wait_followed_by(&[&first, &second]).await;

    primary.kill();
    let [promoted, other] = promoted(&first, &second).await;
    let began = Instant::now();
    keeper.wait_topology("cache", promoted, &[other]).await;
    let linked = other.node().to_string();
    eventually(SOON, "the other to be published as linked", async || {
        let view = keeper.admin("clusters/cache").await;
        let replicas = view["published"]["replicas"].to_string();
        let there = replicas.contains(&linked).then_some(());
        there.ok_or(replicas)
    })
    .await;
    let explained = keeper.admin("clusters/cache/explain").await;
    let foretold = &explained["if-the-primary-died-now"];
    assert_eq!(foretold["next"], other.node().to_string());
    let held_by = foretold["held-by"].to_string();
    assert!(held_by.contains("failover-cooldown-seconds"), "{held_by}");
    promoted.kill();
    let held = [
        &format!("{} is not replaced for another", promoted.node()),
        "(failover-cooldown-seconds 12)",
        &format!("in place of {}", primary.node()),
    ];
    keeper.wait_plan("cache", &held).await;
    keeper.wait_topology("cache", other, &[]).await;
    // The cool-down is well beyond the mark-down time.
    assert!(began.elapsed() > COOLDOWN / 2);
    let log = keeper.process().log();
    assert_eq!(log.matches("is not replaced for another").count(), 1);
}

/// The replica that is promoted first, at once, and then the other.
async fn promoted<'a>(one: &'a Redis, other: &'a Redis) -> [&'a Redis; 2] {
    let deadline = Instant::now() + SOON;
    while Instant::now() < deadline {
        if one.is_primary().await {
            return [one, other];
        }
        if other.is_primary().await {
            return [other, one];
        }
    }
    panic!("none was promoted within {SOON:?}");
}

/// Writes `count` keys of 1 KiB each.
async fn fill(primary: &Redis, count: usize) {
    let mut writes = redis::pipe();
    for key in 0..count {
        writes.set(format!("fill:{key}"), "x".repeat(1024)).ignore();
    }
    let mut connection = primary.connect().await.expect("a connection");
    let written: redis::RedisResult<()> = writes.query_async(&mut connection).await;
    written.expect("room for a few megabytes");
}

/// Freezes `behind`, and has `primary` take more writes than the sockets to `behind` hold.
async fn leave_behind(primary: &Redis, behind: &Redis, in_step_with: &[&Redis]) {
    behind.pause();
    let value = "x".repeat(MORE_THAN_SOCKETS_HOLD / 16);
    for number in 0..16 {
        primary
            .run::<()>(&format!("SET bulk:{number} {value}"))
            .await;
    }
    primary.wait_followed_by(in_step_with).await;
}
