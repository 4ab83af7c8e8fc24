//! Several whole keepers on virtual time, in one thread.
//!
//! The keepers run their real actors and decisions. The servers, the ZooKeeper and the network around them fail in
//! every way. One seed decides everything that is drawn. `docs/simulation.md` describes how to run seeds.
//!
//! - `SIMULATION_SEEDS=FROM..TO` (or a count) runs a range of seeds, best with `--release`.
//! - `SIMULATION_SEED=n` runs one seed, and prints its whole trace.
//! - `SIMULATION_UNTIL=RK-n` ends a range at the first seed that breaks that rule.
//! - `SIMULATION_STEP=50` takes every fiftieth seed of a range: a single story.

#![allow(
    clippy::too_many_lines,
    clippy::struct_excessive_bools,
    reason = "the casts and the stories of runs are lists"
)]

use std::collections::BTreeMap;
use std::env;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{process, thread};

// The tree is shared with the embedded coordination, and finds here the items that it imports.
use redis_keeper::ports;

use run::RunResult;
use schedule::FAULTS;

mod clients;
mod faults;
mod keeper;
mod known_bugs;
mod names;
mod network;
mod oracle;
mod peers;
mod proxies;
mod redis;
mod run;
mod schedule;
// The tree of the simulated ZooKeeper is the tree of the embedded coordination.
#[path = "../../src/adapters/embedded/tree.rs"]
mod tree;
mod world;
mod zookeeper;

// A run allocates mostly small boxes; mimalloc is faster for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many seeds a test runs without `SIMULATION_SEEDS`.
const SEEDS: u64 = 20;

/// A run hangs if it takes this much real time: an actor is busy for ever, and virtual time stands still.
const HANGS_AFTER: Duration = Duration::from_mins(2);

/// Runs `run`, and ends the process if the run hangs: a hanging run cannot be interrupted.
fn watched<T>(seed: u64, run: impl FnOnce() -> T) -> T {
    let (ended, watch) = mpsc::channel::<()>();
    let watcher = thread::spawn(move || {
        if watch.recv_timeout(HANGS_AFTER) == Err(RecvTimeoutError::Timeout) {
            eprintln!("seed {seed}: hangs");
            process::exit(101);
        }
    });
    let outcome = run();
    drop(ended);
    watcher.join().expect("it only waits");
    outcome
}

/// Runs all seeds of a range on all cores, and returns how many primaries were withdrawn in them.
///
/// Prints a digest over the traces of all seeds. A change of the code's shape alone leaves the digest equal.
///
/// # Panics
///
/// If a seed broke a rule; the message names those seeds.
fn run_all(seeds: Range<u64>, run: fn(u64, bool) -> RunResult) -> u64 {
    let next = AtomicU64::new(seeds.start);
    let broken = Mutex::new(BTreeMap::new());
    let totals = Mutex::new([0; 5]);
    let until = env::var("SIMULATION_UNTIL").ok();
    let step = env::var("SIMULATION_STEP").ok();
    let step = step.map_or(1, |step| step.parse().expect("SIMULATION_STEP=n"));
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(step, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = watched(seed, || run(seed, false));
                    let mut totals = totals.lock().expect("no panic while it is held");
                    totals[0] += u64::from(outcome.withdrawals);
                    totals[1] += outcome.writes as u64;
                    totals[2] += outcome.lost as u64;
                    totals[3] += u64::from(outcome.delegated_promotions);
                    totals[4] = totals[4].wrapping_add(outcome.digest);
                    drop(totals);
                    if let Some(violation) = outcome.violation {
                        eprintln!(
                            "seed {seed}: {}",
                            violation.lines().next().unwrap_or_default()
                        );
                        if until
                            .as_ref()
                            .is_some_and(|rule| violation.starts_with(rule))
                        {
                            next.store(seeds.end, Ordering::Relaxed);
                        }
                        let mut broken = broken.lock().expect("no panic while it is held");
                        broken.insert(seed, violation);
                    }
                }
            });
        }
    });
    let [withdrawals, writes, lost, delegated_promotions, digest] =
        *totals.lock().expect("no worker is left");
    eprintln!(
        "seeds {seeds:?}: {withdrawals} withdrawals, {delegated_promotions} promotions by others than the leader; \
         {writes} writes acknowledged, {lost} lost; digest {digest:016x}"
    );
    let broken = broken.into_inner().expect("no worker is left");
    if let Some((seed, violation)) = broken.first_key_value() {
        panic!(
            "{} seeds broke a rule; the first: SIMULATION_SEED={seed}\n{violation}",
            broken.len()
        );
    }
    withdrawals
}

