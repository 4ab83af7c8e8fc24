//! Users and passwords: servers with none, with others or with new ones, and renamed commands.

use std::path::Path;

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, connect};
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

/// Settings with `redis` as their section of logins.
fn speaking(redis: serde_json::Value) -> Settings {
    Settings::new()
        .set("admin-operations", true)
        .set("redis", redis)
}

/// Runs a command, its words separated by spaces, after a login with the password.
async fn run_with(redis: &Redis, password: &str, words: &str) {
    let mut connection = connect(redis.plain_address()).await.expect("a connection");
    for words in [format!("AUTH {password}"), words.to_owned()] {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().expect("a command"));
        command.arg(words.collect::<Vec<_>>());
        let done: redis::RedisResult<redis::Value> = command.query_async(&mut connection).await;
        done.unwrap_or_else(|error| panic!("at {}: {error}", redis.at()));
    }
}

async fn wait_log(keeper: &Keeper, what: &str) {
    let waited = format!("{} to log {what:?}", keeper.id());
    eventually(SOON, waited, async || {
        let log = keeper.process().log();
        log.contains(what).then_some(()).ok_or(log)
    })
    .await;
}

/// Asks for a switchover to `successor`, again while the keeper has just begun to lead.
async fn switch_over(keeper: &Keeper, successor: &Redis) {
    let body = json!({ "to": successor.node().to_string() });
    eventually(SOON, "a switchover", async || {
        let answer = keeper.post("/admin/clusters/cache/switchover", &body).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let done = (answer.code == 200).then_some(());
        done.ok_or_else(|| format!("{answer:?}"))
    })
    .await;
}

/// Replaces `file` by a file with `text`, atomically.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(&new, file).expect("renamed");
}

#[tokio::test]
async fn a_password_that_no_server_wants_stops_neither_a_failover_nor_a_switchover() {
    let net = Net::new();
    for access in [
        json!({"password": "x"}),
        json!({"password": ""}),
        json!({"username": "default", "password": ["x", "y"]}),
    ] {
        let trio = Redis::trio(&net).await;
        let [primary, first, second] = &trio;
        primary.write_keys("kept", 10).await;
        let keeper = Keeper::alone_for(&net, speaking(access), &trio.each_ref()).await;
        first.wait_data().await;
        switch_over(&keeper, first).await;
        keeper
            .wait_topology("cache", first, &[primary, second])
            .await;
        second.kill();
        primary.wait_in_step_with(first).await;
        first.kill();
        keeper.wait_topology("cache", primary, &[]).await;
    }
}

#[tokio::test]
async fn a_wrong_password_shows_until_sighup_brings_the_right_one() {
    let net = Net::new();
    let redis = Redis::start(&net).await;
    redis
        .run::<()>("ACL SETUSER keeper on >right ~* +@all")
        .await;
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("password");
    std::fs::write(&file, "wr0ng").expect("written");
    let settings = speaking(json!({"username": "keeper", "password-file": file}));
    let settings = settings.cluster("cache", [&redis]);
    let keeper = Keeper::alone(&net, &settings).await;
    let troubles = async || {
        let observation = keeper.node("cache", &redis).await["sighting"].clone();
        let explained = keeper.admin("clusters/cache/explain").await;
        (
            observation["trouble"].clone(),
            explained["troubles"].clone(),
        )
    };
    eventually(SOON, "the trouble to show", async || {
        let (trouble, explained) = troubles().await;
        let told = trouble.as_str().is_some_and(|it| {
            it.contains("refuses this keeper's login") && it.contains("WRONGPASS")
        });
        let named =
            explained[0]["node"] == redis.node().to_string() && explained[0]["trouble"] == trouble;
        (told && named)
            .then_some(())
            .ok_or_else(|| format!("{trouble} {explained}"))
    })
    .await;
    keeper.wait_probes("cache", &redis, 5).await;
    assert!(
        keeper.calls_writable("cache", &redis).await,
        "clients are not concerned"
    );
    let told = "no failover is possible why=the password is refused by the only node";
    wait_log(&keeper, told).await;
    assert_eq!(keeper.process().log().matches(told).count(), 1);

    std::fs::write(&file, "right\n").expect("written");
    keeper.process().signal(Signal::HUP);
    wait_log(&keeper, "secrets read again").await;
    wait_log(&keeper, "all nodes can be commanded again").await;
    eventually(SOON, "the trouble to be over", async || {
        let (trouble, explained) = troubles().await;
        let over = trouble.is_null() && explained == json!([]);
        over.then_some(())
            .ok_or_else(|| format!("{trouble} {explained}"))
    })
    .await;
    let log = keeper.process().log();
    assert!(log.contains(&*file.to_string_lossy()), "by name: {log}");
    assert!(!log.contains("wr0ng"), "and no value: {log}");
}

