//! Redis servers: the state of a process, and the questions that the judge asks about it.
//!
//! Life and death of processes, answers, replication and commands have their own files.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use redis_keeper::domain::facts::MinReplicas;
use redis_keeper::domain::group::ProbeName;
use redis_keeper::domain::node::{ClusterName, Epoch, NodeAddr};

pub(crate) use self::ailments::Ailment;
pub(crate) use self::life::Rebirth;
use self::replication::{Attached, Replica};
pub(crate) use self::squatters::Squatter;
use super::keeper::Process;
use super::names::canonical;
use super::network::{Host, Lane, Network};
use super::oracle::Oracle;
use super::world::{Event, World};

mod ailments;
mod answers;
pub(crate) mod commands;
pub(crate) mod impostors;
mod life;
pub(crate) mod port;
mod replication;
mod squatters;

/// Redis's defaults of the `min-replicas` settings.
pub(crate) const UNTOUCHED: MinReplicas = MinReplicas {
    to_write: 0,
    max_lag: 10,
};

/// All servers of a run.
pub(crate) struct Fleet {
    world: Rc<World>,
    network: Rc<Network>,
    servers: OnceCell<BTreeMap<NodeAddr, Rc<Server>>>,
    /// Names that lead keepers to another server now, when a keeper looks them up.
    moved: RefCell<BTreeMap<NodeAddr, Rc<Server>>>,
    /// Servers keep append-only files.
    append_only: bool,
    judge: OnceCell<Rc<Oracle>>,
    /// Servers list their connected clients (`CLIENT LIST`).
    tells: Cell<bool>,
    /// No resolver answers.
    nameless: Cell<bool>,
    /// The times of all promotions, in microseconds.
    promotions: RefCell<Vec<u64>>,
}

/// A node's server, across its processes.
pub(crate) struct Server {
    pub(crate) addr: NodeAddr,
    pub(crate) cluster: ClusterName,
    pub(crate) host: Host,
    world: Rc<World>,
    network: Rc<Network>,
    /// Requests that wait until the server has executed the ones before.
    work: Lane,
    state: RefCell<State>,
}

/// The state of a server process, and what of it outlives the process.
struct State {
    up: bool,
    frozen: bool,
    /// The number of the process: nothing that was sent to an earlier process reaches this one.
    incarnation: u64,
    started: u64,
    loading_until: u64,
    replication_id: String,
    /// The history before, with the offset up to which the server followed that history.
    previous: Option<(String, u64)>,
    offset: u64,
    /// An operator promoted the server by hand.
    wandered: bool,
    /// How many times the server was started since it last took over data from a primary.
    starts: u32,
    /// The data have changed since the history began, so the dump on disk is of this history, too.
    changed: bool,
    /// The process to which clients wrote before every keeper had read it: keepers cannot know whose process it is.
    written_unread: Option<u64>,
    /// The data set, as pairs: the offset behind a write, and the number of the write.
    log: Vec<(u64, u64)>,
    /// The offset behind which a client last deleted everything.
    drained_at: u64,
    /// The process from which the data came over a link of this process; for a primary, its own number.
    origin: Option<u64>,
    priority: u32,
    /// The server keeps an append-only file: a start restores the data, and no history.
    append_only: bool,
    /// The data belong to another site, until the server copies a primary of its cluster.
    foreign: bool,
    /// The server's host resolves the name of its primary to a server of another site, and the server copies that
    /// one.
    misled: bool,
    /// These settings outlive the process, as after `CONFIG REWRITE`.
    min_replicas: MinReplicas,
    /// Set while the server is a replica.
    replica: Option<Replica>,
    /// The primary in the configuration file, which the server follows from its next start on.
    remembered: Option<NodeAddr>,
    /// The replicas that are linked to this server.
    attached: BTreeMap<NodeAddr, Attached>,
    /// Writes are paused until then, in microseconds.
    paused_until: u64,
    /// Messages that arrived while the process was stopped.
    inbox: VecDeque<Event>,
    connections: BTreeMap<u64, Connection>,
    /// How many times the server has ended its clients' connections, its deaths included.
    clients_ended: u64,
    /// The ailment of the process, and since when, in microseconds.
    ailment: Option<(Ailment, u64)>,
    /// Another program that listens at the address of a dead server.
    taken: Option<Squatter>,
}

/// A server's end of a keeper's connection.
struct Connection {
    process: Rc<Process>,
    /// The epoch of a command connection.
    epoch: Option<Epoch>,
    /// The name of a probe connection.
    name: Rc<RefCell<Option<ProbeName>>>,
    opened: u64,
    to_peer: Rc<Lane>,
    closed: Rc<dyn Fn()>,
}

