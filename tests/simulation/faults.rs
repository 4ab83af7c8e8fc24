//! How a planned fault is applied to the site, and how the fault is undone.

use std::collections::BTreeSet;
use std::rc::Rc;

use redis_keeper::actors::messages::Switchover;
use redis_keeper::domain::node::{ClusterName, NodeAddr};
use redis_keeper::domain::observed::Requested;
use redis_keeper::layout::paths;

use tokio::task::spawn_local;

use super::keeper::{Keeper, Surroundings};
use super::network::{Cut, Host};
use super::oracle::Oracle;
use super::redis::{Ailment, Rebirth};
use super::schedule::{Called, ENSEMBLE, Fault, HOSTS, Node, Planned, Which};
use super::world::note;

/// Everything that faults are applied to.
pub(crate) struct Site {
    pub(crate) around: Surroundings,
    pub(crate) keepers: Rc<Vec<Rc<Keeper>>>,
    pub(crate) nodes: Vec<NodeAddr>,
    pub(crate) clusters: Vec<ClusterName>,
    pub(crate) oracle: Rc<Oracle>,
}

type Undo = Box<dyn FnOnce(&Site)>;

impl Site {
    /// Applies a fault now, and undoes it after `lasts` microseconds.
    pub(crate) fn strike(self: &Rc<Self>, planned: &Planned) {
        let Planned { lasts, fault, .. } = planned;
        note!(
            self.around.world,
            "FAULT {fault:?} for {} ms",
            lasts / 1_000
        );
        self.oracle.fault_begins();
        let undo = self.begin(*fault, *lasts);
        let site = Rc::clone(self);
        self.around.world.after(*lasts, move || {
            undo(&site);
            site.oracle.fault_ends();
        });
    }

    /// Sends the request for a switchover to every keeper; only the leader carries it out.
    fn switch_over(&self, cluster: usize, to: Option<usize>) {
        let name = &self.clusters[cluster];
        let nodes = self.nodes.len() / self.clusters.len();
        let to = to.map(|number| self.nodes[cluster * nodes + number].clone());
        let reason = "simulated".to_owned();
        let requested = Requested { to, reason };
        for keeper in self.keepers.iter() {
            let voice = keeper.answering();
            if let Some(actor) = voice.and_then(|voice| voice.clusters.get(name.as_str())) {
                let switchover = Switchover(requested.clone());
                let (world, id) = (Rc::clone(&self.around.world), keeper.id.clone());
                spawn_local(async move {
                    let outcome = actor.send(switchover).await;
                    note!(world, "{id} on the switchover: {outcome:?}");
                });
            }
        }
    }

