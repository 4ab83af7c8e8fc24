//! A host is lost with the primary, the leading keeper and a ZooKeeper server on it. The figure is the time from the
//! kill to the promotion, in milliseconds.

use std::time::Duration;

use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::process::Process;
use keeper_site::redis::Redis;
use keeper_site::zookeeper::ZooKeeper;
use rustix::process::Signal;

use super::{kill_and_time, sentinels, show, show_logs};

const MARK_DOWN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(2);

pub(crate) async fn measure(rounds: usize) {
    let (mut leader, mut follower, mut sentinels) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        leader.push(with_keepers(round, true).await);
        follower.push(with_keepers(round, false).await);
        sentinels.push(with_sentinels().await);
    }
    println!(
        "a host is lost (mark-down time {} s); from the kill to the promotion, in ms:",
        MARK_DOWN.as_secs()
    );
    show("redis-keeper, with ZooKeeper's leader", &mut leader);
    show("redis-keeper, with a follower", &mut follower);
    show("Redis Sentinel", &mut sentinels);
    println!("to reach: at most 2000 ms");
}

async fn with_keepers(round: usize, leader_dies: bool) -> i128 {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::ensemble(&net, 3).await;
    let trio = Redis::trio(&net).await;
    let prefix = format!("host_loss_benchmark_{round}");
    let settings = Settings::new()
        .set("tick-seconds", 0.5)
        .set("seconds-mark-down", MARK_DOWN.as_secs())
        .cluster("cache", &trio);
    let keepers = Keepers::start(3, &net, &zookeeper.prefix(&prefix), &settings).await;
    let [primary, first, second] = &trio;
    keepers
        .wait_topology("cache", primary, &[first, second])
        .await;
    let leads = zookeeper.leader().await;
    let follows = zookeeper.servers().iter().find(|it| it.at() != leads.at());
    let server = if leader_dies {
        leads
    } else {
        follows.expect("a follower")
    };
    let keeper = &keepers[keepers.wait_leader().await];
    let lost = [primary.process(), keeper.process(), server.process()];
    let promoted = kill_and_time(|| kill_all(&lost), &[first, second], 1, LOOK_EVERY).await;
    show_logs(&keepers);
    promoted[0]
}

async fn with_sentinels() -> i128 {
    let net = Net::fleet().await;
    let trio = Redis::trio(&net).await;
    let [primary, first, second] = &trio;
    let sentinels = sentinels::start(&net, &[primary], 2, MARK_DOWN).await;
    let lost = [primary.process(), &sentinels.processes[0]];
    kill_and_time(|| kill_all(&lost), &[first, second], 1, LOOK_EVERY).await[0]
}

fn kill_all(processes: &[&Process]) {
    for process in processes {
        process.signal(Signal::KILL);
    }
}
