//! One run: a site drawn from the seed, a phase of faults, and a phase of rest.
//!
//! While there are faults, nothing unsafe may happen. In the rest everything must come to order.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use actix::System;
use redis_keeper::actors::cluster_api::Ruling;
use redis_keeper::domain::node::{ClusterName, NodeAddr};
use tokio::runtime::Builder;
use tokio::task::spawn_local;
use tokio::time::sleep;

use self::order::held_by_replicas;
use self::set_up::called;
use super::clients::{Acknowledged, ask, ask_in_time, primary};
use super::faults::Site;
use super::network::Host;
use super::oracle::Said;
use super::schedule::{CLIENTS, Kind, Planned, Schedule, When};
use super::world::World;

mod groups;
mod haproxies;
mod order;
mod rehearsals;
mod set_up;

pub(crate) use self::groups::run_groups;

/// The lease *L* of the configuration, in microseconds.
pub(crate) const LEASE: u64 = 800_000;
/// The default of `drain-seconds`, in microseconds.
const DRAIN: u64 = 1_200_000;
/// The interval at which all keepers are asked while there are faults.
const SAMPLE: Duration = Duration::from_millis(10);
/// Every eighth sample asks about all nodes, the others only for the primaries.
const EVERYTHING_EVERY: u64 = 8;
/// The interval at which all keepers are asked once the faults are over.
const SLOW_SAMPLE: Duration = Duration::from_millis(100);
/// How long order may take once the faults are over, in microseconds.
const ORDER_WITHIN: u64 = 60_000_000;
/// How long after the faults an operator removes keepers whose hosts are gone, in microseconds.
const TAKEN_OFF_AFTER: u64 = 20_000_000;

/// The result of a run.
pub(crate) struct RunResult {
    pub(crate) violation: Option<String>,
    /// A digest of the trace: the same seed has the same digest.
    pub(crate) digest: u64,
    pub(crate) withdrawals: u32,
    /// How many promotions another keeper than the leader carried out.
    pub(crate) delegated_promotions: u32,
    /// The longest time without a published primary, in microseconds.
    pub(crate) gap: u64,
    /// How many writes clients had acknowledged.
    pub(crate) writes: usize,
    /// How many of these the primary does not hold in the end.
    pub(crate) lost: usize,
}

/// Runs a seed in a runtime of its own, on this thread.
pub(crate) fn run(seed: u64, loud: bool) -> RunResult {
    run_schedule(Schedule::draw(seed), seed, loud)
}

/// Runs a seed with `write-safety: majority` (RK-9).
pub(crate) fn run_write_safe(seed: u64, loud: bool) -> RunResult {
    let schedule = Schedule {
        write_safety: true,
        odd_file: None,
        ..Schedule::draw(seed)
    };
    run_schedule(schedule, seed, loud)
}

/// Runs a seed in which ZooKeeper is away for a while; with `crash`, a keeper dies meanwhile (RK-8).
pub(crate) fn run_outage(seed: u64, crash: bool, loud: bool) -> RunResult {
    run_schedule(Schedule::outage(seed, crash), seed, loud)
}

/// Runs a seed in which the leader loses sight of all replicas, and then the primary dies.
pub(crate) fn run_blind_leader(seed: u64, loud: bool) -> RunResult {
    run_schedule(Schedule::blind_leader(seed), seed, loud)
}

/// Runs a seed in which a keeper dies for good, another joins, and then the primary dies (RK-2).
pub(crate) fn run_replaced_keeper(seed: u64, loud: bool) -> RunResult {
    run_schedule(Schedule::replaced_keeper(seed), seed, loud)
}

/// Runs a seed in which a newcomer leads while other keepers go on by consent, and do not ask the newcomer (RK-2).
pub(crate) fn run_late_leader(seed: u64, loud: bool) -> RunResult {
    run_schedule(Schedule::late_leader(seed), seed, loud)
}