/// The condition of a server, as an observer from outside would know it.
pub(crate) struct Condition {
    pub(crate) up: bool,
    pub(crate) loading: bool,
    pub(crate) syncing: bool,
    /// The primary that it follows over a link that is up; a primary follows itself.
    pub(crate) follows: Option<NodeAddr>,
    /// The replication id; offsets of one history can be compared.
    pub(crate) history: String,
    pub(crate) offset: u64,
    pub(crate) keys: usize,
    pub(crate) priority: u32,
    pub(crate) foreign: bool,
    /// The history that it left, and its offset there, if an operator promoted it by hand.
    pub(crate) left: Option<(String, u64)>,
    /// The run id of its process.
    pub(crate) run_id: String,
    /// How many times it was started since it last took over data from a primary.
    pub(crate) starts: u32,
    /// Clients wrote to it before every keeper had read it.
    pub(crate) written_unread: bool,
    /// The process at the head of this process's links; `None` if it never had a link.
    pub(crate) linked_to: Option<String>,
    /// When its process started, in microseconds.
    pub(crate) started: u64,
}

// === impl Fleet ===

impl Fleet {
    pub(crate) fn new(world: Rc<World>, network: Rc<Network>, append_only: bool) -> Rc<Self> {
        Rc::new(Self {
            world,
            network,
            servers: OnceCell::new(),
            moved: RefCell::default(),
            append_only,
            judge: OnceCell::new(),
            tells: Cell::default(),
            nameless: Cell::default(),
            promotions: RefCell::default(),
        })
    }

    /// Sets up every cluster: the first node is the primary and has data, the other nodes are replicas in good order.
    pub(crate) fn populate(
        self: &Rc<Self>,
        clusters: &BTreeMap<ClusterName, Vec<(NodeAddr, Host)>>,
    ) {
        let mut servers = BTreeMap::new();
        for (cluster, nodes) in clusters {
            let primary = &nodes[0].0;
            let history = self.fresh_id();
            for (addr, host) in nodes {
                let state = State {
                    offset: 100,
                    log: vec![(100, 0)],
                    replica: (addr != primary).then(|| Replica::of(primary)),
                    remembered: (addr != primary).then(|| primary.clone()),
                    ..self.fresh(history.clone())
                };
                let server = Rc::new(Server {
                    addr: addr.clone(),
                    cluster: cluster.clone(),
                    host: *host,
                    world: Rc::clone(&self.world),
                    network: Rc::clone(&self.network),
                    work: Lane::default(),
                    state: RefCell::new(state),
                });
                servers.insert(addr.clone(), server);
            }
        }
        for server in servers.values() {
            self.turn(server);
        }
        self.servers.set(servers).ok().expect("once");
    }

    pub(crate) fn judged_by(&self, judge: Rc<Oracle>) {
        self.judge.set(judge).ok().expect("once");
    }

    /// Lets all servers list their connected clients from now on.
    pub(crate) fn tells_of_clients(&self) {
        self.tells.set(true);
    }

    /// Sets whether no resolver answers.
    pub(crate) fn resolves_no_names(&self, nameless: bool) {
        self.nameless.set(nameless);
    }

    /// How many promotions happened after `since`.
    pub(crate) fn promotions_since(&self, since: u64) -> u32 {
        let promotions = self.promotions.borrow();
        let count = promotions.iter().filter(|at| **at > since).count();
        u32::try_from(count).expect("few")
    }

    pub(crate) fn server(&self, addr: &NodeAddr) -> Option<&Rc<Server>> {
        self.servers.get()?.get(&canonical(addr))
    }

    pub(crate) fn servers(&self) -> impl Iterator<Item = &Rc<Server>> {
        self.servers.get().into_iter().flat_map(BTreeMap::values)
    }

    /// The state of an empty primary that begins the history `replication_id`.
    fn fresh(&self, replication_id: String) -> State {
        State {
            up: true,
            frozen: false,
            incarnation: self.world.number(),
            started: self.world.now(),
            loading_until: 0,
            paused_until: 0,
            replication_id,
            previous: None,
            offset: 0,
            starts: 0,
            changed: true,
            written_unread: None,
            log: Vec::new(),
            drained_at: 0,
            origin: None,
            append_only: self.append_only,
            foreign: false,
            wandered: false,
            misled: false,
            priority: 100,
            min_replicas: UNTOUCHED,
            replica: None,
            remembered: None,
            attached: BTreeMap::new(),
            inbox: VecDeque::new(),
            connections: BTreeMap::new(),
            clients_ended: 0,
            ailment: None,
            taken: None,
        }
    }

