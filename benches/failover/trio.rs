//! The primary of a cluster of three servers is killed, or hangs. The figure is the time from the end of the
//! mark-down time to the promotion, in milliseconds.
//!
//! Both sides count the mark-down time from the last answer, which comes shortly before the kill. So figures can be
//! negative.

use std::time::Duration;

use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::zookeeper::ZooKeeper;

use super::{kill_and_time, sentinels, show};

const MARK_DOWN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(crate) async fn measure(rounds: usize, fail: fn(&Redis)) {
    let mut keepers = Vec::new();
    let mut sentinels = Vec::new();
    for round in 0..rounds {
        keepers.push(with_keepers(round, fail).await);
        sentinels.push(with_sentinels(fail).await);
    }
    println!(
        "from the mark-down time ({} s) to the promotion, in ms:",
        MARK_DOWN.as_secs()
    );
    show("redis-keeper", &mut keepers);
    show("Redis Sentinel", &mut sentinels);
    println!("to reach: at most 50 ms");
}

async fn with_keepers(round: usize, fail: fn(&Redis)) -> i128 {
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
    beyond_the_mark_down_time(&trio, fail).await
}

async fn with_sentinels(fail: fn(&Redis)) -> i128 {
    let net = Net::fleet().await;
    let trio = Redis::trio(&net).await;
    let _sentinels = sentinels::start(&net, &[&trio[0]], 2, MARK_DOWN).await;
    beyond_the_mark_down_time(&trio, fail).await
}

async fn beyond_the_mark_down_time(
    [primary, first, second]: &[Redis; 3],
    fail: fn(&Redis),
) -> i128 {
    let promoted = kill_and_time(|| fail(primary), &[first, second], 1, LOOK_EVERY).await;
    promoted[0] - i128::try_from(MARK_DOWN.as_millis()).unwrap_or(i128::MAX)
}