#[tokio::test]
async fn a_password_is_changed_at_all_servers_and_keepers_without_a_restart() {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("password");
    std::fs::write(&file, "0ld\n").expect("written");
    let settings = speaking(json!({"password-file": file}));
    let trio = Trio::start("password_changed", 3, settings).await;
    let [primary, first, second] = &trio.redis;
    for redis in &trio.redis {
        redis.run::<()>("CONFIG SET masterauth 0ld").await;
        redis.run::<()>("CONFIG SET requirepass 0ld").await;
    }
    replace(&file, "0ld\nn3w\n");
    for keeper in trio.keepers.iter() {
        wait_log(keeper, "secrets read again").await;
    }
    for redis in &trio.redis {
        run_with(redis, "0ld", "CONFIG SET masterauth n3w").await;
    }
    for redis in &trio.redis {
        run_with(redis, "0ld", "CONFIG SET requirepass n3w").await;
    }
    primary.kill();
    let keeper = &trio.keepers[0];
    keeper
        .wait_status("cache", "a new primary", |status| {
            let replaced = status
                .primary
                .as_ref()
                .is_some_and(|it| *it != primary.node());
            replaced && status.replicas.len() == 1
        })
        .await;
    let status = keeper.status("cache").await.expect("a status");
    let (successor, other) = if status.primary == Some(first.node()) {
        (first, second)
    } else {
        (second, first)
    };

    // A file that cannot be used leaves the former passwords in use.
    replace(&file, "n3w\n0ld\nolder\n");
    for keeper in trio.keepers.iter() {
        wait_log(keeper, "names a file of 3 lines").await;
    }
    replace(&file, "n3w\n");
    eventually(SOON, "all to read it again", async || {
        let read = |keeper: &Keeper| keeper.process().log().matches("secrets read again").count();
        let counts: Vec<_> = trio.keepers.iter().map(read).collect();
        let all = counts.iter().all(|count| *count >= 2);
        all.then_some(()).ok_or_else(|| format!("{counts:?}"))
    })
    .await;
    successor.kill();
    for keeper in trio.keepers.iter() {
        keeper.wait_primary("cache", other).await;
        let log = keeper.process().log();
        assert!(!log.contains("0ld") && !log.contains("n3w"), "{log}");
    }
}

#[tokio::test]
async fn servers_with_renamed_commands_are_failed_over_and_switched_over() {
    const RENAMED: [(&str, &str); 5] = [
        ("rename-command", "CLIENT xclient"),
        ("rename-command", "REPLICAOF xreplicaof"),
        ("rename-command", "CONFIG xconfig"),
        ("rename-command", "MULTI xmulti"),
        ("rename-command", "PUBSUB \"\""),
    ];
    let net = Net::new();
    let primary = Redis::start_with(&net, &RENAMED).await;
    let first = Redis::replica_of(&net, &primary, &RENAMED).await;
    let second = Redis::replica_of(&net, &primary, &RENAMED).await;
    let names = json!({
        "client": "xclient", "REPLICAOF": "xreplicaof", "CONFIG": "xconfig", "MULTI": "xmulti", "PUBSUB": "",
    });
    let settings = speaking(json!({"rename-commands": names}));
    let nodes = [&primary, &first, &second];
    let keeper = Keeper::alone_for(&net, settings, &nodes).await;
    primary.write_keys("kept", 10).await;
    first.wait_data().await;
    switch_over(&keeper, &first).await;
    keeper
        .wait_topology("cache", &first, &[&primary, &second])
        .await;
    second.kill();
    primary.wait_in_step_with(&first).await;
    first.kill();
    keeper.wait_topology("cache", &primary, &[]).await;
    assert_eq!(primary.key_count().await, 10);
}
