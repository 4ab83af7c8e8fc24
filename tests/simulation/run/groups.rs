//! Two groups of keepers, each with its own ZooKeeper, manage the same servers (RK-12).

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use redis_keeper::actors::cluster_api::{ClusterView, InspectCluster, Ruling};
use redis_keeper::actors::messages::Switchover;
use redis_keeper::domain::node::{ClusterName, NodeAddr};
use redis_keeper::domain::observed::Requested;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::set_up::config;
use super::{RunResult, in_a_runtime};
use crate::clients::ask;
use crate::keeper::{Keeper, Surroundings};
use crate::network::{Cut, Host, Network};
use crate::peers::Interfaces;
use crate::redis::{Fleet, Rebirth};
use crate::schedule::{Addressing, ENSEMBLE, KEEPERS, Schedule};
use crate::world::{World, note};
use crate::zookeeper::Ensemble;

/// The interval at which the keepers are asked.
const SAMPLE: Duration = Duration::from_millis(10);

/// The span in which the keepers of a late group start, in microseconds.
const LATE: std::ops::RangeInclusive<u64> = 6_000_000..=14_000_000;

/// The time at which one group ends, and the end of the run, in microseconds.
const ALONE: u64 = 60_000_000;
const END: u64 = 110_000_000;

/// How long a change that was begun may go on after both groups know each other, in microseconds: a promotion on its
/// way.
const SETTLES: u64 = 3_000_000;

/// The interval at which a client takes the name of a keeper again, in microseconds.
const IMITATES_EVERY: u64 = 500_000;

/// The time at which the other group is forgotten and only its name is left, and the limit for a failover then, in
/// microseconds.
const NAMED_ONLY: u64 = ALONE + 35_000_000;
const REPLACED_WITHIN: u64 = 5_000_000;

/// The most promotions in a run: each group may undo three changes before its breaker trips, and an operator asks for
/// two more.
const PROMOTIONS: u32 = 12;

/// Runs a seed with two groups.
pub(crate) fn run_groups(seed: u64, loud: bool) -> RunResult {
    in_a_runtime(simulate(seed, loud))
}

/// Two groups and their servers.
struct Shared {
    world: Rc<World>,
    fleet: Rc<Fleet>,
    groups: [Vec<Rc<Keeper>>; 2],
    cluster: ClusterName,
    nodes: Vec<NodeAddr>,
    hosts: BTreeMap<NodeAddr, Host>,
    network: Rc<Network>,
    /// The second group begins while the first group leads, and loses the primary soon after it has published the
    /// primary.
    late: bool,
    /// The second group has lost the primary.
    lost: Cell<bool>,
    /// Keepers freeze at times, and do not answer the other group then.
    pauses: bool,
    /// Since when every keeper knows of the other group, in microseconds.
    mutual: Cell<Option<u64>>,
    /// The groups cannot reach each other's HTTP interfaces.
    deaf: bool,
    /// Once one group is left, a client takes the name of a keeper of another group, and the primary dies.
    imitated: bool,
    /// When the primary died, in microseconds.
    died: Cell<Option<u64>>,
}

async fn simulate(seed: u64, loud: bool) -> RunResult {
    let world = World::new(seed, loud);
    let pump = spawn_local(Rc::clone(&world).go_on());
    let shared = Rc::new(Shared::set_up(seed, &world));
    shared.begin();
    shared.watch().await;
    let outcome = RunResult {
        violation: world.violation(),
        digest: world.digest(),
        withdrawals: 0,
        delegated_promotions: 0,
        gap: 0,
        writes: 0,
        lost: 0,
    };
    pump.abort();
    shared
        .groups
        .iter()
        .flatten()
        .for_each(|keeper| keeper.crash());
    world.end();
    outcome
}

