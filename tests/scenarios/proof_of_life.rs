//! A server that answers anything is alive. A keeper's own trouble says nothing of a server.
//!
//! The tests have a single keeper, whose vote alone would mark a node down.

use std::process::Command;

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::process::command;
use keeper_site::redis::{Redis, connect};
use keeper_site::wait::{SOON, eventually};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

#[tokio::test]
async fn a_server_busy_with_a_script_is_alive() {
    let scene = Scene::set(&[("lua-time-limit", "50")]).await;
    let script = scene.start("EVAL", &["while true do end", "0"]).await;
    scene.assert_no_vote_while("BUSY").await;
    scene.primary.run::<()>("SCRIPT KILL").await;
    drop(script);
    scene.end().await;
}

/// Sets a parameter with which the server accepts no other client, and cuts off all other clients in the same
/// transaction.
async fn turn_away(owner: &mut MultiplexedConnection, parameter: &str, value: &str) {
    let both = redis::pipe()
        .cmd("CONFIG")
        .arg(&["SET", parameter, value])
        .ignore()
        .cmd("CLIENT")
        .arg(&["KILL", "TYPE", "normal"])
        .ignore()
        .to_owned();
    both.query_async::<()>(owner).await.expect("both are done");
}

async fn set(owner: &mut MultiplexedConnection, parameter: &str, value: &str) {
    let request = redis::cmd("CONFIG")
        .arg(&["SET", parameter, value])
        .to_owned();
    request.query_async::<()>(owner).await.expect("it is set");
}

#[tokio::test]
async fn a_server_that_wants_a_password_is_alive() {
    let scene = Scene::set(&[]).await;
    let mut owner = scene.primary.connect().await.expect("a connection");
    turn_away(&mut owner, "requirepass", "secret").await;
    scene.assert_no_vote_while("NOAUTH").await;
    set(&mut owner, "requirepass", "").await;
    scene.end().await;
}

#[tokio::test]
async fn a_server_without_room_for_another_client_is_alive() {
    let scene = Scene::set(&[]).await;
    let mut owner = scene.primary.connect().await.expect("a connection");
    turn_away(&mut owner, "maxclients", "1").await;
    scene.assert_no_vote_while("max number of clients").await;
    set(&mut owner, "maxclients", "1000").await;
    scene.end().await;
}

#[tokio::test]
async fn a_server_that_is_slow_for_less_than_the_mark_down_time_is_alive() {
    // Before 7.0 the command is always available, and the option is unknown.
    let version = command("redis-server").arg("--version").output();
    let version = String::from_utf8(version.expect("redis-server runs").stdout);
    let old = version.is_ok_and(|it| it.contains("v=5.") || it.contains("v=6."));
    let options = [("enable-debug-command", "yes")];
    let scene = Scene::set(if old { &[] } else { &options }).await;
    let slow = scene.start("DEBUG", &["SLEEP", "1.2"]).await;
    eventually(SOON, "a probe to go unanswered", async || {
        let view = scene.primary_view().await;
        let failures = view["monitor"]["failures"].as_u64();
        (failures > Some(0)).then_some(()).ok_or(view)
    })
    .await;
    scene.primary.wait_answering().await;
    drop(slow);
    scene.end().await;
}