/// The seeds that the environment names, or `0..few`.
fn seeds_asked_for(few: u64) -> Range<u64> {
    let Ok(asked) = env::var("SIMULATION_SEEDS") else {
        return 0..few;
    };
    let number = |text: &str| {
        text.trim()
            .parse::<u64>()
            .expect("SIMULATION_SEEDS=FROM..TO or a count")
    };
    match asked.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => 0..number(&asked),
    }
}

/// The seed of `SIMULATION_SEED`, if the variable is set. The keepers' own logs are printed, too.
fn loud_seed() -> Option<u64> {
    let seed = env::var("SIMULATION_SEED").ok()?;
    tracing_subscriber::fmt()
        .without_time()
        .with_writer(std::io::stderr)
        .with_env_filter(env::var("RUST_LOG").unwrap_or_else(|_| "info".into()))
        .init();
    Some(seed.parse().expect("SIMULATION_SEED=n"))
}

#[test]
fn the_safety_rules_hold_at_every_step() {
    if let Some(seed) = loud_seed() {
        let violation = run::run(seed, true).violation;
        assert!(violation.is_none(), "seed {seed} broke a rule");
        return;
    }
    let seeds = seeds_asked_for(SEEDS);
    // A story may be without a withdrawal, but not so many stories one after the other.
    let many = env::var("SIMULATION_STEP").is_err() && seeds.end - seeds.start >= SEEDS;
    let withdrawals = run_all(seeds, run::run);
    assert!(withdrawals > 0 || !many, "no primary was withdrawn");
}

#[test]
fn a_switchover_interrupted_by_any_fault_breaks_no_rule_and_loses_nothing() {
    if let Ok(seed) = env::var("SIMULATION_SEED") {
        let seed = seed.parse().expect("SIMULATION_SEED=n");
        let violation = run::run_interrupted(seed, true).violation;
        assert_eq!(violation, None, "seed {seed}");
        return;
    }
    let seeds = seeds_asked_for(FAULTS);
    let runs = seeds.end - seeds.start;
    let withdrawals = run_all(seeds, run::run_interrupted);
    assert!(withdrawals > runs / 2, "most were under way");
}

#[test]
fn two_groups_at_one_cluster_stop_and_never_call_two_nodes_writable() {
    if let Ok(seed) = env::var("SIMULATION_SEED") {
        let seed = seed.parse().expect("SIMULATION_SEED=n");
        let violation = run::run_groups(seed, true).violation;
        assert_eq!(violation, None, "seed {seed}");
        return;
    }
    run_all(seeds_asked_for(SEEDS), run::run_groups);
}

#[test]
fn write_safety_follows_the_primary_through_all_faults_and_breaks_no_rule() {
    let loud = env::var("SIMULATION_SEED").ok();
    let loud = loud.map(|seed| seed.parse::<u64>().expect("SIMULATION_SEED=n"));
    let seeds = loud.map_or(0..SEEDS / 4, |seed| seed..seed + 1);
    for seed in seeds {
        let outcome = run::run_write_safe(seed, loud.is_some());
        let violation = outcome.violation.unwrap_or_default();
        assert_eq!(violation, "", "seed {seed}");
    }
}

#[test]
fn without_zookeeper_all_keepers_go_on_and_none_does_once_one_of_them_is_gone() {
    let loud = env::var("SIMULATION_SEED").ok();
    let loud = loud.map(|seed| seed.parse::<u64>().expect("SIMULATION_SEED=n"));
    let seeds = loud.map_or(0..SEEDS, |seed| seed..seed + 1);
    for seed in seeds {
        for crash in [false, true] {
            let outcome = run::run_outage(seed, crash, loud.is_some());
            let violation = outcome.violation.unwrap_or_default();
            assert_eq!(violation, "", "seed {seed}, a keeper dies: {crash}");
        }
    }
}

