//! Redis servers: what a process holds, and what is true of it. How it lives and dies, what it answers, replication and
//! commands have their own files.

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

/// What `min-replicas` settings are by default.
pub(crate) const UNTOUCHED: MinReplicas = MinReplicas {
    to_write: 0,
    max_lag: 10,
};

/// All servers.
pub(crate) struct Fleet {
    world: Rc<World>,
    network: Rc<Network>,
    servers: OnceCell<BTreeMap<NodeAddr, Rc<Server>>>,
    /// Where names lead that keepers look up now, if that is another server.
    moved: RefCell<BTreeMap<NodeAddr, Rc<Server>>>,
    /// Servers keep append-only files.
    append_only: bool,
    judge: OnceCell<Rc<Oracle>>,
    /// Servers tell who is connected to them.
    tells: Cell<bool>,
    /// No resolver answers.
    nameless: Cell<bool>,
    /// When a server was promoted.
    promotions: RefCell<Vec<u64>>,
}

/// One server, across its processes.
pub(crate) struct Server {
    pub(crate) addr: NodeAddr,
    pub(crate) cluster: ClusterName,
    pub(crate) host: Host,
    world: Rc<World>,
    network: Rc<Network>,
    /// Requests that wait for others.
    work: Lane,
    state: RefCell<State>,
}

/// What a process holds.
struct State {
    up: bool,
    frozen: bool,
    /// The process: nothing that was sent to an earlier one reaches it.
    incarnation: u64,
    started: u64,
    loading_until: u64,
    replication_id: String,
    /// And the offset up to which it was this server's history.
    previous: Option<(String, u64)>,
    offset: u64,
    /// Somebody made it a primary by hand.
    wandered: bool,
    /// How often it was started since it last took over data from a primary.
    starts: u32,
    /// The data have changed since the history began: what is on disk is of this history, too.
    changed: bool,
    /// The process to which clients wrote before every keeper had read it: it may be anybody's.
    written_unread: Option<u64>,
    /// The data set: each write with the offset behind it.
    log: Vec<(u64, u64)>,
    /// The offset behind which everything was deleted last.
    drained_at: u64,
    /// The process that its data come from by a link of this process; its own, of a primary.
    origin: Option<u64>,
    priority: u32,
    /// It keeps an append-only file: a start brings its data back, and no history.
    append_only: bool,
    /// Its data are those of another site, until it copies somebody's.
    foreign: bool,
    /// Its own host leads it to a server of another site, by the name of its primary: it copies that one.
    misled: bool,
    /// Survive its process, as after `CONFIG REWRITE`.
    min_replicas: MinReplicas,
    /// Set while it is a replica.
    replica: Option<Replica>,
    /// Whom it follows from its next start on, as its configuration file says.
    remembered: Option<NodeAddr>,
    /// Its own replicas.
    attached: BTreeMap<NodeAddr, Attached>,
    /// Writes are held up until then.
    paused_until: u64,
    /// What arrived while it was stopped.
    inbox: VecDeque<Event>,
    connections: BTreeMap<u64, Connection>,
    /// How often it has ended its clients' connections, or has died with them.
    clients_ended: u64,
    /// What ails the process, and since when.
    ailment: Option<(Ailment, u64)>,
    /// It is dead, and something else listens at its address.
    taken: Option<Squatter>,
}

/// A server's end of a keeper's connection.
struct Connection {
    process: Rc<Process>,
    /// Of a command connection.
    epoch: Option<Epoch>,
    /// Of a probe connection.
    name: Rc<RefCell<Option<ProbeName>>>,
    opened: u64,
    to_peer: Rc<Lane>,
    closed: Rc<dyn Fn()>,
}

/// What there is to know of a server from outside.
pub(crate) struct Condition {
    pub(crate) up: bool,
    pub(crate) loading: bool,
    pub(crate) syncing: bool,
    /// Whom it follows over a link that is up; itself if it is a primary.
    pub(crate) follows: Option<NodeAddr>,
    /// Offsets of one history can be compared.
    pub(crate) history: String,
    pub(crate) offset: u64,
    pub(crate) keys: usize,
    pub(crate) priority: u32,
    pub(crate) foreign: bool,
    /// The history that it left, and how much it has of that, if somebody made it a primary by hand.
    pub(crate) left: Option<(String, u64)>,
    /// Its process.
    pub(crate) run_id: String,
    /// How often it was started since it last took over data from a primary.
    pub(crate) starts: u32,
    /// Clients wrote to it before every keeper had read it.
    pub(crate) written_unread: bool,
    /// The process at the head of the links that this one has had; `None` if it had none.
    pub(crate) linked_to: Option<String>,
    /// When its process started.
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

    /// Sets up every cluster: its first node is the primary, with data, the others are replicas of it in good order.
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

    /// From now on servers tell who is connected to them.
    pub(crate) fn tells_of_clients(&self) {
        self.tells.set(true);
    }

    /// Whether no resolver answers from now on.
    pub(crate) fn resolves_no_names(&self, nameless: bool) {
        self.nameless.set(nameless);
    }

    /// How many servers were promoted since.
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

    /// An empty primary that begins this history.
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

    /// Whether the server is a primary, and the same process as at `since`.
    pub(crate) fn serves_since(&self, addr: &NodeAddr, since: u64) -> bool {
        self.server(addr).is_some_and(|server| {
            let condition = server.condition();
            condition.up && condition.follows.as_ref() == Some(addr) && condition.started <= since
        })
    }

    /// Whether the server holds up writes.
    pub(crate) fn holds_up_writes(&self, addr: &NodeAddr) -> bool {
        self.server(addr)
            .is_some_and(|server| server.holds_up_writes())
    }

    /// The judge's eyes.
    fn judge(&self) -> Option<&Rc<Oracle>> {
        self.judge.get()
    }
}

// === impl Server ===

impl Server {
    /// Something arrives that was sent to the process `incarnation`, or to any (`None`).
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

    /// Closes all connections but this one of a keeper's.
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

    /// What is true of it.
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

    /// Whether it holds the write.
    pub(crate) fn holds(&self, write: u64) -> bool {
        let state = self.state.borrow();
        state.log.iter().any(|(_, number)| *number == write)
    }

    /// How often it has ended its clients' connections.
    pub(crate) fn clients_ended(&self) -> u64 {
        self.state.borrow().clients_ended
    }

    /// What it demands of its replicas.
    pub(crate) fn min_replicas(&self) -> MinReplicas {
        self.state.borrow().min_replicas
    }

    /// All writes it holds.
    pub(crate) fn writes(&self) -> BTreeSet<u64> {
        let state = self.state.borrow();
        state.log.iter().map(|(_, number)| *number).collect()
    }

    /// Names its process.
    pub(crate) fn run_id(&self) -> String {
        run_id(self.state.borrow().incarnation)
    }
}

fn run_id(process: u64) -> String {
    format!("{process:040x}")
}

// === impl State ===

impl State {
    /// Its dump has the first `kept` of its writes.
    fn keep(&mut self, kept: usize) {
        self.log.truncate(kept.max(1));
        self.offset = self.log.last().map_or(0, |(offset, _)| *offset);
    }

    /// As `CONFIG REWRITE` does.
    fn remember(&mut self) {
        self.remembered = self.replica.as_ref().map(|it| it.primary.clone());
    }

    fn loading(&self, now: u64) -> bool {
        now < self.loading_until
    }
}
