//! A switchover under load, through HAProxy with `conf/haproxy.cfg` (a check every 200 ms). The figures:
//!
//! - how long the old primary paused writes;
//! - the longest time between two writes of a client;
//! - the number of acknowledged writes that were lost.

use keeper_site::net::Net;
use keeper_site::site::{RECOMMENDED, Site};
use keeper_site::writer::Writer;
use keeper_site::zookeeper::ZooKeeper;
use serde_json::Value;

use super::{show, show_logs};

/// The number of writes before and after the switchover.
const WRITES: usize = 200;
const PATH: &str = "/admin/clusters/cluster-1/switchover";
const HELD_UP: &str = "held_up=";

pub(crate) async fn measure(rounds: usize) {
    let (mut pauses, mut gaps, mut lost) = (Vec::new(), Vec::new(), 0);
    for round in 0..rounds {
        let net = Net::fleet().await;
        let zookeeper = ZooKeeper::shared().await;
        let prefix = zookeeper.prefix(&format!("switchover_benchmark_{round}"));
        let site = Site::open(net, &prefix, RECOMMENDED, &[]).await;
        let [primary, first, second] = &site.redis;
        site.wait_routes(primary, &[first, second]).await;
        let writer = Writer::start(site.writes());
        writer.wait_writes(WRITES).await;
        let asked = site.keepers[round % 3].post(PATH, &Value::Null);
        let answer = asked.await.expect("an answer");
        assert_eq!(answer.code, 200, "{answer:?}");
        writer.wait_writes(WRITES).await;
        let diary = writer.stop();
        let elected = site.keepers[0].status("cluster-1").await;
        let elected = elected.expect("a status").primary.expect("a primary");
        lost += diary.lost_at(site.find(&elected)).await.len();
        gaps.push(i128::try_from(diary.longest_gap.as_millis()).unwrap_or(i128::MAX));
        pauses.push(pause(&site));
        show_logs(&site.keepers);
    }
    println!("a switchover under load, in ms:");
    show("writes held up at Redis", &mut pauses);
    show("longest gap of a client", &mut gaps);
    println!("acknowledged writes lost: {lost}");
    println!("to reach: at most 20 ms; one check interval (200 ms) + 50 ms; none");
}

/// Reads the duration of the pause from the leader's log, in milliseconds.
fn pause(site: &Site) -> i128 {
    let mut logs = site.keepers.iter().map(|keeper| keeper.process().log());
    let told = logs.find_map(|log| {
        let (_, rest) = log.split_once(HELD_UP)?;
        let text = rest.split_whitespace().next()?;
        let millis = match text.strip_suffix("ms") {
            Some(millis) => millis.parse::<f64>().ok()?,
            None => text.strip_suffix('s')?.parse::<f64>().ok()? * 1_000.0,
        };
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds")]
        Some(millis.round() as i128)
    });
    told.expect("the leader tells how long writes were held up")
}
