//! Kills, freezes, cuts off and restarts every part of a site under clients that write, as a seed decides. Then
//! judges whether the promises were kept. `docs/chaos.md` explains the run.
//!
//! `cargo run --release --example chaos -- --seed N [--minutes M]`

#[path = "chaos/client.rs"]
mod client;
#[path = "chaos/operator.rs"]
mod operator;
#[path = "chaos/site.rs"]
mod site;
#[path = "chaos/striker.rs"]
mod striker;
#[path = "chaos/verdict.rs"]
mod verdict;
#[path = "chaos/whole.rs"]
mod whole;

#[path = "../tests/chaos/judge.rs"]
mod judge;
#[path = "../tests/chaos/logs.rs"]
mod logs;
#[path = "../tests/chaos/schedule.rs"]
mod schedule;

#[path = "../tests/partition/namespace.rs"]
mod namespace;
#[path = "../tests/partition/network.rs"]
#[allow(dead_code, reason = "the partition test uses the rest")]
mod network;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use keeper_site::BACKGROUND;
use rustix::time::{ClockId, clock_gettime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use self::client::{Client, Observer};
use self::operator::Operator;
use self::schedule::{Cluster, draw_clusters, draw_round};
use self::site::Site;
use self::striker::Striker;
use self::verdict::{Verdict, keep_logs};
use self::whole::{same_data, settled};

/// The time limit from the start until all clusters are in order.
const START: Duration = Duration::from_mins(2);
/// The time limit from the end of a round's faults until all clusters are in order. A longer recovery is a breach.
const RECOVERY: Duration = Duration::from_mins(1);
/// After a longer recovery, the log says which condition was the last to be met.
const LONG: Duration = Duration::from_secs(10);

/// Breaks everything but the promises.
#[derive(Parser)]
struct Arguments {
    /// Decides which faults strike, and when.
    #[arg(long)]
    seed: u64,
    /// For how long faults strike and are recovered from, in whole rounds.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Keeps all logs here, also of a run without a breach.
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// What the keepers are told.
#[derive(clap::Args, Clone)]
pub(crate) struct Settings {
    /// seconds-mark-down
    #[arg(long, default_value_t = 2.0)]
    pub(crate) mark_down: f64,
    /// zk-session-timeout-seconds
    #[arg(long, default_value_t = 4.0)]
    pub(crate) session: f64,
    /// lease-seconds
    #[arg(long, default_value_t = 1.5)]
    pub(crate) lease: f64,
    /// failover-cooldown-seconds
    #[arg(long, default_value_t = 5.0)]
    pub(crate) cooldown: f64,
    /// drain-seconds; 0 breaks a promise, so that the judge can be seen to tell
    #[arg(long, default_value_t = 1.2)]
    pub(crate) drain: f64,
}

fn main() -> ExitCode {
    // The keepers of the run are started from this program, too.
    if std::env::args().nth(1).as_deref() == Some("run") {
        return redis_keeper::cli::main(std::env::args_os()).into();
    }
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let _background = BACKGROUND.enter();
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).expect("a signal handler");
        let mut interrupt = signal(SignalKind::interrupt()).expect("a signal handler");
        tokio::select! {
            code = run(&arguments) => code,
            // All started processes end with the run, which is dropped here.
            _ = terminate.recv() => ended_by("SIGTERM", 143),
            _ = interrupt.recv() => ended_by("SIGINT", 130),
        }
    })
}

fn ended_by(signal: &str, code: u8) -> ExitCode {
    eprintln!("ended by {signal}");
    ExitCode::from(code)
}