    fn begin(&self, fault: Fault, lasts: u64) -> Undo {
        let network = &self.around.network;
        match fault {
            Fault::Pause(which) => {
                let keeper = self.keeper(which);
                keeper.pause(true);
                Box::new(move |_| keeper.pause(false))
            }
            Fault::Stun(which) => {
                let keeper = self.keeper(which);
                keeper.stun();
                Box::new(move |_| keeper.pause(false))
            }
            Fault::Crash(which) => {
                let keeper = self.keeper(which);
                keeper.crash();
                Box::new(move |_| keeper.start())
            }
            Fault::Retire(which) => {
                self.keeper(which).retire();
                Box::new(|_| {})
            }
            Fault::Join(number) => {
                self.keepers[number].join();
                Box::new(|_| {})
            }
            Fault::Stop(which) => {
                self.keeper(which).stop();
                Box::new(|_| {})
            }
            Fault::Restart(which) => {
                let keeper = self.keeper(which);
                keeper.stop();
                Box::new(move |_| keeper.start())
            }
            Fault::Expire(which) => {
                if let Some(session) = self.session(which) {
                    self.around.ensemble.expire(session);
                }
                Box::new(|_| {})
            }
            Fault::Disconnect(which) => {
                if let Some(session) = self.session(which) {
                    self.around.ensemble.drop_connection(session, lasts);
                }
                Box::new(|_| {})
            }
            Fault::Believe(which) => {
                let session = self.session(which);
                if let Some(session) = session {
                    self.around.ensemble.cut_follower(session, true);
                }
                Box::new(move |site| {
                    if let Some(session) = session {
                        site.around.ensemble.cut_follower(session, false);
                    }
                })
            }
            Fault::Continue => {
                self.keepers.iter().for_each(|keeper| keeper.pause(false));
                Box::new(|_| {})
            }
            Fault::Upheaval => self.upheaval(),
            Fault::Outage => {
                self.around.ensemble.set_up(false);
                Box::new(|site| site.around.ensemble.set_up(true))
            }
            Fault::Kill(node, rebirth) => self.kill(node, rebirth),
            Fault::Wander(number) => {
                if let Some(server) = self.around.fleet.server(&self.nodes[number]) {
                    self.around.fleet.wander(server);
                }
                Box::new(|_| {})
            }
            Fault::Squat(node, squatter) => {
                let fleet = &self.around.fleet;
                let Some(server) = fleet.server(&self.node(node)).cloned() else {
                    return Box::new(|_| {});
                };
                fleet.squat(&server, squatter);
                Box::new(move |site| site.around.fleet.start(&server, Rebirth::Whole))
            }
            Fault::Drain(cluster) => {
                let primary = self.node(Node::Primary(cluster));
                if let Some(server) = self.around.fleet.server(&primary) {
                    self.around.fleet.drain(server);
                }
                Box::new(|_| {})
            }
            Fault::Freeze(node) => {
                let Some(server) = self.around.fleet.server(&self.node(node)).cloned() else {
                    return Box::new(|_| {});
                };
                self.around.fleet.freeze(&server);
                Box::new(move |site| site.around.fleet.thaw(&server))
            }
            Fault::Ail(node, ailment) => {
                let Some(server) = self.around.fleet.server(&self.node(node)).cloned() else {
                    return Box::new(|_| {});
                };
                self.around.fleet.ail(&server, ailment);
                Box::new(move |site| site.around.fleet.cure(&server))
            }
            Fault::End(node, called) => {
                let Some(server) = self.around.fleet.server(&self.node(node)).cloned() else {
                    return Box::new(|_| {});
                };
                self.around.fleet.ail(&server, Ailment::Ending);
                Box::new(move |site| match called {
                    Called::On => site.around.fleet.end(&server),
                    Called::Off => site.around.fleet.cure(&server),
                })
            }
            Fault::Isolate(host) => {
                let ways: Vec<_> = (0..HOSTS)
                    .flat_map(|other| [(host, other), (other, host)])
                    .collect();
                self.sever(ways, Cut::Silent)
            }
            Fault::Sever(one, other, cut) => self.sever(vec![(one, other), (other, one)], cut),
            Fault::SeverOneWay(from, to, cut) => self.sever(vec![(from, to)], cut),
            Fault::Blind(host, cut) => {
                let leader = self.keeper(Which::Leader).host;
                self.sever(vec![(leader, host), (host, leader)], cut)
            }
            Fault::BlindOthers(host, cut) => {
                let leader = self.keeper(Which::Leader).host;
                let others = self.keepers.iter().map(|keeper| keeper.host);
                let others = others.filter(|other| *other != leader);
                let ways = others.flat_map(|other| [(other, host), (host, other)]);
                self.sever(ways.collect(), cut)
            }
            Fault::Unreachable(node, cut) => {
                let ways = self.ways_to_keepers(node);
                self.sever(ways, cut)
            }
            Fault::Barred(node, after) => {
                let ways = self.ways_to_keepers(Some(node));
                let (network, barred) = (Rc::clone(network), ways.clone());
                self.around.world.after(after, move || {
                    for way in barred {
                        network.sever(way, Cut::Resets);
                    }
                });
                self.sever(ways, Cut::Silent)
            }
            Fault::Switchover(cluster, to) => {
                self.switch_over(cluster, to);
                Box::new(|_| {})
            }
            Fault::Mute(host) => {
                network.mute(host);
                Box::new(|_| {})
            }
            Fault::MuteAll => self.mute_all(),
            Fault::MoveName(number) => self.move_name(self.nodes[number].clone()),
            Fault::Mislead(number) => self.mislead(self.nodes[number].clone()),
            Fault::NoNames => {
                self.around.fleet.resolves_no_names(true);
                Box::new(|site| site.around.fleet.resolves_no_names(false))
            }
            Fault::Imitate => {
                let servers = self.around.fleet.servers();
                servers.for_each(|server| server.imitate_keeper());
                Box::new(|_| {})
            }
            Fault::Slow(host, most) => {
                network.slow_down(host, most);
                Box::new(move |site| site.around.network.slow_down(host, 0))
            }
        }
    }

    /// The ways between all keepers and the host of `node`, in both directions; with `None`, the hosts of all nodes.
    fn ways_to_keepers(&self, node: Option<Node>) -> Vec<(Host, Host)> {
        let fleet = &self.around.fleet;
        let nodes = node.map_or_else(|| self.nodes.clone(), |node| vec![self.node(node)]);
        let servers = nodes.iter().filter_map(|node| fleet.server(node));
        let hosts: BTreeSet<_> = servers.map(|server| server.host).collect();
        let ways = self.keepers.iter().flat_map(|keeper| {
            let host = keeper.host;
            hosts
                .iter()
                .flat_map(move |other| [(host, *other), (*other, host)])
        });
        ways.collect()
    }