impl Shared {
    fn set_up(seed: u64, world: &Rc<World>) -> Self {
        let schedule = Schedule {
            keepers: 4,
            nodes: 3,
            clusters: 1,
            colocated: false,
            mark_down: 1_000,
            failsafe: None,
            addressing: Addressing::Own,
            ..Schedule::draw(seed)
        };
        let network = Network::new(Rc::clone(world), schedule.latency);
        let fleet = Fleet::new(Rc::clone(world), Rc::clone(&network), false);
        let node = |number| {
            let addr = NodeAddr::new(format!("10.0.0.{}", number + 1), 6379);
            (addr, schedule.server_host(number))
        };
        let cluster = ClusterName::new("cluster-0");
        let nodes: Vec<_> = (0..schedule.nodes).map(node).collect();
        let clusters = BTreeMap::from([(cluster.clone(), nodes.clone())]);
        fleet.populate(&clusters);
        fleet.tells_of_clients();
        let interfaces = Interfaces::new(Rc::clone(world), Rc::clone(&network), Addressing::Own);
        let deaf = world.happens(30);
        let (late, pauses) = (world.happens(50), world.happens(30));
        interfaces.deaf_to_groups(deaf);
        let sizes = [world.draw(1..=2), world.draw(1..=2)];
        let mut number = 0;
        let groups = [0, 1].map(|group: Host| {
            let around = Surroundings {
                world: Rc::clone(world),
                network: Rc::clone(&network),
                ensemble: Ensemble::new(Rc::clone(world), Rc::clone(&network), ENSEMBLE + group),
                fleet: Rc::clone(&fleet),
                interfaces: Rc::clone(&interfaces),
            };
            let keepers = (0..sizes[usize::from(group)]).map(|_| {
                let host = KEEPERS + Host::try_from(number).expect("few hosts");
                let keeper = Keeper::new(&around, config(number, &schedule, &clusters), host, 0);
                number += 1;
                keeper
            });
            keepers.collect()
        });
        Self {
            world: Rc::clone(world),
            fleet,
            groups,
            cluster,
            hosts: nodes.iter().cloned().collect(),
            nodes: nodes.into_iter().map(|(addr, _)| addr).collect(),
            network,
            late,
            lost: Cell::default(),
            pauses,
            mutual: Cell::default(),
            deaf,
            // Drawn from a generator of its own, so that the other draws of a seed stay what they are.
            imitated: StdRng::seed_from_u64(seed ^ 0x001d_0a4e).random_range(0..100) < 30,
            died: Cell::default(),
        }
    }

    /// Starts the keepers, and has operators and faults interfere.
    fn begin(self: &Rc<Self>) {
        let world = &self.world;
        for (group, keepers) in self.groups.iter().enumerate() {
            let starts = if self.late && group == 1 {
                LATE
            } else {
                0..=3_000_000
            };
            for keeper in keepers {
                let keeper = Rc::clone(keeper);
                world.after(world.draw(starts.clone()), move || keeper.start());
            }
        }
        for _ in 0..world.draw(1..=2) {
            let at = world.draw(3_000_000..=15_000_000);
            let (shared, group) = (Rc::clone(self), usize::from(world.happens(50)));
            world.at(at, move || shared.switch_over(group));
        }
        if world.happens(40) {
            let at = world.draw(5_000_000..=30_000_000);
            let (shared, number) = (Rc::clone(self), world.draw(0..=2));
            let addr = self.nodes[usize::try_from(number).expect("small")].clone();
            let back = world.draw(200_000..=5_000_000);
            world.at(at, move || shared.kill(&addr, back));
        }
        if self.pauses {
            let at = world.draw(5_000_000..=30_000_000);
            let keeper = Rc::clone(&self.groups[usize::from(world.happens(50))][0]);
            let (paused, lasts) = (Rc::clone(&keeper), world.draw(300_000..=5_000_000));
            world.at(at, move || paused.pause(true));
            world.at(at + lasts, move || keeper.pause(false));
        }
        if self.imitated {
            let shared = Rc::clone(self);
            world.at(ALONE, move || shared.imitate());
        }
        let others = self.groups[1].clone();
        world.at(ALONE, move || {
            for keeper in &others {
                keeper.crash();
            }
        });
    }

    /// Has a client connect to every server by a name that a keeper would take, again and again, since servers end
    /// clients' connections.
    fn imitate(self: &Rc<Self>) {
        let servers = self.nodes.iter().filter_map(|it| self.fleet.server(it));
        servers.for_each(|server| server.imitate_prober());
        let shared = Rc::clone(self);
        let again = move || shared.imitate();
        self.world.after(IMITATES_EVERY, again);
    }

    /// Judges that a name alone holds nothing: a primary that dies is replaced.
    fn judge_name(self: &Rc<Self>, now: u64, yes: &BTreeMap<NodeAddr, String>) {
        if !self.imitated || now < NAMED_ONLY {
            return;
        }
        match (self.died.get(), yes.keys().next()) {
            (None, Some(primary)) => {
                self.died.set(Some(now));
                self.kill(primary, REPLACED_WITHIN + 500_000);
            }
            (Some(died), _)
                if now >= died + REPLACED_WITHIN && self.fleet.promotions_since(died) == 0 =>
            {
                self.world.violated(format_args!(
                    "RK-12: a primary that died is not replaced, though no other group is known but by a name"
                ));
            }
            _ => {}
        }
    }

    fn kill(self: &Rc<Self>, addr: &NodeAddr, back: u64) {
        let server = self.fleet.server(addr).expect("one of ours");
        self.fleet.kill(server);
        let (fleet, server) = (Rc::clone(&self.fleet), Rc::clone(server));
        self.world
            .after(back, move || fleet.start(&server, Rebirth::Whole));
    }

    fn switch_over(&self, group: usize) {
        for keeper in &self.groups[group] {
            let Some(voice) = keeper.answering() else {
                continue;
            };
            let Some(actor) = voice.clusters.get(self.cluster.as_str()) else {
                continue;
            };
            let reason = "simulated".to_owned();
            let (world, id) = (Rc::clone(&self.world), keeper.id.clone());
            spawn_local(async move {
                let outcome = actor.send(Switchover(Requested { to: None, reason })).await;
                note!(world, "{id} on the switchover: {outcome:?}");
            });
        }
    }