    fn fresh_id(&self) -> String {
        format!("{:040x}", self.world.number())
    }

    /// Whether the server is a primary, and still the process that it was at `since`.
    pub(crate) fn serves_since(&self, addr: &NodeAddr, since: u64) -> bool {
        self.server(addr).is_some_and(|server| {
            let condition = server.condition();
            condition.up && condition.follows.as_ref() == Some(addr) && condition.started <= since
        })
    }

    /// Whether the server's writes are paused.
    pub(crate) fn holds_up_writes(&self, addr: &NodeAddr) -> bool {
        self.server(addr)
            .is_some_and(|server| server.holds_up_writes())
    }

    /// The judge, once it is set.
    fn judge(&self) -> Option<&Rc<Oracle>> {
        self.judge.get()
    }
}

// === impl Server ===

impl Server {
    /// Runs `event` at the process `incarnation`, or at any process (`None`). A frozen process runs it when it thaws;
    /// a dead or different process drops it.
    fn arrive(&self, incarnation: Option<u64>, event: impl FnOnce() + 'static) {
        let mut state = self.state.borrow_mut();
        if !state.up || incarnation.is_some_and(|it| it != state.incarnation) {
            return;
        }
        if state.frozen {
            state.inbox.push_back(Box::new(event));
        } else {
            drop(state);
            event();
        }
    }

    /// Closes all connections of keepers and clients, except the one numbered `but`.
    fn close_connections(&self, but: Option<u64>) {
        let mut state = self.state.borrow_mut();
        state.clients_ended += 1;
        let kept = but.and_then(|but| Some((but, state.connections.remove(&but)?)));
        let closed = std::mem::take(&mut state.connections);
        state.connections.extend(kept);
        drop(state);
        for connection in closed.into_values() {
            self.close(connection);
        }
    }

    fn close(&self, connection: Connection) {
        let way = (self.host, connection.process.host);
        let closed = connection.closed;
        self.network
            .send(way, &connection.to_peer, move || closed());
    }

    /// The server's present condition.
    pub(crate) fn condition(&self) -> Condition {
        let state = self.state.borrow();
        Condition {
            up: state.up && !state.frozen,
            loading: state.loading(self.world.now()),
            syncing: state.replica.as_ref().is_some_and(Replica::syncing),
            follows: match &state.replica {
                None => Some(self.addr.clone()),
                Some(replica) => replica.linked().then(|| replica.primary.clone()),
            },
            history: state.replication_id.clone(),
            offset: state.offset,
            keys: state.log.len(),
            priority: state.priority,
            foreign: state.foreign,
            left: state.previous.clone().filter(|_| state.wandered),
            run_id: run_id(state.incarnation),
            starts: state.starts,
            written_unread: state.written_unread == Some(state.incarnation),
            linked_to: state.origin.map(run_id),
            started: state.started,
        }
    }

    /// Whether the server holds this write.
    pub(crate) fn holds(&self, write: u64) -> bool {
        let state = self.state.borrow();
        state.log.iter().any(|(_, number)| *number == write)
    }

    /// How many times the server has ended its clients' connections.
    pub(crate) fn clients_ended(&self) -> u64 {
        self.state.borrow().clients_ended
    }

    /// The `min-replicas` settings in force.
    pub(crate) fn min_replicas(&self) -> MinReplicas {
        self.state.borrow().min_replicas
    }

    /// All writes that the server holds.
    pub(crate) fn writes(&self) -> BTreeSet<u64> {
        let state = self.state.borrow();
        state.log.iter().map(|(_, number)| *number).collect()
    }

    /// The run id of the present process.
    pub(crate) fn run_id(&self) -> String {
        run_id(self.state.borrow().incarnation)
    }
}

fn run_id(process: u64) -> String {
    format!("{process:040x}")
}

// === impl State ===

impl State {
    /// Truncates the data to the first `kept` writes, as an older dump has them.
    fn keep(&mut self, kept: usize) {
        self.log.truncate(kept.max(1));
        self.offset = self.log.last().map_or(0, |(offset, _)| *offset);
    }

    /// Writes the role to the configuration file, as `CONFIG REWRITE` does.
    fn remember(&mut self) {
        self.remembered = self.replica.as_ref().map(|it| it.primary.clone());
    }

    fn loading(&self, now: u64) -> bool {
        now < self.loading_until
    }
}
