//! Somebody's script ends the connections of all clients of all servers again and again, those of keepers among them.

use std::time::Duration;

use futures::future::join_all;
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, interval, sleep};

use super::support::keeper::Settings;
use super::support::redis::Redis;
use super::support::trio::Trio;

/// Ends the connections of all clients but its own.
async fn kill_clients(redis: &Redis, every: Duration) {
    let mut connection: Option<MultiplexedConnection> = None;
    let mut beats = interval(every);
    loop {
        beats.tick().await;
        let Some(live) = &mut connection else {
            connection = redis.connect().await.ok();
            continue;
        };
        let mut kill = redis::cmd("CLIENT");
        kill.arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]);
        if kill.query_async::<u64>(live).await.is_err() {
            connection = None;
        }
    }
}

/// How long it takes to replace a primary that is killed meanwhile.
async fn replaced_within(prefix: &str, every: Duration) -> Duration {
    let trio = Trio::start(prefix, 3, Settings::new()).await;
    let [primary, ..] = &trio.redis;
    let checks = trio.checks();
    let replaced = async {
        sleep(Duration::from_secs(1)).await;
        primary.kill();
        let killed = Instant::now();
        let each = trio.keepers.iter();
        join_all(each.map(|keeper| keeper.wait_replaced("cache", primary))).await;
        killed.elapsed()
    };
    let took = tokio::select! {
        _ = join_all(trio.redis.each_ref().map(|redis| kill_clients(redis, every))) => unreachable!("it goes on"),
        took = replaced => took,
    };
    checks.assert_never_two();
    took
}

/// Far below the 8 to 20 s that it took while every connection that was ended put the failover off.
const SOON_ENOUGH: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_dead_primary_is_replaced_soon_though_all_clients_are_killed_every_200_ms() {
    let took = replaced_within("kills_200", Duration::from_millis(200)).await;
    assert!(took < SOON_ENOUGH, "{took:?}");
}
