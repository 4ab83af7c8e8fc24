//! Switchovers: either no write is lost, or nothing changes.

use std::process::Command;

use keeper_site::keeper::Settings;
use keeper_site::redis::{Redis, Role};
use keeper_site::solo::Solo;
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use keeper_site::writer::Writer;
use serde_json::{Value, json};

const PATH: &str = "/admin/clusters/cache/switchover";

fn settings() -> Settings {
    Settings::new().set("admin-operations", true)
}

#[tokio::test]
async fn through_any_keeper_and_the_command_line_nothing_written_is_lost() {
    let trio = Trio::start("switched", 3, settings()).await;
    let keepers = &trio.keepers;
    let [primary, first, second] = &trio.redis;
    let checks = trio.checks();
    let leader = keepers.wait_leader().await;
    // A client that asks no keeper: it always writes to this server.
    let writer = Writer::start(primary.at());
    writer.wait_writes(50).await;

    let other = &keepers[(leader + 1) % 3];
    let body = json!({ "to": first.node().to_string(), "reason": "new kernel" });
    // The keeper may refuse the replica as empty at first (Redis 7.0). If the replica's first ACK came before the
    // primary's fork had ended, the primary sends the replica no write until its next ACK, up to a second later.
    first.wait_data().await;
    let answer = other.post(PATH, &body).await.expect("an answer");
    assert_eq!(answer.code, 200, "{answer:?}");
    assert_eq!(answer.body["to"]["host"], first.node().host);
    first.wait_role(Role::Primary).await;
    primary.wait_in_step_with(first).await;
    keepers
        .wait_topology("cache", first, &[primary, second])
        .await;
    // The old primary is read-only now: it cut the client off, and refuses the client's next sessions.
    eventually(SOON, "the client to be cut off", async || {
        let diary = writer.diary();
        let cut = diary.cut_sessions > 0;
        cut.then_some(())
            .ok_or_else(|| format!("{} writes", diary.acknowledged.len()))
    })
    .await;
    let diary = writer.stop();
    assert_eq!(diary.lost_at(first).await, Vec::<u64>::new());

    // A second switchover, to the best of the others, as an operator types the command.
    let writer = Writer::start(first.at());
    writer.wait_writes(50).await;
    let output = Command::new(env!("CARGO_BIN_EXE_redis-keeper"))
        .args(["switchover", "cache", "--keeper", &other.http().to_string()])
        .output()
        .expect("the built program");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let switched = |node: &&Redis| {
        told.contains(&format!(
            "switched over from {} to {}",
            first.node(),
            node.node()
        ))
    };
    let elected = [primary, second].into_iter().find(switched);
    let elected = elected.unwrap_or_else(|| panic!("{told}"));
    first.wait_in_step_with(elected).await;
    let diary = writer.stop();
    assert_eq!(diary.lost_at(elected).await, Vec::<u64>::new());
    checks.assert_never_two();
}

#[tokio::test]
async fn a_switchover_that_would_lose_data_is_refused_with_the_reason() {
    let trio = Trio::start("not_switched", 2, settings()).await;
    let keepers = &trio.keepers;
    let [primary, _, second] = &trio.redis;
    let generation = keepers[0].generation("cache").await;
    let refused = async |to: String, code: u16, why: &str| {
        let body = json!({ "to": to });
        let answer = keepers[0].post(PATH, &body).await.expect("an answer");
        assert_eq!(answer.code, code, "{to}: {answer:?}");
        let error = answer.body["error"].as_str().expect("an error");
        assert!(error.contains(why), "{to}: {error}");
    };
    refused(primary.node().to_string(), 412, "is the primary already").await;
    refused("10.9.9.9:1".to_owned(), 412, "is no node of this cluster").await;
    refused("nonsense".to_owned(), 400, "is not an address").await;
    second.run::<()>("CONFIG SET replica-priority 0").await;
    refused(second.node().to_string(), 412, "has priority 0").await;
    let answer = keepers[0].post(PATH, &json!({ "too": 1 })).await;
    assert_eq!(answer.expect("an answer").code, 400);
    let answer = keepers[0].get(PATH).await.expect("an answer");
    assert_eq!(answer.code, 405);

    assert_eq!(keepers[0].generation("cache").await, generation);
    assert!(primary.is_primary().await);
    assert_eq!(primary.calls("client|pause").await, 0);
}

#[tokio::test]
async fn one_late_keeper_calls_it_off_and_the_primary_goes_on_as_before() {
    // The session and the lease of the frozen keeper outlast the test.
    let settings = settings()
        .set("zk-session-timeout-seconds", 50)
        .set("lease-seconds", 20);
    let trio = Trio::start("called_off", 3, settings).await;
    let keepers = &trio.keepers;
    let [primary, ..] = &trio.redis;
    let leader = keepers.wait_leader().await;
    let late = &keepers[(leader + 1) % 3];
    late.process().pause();
    let answer = keepers[leader].post(PATH, &Value::Null).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.code, 409, "{answer:?}");
    let error = answer.body["error"].as_str().expect("an error");
    assert!(error.contains(late.id()), "{error}");
    assert!(error.contains(&primary.node().to_string()), "{error}");
    assert!(primary.is_primary().await);
    assert_eq!(primary.calls("client|pause").await, 0);
    let writer = Writer::start(primary.at());
    writer.wait_writes(10).await;
    assert!(keepers[leader].calls_writable("cache", primary).await);
    late.process().resume();
    late.wait_ready().await;
}

#[tokio::test]
async fn without_admin_operations_nobody_may_ask() {
    let solo = Solo::start("no_operations").await;
    let answer = solo.keeper.post(PATH, &Value::Null).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.code, 403, "{answer:?}");
    assert!(
        answer.body["error"]
            .as_str()
            .is_some_and(|it| it.contains("admin-operations")),
        "{answer:?}"
    );
}
