//! The breaker (RK-12): someone else changes the primary again and again. The keepers stop undoing that until an
//! operator acknowledges.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::redis::{Redis, Role};
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use serde_json::{Value, json};

const ACKNOWLEDGE: &str = "/admin/clusters/cache/acknowledge";

/// Waits until the leader's log has `times` lines that say that `node` was made to follow `primary`.
async fn wait_undone(leader: &Keeper, node: &Redis, primary: &Redis, times: usize) {
    let undone = format!("node={} primary={}", node.node(), primary.node());
    let what = format!("{} to be made a replica again, time {times}", node.node());
    eventually(SOON, what, async || {
        let log = leader.process().log();
        let lines = log.lines();
        let told = lines
            .filter(|line| line.contains("made to follow the primary") && line.contains(&undone));
        let told = told.count();
        (told == times).then_some(()).ok_or(told)
    })
    .await;
    node.wait_role(Role::Replica).await;
}

#[tokio::test]
async fn three_changes_from_outside_are_undone_only_once_an_operator_acknowledges() {
    let settings = Settings::patient().set("admin-operations", true);
    let trio = Trio::start("breaker", 3, settings).await;
    let ([primary, first, second], keepers) = (&trio.redis, &trio.keepers);
    primary.write_keys("kept", 100).await;
    primary.wait_followed_by(&[first, second]).await;
    let checks = trio.checks();
    let leads = keepers.wait_leader().await;
    let (leader, other) = (&keepers[leads], &keepers[(leads + 1) % keepers.len()]);
    let generation = leader.generation("cache").await;
    let nothing = other.post(ACKNOWLEDGE, &Value::Null).await;
    let nothing = nothing.expect("an answer");
    assert_eq!(
        (nothing.code, &nothing.body["code"]),
        (412, &json!("refused"))
    );

    for times in 1..=2 {
        second.run::<()>("REPLICAOF NO ONE").await;
        wait_undone(leader, second, primary, times).await;
        keepers
            .wait_topology("cache", primary, &[first, second])
            .await;
    }
    second.run::<()>("REPLICAOF NO ONE").await;
    let held = [
        "changed from outside three times within a minute",
        "until POST /admin/clusters/NAME/acknowledge",
    ];
    for keeper in keepers.iter() {
        keeper.wait_plan("cache", &held).await;
    }
    let commands = second.calls("replicaof").await;
    for keeper in keepers.iter() {
        keeper.wait_probes("cache", second, 20).await;
        keeper.wait_plan("cache", &held).await;
        assert!(keeper.calls_writable("cache", primary).await);
    }
    assert!(second.is_primary().await, "nothing is undone");
    assert_eq!(second.calls("replicaof").await, commands);
    let page = leader.get("/metrics").await.expect("the metrics").body;
    let page = page.as_str().expect("text");
    let counted = "\nredis_keeper_cluster_outside_changes_total{cluster=\"cache\"} 3\n";
    assert!(page.contains(counted), "{page}");

    let acknowledged = other.post(ACKNOWLEDGE, &Value::Null).await;
    let acknowledged = acknowledged.expect("an answer");
    assert_eq!(
        (acknowledged.code, acknowledged.body),
        (200, json!({ "acknowledged": true }))
    );
    wait_undone(leader, second, primary, 3).await;
    second.wait_in_step_with(primary).await;
    second.wait_key_count(100).await;
    keepers
        .wait_topology("cache", primary, &[first, second])
        .await;
    for keeper in keepers.iter() {
        keeper.wait_plan("cache", &["nothing to do"]).await;
        assert_eq!(keeper.generation("cache").await, generation);
    }
    checks.assert_only(primary);
}

/// The story is a restart of all servers, one after the other: clients have a primary again without an operator's
/// word.
#[tokio::test]
async fn a_primary_that_is_moved_by_hand_three_times_is_followed_once_that_has_ended() {
    let trio = Trio::start("moved_by_hand", 3, Settings::patient()).await;
    let ([a, b, c], keepers) = (&trio.redis, &trio.keepers);
    a.write_keys("kept", 100).await;
    a.wait_followed_by(&[b, c]).await;
    let checks = trio.checks();
    for (number, [old, new, other]) in [[a, b, c], [b, c, a], [c, a, b]].iter().enumerate() {
        new.run::<()>("REPLICAOF NO ONE").await;
        for node in [old, other] {
            node.follow(new).await;
        }
        if number == 2 {
            let held = ["changed from outside three times within a minute"];
            keepers[0].wait_plan("cache", &held).await;
        }
        keepers.wait_topology("cache", new, &[old, other]).await;
    }
    a.wait_key_count(100).await;
    checks.assert_never_two();
}
