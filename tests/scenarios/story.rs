//! The log reads as a story, on the leader and on the other keepers.
//!
//! The story has a failover, a rejoin, a switchover and an outage of `ZooKeeper`.

use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;
use serde_json::json;
use tempfile::TempDir;

const SWITCHOVER: &str = "/admin/clusters/cache/switchover";

/// A line of the log: its level, and its text without the spans.
#[derive(Debug, Clone)]
struct Told {
    level: String,
    text: String,
}

/// The lines that a keeper has logged after the first `passed` lines.
fn told(keeper: &Keeper, passed: usize) -> Vec<Told> {
    let log = keeper.process().log();
    let line = |line: &str| {
        let (_at, rest) = line.split_once(' ')?;
        let (level, rest) = rest.trim_start().split_once(' ')?;
        let text = rest.rsplit_once("}: ").map_or(rest, |(_spans, text)| text);
        Some(Told {
            level: level.to_owned(),
            text: text.trim().to_owned(),
        })
    };
    log.lines().skip(passed).filter_map(line).collect()
}

fn line_count(keeper: &Keeper) -> usize {
    keeper.process().log().lines().count()
}

/// The first of these events that is missing in `lines`, in this order. An event is a level and words of its line:
/// `INFO promoted | node=A`.
fn missing(lines: &[Told], events: &[impl AsRef<str>]) -> Option<String> {
    let mut rest = lines.iter();
    for event in events {
        let event = event.as_ref();
        let (level, words) = event.split_once(' ').expect("a level, and words");
        let words = words.split(" | ");
        let tells =
            |line: &Told| line.level == level && words.clone().all(|it| line.text.contains(it));
        if !rest.any(tells) {
            return Some(format!("{event:?} is missing or too early in {lines:#?}"));
        }
    }
    None
}

async fn wait_told(keeper: &Keeper, passed: usize, events: &[impl AsRef<str>]) {
    let what = format!("the story of {}", keeper.id());
    eventually(SOON, what, async || {
        missing(&told(keeper, passed), events).map_or(Ok(()), Err)
    })
    .await;
}

/// Warnings and errors that are not `expected`.
fn unexpected(lines: &[Told], expected: &[&str]) -> Vec<String> {
    let grave = |line: &&Told| line.level != "INFO" && line.level != "DEBUG";
    let known = |line: &&Told| expected.iter().any(|it| line.text.starts_with(it));
    let lines = lines.iter().filter(grave).filter(|line| !known(line));
    lines
        .map(|line| format!("{} {}", line.level, line.text))
        .collect()
}

fn figure(lines: &[Told], event: &str, name: &str) -> Option<f64> {
    let line = lines.iter().find(|line| line.text.starts_with(event))?;
    let (_, value) = line.text.split_once(&format!("{name}="))?;
    value.split(' ').next()?.parse().ok()
}

#[tokio::test]
async fn a_failover_a_rejoin_and_a_switchover_read_as_one_story_on_every_keeper() {
    let settings = Settings::new().set("admin-operations", true);
    let trio = Trio::start("story", 3, settings).await;
    let leader = trio.keepers.wait_leader().await;
    let [primary, replica] = fail_over(&trio, leader).await;
    switch_over(&trio, leader, primary, replica).await;
    leave(&trio, leader).await;
}

