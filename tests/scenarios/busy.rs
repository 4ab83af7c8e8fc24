//! A primary with a script that does not end lives, and serves no client (`BUSY`).

use serde_json::json;

use super::support::keeper::{Keeper, Settings};
use super::support::net::Net;
use super::support::redis::{Redis, connect};

/// How soon a server with a script answers BUSY: `lua-time-limit` in milliseconds.
const ANSWERS: (&str, &str) = ("lua-time-limit", "50");

#[tokio::test]
async fn an_endless_script_is_told_and_the_primary_stays_without_busy_seconds() {
    let net = Net::new();
    let scene = Scene::set(&net, Settings::new()).await;
    let generation = scene.keeper.generation("cache").await;
    scene.run_endless_script().await;
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
    scene.run_endless_script().await;
    let told = ["is busy with a script", "is replaced", "busy-seconds 4"];
    scene.keeper.wait_plan("cache", &told).await;
    scene.keeper.wait_replaced("cache", &scene.primary).await;
    let log = scene.keeper.process().log();
    assert!(log.contains("held down by a majority"), "{log}");

    scene.primary.run::<()>("SCRIPT KILL").await;
    scene.keeper.wait_plan("cache", &["nothing to do"]).await;
    assert!(!scene.primary.is_primary().await, "it follows");
}

struct Scene {
    keeper: Keeper,
    primary: Redis,
    _replicas: [Redis; 2],
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
            _replicas: replicas,
        }
    }

    async fn run_endless_script(&self) {
        let mut connection = connect(self.primary.at()).await.expect("a connection");
        let mut script = redis::cmd("EVAL");
        script.arg(&["while true do end", "0"]);
        let unanswered = script.query_async::<()>(&mut connection).await;
        assert!(unanswered.expect_err("it does not end").is_timeout());
    }
}