/// Runs a seed in which all connections to ZooKeeper are lost at a rhythm, and the primary is lost meanwhile.
pub(crate) fn run_unsteady(seed: u64, loud: bool) -> RunResult {
    run_schedule(Schedule::unsteady(seed), seed, loud)
}

/// Runs a seed in which a fault interrupts a switchover.
pub(crate) fn run_interrupted(seed: u64, loud: bool) -> RunResult {
    run_schedule(Schedule::interrupted(seed), seed, loud)
}

/// Runs a seed in which the primary freezes, and each keeper is restarted within the next second.
pub(crate) fn run_stopping(seed: u64, loud: bool) -> RunResult {
    run_schedule(Schedule::stopping(seed), seed, loud)
}

fn run_schedule(schedule: Schedule, seed: u64, loud: bool) -> RunResult {
    in_a_runtime(simulate(schedule, seed, loud))
}

fn in_a_runtime(run: impl Future<Output = RunResult>) -> RunResult {
    let runtime = || {
        let builder = &mut Builder::new_current_thread();
        // The run needs no sockets and no processes. Without their drivers, waiting takes no system call.
        let paused = builder.enable_time().start_paused(true);
        paused.build().expect("a runtime")
    };
    System::with_tokio_rt(runtime).block_on(run)
}

async fn simulate(schedule: Schedule, seed: u64, loud: bool) -> RunResult {
    let world = World::new(seed, loud);
    if loud {
        eprintln!("{schedule:#?}");
    }
    let pump = spawn_local(Rc::clone(&world).go_on());
    let run = Run::set_up(schedule, &world);
    run.begin();
    run.watch().await;
    let outcome = run.outcome();
    pump.abort();
    run.end();
    outcome
}

struct Run {
    schedule: Schedule,
    site: Rc<Site>,
    nodes: BTreeMap<ClusterName, Vec<(NodeAddr, Host)>>,
    ledger: Rc<RefCell<Vec<Acknowledged>>>,
    /// The acknowledged writes that all replicas held just before the only fault (RK-7).
    safe: Rc<RefCell<BTreeSet<u64>>>,
}