/// The first server dies and comes back. Returns the new primary, and the replica that had to follow it.
async fn fail_over(trio: &Trio, leader: usize) -> [&Redis; 2] {
    let Trio { keepers, redis, .. } = trio;
    let [a, first, second] = redis;
    a.write_keys("kept", 100).await;
    first.wait_data().await;
    second.wait_data().await;
    let by = keepers[leader].id();
    let passed: Vec<_> = keepers.iter().map(line_count).collect();
    a.kill();
    let [b, c] = keepers[leader].elected("cache", [first, second]).await;
    let [old, new, other] = [a, b, c].map(|it| it.node().to_string());
    for keeper in keepers.iter() {
        keeper.wait_primary("cache", b).await;
    }
    a.revive().await;
    a.wait_in_step_with(b).await;
    keepers.wait_topology("cache", b, &[a, c]).await;

    let silent = format!(
        "WARN the primary does not answer | {old} | refused for  | , down at  |  if 2 of 3 keepers agree"
    );
    let held = format!("WARN node is held down by a majority of the keepers | {old}");
    let back = format!("INFO node is back and follows the primary | {old} | {new}");
    for (place, keeper) in keepers.iter().enumerate() {
        let middle = if place == leader {
            vec![
                format!("WARN withdrawing the primary | primary={old}"),
                format!(
                    "INFO candidate chosen | {new} | (lacks 0 bytes), priority 100; {other} not: "
                ),
                format!("INFO promoted | {new}"),
                format!("INFO publishing the primary | {new}"),
                format!("INFO failover done | from={old} to={new} | lacked_bytes=0"),
                format!("INFO made to follow the primary | {old}"),
            ]
        } else {
            vec![
                format!("WARN another keeper has withdrawn the primary | {old} | by={by}"),
                format!("INFO the primary is published | {new} | by={by}"),
            ]
        };
        let story = [
            vec![silent.clone(), held.clone()],
            middle,
            vec![back.clone()],
        ]
        .concat();
        wait_told(keeper, passed[place], &story).await;
        for also in [
            format!("INFO this keeper votes the node down | {old} | refused"),
            format!("INFO node follows the primary | {other} | {new}"),
            format!("INFO node answers again | {old}"),
        ] {
            wait_told(keeper, passed[place], &[silent.clone(), also]).await;
        }
        let lines = told(keeper, passed[place]);
        let expected = [
            "the primary does not answer",
            "node is held down by a majority",
            "withdrawing the primary",
            "another keeper has withdrawn the primary",
        ];
        let unexpected = unexpected(&lines, &expected);
        assert_eq!(unexpected, Vec::<String>::new(), "{lines:#?}");
        let done = lines
            .iter()
            .filter(|it| it.text.starts_with("failover done"));
        assert_eq!(done.count(), usize::from(place == leader), "{lines:#?}");
    }
    let lines = told(&keepers[leader], passed[leader]);
    let seconds = figure(&lines, "failover done", "not_writable_seconds").expect("a figure");
    assert!(seconds > 0.5 && seconds < SOON.as_secs_f64(), "{seconds}");
    [b, c]
}

/// A switchover writes no warning.
async fn switch_over(trio: &Trio, leader: usize, from: &Redis, to: &Redis) {
    let Trio { keepers, redis, .. } = trio;
    let passed: Vec<_> = keepers.iter().map(line_count).collect();
    to.wait_in_step_with(from).await;
    let [old, new] = [from, to].map(|it| it.node().to_string());
    let body = json!({ "to": new, "reason": "new kernel" });
    let answer = keepers[leader].post(SWITCHOVER, &body).await;
    assert_eq!(answer.expect("an answer").code, 200);
    redis[0].wait_in_step_with(to).await;
    keepers.wait_topology("cache", to, &[&redis[0], from]).await;
    for (place, keeper) in keepers.iter().enumerate() {
        let story = if place == leader {
            vec![
                format!("INFO withdrawing the primary | {old} | new kernel"),
                format!("INFO switching over | {old} | {new} | new kernel"),
                format!("INFO switchover done | from={old} to={new}"),
                format!("INFO its writes are no longer held up | {old}"),
            ]
        } else {
            vec![
                format!("INFO another keeper has withdrawn the primary | {old} | new kernel"),
                format!("INFO the primary is published | {new}"),
            ]
        };
        wait_told(keeper, passed[place], &story).await;
        let follows = format!("INFO node follows the primary | {old} | {new}");
        wait_told(keeper, passed[place], &[follows]).await;
        let lines = told(keeper, passed[place]);
        assert_eq!(unexpected(&lines, &[]), Vec::<String>::new(), "{lines:#?}");
    }
}

/// A keeper dies, and another one ends in order.
async fn leave(trio: &Trio, leader: usize) {
    let keepers = &trio.keepers;
    let (stays, gone, last) = (
        &keepers[leader],
        &keepers[(leader + 1) % 3],
        &keepers[(leader + 2) % 3],
    );
    let passed = line_count(stays);
    let left = format!(
        "WARN a keeper has left | keeper={} | keepers=2 of=3",
        gone.id()
    );
    let signed_off = format!(
        "INFO a keeper has signed off | keeper={} | keepers=1",
        last.id()
    );
    gone.process().kill();
    wait_told(stays, passed, std::slice::from_ref(&left)).await;
    last.process().terminate();
    wait_told(stays, passed, &[left, signed_off]).await;
}

#[tokio::test]
async fn a_dead_replica_is_told_by_every_keeper_and_its_return_too() {
    let Trio { keepers, redis, .. } = &Trio::start("dead_replica", 2, Settings::new()).await;
    let [primary, first, _] = redis;
    first.wait_in_step_with(primary).await;
    let node = first.node().to_string();
    let passed: Vec<_> = keepers.iter().map(line_count).collect();
    first.kill();
    let silent = format!("INFO node does not answer | {node}");
    let held = format!("WARN node is held down by a majority | {node}");
    for (keeper, passed) in keepers.iter().zip(&passed) {
        wait_told(keeper, *passed, &[&silent, &held]).await;
    }
    first.revive().await;
    first.wait_in_step_with(primary).await;
    let back = format!("INFO node is back and follows the primary | {node}");
    for (keeper, passed) in keepers.iter().zip(&passed) {
        wait_told(keeper, *passed, &[&silent, &held, &back]).await;
        let lines = told(keeper, *passed);
        let unexpected = unexpected(&lines, &["node is held down by a majority"]);
        assert_eq!(unexpected, Vec::<String>::new(), "{lines:#?}");
    }
}

