//! A program comes up at a node's address, and answers only errors or no Redis replies at all.
//!
//! The program proves its own life, and not the life of the server that was there (RK-1, RK-7).

use std::net::SocketAddrV4;
use std::time::Duration;

use keeper_site::background::BACKGROUND;
use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::sentinel::Sentinel;
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long after the server's death the program listens.
const LATER: Duration = Duration::from_millis(200);

/// Listens at an address and sends one fixed answer to every request, until dropped.
struct Answers(JoinHandle<()>);

/// The end of the connection after the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Closes,
    GoesOn,
}

impl Answers {
    async fn at(at: SocketAddrV4, answer: &'static str, then: Then) -> Self {
        let listener = eventually(SOON, "the address to be free", async || {
            TcpListener::bind(at).await
        });
        let listener = listener.await.into_std().expect("a listener");
        Self(BACKGROUND.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            loop {
                let (mut client, _) = listener.accept().await.expect("a connection");
                tokio::spawn(async move {
                    let mut asked = [0; 4096];
                    while client.read(&mut asked).await.is_ok_and(|read| read > 0) {
                        let answered = client.write_all(answer.as_bytes()).await;
                        if answered.is_err() || then == Then::Closes {
                            return;
                        }
                    }
                });
            }
        }))
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A primary and two replicas, and a keeper.
struct Stage {
    keeper: Keeper,
    nodes: [Redis; 3],
    net: Net,
}

impl Stage {
    async fn new() -> Self {
        Self::with(Settings::new()).await
    }

    async fn with(settings: Settings) -> Self {
        let net = Net::new();
        let nodes = Redis::trio(&net).await;
        let [primary, first, second] = &nodes;
        primary.write_keys("kept", 10).await;
        primary.wait_followed_by(&[first, second]).await;
        let keeper = Keeper::alone_for(&net, settings, &[primary, first, second]).await;
        Self { keeper, nodes, net }
    }

    /// Waits until a replica has taken over from the primary, and the other replica follows it.
    async fn succeeded(&self) {
        let [primary, first, second] = &self.nodes;
        self.keeper.wait_replaced("cache", primary).await;
        let [successor, other] = self.keeper.elected("cache", [first, second]).await;
        other.wait_in_step_with(successor).await;
        assert_eq!(successor.key_count().await, 10);
        assert!(!self.keeper.calls_writable("cache", primary).await);
    }

    /// Kills the primary, and lets a program answer at its address a moment later.
    async fn replaced_by(answer: &'static str, then: Then) {
        let stage = Self::new().await;
        let [primary, ..] = &stage.nodes;
        primary.kill();
        sleep(LATER).await;
        let _foreign = Answers::at(primary.at(), answer, then).await;
        stage.succeeded().await;
    }

    /// Asserts that no keeper has a vote against the primary, which is still published.
    async fn assert_untouched(&self, generation: u64) {
        let [primary, ..] = &self.nodes;
        let node = self.keeper.node("cache", primary).await;
        assert_eq!(node["verdict"]["votes"], serde_json::json!({}), "{node}");
        assert_eq!(self.keeper.generation("cache").await, generation);
        assert!(self.keeper.calls_writable("cache", primary).await);
    }
}

/// Ends the connections of these kinds with an administrator's session that was open when the password was set.
async fn locked(redis: &Redis, kinds: &[&str]) {
    let mut connection = redis.connect().await.expect("a connection");
    let mut run = async |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        let ran = command
            .arg(&words[1..])
            .query_async::<redis::Value>(&mut connection)
            .await;
        ran.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    };
    run(&["CONFIG", "SET", "requirepass", "new"]).await;
    for kind in kinds {
        run(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]).await;
    }
}

#[tokio::test]
async fn a_server_with_another_password_at_the_primarys_address_is_replaced() {
    let stage = Stage::new().await;
    let [primary, ..] = &stage.nodes;
    primary.kill();
    sleep(LATER).await;
    let _foreign = Redis::start_at(*primary.at().ip(), &[("requirepass", "another")]).await;
    stage.succeeded().await;
    let node = stage.keeper.node("cache", primary).await;
    let observation = &node["monitor"]["sighting"];
    assert_eq!(observation["facts"], serde_json::Value::Null, "{node}");
    assert_eq!(observation["unproven"]["refused-since"], true, "{node}");
    assert_eq!(node["online"], false, "{node}");
}

