//! Signals to a keeper, and what the keeper gives back when it ends.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::process::{Process, command};
use keeper_site::redis::Redis;
use keeper_site::solo::Solo;
use keeper_site::tree::Tree;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

/// The limit for a keeper to end after SIGTERM.
const A_SECOND: Duration = Duration::from_secs(1);

/// How many state-changing commands each node has run so far, by command.
async fn writes(nodes: &[&Redis]) -> BTreeMap<String, [u64; 5]> {
    let mut writes = BTreeMap::new();
    for redis in nodes {
        let mut calls = [0; 5];
        let commands = [
            "replicaof",
            "config|rewrite",
            "config|set",
            "client|kill",
            "exec",
        ];
        for (count, command) in calls.iter_mut().zip(commands) {
            *count = redis.calls(command).await;
        }
        writes.insert(redis.node().to_string(), calls);
    }
    writes
}

/// Sends SIGTERM, and asserts that the keeper ends as it should.
async fn terminate(keeper: &Keeper) {
    let asked = Instant::now();
    keeper.process().terminate();
    let status = keeper.process().wait_exit().await;
    let took = asked.elapsed();
    assert_eq!(status.code(), Some(0));
    assert!(took < A_SECOND, "it took {took:?}");
}

#[tokio::test]
async fn a_keeper_that_is_stopped_leaves_at_once_and_its_restart_changes_nothing() {
    let net = Net::new();
    let [primary, first, gone] = Redis::trio(&net).await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("departure");
    let tree = Tree::of(&prefix).await;
    let settings = Settings::new().cluster("cache", [&primary, &first, &gone]);
    let keeper = Keeper::launch("keeper-1", &net, &prefix, &settings).await;
    let reports = "/clusters/cache/reports";
    keeper
        .wait_status("cache", "all its nodes", |status| {
            status.replicas.len() == 2
        })
        .await;
    // The keeper now has a vote to give back.
    gone.kill();
    eventually(SOON, "a vote", async || {
        let votes = tree.children(reports).await;
        (votes == ["keeper-1"])
            .then_some(())
            .ok_or_else(|| format!("{votes:?}"))
    })
    .await;
    assert_eq!(tree.children("/leader").await.len(), 1);
    let published: (Value, i32) = tree.json("/clusters/cache").await;
    let told = writes(&[&primary, &first]).await;

    terminate(&keeper).await;
    assert_eq!(tree.children("/leader").await, [""; 0], "the latch");
    assert_eq!(tree.children("/keepers").await, [""; 0], "the membership");
    assert_eq!(tree.children(reports).await, [""; 0], "the votes");
    TcpListener::bind(keeper.http()).expect("the port is free");
    assert_eq!(tree.json("/clusters/cache").await, published);

    let asked = Instant::now();
    keeper.process().restart();
    keeper.wait_primary("cache", &primary).await;
    eventually(SOON, "it to vote and lead again", async || {
        let (votes, epoch) = (tree.children(reports).await, keeper.leads_with().await);
        let again = votes == ["keeper-1"] && epoch.is_some();
        again
            .then_some(())
            .ok_or_else(|| format!("{votes:?}, {epoch:?} after {:?}", asked.elapsed()))
    })
    .await;
    assert_eq!(
        tree.json("/clusters/cache").await,
        published,
        "not even written anew"
    );
    assert_eq!(
        writes(&[&primary, &first]).await,
        told,
        "not one command that changes something"
    );
    assert!(
        !keeper
            .process()
            .log()
            .contains("waiting for an earlier run"),
        "nothing was left to wait for"
    );
}

#[tokio::test]
async fn a_hangup_is_ignored() {
    let net = Net::new();
    let redis = Redis::start(&net).await;
    let settings = Settings::new().cluster("cache", [&redis]);
    let keeper = Keeper::launch_embedded("keeper-1", &net, &settings);
    keeper.wait_ready().await;
    for _ in 0..3 {
        keeper.process().signal(Signal::HUP);
        keeper.wait_primary("cache", &redis).await;
    }
    assert_eq!(keeper.process().exit_status(), None);
    terminate(&keeper).await;
}

#[tokio::test]
async fn a_keeper_that_is_cut_from_zookeeper_ends_as_quickly() {
    let Solo { keeper, .. } = &Solo::start("departure_cut").await;
    keeper.cut_from_zookeeper().await;
    // The keeper is the only one, so it goes on by its own consent.
    goes_on(keeper).await;
    terminate(keeper).await;

    // A keeper that never reached ZooKeeper ends the same way.
    keeper.process().restart();
    eventually(SOON, "it to listen", async || keeper.get("/health").await).await;
    terminate(keeper).await;
}

#[tokio::test]
async fn a_keeper_whose_zookeeper_fell_silent_ends_as_quickly() {
    let Solo { keeper, .. } = &Solo::start("departure_silent").await;
    keeper.silence_zookeeper();
    terminate(keeper).await;

    keeper.process().restart();
    eventually(SOON, "it to listen", async || keeper.get("/health").await).await;
    terminate(keeper).await;
}

async fn goes_on(keeper: &Keeper) {
    eventually(SOON, "it to go on without ZooKeeper", async || {
        let answer = keeper
            .get("/ready")
            .await
            .map_err(|error| error.to_string())?;
        (answer.body["failsafe"] == true)
            .then_some(())
            .ok_or_else(|| format!("{answer:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_keeper_with_a_part_that_never_comes_up_exits_with_the_cause_as_its_last_line() {
    let net = Net::new();
    let dir = TempDir::new().expect("a directory");
    let (http, node) = (net.socket(17_380), net.socket(17_379));
    let config = json!({
        "coordination": "embedded",
        "rest-host": http.ip(),
        "rest-port": http.port(),
        "http-workers": 64,
        "clusters": [{"name": "cache", "nodes": [{"host": node.ip(), "port": node.port()}]}],
    });
    let file = dir.path().join("keeper.conf");
    std::fs::write(&file, config.to_string()).expect("keeper.conf");
    // Too few file descriptors for the keeper's threads.
    let mut keeper = command("prlimit");
    keeper
        .arg("--nofile=48")
        .arg(env!("CARGO_BIN_EXE_redis-keeper"))
        .arg(file);
    let log = dir.path().join("log");
    let keeper = Process::start("keeper", &log, keeper);
    // The keeper restarts ten times, at growing intervals.
    let status = eventually(4 * SOON, "it to give up", async || {
        keeper.exit_status().ok_or("it tries again")
    })
    .await;
    assert_eq!(status.code(), Some(1));
    let log = keeper.log();
    let last = log.lines().last().expect("last words");
    for told in ["ERROR", "root/http", "10 restarts", "panicked"] {
        assert!(last.contains(told), "{told:?} is not in {last:?}");
    }
}