    async fn watch(self: &Rc<Self>) {
        loop {
            let now = self.world.now();
            if self.world.violation().is_some() {
                return;
            }
            if now >= END {
                return self.judge_order().await;
            }
            self.lose_the_primary().await;
            let yes = self.writable().await;
            let knows = now < ALONE && self.all_know().await;
            self.judge(now, knows, &yes);
            self.judge_name(now, &yes);
            sleep(SAMPLE).await;
        }
    }

    /// Once the late group has published the primary, cuts the group's hosts off from the primary, at once or soon.
    async fn lose_the_primary(self: &Rc<Self>) {
        if !self.late || self.lost.get() {
            return;
        }
        let Some(published) = self
            .view(&self.groups[1][0])
            .await
            .and_then(|it| it.published)
        else {
            return;
        };
        let Some(host) = published
            .primary
            .and_then(|it| self.hosts.get(&it).copied())
        else {
            return;
        };
        self.lost.set(true);
        let world = &self.world;
        let (shared, back) = (Rc::clone(self), world.draw(5_000_000..=15_000_000));
        world.after(world.draw(0..=3_000_000), move || {
            note!(
                shared.world,
                "the second group loses the primary at host {host}"
            );
            for keeper in &shared.groups[1] {
                for way in [(keeper.host, host), (host, keeper.host)] {
                    shared.network.sever(way, Cut::Silent);
                    let network = Rc::clone(&shared.network);
                    shared.world.after(back, move || network.heal(way));
                }
            }
        });
    }

    /// The nodes that keepers call writable, each with a keeper that does.
    async fn writable(&self) -> BTreeMap<NodeAddr, String> {
        let mut yes = BTreeMap::new();
        for keeper in self.groups.iter().flatten() {
            let Some(voice) = keeper.answering() else {
                continue;
            };
            for node in &self.nodes {
                let answer = ask(&voice.clusters, &self.cluster, node).await;
                if answer.reason.ruling() == Ruling::Yes {
                    yes.insert(node.clone(), keeper.id.to_string());
                }
            }
        }
        yes
    }

    async fn all_know(&self) -> bool {
        for keeper in self.groups.iter().flatten() {
            let view = self.view(keeper).await;
            if view.is_none_or(|view| view.other_groups.is_empty()) {
                return false;
            }
        }
        true
    }

    fn judge(&self, now: u64, knows: bool, yes: &BTreeMap<NodeAddr, String>) {
        let promotions = self.fleet.promotions_since(0);
        if promotions > PROMOTIONS {
            self.world.violated(format_args!(
                "RK-12: {promotions} promotions, {PROMOTIONS} allowed"
            ));
        }
        let since = self.mutual.get().filter(|_| knows);
        if knows && since.is_none() {
            note!(self.world, "both groups know each other");
        }
        self.mutual.set(knows.then(|| since.unwrap_or(now)));
        if yes.len() > 1 && !self.deaf && !self.pauses {
            self.world.violated(format_args!(
                "RK-12: groups that could meet call writable: {yes:?}"
            ));
        }
        if let Some(settled) = since.map(|since| since + SETTLES).filter(|at| now >= *at) {
            if yes.len() > 1 {
                self.world.violated(format_args!(
                    "RK-12: groups that know each other call writable: {yes:?}"
                ));
            }
            if self.fleet.promotions_since(settled) > 0 {
                self.world.violated(format_args!(
                    "RK-12: a promotion though both groups know each other"
                ));
            }
        }
        if (ALONE - 1_000_000..ALONE - 100_000).contains(&now) && !self.deaf && !knows {
            self.world.violated(format_args!(
                "RK-12: the groups have not met within a minute"
            ));
        }
    }

    /// Judges that the group that is left goes on alone, unless its breaker has tripped.
    async fn judge_order(&self) {
        let yes = self.writable().await;
        let primaries: BTreeSet<_> = yes.keys().cloned().collect();
        let follows = |node: &NodeAddr| {
            let server = self.fleet.server(node).expect("one of ours");
            server.condition().follows
        };
        let mut nodes = self.nodes.iter();
        let one = primaries.len() == 1;
        let order = one && nodes.all(|node| follows(node).as_ref() == primaries.first());
        if !order && !self.tripped().await {
            let seen: Vec<_> = self.nodes.iter().map(|it| (it, follows(it))).collect();
            self.world.violated(format_args!(
                "RK-12: no order once one group is left: {yes:?}, {seen:?}"
            ));
        }
    }

    async fn tripped(&self) -> bool {
        let view = self.view(&self.groups[0][0]).await;
        view.and_then(|view| view.published)
            .is_some_and(|it| it.breaker)
    }

    async fn view(&self, keeper: &Keeper) -> Option<ClusterView> {
        let actor = keeper.answering()?.clusters.get(self.cluster.as_str())?;
        let view = timeout(Duration::from_millis(1), actor.send(InspectCluster)).await;
        view.ok()?.ok()
    }
}