#[test]
fn a_leader_that_sees_no_replica_fails_over_through_the_other_keepers() {
    let loud = env::var("SIMULATION_SEED").ok();
    let loud = loud.map(|seed| seed.parse::<u64>().expect("SIMULATION_SEED=n"));
    let seeds = loud.map_or(0..SEEDS / 5, |seed| seed..seed + 1);
    for seed in seeds {
        let outcome = run::run_blind_leader(seed, loud.is_some());
        let violation = outcome.violation.unwrap_or_default();
        assert_eq!(violation, "", "seed {seed}");
        assert_eq!(
            outcome.delegated_promotions, 1,
            "seed {seed}: promotions by others"
        );
        // Without a task for another keeper, the cluster would wait until the leader sees a replica again or another
        // keeper leads.
        let gap = Duration::from_micros(outcome.gap);
        assert!(
            gap < Duration::from_secs(2),
            "seed {seed}: no primary for {gap:?}"
        );
    }
}

#[test]
fn a_keeper_that_never_returns_delays_no_failover_once_another_has_joined() {
    if let Some(seed) = loud_seed() {
        let violation = run::run_replaced_keeper(seed, true).violation;
        assert_eq!(violation, None, "seed {seed}");
        return;
    }
    let seeds = seeds_asked_for(SEEDS / 4);
    let runs = seeds.end - seeds.start;
    let withdrawals = run_all(seeds, run::run_replaced_keeper);
    assert!(withdrawals >= runs, "the primary died in each");
}

#[test]
fn a_leader_waits_for_the_last_consent_of_a_silent_keeper_that_does_not_ask_it() {
    if let Some(seed) = loud_seed() {
        let violation = run::run_late_leader(seed, true).violation;
        assert_eq!(violation, None, "seed {seed}");
        return;
    }
    let seeds = seeds_asked_for(SEEDS / 2);
    let runs = seeds.end - seeds.start;
    let withdrawals = run_all(seeds, run::run_late_leader);
    assert!(withdrawals > runs / 2, "the primary was withdrawn in most");
}

#[test]
fn a_lost_primary_is_replaced_while_zookeeper_connections_break_at_a_rhythm() {
    let seeds = match loud_seed() {
        Some(seed) => seed..seed + 1,
        None => seeds_asked_for(SEEDS / 2),
    };
    let loud = seeds.end - seeds.start == 1;
    for seed in seeds {
        let outcome = watched(seed, || run::run_unsteady(seed, loud));
        let violation = outcome.violation.unwrap_or_default();
        assert_eq!(violation, "", "seed {seed}");
        assert!(outcome.withdrawals > 0, "seed {seed}: none was withdrawn");
        // If a reconnection voided all older observations, the gap would last as long as the rhythm: more than 20 s.
        let gap = Duration::from_micros(outcome.gap);
        assert!(
            gap < Duration::from_secs(10),
            "seed {seed}: no primary for {gap:?}"
        );
    }
}

#[test]
fn a_keeper_that_stops_while_the_leader_asks_what_it_sees_ends() {
    let loud = env::var("SIMULATION_SEED").ok();
    let loud = loud.map(|seed| seed.parse::<u64>().expect("SIMULATION_SEED=n"));
    // In seed 50 a stopping keeper hung: it read nodes again and again whose monitors had ended.
    let seeds = loud.map_or(47..52, |seed| seed..seed + 1);
    for seed in seeds {
        let outcome = watched(seed, || run::run_stopping(seed, loud.is_some()));
        let violation = outcome.violation.unwrap_or_default();
        assert_eq!(violation, "", "seed {seed}");
    }
}

#[test]
fn the_same_seed_runs_the_same_way() {
    for seed in 0..2 {
        let digests = [(); 2].map(|()| run::run(seed, false).digest);
        assert_eq!(digests[0], digests[1], "seed {seed}");
    }
}
