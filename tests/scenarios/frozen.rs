//! Keepers that freeze for a while, and a keeper whose clock differs.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::redis::Role;
use keeper_site::solo::Solo;
use keeper_site::tree::Tree;
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any test, in seconds: a test that waited for the end of a session would fail.
const LONG_SESSION: u64 = 50;

#[tokio::test]
async fn a_keeper_frozen_beyond_its_lease_answers_only_once_it_has_read_all_again() {
    let trio = Trio::start("thawed", 3, Settings::new()).await;
    let keepers = &trio.keepers;
    let [primary, first, second] = &trio.redis;
    let checks = trio.checks();
    let leader = keepers.wait_leader().await;
    let frozen = &keepers[(leader + 1) % 3];
    let others = [&keepers[leader], &keepers[(leader + 2) % 3]];

    frozen.process().pause();
    primary.kill();
    for keeper in others {
        keeper.wait_replaced("cache", primary).await;
    }
    let [winner, _] = keepers[leader].elected("cache", [first, second]).await;

    // Questions that are sent while the keeper is frozen: it reads these first.
    let mut questions = Vec::new();
    for node in &trio.redis {
        questions.push(ask(frozen, &format!("is-writable/{}", node.node())).await);
    }
    for question in ["status", "master"] {
        questions.push(ask(frozen, question).await);
    }
    // The test withholds what the keeper would have to read.
    frozen.silence_zookeeper();
    frozen.process().resume();
    for question in questions {
        assert_eq!(question.answer().await, "500");
    }
    // The keeper goes on probing, and its answers stay the same.
    frozen.wait_probes("cache", winner, 5).await;
    for node in &trio.redis {
        let answer = frozen.is_writable("cache", node).await.expect("an answer");
        assert_eq!(answer.code, 500, "{answer:?}");
    }
    frozen.restore_zookeeper().await;
    eventually(SOON, "it to know the new primary", async || {
        let answer = frozen.is_writable("cache", winner).await;
        let answer = answer.map_err(|error| error.to_string())?;
        (answer.code == 200)
            .then_some(())
            .ok_or_else(|| format!("{answer:?}"))
    })
    .await;
    assert!(!frozen.calls_writable("cache", primary).await);
    checks.assert_never_two();
}

/// A question that was sent, and is not answered yet.
struct Asked(TcpStream);

async fn ask(keeper: &Keeper, question: &str) -> Asked {
    let mut stream = TcpStream::connect(keeper.http())
        .await
        .expect("a connection");
    let request = format!(
        "GET /cluster/cache/{question} HTTP/1.1\r\nhost: keeper\r\nconnection: close\r\n\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .await
        .expect("room in the socket");
    Asked(stream)
}

impl Asked {
    /// The status code of the answer.
    async fn answer(mut self) -> String {
        let mut answer = String::new();
        let read = timeout(SOON, self.0.read_to_string(&mut answer)).await;
        read.expect("an answer in time").expect("an answer");
        let code = answer.split(' ').nth(1);
        code.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

#[tokio::test]
async fn a_frozen_leader_is_deposed_and_a_frozen_keeper_passed_over_in_their_sessions() {
    let settings = Settings::new().set("zk-session-timeout-seconds", LONG_SESSION);
    let trio = Trio::start("deposed", 3, settings).await;
    let keepers = &trio.keepers;
    let [primary, first, second] = &trio.redis;
    let tree = Tree::of(&trio.prefix).await;
    let checks = trio.checks();

    let leader = keepers.wait_leader().await;
    let epoch = keepers[leader].leads_with().await.expect("it leads");
    let latch = tree.children("/leader").await;
    let latch = latch
        .iter()
        .find(|name| name.starts_with(keepers[leader].id()));
    let latch = latch.expect("its latch").clone();
    keepers[leader].process().pause();
    let heir = keepers.wait_leader_other_than(Some(leader)).await;
    assert!(keepers[heir].leads_with().await > Some(epoch));
    assert!(
        !tree.children("/leader").await.contains(&latch),
        "it holds no latch"
    );
    let online = tree.children("/keepers").await;
    assert!(
        online.iter().any(|id| id == keepers[leader].id()),
        "its session lives: {online:?}"
    );
    keepers[leader].process().resume();
    eventually(SOON, "it to know that it does not lead", async || {
        let says = keepers[leader].get("/admin/keepers").await;
        let says = says.map_err(|error| error.to_string())?.body;
        let deposed = says["leading-with-epoch"].is_null();
        deposed.then_some(()).ok_or_else(|| says.to_string())
    })
    .await;
    keepers[leader].wait_ready().await;

    // A follower is frozen. The others have two votes of three, and the follower's acknowledgement never comes.
    let follower = &keepers[leader];
    let others = [&keepers[heir], &keepers[3 - leader - heir]];
    let before = keepers[heir].generation("cache").await;
    follower.process().pause();
    primary.kill();
    for keeper in others {
        keeper.wait_replaced("cache", primary).await;
    }
    let (record, _) = tree.json(&format!("/keepers/{}", follower.id())).await;
    let acknowledged = record["acknowledged"].as_u64().expect("a generation");
    assert!(
        acknowledged <= before,
        "it acknowledged no withdrawal: {record}"
    );
    follower.process().resume();
    let [winner, other] = others[0].elected("cache", [first, second]).await;
    winner.wait_role(Role::Primary).await;
    keepers.wait_topology("cache", winner, &[other]).await;
    checks.assert_never_two();
}

#[tokio::test]
async fn a_keeper_with_another_lease_refuses_to_start_and_names_both() {
    let solo = Solo::start("another_lease").await;
    let settings = solo.settings.clone().set("lease-seconds", 0.7);
    let second = Keeper::launch("keeper-2", &solo.net, &solo.prefix, &settings).await;
    assert!(!second.process().wait_exit().await.success());
    let log = second.process().log();
    let last = log.lines().last().expect("last words");
    for told in ["lease-seconds is 0.7 here and 0.8", "keeper-1"] {
        assert!(last.contains(told), "{told:?} is not in {last:?}");
    }
    assert_eq!(
        Tree::of(&solo.prefix).await.children("/keepers").await,
        ["keeper-1"]
    );
    solo.keeper.wait_ready().await;
}
