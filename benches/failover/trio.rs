//! The primary of a cluster of three servers is killed. The figure is the time from the end of the mark-down time to
//! the promotion, in milliseconds.
//!
//! Both sides count the mark-down time from the last answer, which comes shortly before the kill. So figures can be
//! negative.

use std::time::Duration;

use super::support::keeper::{Keepers, Settings};
use super::support::net::Net;
use super::support::redis::Redis;
use super::support::zookeeper::ZooKeeper;
use super::{kill_and_time, sentinels, show};

const MARK_DOWN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(crate) async fn measure(rounds: usize) {
    let mut keepers = Vec::new();
    let mut sentinels = Vec::new();
    for round in 0..rounds {
        keepers.push(with_keepers(round).await);
        sentinels.push(with_sentinels().await);
    }
    println!(
        "from the mark-down time ({} s) to the promotion, in ms:",
        MARK_DOWN.as_secs()
    );
    show("redis-keeper", &mut keepers);
    show("Redis Sentinel", &mut sentinels);
    println!("to reach: at most 50 ms");
}

async fn with_keepers(round: usize) -> i128 {
    let net = Net::fleet().await;
    let trio = Redis::trio(&net).await;
    let prefix = format!("failover_benchmark_{round}");
    let zookeeper = ZooKeeper::shared().await.prefix(&prefix);
    let settings = Settings::new()
        .set("tick-seconds", 1)
        .set("seconds-mark-down", MARK_DOWN.as_secs())
        .cluster("cache", &trio);
    let keepers = Keepers::start(3, &net, &zookeeper, &settings).await;
    keepers
        .wait_topology("cache", &trio[0], &[&trio[1], &trio[2]])
        .await;
    beyond_the_mark_down_time(&trio).await
}

async fn with_sentinels() -> i128 {
    let net = Net::fleet().await;
    let trio = Redis::trio(&net).await;
    let _sentinels = sentinels::start(&net, &[&trio[0]], 2, MARK_DOWN).await;
    beyond_the_mark_down_time(&trio).await
}

async fn beyond_the_mark_down_time([primary, first, second]: &[Redis; 3]) -> i128 {
    let promoted = kill_and_time(|| primary.kill(), &[first, second], 1, LOOK_EVERY).await;
    promoted[0] - i128::try_from(MARK_DOWN.as_millis()).unwrap_or(i128::MAX)
}
