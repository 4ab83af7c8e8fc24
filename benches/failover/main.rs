//! Measures how long failovers take, side by side with Redis Sentinel.
//!
//! `cargo bench --bench failover [-- [trio|hang|storm|host-loss|reborn|switchover] [ROUNDS]]`
//!
//! - The default is `trio`.
//! - The default number of rounds is 5 for `trio`, `hang` and `switchover`, 20 for `reborn`, and 1 for the others.
//! - All keepers, ZooKeeper, Sentinels and servers run on this machine. Both sides have the same mark-down time.
//! - Processes are killed with SIGKILL, and hang by SIGSTOP. The clock runs from the signal until a replica says
//!   that it is the primary.
//! - With `SHOW_LOGS` set, the logs of the keepers are printed, too. They show where the time goes.

use std::time::{Duration, Instant};

use keeper_site::background::BACKGROUND;
use keeper_site::keeper::Keepers;
use keeper_site::redis::{Redis, connect};
use redis::aio::MultiplexedConnection;

mod host_loss;
mod reborn;
mod sentinels;
mod storm;
mod switchover;
mod trio;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = arguments.iter().find_map(|it| it.parse().ok());
    let named = |name: &str| arguments.iter().any(|it| it == name);
    BACKGROUND.block_on(async {
        if named("hang") {
            trio::measure(rounds.unwrap_or(5), Redis::pause).await;
        } else if named("storm") {
            storm::measure(rounds.unwrap_or(1)).await;
        } else if named("host-loss") {
            host_loss::measure(rounds.unwrap_or(1)).await;
        } else if named("switchover") {
            switchover::measure(rounds.unwrap_or(5)).await;
        } else if named("reborn") {
            reborn::measure(rounds.unwrap_or(20)).await;
        } else {
            trio::measure(rounds.unwrap_or(5), Redis::kill).await;
        }
    });
}

/// Prints one line of figures, in milliseconds.
fn show(name: &str, millis: &mut [i128]) {
    millis.sort_unstable();
    let (least, median, most) = (
        millis[0],
        millis[millis.len() / 2],
        millis[millis.len() - 1],
    );
    println!(
        "{name:<36} least {least:>5}  median {median:>5}  most {most:>5}  (of {})",
        millis.len()
    );
}

/// Prints the logs of the keepers if `SHOW_LOGS` is set.
fn show_logs(keepers: &Keepers) {
    if std::env::var_os("SHOW_LOGS").is_some() {
        for keeper in keepers.iter() {
            println!("{}", keeper.process().log());
        }
    }
}

/// Returns the milliseconds from the beginning of `kill` to each of the first `wanted` promotions among `replicas`.
async fn kill_and_time(
    kill: impl FnOnce(),
    replicas: &[&Redis],
    wanted: usize,
    look_every: Duration,
) -> Vec<i128> {
    let mut looks = Vec::new();
    for replica in replicas {
        looks.push((replica, connect(replica.at()).await.ok()));
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "this measures real time from outside"
    )]
    let killed = Instant::now();
    kill();
    let mut promoted = Vec::new();
    while promoted.len() < wanted {
        let mut left = Vec::new();
        for (replica, mut connection) in looks {
            if says_primary(replica, &mut connection).await {
                promoted.push(i128::try_from(killed.elapsed().as_millis()).unwrap_or(i128::MAX));
            } else {
                left.push((replica, connection));
            }
        }
        looks = left;
        tokio::time::sleep(look_every).await;
        assert!(
            killed.elapsed() < Duration::from_mins(1),
            "{} of {wanted} were promoted",
            promoted.len()
        );
    }
    promoted
}

/// Asks with `ROLE`. A promotion closes the connections of clients, so the next call connects again.
async fn says_primary(replica: &Redis, connection: &mut Option<MultiplexedConnection>) -> bool {
    if connection.is_none() {
        *connection = connect(replica.at()).await.ok();
    }
    let Some(open) = connection else { return false };
    let role: redis::RedisResult<Vec<redis::Value>> = redis::cmd("ROLE").query_async(open).await;
    if role.is_err() {
        *connection = None;
    }
    let primary = redis::Value::BulkString(b"master".to_vec());
    role.is_ok_and(|role| role.first() == Some(&primary))
}
