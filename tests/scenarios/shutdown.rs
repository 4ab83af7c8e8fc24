//! A primary is told to end (`SHUTDOWN`, since Redis 7.0).
//!
//! The primary waits for replicas that lag, up to `shutdown-timeout`, and pauses writes meanwhile. A replica that has
//! everything takes over at once.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, Role};
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use keeper_site::writer::Writer;

/// Has `primary` wait for `lagging` when it is told to end. Returns false if the server is too old to wait.
async fn waits_for(primary: &Redis, lagging: &Redis) -> bool {
    let long = primary
        .try_run::<()>("CONFIG SET shutdown-timeout 300")
        .await;
    if long.is_ok() {
        lagging.pause();
        primary.write_keys("missed", 10).await;
    }
    long.is_ok()
}

/// Whether `node` reports that it is shutting down.
async fn is_shutting_down(node: &Redis) -> bool {
    let server = node.info("server").await;
    server.is_ok_and(|it| it.contains_key("shutdown_in_milliseconds"))
}

async fn wait_shutting_down(node: &Redis) {
    let what = format!("{} to be shutting down", node.at());
    eventually(SOON, what, async || {
        is_shutting_down(node).await.then_some(()).ok_or("not yet")
    })
    .await;
}

#[tokio::test]
async fn a_primary_that_waits_for_a_lagging_replica_before_it_ends_is_replaced_at_once() {
    let settings = Settings::new().set("seconds-mark-down", 20);
    let trio = Trio::start("shutting_down", 3, settings).await;
    let [primary, first, second] = &trio.redis;
    let checks = trio.checks();
    let writer = Writer::start(primary.at());
    writer.wait_writes(50).await;
    if !waits_for(primary, second).await {
        return;
    }
    writer.wait_writes(50).await;
    primary.process().terminate();
    trio.keepers
        .wait_status("cache", "the healthy replica as its primary", |status| {
            status.primary == Some(first.node())
        })
        .await;
    first.wait_role(Role::Primary).await;
    let diary = writer.stop();
    assert_eq!(diary.lost_at(first).await, Vec::<u64>::new());
    checks.assert_never_two();
    let leader = &trio.keepers[trio.keepers.wait_leader().await];
    let log = leader.process().log();
    assert!(log.contains("is shutting down"), "{log}");

    // The operator calls the shutdown off: the keepers have nothing to undo. The server may have ended already, since
    // its replicas have left it.
    let generation = leader.generation("cache").await;
    let aborted = primary.try_run::<()>("SHUTDOWN ABORT").await;
    if aborted.is_err() && primary.info("server").await.is_err() {
        primary.process().wait_exit().await;
        primary.revive().await;
    }
    second.resume();
    primary.wait_in_step_with(first).await;
    trio.keepers
        .wait_topology("cache", first, &[primary, second])
        .await;
    assert_eq!(leader.generation("cache").await, generation);
    let answer = leader
        .is_writable("cache", primary)
        .await
        .expect("an answer");
    assert_eq!(answer.code, 503, "{answer:?}");
}

#[tokio::test]
async fn a_primary_that_is_shutting_down_and_that_nobody_may_replace_is_held_and_named() {
    let net = Net::new();
    let nodes = Redis::trio(&net).await;
    let [primary, first, second] = &nodes;
    first.run::<()>("CONFIG SET replica-priority 0").await;
    let settings = Settings::new().set("seconds-mark-down", 20);
    let keeper = Keeper::alone_for(&net, settings, &nodes.each_ref()).await;
    second.run::<()>("CONFIG SET replica-priority 0").await;
    if !waits_for(primary, second).await {
        return;
    }
    let generation = keeper.generation("cache").await;
    primary.process().terminate();
    wait_shutting_down(primary).await;
    let at = primary.node().to_string();
    let plan = keeper
        .wait_plan("cache", &[&at, "is shutting down", "priority 0"])
        .await;
    assert!(plan.contains("SHUTDOWN ABORT"), "{plan}");
    let now = keeper.admin("clusters/cache/explain").await["now"].to_string();
    assert!(now.contains("is shutting down"), "{now}");
    let node = keeper.node("cache", primary).await;
    let left = node["sighting"]["facts"]["shutdown-seconds-left"].as_f64();
    assert!(left.is_some_and(|left| left > 0.0), "{node}");
    let what = "the hold in the log";
    eventually(SOON, what, async || {
        let log = keeper.process().log();
        log.contains("is shutting down").then_some(()).ok_or(log)
    })
    .await;

    // When the shutdown is called off, the server goes on as the primary that it has been all the time.
    primary.run::<()>("SHUTDOWN ABORT").await;
    eventually(SOON, "the hold to end", async || {
        let plan = keeper.admin("clusters/cache").await["plan"].to_string();
        (!plan.contains("shutting down")).then_some(()).ok_or(plan)
    })
    .await;
    assert_eq!(keeper.generation("cache").await, generation);
    primary.write_keys("more", 10).await;
    assert!(keeper.calls_writable("cache", primary).await);
    second.resume();
}

#[tokio::test]
async fn a_primary_that_is_restarted_while_its_replicas_keep_up_stays_the_primary() {
    let net = Net::new();
    let primary = Redis::start_with(&net, &[("save", "3600 1")]).await;
    let replica = Redis::replica_of(&net, &primary, &[]).await;
    primary.write_keys("kept", 10).await;
    let settings = Settings::new().set("seconds-mark-down", 20);
    let keeper = Keeper::alone_for(&net, settings, &[&primary, &replica]).await;
    primary.wait_acknowledged_by(&replica).await;
    let generation = keeper.generation("cache").await;
    primary.process().terminate();
    primary.process().wait_exit().await;
    primary.revive().await;
    keeper.wait_probes("cache", &primary, 10).await;
    if !primary.forgets_its_history().await {
        assert_eq!(keeper.generation("cache").await, generation);
        assert!(keeper.calls_writable("cache", &primary).await);
    }
}
