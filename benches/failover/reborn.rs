//! A primary dies, and is back at once without its data, long before the mark-down time. The figure is how often the
//! data are kept. The replicas ask the primary for a full copy within about a second, and drop their own data when
//! they get the copy.

use std::time::Duration;

use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;

use super::show_logs;

const KEYS: usize = 1_000;
const MARK_DOWN: Duration = Duration::from_secs(20);

pub(crate) async fn measure(rounds: usize) {
    println!("a primary is back at once, empty; its data is kept, of {rounds} times:");
    for delay in ["5", "0"] {
        let mut kept = 0;
        for round in 0..rounds {
            kept += usize::from(is_kept(delay, round).await);
        }
        println!("repl-diskless-sync-delay {delay}: {kept}");
    }
}

async fn is_kept(delay: &str, round: usize) -> bool {
    let net = Net::fleet().await;
    let options = [("repl-diskless-sync-delay", delay)];
    let primary = Redis::start_with(&net, &options).await;
    let first = Redis::replica_of(&net, &primary, &options).await;
    let second = Redis::replica_of(&net, &primary, &options).await;
    let prefix = format!("reborn_benchmark_{delay}_{round}");
    let zookeeper = ZooKeeper::shared().await.prefix(&prefix);
    let settings = Settings::new()
        .set("tick-seconds", 1)
        .set("seconds-mark-down", MARK_DOWN.as_secs())
        .cluster("cache", [&primary, &first, &second]);
    let keepers = Keepers::start(3, &net, &zookeeper, &settings).await;
    keepers
        .wait_topology("cache", &primary, &[&first, &second])
        .await;
    primary.write_keys("key", KEYS).await;
    first.wait_in_step_with(&primary).await;
    second.wait_in_step_with(&primary).await;

    // A leader that has just begun waits for keepers that it may never have seen.
    tokio::time::sleep(Duration::from_secs(1)).await;

    primary.kill();
    primary.revive().await;
    // Whether the data are lost or kept, all servers have the same data in the end.
    let all = [&primary, &first, &second];
    eventually(SOON, "one data set", async || {
        let mut seen = Vec::new();
        for redis in all {
            let info = redis
                .info("replication")
                .await
                .map_err(|it| it.to_string())?;
            let history = info.get("master_replid").cloned();
            let link = info.get("master_link_status").is_none_or(|it| it == "up");
            seen.push((history, link));
        }
        let settled = seen.iter().all(|it| it.1 && it.0 == seen[0].0);
        settled.then_some(()).ok_or_else(|| format!("{seen:?}"))
    })
    .await;
    let mut kept = true;
    for redis in all {
        kept &= redis.key_count().await == KEYS;
    }
    if !kept {
        show_logs(&keepers);
    }
    kept
}
