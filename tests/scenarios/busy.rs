//! A primary with a script that does not end lives, and serves no client (`BUSY`).

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, connect};
use keeper_site::wait::{SOON, eventually};
use serde_json::json;

/// How soon a server with a script answers BUSY: `lua-time-limit` in milliseconds.
const ANSWERS: (&str, &str) = ("lua-time-limit", "50");

#[tokio::test]
async fn an_endless_script_is_told_and_the_primary_stays_without_busy_seconds() {
    let net = Net::new();
    let scene = Scene::set(&net, Settings::new()).await;
    let generation = scene.keeper.generation("cache").await;
    run_endless_script(&scene.primary).await;
    let told = ["is busy with a script", "SCRIPT KILL", "busy-seconds"];
    scene.keeper.wait_plan("cache", &told).await;
    let view = scene.keeper.node("cache", &scene.primary).await;
    assert_eq!(view["sighting"]["hindrance"]["kind"], "busy", "{view}");
    scene.keeper.wait_probes("cache", &scene.primary, 15).await;
    let view = scene.keeper.node("cache", &scene.primary).await;
    assert_eq!(view["verdict"]["votes"], json!({}), "{view}");
    assert!(scene.keeper.calls_writable("cache", &scene.primary).await);

    scene.primary.run::<()>("SCRIPT KILL").await;
    scene.keeper.wait_plan("cache", &["nothing to do"]).await;
    assert_eq!(scene.keeper.generation("cache").await, generation);
    let log = scene.keeper.process().log();
    for once in [
        "the node is busy with a script",
        "the node's script has ended",
    ] {
        assert_eq!(log.matches(once).count(), 1, "{once}: {log}");
    }
}

#[tokio::test]
async fn a_primary_that_answers_nothing_but_busy_for_busy_seconds_is_replaced() {
    let net = Net::new();
    let scene = Scene::set(&net, Settings::new().set("busy-seconds", 4)).await;
    run_endless_script(&scene.primary).await;
    let told = ["is busy with a script", "is replaced", "busy-seconds 4"];
    scene.keeper.wait_plan("cache", &told).await;
    scene.keeper.wait_replaced("cache", &scene.primary).await;
    let log = scene.keeper.process().log();
    assert!(log.contains("held down by a majority"), "{log}");

    scene.primary.run::<()>("SCRIPT KILL").await;
    scene.keeper.wait_plan("cache", &["nothing to do"]).await;
    assert!(!scene.primary.is_primary().await, "it follows");
}

/// The replicas have all data, and an operator can end their scripts. Writes that the primary took meanwhile would be lost.
#[tokio::test]
async fn a_primary_from_an_old_dump_is_not_writable_while_replicas_with_more_are_busy() {
    let net = Net::new();
    let scene = Scene::set(&net, Settings::new()).await;
    let Scene {
        keeper,
        primary,
        replicas: [first, second],
    } = &scene;
    primary.write_keys("old", 50).await;
    primary.save().await;
    primary.write_keys("new", 50).await;
    primary.wait_followed_by(&[first, second]).await;
    for replica in [first, second] {
        // The keeper has read what the replica holds.
        keeper.wait_probes("cache", replica, 3).await;
        run_endless_script(replica).await;
        let what = format!("{} to be known as busy", replica.at());
        eventually(SOON, what, async || {
            let view = keeper.node("cache", replica).await;
            let busy = view["sighting"]["hindrance"]["kind"] == "busy";
            busy.then_some(()).ok_or(view)
        })
        .await;
    }
    primary.kill();
    primary.revive().await;
    let held = if primary.forgets_its_history().await {
        "another process answers at"
    } else {
        "came back with less data than"
    };
    keeper.wait_plan("cache", &[held]).await;
    // Three times the mark-down time.
    keeper.wait_probes("cache", primary, 30).await;
    keeper.wait_plan("cache", &[held]).await;
    let check = keeper.is_writable("cache", primary).await;
    assert_eq!(check.expect("an answer").code, 500);

    first.run::<()>("SCRIPT KILL").await;
    keeper.wait_replaced("cache", primary).await;
    assert_eq!(first.key_count().await, 100);
    second.run::<()>("SCRIPT KILL").await;
    keeper.wait_plan("cache", &["nothing to do"]).await;
}

struct Scene {
    keeper: Keeper,
    primary: Redis,
    replicas: [Redis; 2],
}

impl Scene {
    async fn set(net: &Net, settings: Settings) -> Self {
        let primary = Redis::start_with(net, &[ANSWERS]).await;
        let replicas = [
            Redis::replica_of(net, &primary, &[ANSWERS]).await,
            Redis::replica_of(net, &primary, &[ANSWERS]).await,
        ];
        let [first, second] = &replicas;
        let keeper = Keeper::alone_for(net, settings, &[&primary, first, second]).await;
        Self {
            keeper,
            primary,
            replicas,
        }
    }
}

async fn run_endless_script(redis: &Redis) {
    let mut connection = connect(redis.at()).await.expect("a connection");
    let mut script = redis::cmd("EVAL");
    script.arg(&["while true do end", "0"]);
    let unanswered = script.query_async::<()>(&mut connection).await;
    assert!(unanswered.expect_err("it does not end").is_timeout());
}