#[tokio::test]
async fn a_password_that_all_nodes_refuse_is_one_line_in_each_keepers_log() {
    let net = Net::fleet().await;
    let redis = Redis::trio(&net).await;
    for node in &redis {
        let made = node
            .try_run::<()>("ACL SETUSER keeper on >right ~* +@all")
            .await;
        if made.is_err() {
            // Redis has users since 6.0.
            return;
        }
    }
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("password");
    std::fs::write(&file, "wr0ng").expect("written");
    let access = json!({"username": "keeper", "password-file": file});
    let prefix = ZooKeeper::shared().await.prefix("all_refuse");
    let settings = Settings::new().set("redis", access);
    let settings = settings.cluster("cache", redis.each_ref());
    let keepers = Keepers::start(2, &net, &prefix, &settings).await;
    let leader = keepers.wait_leader().await;
    for (index, keeper) in keepers.iter().enumerate() {
        let refused = if index == leader {
            "ERROR no failover is possible | the password is refused by all 3 nodes"
        } else {
            "WARN no failover would be possible if this keeper led | the password is refused by all 3 nodes"
        };
        wait_told(keeper, 0, &[refused]).await;
        keeper.wait_probes("cache", &redis[0], 5).await;
        let lines = told(keeper, 0);
        let grave = unexpected(&lines, &[]);
        let of_password = grave.iter().filter(|line| line.contains("WRONGPASS"));
        assert_eq!(of_password.count(), 1, "{grave:#?}");
    }
    std::fs::write(&file, "right\n").expect("written");
    for keeper in keepers.iter() {
        let over = "INFO all nodes can be commanded again";
        wait_told(keeper, 0, &[over]).await;
    }
}

#[tokio::test]
async fn a_keeper_restarted_while_zookeeper_is_away_is_told_of_by_all_before_and_after() {
    let net = Net::fleet().await;
    let redis = Redis::trio(&net).await;
    let zookeeper = ZooKeeper::ensemble(&net, 1).await;
    let prefix = zookeeper.prefix("restarted_away");
    let nodes = redis.each_ref();
    let keepers = Keepers::start_for(3, &net, &prefix, Settings::patient(), &nodes).await;
    for keeper in keepers.iter() {
        let registered = async || {
            let answer = keeper.get("/admin/keepers").await;
            let body = answer.map_err(|error| error.to_string())?.body;
            let asks = body["failsafe"]["asks"].as_array().map(Vec::len);
            (asks == Some(2))
                .then_some(())
                .ok_or_else(|| body.to_string())
        };
        eventually(SOON, "two others to ask", registered).await;
    }
    let [server] = zookeeper.servers() else {
        panic!("one server")
    };
    server.process().kill();
    let warned =
        "WARN going on with the consent of all keepers (failsafe) | Stop and restart none of them";
    for keeper in keepers.iter() {
        wait_told(keeper, 0, &[warned]).await;
    }
    let restarted = &keepers[2];
    restarted.process().terminate();
    restarted.process().wait_exit().await;
    let stopping = "WARN stopping while ZooKeeper does not answer";
    wait_told(restarted, 0, &[warned, stopping]).await;
    let passed = line_count(restarted);
    restarted.process().restart();
    let mute = "WARN this keeper calls no node writable | started while ZooKeeper does not answer";
    wait_told(restarted, passed, &[mute]).await;
    let silent = "WARN this keeper now calls no node writable | keeper-3";
    for keeper in &keepers[..2] {
        wait_told(keeper, 0, &[warned, silent]).await;
    }
    server.revive().await;
    let again = "INFO ready again";
    for keeper in &keepers[..2] {
        wait_told(keeper, 0, &[warned, silent, again]).await;
        let log = keeper.process().log();
        assert!(!log.contains("0x"), "{log}");
    }
    wait_told(
        restarted,
        passed,
        &[mute, "INFO ready: the first lease is held"],
    )
    .await;
    for keeper in keepers.iter() {
        let log = keeper.process().log();
        let library = log
            .lines()
            .filter(|line| line.contains("fails to establish session"));
        assert_eq!(library.count(), 0, "{log}");
    }
}
