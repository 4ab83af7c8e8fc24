//! A script ends the connections of all clients at all servers again and again, the keepers' connections included.

use std::cell::Cell;
use std::time::Duration;

use futures::future::join_all;
use keeper_site::keeper::Settings;
use keeper_site::redis::Redis;
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep_until};

/// Connections live for at least this many times the duration of a command. On a busy host, shorter ones would do
/// nothing.
const COMMANDS: u32 = 20;

/// Ends the connections of all other clients at an interval, and counts them.
async fn kill_clients(redis: &Redis, every: Duration, ended: &Cell<u64>) {
    let mut connection: Option<MultiplexedConnection> = None;
    let mut next = Instant::now();
    loop {
        sleep_until(next).await;
        next += every;
        let Some(live) = &mut connection else {
            connection = redis.connect().await.ok();
            continue;
        };
        let asked = Instant::now();
        let mut kill = redis::cmd("CLIENT");
        kill.arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]);
        match kill.query_async::<u64>(live).await {
            Ok(clients) => ended.set(ended.get() + clients),
            Err(_) => connection = None,
        }
        next = next.max(asked + COMMANDS * asked.elapsed());
    }
}

/// How long the keepers take to replace a primary that is killed while connections are ended.
async fn replaced_within(prefix: &str, every: Duration) -> Duration {
    let trio = Trio::start(prefix, 3, Settings::new()).await;
    let [primary, ..] = &trio.redis;
    let checks = trio.checks();
    let ended = [const { Cell::new(0) }; 3];
    let replaced = async {
        eventually(SOON, "connections to be ended everywhere", async || {
            let enough = ended.iter().all(|ended| ended.get() >= 10);
            enough.then_some(()).ok_or_else(|| format!("{ended:?}"))
        })
        .await;
        primary.kill();
        let killed = Instant::now();
        let each = trio.keepers.iter();
        join_all(each.map(|keeper| keeper.wait_replaced("cache", primary))).await;
        killed.elapsed()
    };
    let kills = trio.redis.iter().zip(&ended);
    let kills = kills.map(|(redis, ended)| kill_clients(redis, every, ended));
    let took = tokio::select! {
        _ = join_all(kills) => unreachable!("it goes on"),
        took = replaced => took,
    };
    checks.assert_never_two();
    took
}

/// Far below the 8 to 20 s that a failover took while every ended connection delayed it.
const SOON_ENOUGH: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_dead_primary_is_replaced_soon_though_all_clients_are_killed_every_200_ms() {
    let took = replaced_within("kills_200", Duration::from_millis(200)).await;
    assert!(took < SOON_ENOUGH, "{took:?}");
}

#[tokio::test]
async fn a_dead_primary_is_replaced_soon_though_all_clients_are_killed_every_20_ms() {
    let took = replaced_within("kills_20", Duration::from_millis(20)).await;
    assert!(took < SOON_ENOUGH, "{took:?}");
}
