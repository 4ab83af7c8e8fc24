//! How long a failover takes beyond the mark-down time, side by side with Redis Sentinel.
//!
//! `cargo bench --bench failover [-- ROUNDS]` (default 5). Three keepers with a ZooKeeper, or three Sentinels, watch a
//! primary and two replicas, all on this machine, with the same mark-down time. The primary is killed with SIGKILL; the
//! clock runs from the kill until a replica says it is the primary, less the mark-down time. Both count from the last
//! answer, which is a little before the kill, so figures can be negative.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use support::background::BACKGROUND;
use support::keeper::{Keepers, Settings};
use support::net::Net;
use support::process::{Process, command};
use support::redis::{Redis, connect};
use support::wait::{SOON, eventually};
use support::zookeeper::ZooKeeper;

#[path = "../tests/scenarios/support"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support {
    pub(crate) mod background;
    pub(crate) mod keeper;
    pub(crate) mod link;
    pub(crate) mod net;
    pub(crate) mod process;
    pub(crate) mod redis;
    pub(crate) mod wait;
    pub(crate) mod zookeeper;

    pub(crate) use background::BACKGROUND;
}

const MARK_DOWN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(1);

fn main() {
    let rounds = std::env::args()
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(5);
    BACKGROUND.block_on(async {
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
    });
}

fn show(name: &str, millis: &mut [i128]) {
    millis.sort_unstable();
    let (least, median, most) = (
        millis[0],
        millis[millis.len() / 2],
        millis[millis.len() - 1],
    );
    println!(
        "{name:<16} least {least:>5}  median {median:>5}  most {most:>5}  ({} rounds)",
        millis.len()
    );
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
    kill_and_time(&trio).await
}

async fn with_sentinels() -> i128 {
    let net = Net::fleet().await;
    let trio = Redis::trio(&net).await;
    let directory = tempfile::tempdir().expect("a directory");
    let mut sentinels = Vec::new();
    for number in 0..3 {
        let at = net.socket(26_379);
        let file = directory.path().join(format!("{number}.conf"));
        let text = format!(
            "bind {ip}\nport {port}\nsentinel announce-ip {ip}\nsentinel monitor cache {primary_ip} {primary_port} 2\n\
             sentinel down-after-milliseconds cache {mark_down}\nprotected-mode no\n",
            ip = at.ip(),
            port = at.port(),
            primary_ip = trio[0].at().ip(),
            primary_port = trio[0].at().port(),
            mark_down = MARK_DOWN.as_millis(),
        );
        std::fs::write(&file, text).expect("the configuration is written");
        let mut server = command("redis-server");
        server.arg(&file).arg("--sentinel");
        let log = directory.path().join(format!("{number}.log"));
        sentinels.push((at, Process::start(format!("sentinel {at}"), &log, server)));
    }
    for (at, _) in &sentinels {
        eventually(SOON, "a sentinel that knows the others", async || {
            knows_all(*at).await
        })
        .await;
    }
    kill_and_time(&trio).await
}

async fn knows_all(at: SocketAddrV4) -> Result<(), String> {
    let mut connection = connect(at).await.map_err(|error| error.to_string())?;
    let mut ask = redis::cmd("SENTINEL");
    let answer: std::collections::BTreeMap<String, String> = ask
        .arg("MASTER")
        .arg("cache")
        .query_async(&mut connection)
        .await
        .map_err(|error| error.to_string())?;
    let known = (answer.get("num-slaves"), answer.get("num-other-sentinels"));
    let all = (Some(&"2".to_owned()), Some(&"2".to_owned()));
    if known == all {
        Ok(())
    } else {
        Err(format!("{known:?}"))
    }
}

/// Milliseconds from the end of the mark-down time to the first replica that says it is the primary.
async fn kill_and_time(trio: &[Redis; 3]) -> i128 {
    let mut looks = Vec::new();
    for replica in &trio[1..] {
        looks.push((replica.at(), connect(replica.at()).await.ok()));
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "this measures real time from outside"
    )]
    let killed = Instant::now();
    trio[0].kill();
    'looking: loop {
        for (at, connection) in &mut looks {
            if says_primary(*at, connection).await {
                break 'looking;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
        assert!(killed.elapsed() < MARK_DOWN * 10, "nobody was promoted");
    }
    let millis = |span: Duration| i128::try_from(span.as_millis()).unwrap_or(i128::MAX);
    millis(killed.elapsed()) - millis(MARK_DOWN)
}

/// Asks by `ROLE`. A promotion ends the connections of clients: then a new one is made.
async fn says_primary(at: SocketAddrV4, connection: &mut Option<MultiplexedConnection>) -> bool {
    if connection.is_none() {
        *connection = connect(at).await.ok();
    }
    let Some(open) = connection else { return false };
    let role: redis::RedisResult<Vec<redis::Value>> = redis::cmd("ROLE").query_async(open).await;
    if role.is_err() {
        *connection = None;
    }
    let primary = redis::Value::BulkString(b"master".to_vec());
    role.is_ok_and(|role| role.first() == Some(&primary))
}