    fn mute_all(&self) -> Undo {
        for server in self.around.fleet.servers() {
            self.around.network.mute(server.host);
        }
        self.oracle.none_is_silent_from(self.around.world.now());
        Box::new(|_| {})
    }

    /// Moves the name of a replica to another server. The name of a primary stays where it is.
    fn move_name(&self, addr: NodeAddr) -> Undo {
        let fleet = &self.around.fleet;
        let replica = fleet.server(&addr).cloned();
        let replica = replica.filter(|it| it.condition().follows.as_ref() != Some(&addr));
        if let Some(replica) = replica {
            fleet.move_name(&replica);
        }
        Box::new(move |site| site.around.fleet.move_name_back(&addr))
    }

    fn mislead(&self, addr: NodeAddr) -> Undo {
        let fleet = &self.around.fleet;
        if let Some(server) = fleet.server(&addr) {
            fleet.mislead(server);
        }
        Box::new(move |site| {
            let fleet = &site.around.fleet;
            fleet
                .server(&addr)
                .into_iter()
                .for_each(|it| fleet.lead_back(it));
        })
    }

    fn kill(&self, node: Node, rebirth: Rebirth) -> Undo {
        let fleet = &self.around.fleet;
        let Some(server) = fleet.server(&self.node(node)).cloned() else {
            return Box::new(|_| {});
        };
        fleet.kill(&server);
        Box::new(move |site| site.around.fleet.start(&server, rebirth))
    }

    fn upheaval(&self) -> Undo {
        let Surroundings {
            world, ensemble, ..
        } = &self.around;
        let mut cut = Vec::new();
        for keeper in self.keepers.iter() {
            match world.draw(0..=2) {
                0 => {
                    keeper.crash();
                    let keeper = Rc::clone(keeper);
                    world.after(world.draw(1_000..=200_000), move || keeper.start());
                }
                1 => cut.extend([(keeper.host, ENSEMBLE), (ENSEMBLE, keeper.host)]),
                _ => {}
            }
            for session in ensemble.sessions_of(keeper.host) {
                ensemble.expire(session);
            }
        }
        self.sever(cut, Cut::Silent)
    }

    fn sever(&self, ways: Vec<(Host, Host)>, cut: Cut) -> Undo {
        for way in &ways {
            self.around.network.sever(*way, cut);
        }
        Box::new(move |site| {
            for way in ways {
                site.around.network.heal(way);
            }
        })
    }

    fn keeper(&self, which: Which) -> Rc<Keeper> {
        let number = match which {
            Which::Number(number) => Some(number),
            Which::Leader => self.leader(),
        };
        Rc::clone(&self.keepers[number.unwrap_or(0)])
    }

    /// The keeper that leads: the latch node with the lowest sequence number is that keeper's.
    pub(crate) fn leader(&self) -> Option<usize> {
        let latches = self.around.ensemble.tree().children(paths::LEADER)?;
        let first = latches
            .iter()
            .filter_map(|name| paths::latch_name(name))
            .min()?;
        self.keepers
            .iter()
            .position(|keeper| keeper.id == first.keeper)
    }

    fn session(&self, which: Which) -> Option<i64> {
        let host = self.keeper(which).host;
        self.around.ensemble.sessions_of(host).last().copied()
    }

    fn node(&self, node: Node) -> NodeAddr {
        let primary = match node {
            Node::Number(number) => return self.nodes[number].clone(),
            Node::Primary(cluster) => self.oracle.primary(&self.clusters[cluster]),
        };
        primary.unwrap_or_else(|| self.nodes[0].clone())
    }

    /// Undoes every fault: network, ensemble, keepers and servers.
    pub(crate) fn heal(&self) {
        note!(self.around.world, "everything is healed");
        self.oracle.fault_begins();
        self.around.network.heal_all();
        let ensemble = &self.around.ensemble;
        ensemble.set_up(true);
        for keeper in self.keepers.iter() {
            keeper.pause(false);
            keeper.start();
            for session in ensemble.sessions_of(keeper.host) {
                ensemble.heal_follower(session);
            }
        }
        self.around.fleet.move_names_back();
        for server in self.around.fleet.servers() {
            self.around.fleet.thaw(server);
            self.around.fleet.cure(server);
            self.around.fleet.start(server, Rebirth::Whole);
        }
        self.oracle.fault_ends();
    }
}
