//! A hundred clusters of two servers lose their primaries at once. The figures are the times from the first kill to
//! each promotion, in milliseconds.

use std::time::Duration;

use futures::future::join_all;
use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::zookeeper::ZooKeeper;
use rustix::process::Signal;

use super::{kill_and_time, sentinels, show, show_logs};

const CLUSTERS: usize = 100;
/// The number of servers that are started at once.
const AT_ONCE: usize = 25;
const MARK_DOWN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(crate) async fn measure(rounds: usize) {
    println!(
        "{CLUSTERS} clusters lose their primaries (mark-down time {} s); from the kill to the promotion, in ms:",
        MARK_DOWN.as_secs()
    );
    for round in 0..rounds {
        show("redis-keeper", &mut with_keepers(round).await);
        show("Redis Sentinel", &mut with_sentinels().await);
    }
    println!("to reach: at most 3500 ms for the last");
}

async fn with_keepers(round: usize) -> Vec<i128> {
    let net = Net::fleet().await;
    let (primaries, replicas) = pairs(&net).await;
    let prefix = format!("storm_benchmark_{round}");
    let zookeeper = ZooKeeper::shared().await.prefix(&prefix);
    let mut settings = Settings::new()
        .set("tick-seconds", 1)
        .set("seconds-mark-down", MARK_DOWN.as_secs());
    for (number, pair) in primaries.iter().zip(&replicas).enumerate() {
        settings = settings.cluster(&format!("cache-{number}"), <[&Redis; 2]>::from(pair));
    }
    let keepers = Keepers::start(3, &net, &zookeeper, &settings).await;
    for (number, (primary, replica)) in primaries.iter().zip(&replicas).enumerate() {
        let name = format!("cache-{number}");
        keepers.wait_topology(&name, primary, &[replica]).await;
    }
    let promoted = lose(&primaries, &replicas).await;
    show_logs(&keepers);
    promoted
}

async fn with_sentinels() -> Vec<i128> {
    let net = Net::fleet().await;
    let (primaries, replicas) = pairs(&net).await;
    let watched: Vec<_> = primaries.iter().collect();
    let _sentinels = sentinels::start(&net, &watched, 1, MARK_DOWN).await;
    lose(&primaries, &replicas).await
}

async fn pairs(net: &Net) -> (Vec<Redis>, Vec<Redis>) {
    let (mut primaries, mut replicas) = (Vec::new(), Vec::new());
    while primaries.len() < CLUSTERS {
        let some = join_all((0..AT_ONCE).map(|_| Redis::start(net))).await;
        let follow = |primary| Redis::replica_of(net, primary, &[]);
        replicas.extend(join_all(some.iter().map(follow)).await);
        primaries.extend(some);
    }
    (primaries, replicas)
}

async fn lose(primaries: &[Redis], replicas: &[Redis]) -> Vec<i128> {
    let replicas: Vec<_> = replicas.iter().collect();
    let kill = || {
        for primary in primaries {
            primary.process().signal(Signal::KILL);
        }
    };
    kill_and_time(kill, &replicas, CLUSTERS, LOOK_EVERY).await
}