impl Run {
    /// Starts keepers and clients, and schedules the faults.
    fn begin(&self) {
        let (site, world) = (&self.site, &self.site.around.world);
        let mut waiting: Vec<Planned> = Vec::new();
        for planned in self.schedule.faults.iter().cloned() {
            match planned.when {
                When::At(at) => {
                    let (site, safe) = (Rc::clone(site), Rc::clone(&self.safe));
                    let only = matches!(self.schedule.kind, Kind::RebirthOnly | Kind::PowerCut);
                    world.at(at, move || {
                        if only {
                            safe.borrow_mut().extend(held_by_replicas(&site));
                        }
                        site.strike(&planned);
                    });
                }
                When::Withdrawal { .. } | When::Choice { .. } => waiting.push(planned),
            }
        }
        if self.schedule.kind == Kind::Drained {
            self.expect_successors();
        }
        let healed = self.schedule.healed;
        let (watching, counted) = (Rc::downgrade(site), Cell::new((0, 0)));
        site.around.ensemble.watched_by(move |tree, changes| {
            let Some(site) = watching.upgrade() else {
                return;
            };
            if site.oracle.committed(&site.around.fleet, tree, changes) {
                site.keepers.iter().for_each(|keeper| keeper.ask());
            }
            let (withdrawals, choices) = (site.oracle.withdrawals(), site.oracle.choices());
            let world = &site.around.world;
            let before = counted.replace((withdrawals, choices));
            if before == (withdrawals, choices) || world.now() >= healed {
                return;
            }
            for planned in &waiting {
                let (since, until, number, after) = match planned.when {
                    When::At(_) => continue,
                    When::Withdrawal { number, after } => (before.0, withdrawals, number, after),
                    When::Choice { number, after } => (before.1, choices, number, after),
                };
                if since < number && number <= until {
                    let (site, planned) = (Rc::clone(&site), planned.clone());
                    world.after(after, move || {
                        if site.around.world.now() < healed {
                            site.strike(&planned);
                        }
                    });
                }
            }
        });
        for keeper in site.keepers.iter() {
            let (site, id) = (Rc::downgrade(site), keeper.id.clone());
            let nodes = self.nodes.iter();
            let nodes: Vec<_> = nodes
                .map(|(name, nodes)| (name.clone(), nodes[0].0.clone()))
                .collect();
            keeper.asked_by(move |voice| {
                for (cluster, node) in &nodes {
                    let (cluster, node) = (cluster.clone(), node.clone());
                    let (here, id, voice) = (site.clone(), id.clone(), voice.clone());
                    let Some(site) = site.upgrade() else { return };
                    let acknowledged = site.oracle.acknowledged(&id);
                    spawn_local(async move {
                        let answer = ask_in_time(&voice.clusters, &cluster, &node).await;
                        if let Some(site) = here.upgrade() {
                            let when = voice.earned(answer.deadline, &site.around.world);
                            let said = Said::of(
                                id,
                                (&cluster, &cluster),
                                &node,
                                &answer,
                                when,
                                acknowledged,
                            );
                            let said = said.by(&voice, &site.around.world);
                            site.oracle.heard(&[said]);
                        }
                    });
                }
            });
            let keeper = Rc::clone(keeper);
            world.after(world.draw(0..=1_500_000), move || keeper.start());
        }
        for number in 0..self.nodes.len() {
            self.let_haproxies_ask(number);
        }
        if matches!(self.schedule.kind, Kind::ToBeReplaced | Kind::DiskFull) {
            self.judge_replacement();
        }
        let healing = Rc::clone(site);
        world.at(healed, move || healing.heal());
    }

    /// Judges, at the end of the only fault, that the primary has been replaced (RK-2).
    fn judge_replacement(&self) {
        let site = Rc::clone(&self.site);
        let end = self.schedule.healed - 1;
        self.site.around.world.at(end, move || {
            if site.oracle.withdrawals() == 0 {
                site.around.world.violated(format_args!(
                    "RK-2: a primary that serves nobody is not replaced"
                ));
            }
        });
    }

    /// Asks all keepers again and again, until a rule is broken or everything is in order.
    async fn watch(&self) {
        let world = &self.site.around.world;
        let healed = self.schedule.healed;
        let rest = Duration::from_micros(self.schedule.rest);
        let enough = 10 + rest.as_millis() / SLOW_SAMPLE.as_millis();
        let mut in_order = 0;
        let mut taken_off = false;
        for sample in 0_u64.. {
            if world.violation().is_some() {
                return;
            }
            let now = world.now();
            if now > healed + TAKEN_OFF_AFTER && !taken_off {
                taken_off = true;
                self.take_off_retired();
            }
            // Every eighth sample asks about all nodes. The samples between ask for the primary: one question a
            // cluster.
            let said = if now >= healed || sample.is_multiple_of(EVERYTHING_EVERY) {
                let said = self.ask_all().await;
                self.judge_servers(&said);
                said
            } else {
                self.ask_for_primaries().await
            };
            self.site.oracle.heard(&said);
            self.judge_failsafe(&said, now);
            self.judge_gap(now);
            // The last fault may end after everything was healed.
            if now <= healed + 8_000_000 {
                sleep(if now < healed { SAMPLE } else { SLOW_SAMPLE }).await;
                continue;
            }
            match self.disorder(&said) {
                None => in_order += 1,
                Some(what) if now > healed + ORDER_WITHIN + self.schedule.rest => {
                    world.violated(format_args!("RK-5: no order within a minute: {what}"));
                }
                Some(_) => in_order = 0,
            }
            if in_order == enough {
                self.judge_losses();
                self.judge_rehearsals();
                return self.lost_safe_writes();
            }
            sleep(SLOW_SAMPLE).await;
        }
    }