#[tokio::test]
async fn a_keeper_out_of_file_descriptors_blames_no_server() {
    let scene = Scene::set(&[]).await;
    let keeper = scene.keeper.process().id();
    let limit = |files: &str| {
        let status = Command::new("prlimit")
            .args(["--pid", &keeper.to_string(), &format!("--nofile={files}:")])
            .status();
        assert!(status.expect("prlimit of util-linux").success());
    };
    limit("3");
    scene.primary.run::<()>("CLIENT KILL TYPE normal").await;
    scene.assert_no_vote_while("Too many open files").await;
    limit("1024");
    scene.end().await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_no_vote_and_said_so() {
    let net = Net::new();
    let [primary, replica, _] = Redis::trio(&net).await;
    let settings = Settings::new().cluster_with(json!({"name": "cache", "nodes": [
        {"host": primary.at().ip(), "port": primary.at().port()},
        {"host": replica.at().ip(), "port": replica.at().port()},
        {"host": "no-such-host.invalid", "port": 6379},
    ]}));
    let keeper = Keeper::alone(&net, &settings).await;
    let nameless = async || {
        keeper
            .admin("clusters/cache/nodes/no-such-host.invalid:6379")
            .await
    };
    let view = eventually(SOON, "many probes", async || {
        let view = nameless().await;
        let tried = view["monitor"]["probes"].as_u64() > Some(15);
        tried.then_some(view.clone()).ok_or(view.to_string())
    })
    .await;
    assert_eq!(view["verdict"]["votes"], json!({}), "{view}");
    keeper
        .wait_plan("cache", &["no-such-host.invalid", "does not resolve"])
        .await;
}

#[tokio::test]
async fn a_keeper_that_was_frozen_for_longer_than_the_mark_down_time_blames_no_server() {
    let scene = Scene::set(&[]).await;
    let before = scene.primary.uptime().await;
    scene.keeper.process().pause();
    eventually(SOON, "twice the mark-down time to pass", async || {
        let passed = scene.primary.uptime().await - before;
        (passed > 4).then_some(()).ok_or(passed)
    })
    .await;
    scene.keeper.process().resume();
    scene.keeper.wait_probes("cache", &scene.primary, 10).await;
    scene.end().await;
}

/// A keeper, and a cluster in good order.
struct Scene {
    keeper: Keeper,
    primary: Redis,
    replicas: [Redis; 2],
    generation: u64,
    _net: Net,
}

impl Scene {
    /// Starts the scene; `options` are lines of the primary's `redis.conf`.
    async fn set(options: &[(&str, &str)]) -> Self {
        let net = Net::new();
        let primary = Redis::start_with(&net, options).await;
        let replicas = [
            Redis::replica_of(&net, &primary, &[]).await,
            Redis::replica_of(&net, &primary, &[]).await,
        ];
        let [first, second] = &replicas;
        let settings = Settings::new().cluster("cache", [&primary, first, second]);
        let keeper = Keeper::alone(&net, &settings).await;
        keeper
            .wait_topology("cache", &primary, &[first, second])
            .await;
        let generation = keeper.generation("cache").await;
        Self {
            keeper,
            primary,
            replicas,
            generation,
            _net: net,
        }
    }

    async fn primary_view(&self) -> Value {
        self.keeper.node("cache", &self.primary).await
    }

    /// Sends the primary a command that it does not answer soon.
    async fn start(&self, command: &str, words: &[&str]) -> MultiplexedConnection {
        let mut connection = connect(self.primary.at()).await.expect("a connection");
        let mut command = redis::cmd(command);
        command.arg(words);
        let unanswered = command.query_async::<()>(&mut connection).await;
        assert!(unanswered.expect_err("it takes long").is_timeout());
        connection
    }

    /// Asserts that the monitor meets `trouble` for longer than the mark-down time, which is ten ticks, and casts no
    /// vote.
    async fn assert_no_vote_while(&self, trouble: &str) {
        let what = format!("the monitor to meet {trouble}");
        eventually(SOON, what, async || {
            let view = self.primary_view().await;
            let told = view["sighting"]["trouble"].as_str();
            let met = told.is_some_and(|told| told.contains(trouble));
            met.then_some(()).ok_or(view)
        })
        .await;
        self.keeper.wait_probes("cache", &self.primary, 15).await;
        let view = self.primary_view().await;
        assert_eq!(view["verdict"]["votes"], json!({}), "{view}");
        assert!(self.keeper.calls_writable("cache", &self.primary).await);
    }

    /// Asserts that everything is as before, and that no keeper ever marked the primary down.
    async fn end(self) {
        let [first, second] = &self.replicas;
        self.keeper
            .wait_topology("cache", &self.primary, &[first, second])
            .await;
        assert_eq!(self.keeper.generation("cache").await, self.generation);
        let log = self.keeper.process().log();
        assert!(!log.contains("held down"), "{log}");
        for replica in &self.replicas {
            assert_eq!(replica.calls("replicaof").await, 0);
        }
    }
}