async fn run(arguments: &Arguments) -> ExitCode {
    let seed = arguments.seed;
    let clusters = draw_clusters(seed);
    eprintln!("seed {seed}: {clusters:?}");
    let site = Site::open(&clusters, &arguments.settings).await;
    let start = Instant::now();
    let began = clock_gettime(ClockId::Realtime);
    let began = Duration::new(
        began.tv_sec.unsigned_abs(),
        u32::try_from(began.tv_nsec).expect("less than a second"),
    );
    let (clients, observers) = start_clients(&site, start);
    let hosts = site.network().hosts().iter().zip(site.keepers());
    let operators =
        hosts.map(|(host, keeper)| Operator::start(host, keeper, clusters.len(), seed, start));
    let operators: Vec<_> = operators.collect();
    let mut striker = Striker::new(&site, clusters.len(), start);
    striker.tell(format_args!(
        "begun {:.3} s after 1970",
        began.as_secs_f64()
    ));
    let mut verdict = Verdict::default();
    strike(arguments, &clusters, &mut striker, &clients, &mut verdict).await;

    for operator in operators {
        for (answer, times) in operator.answers() {
            *verdict.switchovers.entry(answer).or_default() += times;
        }
    }
    verdict.faults = striker.faults;
    verdict.breaches.append(&mut striker.ended);
    let writes = clients.iter().flat_map(|client| {
        let cluster = client.cluster();
        client.stop().into_iter().map(move |write| (cluster, write))
    });
    let writes: Vec<_> = writes.collect();
    for (number, cluster) in clusters.iter().enumerate() {
        let own = writes.iter().filter(|(cluster, _)| *cluster == number);
        let own: Vec<_> = own.map(|(_, write)| *write).collect();
        let held = same_data(&site, number, RECOVERY).await;
        let held = held.map_err(|seen| verdict.breaches.push(seen)).ok();
        let frozen = &striker.stood_still;
        let which = (number, cluster);
        verdict.judge_cluster(&site, which, &own, began, frozen, held.as_ref());
    }
    verdict.judge_keepers(&site, &observers);
    println!("\nseed {seed}: {verdict}");
    let into = match (&arguments.keep, verdict.breaches.is_empty()) {
        (Some(into), _) => into.clone(),
        (None, false) => std::env::temp_dir(),
        (None, true) => return ExitCode::SUCCESS,
    };
    let dir = keep_logs(&site, seed, &striker.story, &into);
    println!("Logs: {}", dir.display());
    for breach in &verdict.breaches {
        println!("BREACH (seed {seed}): {breach}");
    }
    ExitCode::from(u8::from(!verdict.breaches.is_empty()))
}

/// Starts a client on each host for each cluster, and an observer of each host's keeper.
fn start_clients(site: &Site, start: Instant) -> (Vec<Client>, Vec<Observer>) {
    let nodes = site.redis().iter().map(|cluster| {
        let nodes = cluster.iter().map(|redis| redis.node().to_string());
        (1..).zip(nodes).collect::<Vec<_>>()
    });
    let nodes: Vec<_> = nodes.collect();
    let (mut clients, mut observers) = (Vec::new(), Vec::new());
    for (host, keeper) in site.network().hosts().iter().zip(site.keepers()) {
        let own = (0..nodes.len()).map(|cluster| Client::start(host, cluster, start));
        clients.extend(own);
        observers.push(Observer::start(host, keeper, nodes.clone(), start));
    }
    (clients, observers)
}

/// Strikes round after round, until the time is over or a cluster does not recover.
async fn strike(
    arguments: &Arguments,
    clusters: &[Cluster],
    striker: &mut Striker<'_>,
    clients: &[Client],
    verdict: &mut Verdict,
) {
    let site = striker.site();
    let start = striker.start();
    if let Err(seen) = settled(site, clients, start, START).await {
        verdict
            .breaches
            .push(format!("not whole at the start: {seen}"));
        return;
    }
    let until = start.elapsed() + Duration::from_secs(60 * arguments.minutes);
    for number in 0.. {
        if start.elapsed() >= until {
            return;
        }
        striker.tell(format_args!("round {number}"));
        let round = draw_round(arguments.seed, number, clusters);
        striker.play(&round).await;
        let healed = start.elapsed();
        let outcome = settled(site, clients, start, RECOVERY).await;
        let took = start.elapsed().saturating_sub(healed);
        striker.look_for_dead();
        verdict.rounds += 1;
        verdict.longest_recovery = verdict.longest_recovery.max(took);
        match outcome {
            Ok((primaries, last)) => {
                striker.tell(format_args!(
                    "whole after {took:.1?}, primaries {primaries:?}"
                ));
                if took > LONG {
                    striker.tell(format_args!("waited for last: {last}"));
                }
            }
            Err(seen) => {
                let breach = format!("round {number}: not whole {took:.1?} after it: {seen}");
                striker.tell(&breach);
                verdict.breaches.push(breach);
                return;
            }
        }
    }
}