    /// Removes keepers whose hosts are gone, as an operator does: only an operator knows that such a keeper does not
    /// run (RK-8).
    fn take_off_retired(&self) {
        for keeper in self.site.keepers.iter().filter(|keeper| keeper.retired()) {
            self.site.around.interfaces.take_off(&keeper.id);
        }
    }

    async fn ask_for_primaries(&self) -> Vec<Said> {
        let mut said = Vec::new();
        for (number, keeper) in self.site.keepers.iter().enumerate() {
            let Some(voice) = keeper.answering() else {
                continue;
            };
            for cluster in self.nodes.keys() {
                let acknowledged = self.site.oracle.acknowledged(&keeper.id);
                let called = called(number, &self.schedule, cluster);
                let status = primary(&voice.clusters, &called).await;
                if let Some((node, deadline, consented)) = status {
                    let (earned, at) = voice.earned(deadline, &self.site.around.world);
                    let one = Said {
                        keeper: keeper.id.clone(),
                        cluster: cluster.clone(),
                        called,
                        node,
                        ruling: Ruling::Yes,
                        generation: None,
                        earned: earned.filter(|_| !consented),
                        at,
                        acknowledged,
                        consented,
                        refuses: false,
                        firmly: false,
                        session_over: None,
                        distrusted: false,
                    };
                    said.push(one.by(&voice, &self.site.around.world));
                }
            }
        }
        said
    }

    async fn ask_all(&self) -> Vec<Said> {
        let mut said = Vec::new();
        for (number, keeper) in self.site.keepers.iter().enumerate() {
            let Some(voice) = keeper.answering() else {
                continue;
            };
            for (cluster, nodes) in &self.nodes {
                let called = called(number, &self.schedule, cluster);
                for (node, _) in nodes {
                    let acknowledged = self.site.oracle.acknowledged(&keeper.id);
                    let answer = ask(&voice.clusters, &called, node).await;
                    let when = voice.earned(answer.deadline, &self.site.around.world);
                    let id = keeper.id.clone();
                    let one = Said::of(id, (cluster, &called), node, &answer, when, acknowledged);
                    said.push(one.by(&voice, &self.site.around.world));
                }
            }
        }
        said
    }

    fn judge_servers(&self, said: &[Said]) {
        let around = &self.site.around;
        let hosts: Vec<Host> = self.site.keepers.iter().map(|it| it.host).collect();
        let links = (&*around.network, &hosts[..], CLIENTS);
        let oracle = &self.site.oracle;
        oracle.judge_refusals(&around.fleet, links, said);
        // A leader whose file lacks a node of the cluster steps down first, and takes some seconds to decide that.
        if self.schedule.odd_file.is_none() {
            oracle.judge_deposed(&around.fleet, &around.network, &hosts);
        }
    }

    fn outcome(&self) -> RunResult {
        let world = &self.site.around.world;
        let fleet = &self.site.around.fleet;
        let ledger = self.ledger.borrow();
        let held = |it: &Acknowledged| {
            let primary = self.site.oracle.primary(&it.cluster);
            let server = primary.and_then(|addr| fleet.server(&addr).cloned());
            server.is_some_and(|server| server.holds(it.write))
        };
        let lost = ledger.iter().filter(|it| !held(it)).count();
        RunResult {
            violation: world.violation(),
            digest: world.digest(),
            withdrawals: self.site.oracle.withdrawals(),
            delegated_promotions: self.site.oracle.delegated_promotions(),
            gap: self.site.oracle.longest_gap(),
            writes: ledger.len(),
            lost,
        }
    }

    fn end(self) {
        for keeper in self.site.keepers.iter() {
            keeper.crash();
        }
        self.site.around.ensemble.unwatched();
        self.site.around.world.end();
    }
}