#[tokio::test]
async fn three_keepers_replace_a_primary_whose_address_another_server_holds() {
    let trio = Trio::start("errors_at_address", 3, Settings::new()).await;
    let [primary, first, second] = &trio.redis;
    let keeper = &trio.keepers[0];
    let checks = trio.checks();
    primary.kill();
    sleep(LATER).await;
    let foreign = Redis::start_at(*primary.at().ip(), &[("requirepass", "another")]).await;
    keeper.wait_replaced("cache", primary).await;
    let [successor, other] = keeper.elected("cache", [first, second]).await;
    trio.keepers
        .wait_topology("cache", successor, &[other])
        .await;
    foreign.kill();
    primary.revive().await;
    trio.keepers
        .wait_topology("cache", successor, &[primary, other])
        .await;
    checks.assert_never_two();
}

#[tokio::test]
async fn a_sentinel_at_the_primarys_address_is_replaced() {
    let stage = Stage::new().await;
    let [primary, ..] = &stage.nodes;
    let outside = Redis::start(&stage.net).await;
    primary.kill();
    sleep(LATER).await;
    let _sentinel = Sentinel::launch_at(primary.at(), outside.at(), 2, Duration::from_secs(30));
    stage.succeeded().await;
}

#[tokio::test]
async fn a_server_of_another_protocol_at_the_primarys_address_is_replaced() {
    let bad = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    Stage::replaced_by(bad, Then::Closes).await;
}

#[tokio::test]
async fn a_server_that_says_ok_to_everything_at_the_primarys_address_is_replaced() {
    // As many replies as the first probe on a connection has requests.
    Stage::replaced_by("+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n", Then::GoesOn).await;
}

#[tokio::test]
async fn a_server_that_knows_no_request_at_the_primarys_address_is_replaced() {
    Stage::replaced_by("-ERR no upstream host\r\n", Then::Closes).await;
}

#[tokio::test]
async fn a_living_primary_stays_though_its_password_changes_and_logins_fail() {
    for kinds in [&["normal"][..], &["normal", "replica"]] {
        let stage = Stage::new().await;
        let [primary, first, _] = &stage.nodes;
        let generation = stage.keeper.generation("cache").await;
        locked(primary, kinds).await;
        eventually(SOON, "the keeper to be turned away", async || {
            let node = stage.keeper.node("cache", primary).await;
            let told = node["monitor"]["sighting"]["trouble"].to_string();
            told.contains("NOAUTH").then_some(()).ok_or(told)
        })
        .await;
        if kinds.contains(&"replica") {
            eventually(SOON, "a replica to be turned away", async || {
                let info = first.info("replication").await.expect("a server");
                let down = info["master_link_status"] == "down";
                down.then_some(()).ok_or("linked")
            })
            .await;
        }
        // Twice the mark-down time.
        stage.keeper.wait_probes("cache", primary, 20).await;
        stage.assert_untouched(generation).await;
    }
}

#[tokio::test]
async fn a_primary_that_is_back_after_something_else_was_there_stays() {
    let stage = Stage::with(Settings::new().set("seconds-mark-down", 20)).await;
    let [primary, first, second] = &stage.nodes;
    let keeper = &stage.keeper;
    primary.save().await;
    primary.kill();
    let foreign = Answers::at(primary.at(), "ERROR\r\n", Then::Closes).await;
    keeper
        .wait_plan("cache", &["does not say which process it is"])
        .await;
    drop(foreign);
    primary.revive().await;
    if !primary.forgets_its_history().await {
        keeper
            .wait_topology("cache", primary, &[first, second])
            .await;
        first.wait_in_step_with(primary).await;
    }
}

#[tokio::test]
async fn something_else_at_a_replicas_address_is_neither_read_from_nor_promoted() {
    let stage = Stage::new().await;
    let [primary, first, second] = &stage.nodes;
    let keeper = &stage.keeper;
    let generation = keeper.generation("cache").await;
    first.kill();
    let _foreign = Answers::at(first.at(), "ERROR\r\n", Then::GoesOn).await;
    eventually(SOON, "the keeper to see what answers", async || {
        let node = keeper.node("cache", first).await;
        let seen = !node["monitor"]["sighting"]["unproven"].is_null();
        seen.then_some(()).ok_or(node)
    })
    .await;
    keeper.wait_probes("cache", first, 20).await;
    assert!(!keeper.calls_readable("cache", first).await);
    stage.assert_untouched(generation).await;
    primary.kill();
    keeper.wait_primary("cache", second).await;
}
