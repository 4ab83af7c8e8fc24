//! Redis servers in the test process, for virtual time.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use redis_keeper::domain::facts::{Link, MinReplicas, Mode, Role, Upstream, Version};
use redis_keeper::domain::info::Info;
use redis_keeper::domain::liveness::DownReason;
use redis_keeper::domain::node::{ClusterName, Epoch, NodeAddr};
use redis_keeper::ports::redis::{
    CommandConnection, CommandError, CommandObstacle, Depth, ProbeConnection, ProbeFailure, Redis,
    RedisNode,
};
use tokio::sync::watch;
use tokio::time::sleep;

use self::commands::Commands;
use self::probing::Connection;

mod commands;
mod probing;

/// How long the keeper waits for the resolver.
const RESOLVED_WITHIN: Duration = Duration::from_secs(1);

/// How a server behaves towards keepers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The server answers.
    Answers,
    /// The server answers, and is loading its data.
    Loading,
    /// The server answers every request with this error.
    Errors(&'static str),
    /// The server accepts connections, and answers nothing.
    Hangs,
    /// The server accepts connections, and closes them without an answer.
    Closes,
    /// The server refuses connections.
    Refuses,
    /// The keeper's host cannot even try.
    HostFails,
}

/// An event at a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// A connection was tried.
    Connect,
    /// A probe arrived.
    Probe(Depth),
    /// A command arrived, from the leader of this epoch.
    Command(Epoch, String),
}

#[derive(Clone)]
struct State {
    manner: Manner,
    /// Counts how many times all connections were cut.
    cuts: u64,
    /// Counts how many times all connections went mute.
    mutes: u64,
    /// Whether the keeper's host can open no new connections.
    host_fails: bool,
    latency: Duration,
}

/// A server in the test process.
pub(crate) struct FakeServer {
    state: watch::Sender<State>,
    info: RefCell<Info>,
    sentinels: RefCell<Vec<String>>,
    min_replicas: Cell<MinReplicas>,
    deeds: RefCell<Vec<Deed>>,
    /// The error of the next command, which is then not executed.
    command_error: RefCell<Option<CommandError>>,
    /// The obstacle that a trial of commands finds.
    pub(crate) obstacle: RefCell<Option<CommandObstacle>>,
    /// How many times commands were tried.
    pub(crate) trials: Cell<usize>,
    /// The run id of the other process to which new command connections lead.
    pub(crate) moved: RefCell<Option<String>>,
    /// The epoch in the name that a client has taken for itself, until the client is killed.
    pub(crate) named: Cell<Option<Epoch>>,
    /// Whether the next promotion panics.
    pub(crate) fatal: Cell<bool>,
    /// Whether the resolver gives no answer, and no address is known.
    unknown: Cell<bool>,
    /// How many probe connections are open.
    open: Cell<usize>,
    /// Whether the connection breaks that pauses writes next, before it gets an answer.
    pub(crate) breaks: Cell<bool>,
}

impl FakeServer {
    /// The events since the last [`Self::take_deeds`].
    pub(crate) fn deeds(&self) -> Vec<Deed> {
        self.deeds.borrow().clone()
    }

    /// The events since the last call.
    pub(crate) fn take_deeds(&self) -> Vec<Deed> {
        self.deeds.take()
    }

    /// Changes the server's behaviour. Open connections stay open: a test that wants them closed also calls
    /// [`Self::cut`].
    pub(crate) fn behaves(&self, manner: Manner) {
        self.state.send_modify(|state| state.manner = manner);
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Makes all open connections mute; new ones work.
    pub(crate) fn mutes(&self) {
        self.state.send_modify(|state| state.mutes += 1);
    }

    /// Sets whether the keeper's host can open no new connections.
    pub(crate) fn host_fails(&self, fails: bool) {
        self.state.send_modify(|state| state.host_fails = fails);
    }

    /// Sets whether the resolver gives no answer, and no address is known.
    pub(crate) fn is_unknown(&self, unknown: bool) {
        self.unknown.set(unknown);
    }

    /// How many probe connections are open.
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// Ends the process: connections are cut, and new ones refused.
    pub(crate) fn dies(&self) {
        self.behaves(Manner::Refuses);
        self.cut();
    }

    /// Sets how long answers take.
    pub(crate) fn takes(&self, latency: Duration) {
        self.state.send_modify(|state| state.latency = latency);
    }

    /// Changes the contents of `INFO`.
    pub(crate) fn tells(&self, change: impl FnOnce(&mut Info)) {
        change(&mut self.info.borrow_mut());
    }

    /// Sets the Sentinels that are subscribed.
    pub(crate) fn watched_by(&self, sentinels: &[&str]) {
        *self.sentinels.borrow_mut() = sentinels.iter().map(ToString::to_string).collect();
    }

    /// Lets the next command end with this error, without being executed.
    pub(crate) fn fails_command(&self, error: CommandError) {
        *self.command_error.borrow_mut() = Some(error);
    }

    fn note(&self, deed: Deed) {
        self.deeds.borrow_mut().push(deed);
    }
}

/// All servers. An address without a server refuses connections.
#[derive(Default)]
pub(crate) struct FakeRedis {
    servers: RefCell<BTreeMap<NodeAddr, Rc<FakeServer>>>,
    names: RefCell<BTreeMap<String, BTreeSet<IpAddr>>>,
    /// How long the resolver takes.
    pub(crate) resolving: RefCell<Duration>,
}

impl FakeRedis {
    /// The server at `addr`; a new, empty primary if there is none.
    pub(crate) fn server(&self, addr: &NodeAddr) -> Rc<FakeServer> {
        let mut servers = self.servers.borrow_mut();
        let number = servers.len();
        Rc::clone(servers.entry(addr.clone()).or_insert_with(|| {
            Rc::new(FakeServer {
                state: watch::Sender::new(State {
                    manner: Manner::Answers,
                    cuts: 0,
                    mutes: 0,
                    host_fails: false,
                    latency: Duration::from_micros(100),
                }),
                info: RefCell::new(primary(number)),
                sentinels: RefCell::default(),
                min_replicas: Cell::new(MinReplicas {
                    to_write: 0,
                    max_lag: 10,
                }),
                deeds: RefCell::default(),
                command_error: RefCell::default(),
                obstacle: RefCell::default(),
                trials: Cell::default(),
                moved: RefCell::default(),
                named: Cell::default(),
                fatal: Cell::default(),
                open: Cell::default(),
                unknown: Cell::default(),
                breaks: Cell::default(),
            })
        }))
    }

    /// Sets the addresses of `host`.
    pub(crate) fn name(&self, host: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|ip| ip.parse().expect("an address"));
        self.names
            .borrow_mut()
            .insert(host.to_owned(), addresses.collect());
    }
}

/// The contents of `INFO` at the `number`th empty primary.
pub(crate) fn primary(number: usize) -> Info {
    Info {
        run_id: Some(format!("{number:040x}")),
        version: Some(Version {
            major: 7,
            minor: 0,
            patch: 15,
        }),
        mode: Some(Mode::Standalone),
        uptime: Some(Duration::from_secs(100)),
        loading: Some(false),
        role: Some(Role::Primary { online_replicas: 0 }),
        replication_id: Some(format!("{:040x}", number + 0xa000)),
        offset: Some(0),
        keys: Some(0),
        ..Info::default()
    }
}

/// The role of a replica whose link to its primary is up.
pub(crate) fn replica_of(primary: &NodeAddr) -> Role {
    Role::Replica(Upstream {
        primary: primary.clone(),
        link: Link::Up,
        syncing: false,
        last_io: Some(Duration::ZERO),
        priority: 100,
    })
}

#[async_trait(?Send)]
impl Redis for FakeRedis {
    fn node(&self, _: &ClusterName, addr: &NodeAddr) -> Rc<dyn RedisNode> {
        Rc::new(Node(self.server(addr)))
    }

    async fn resolve(&self, host: &str) -> Result<BTreeSet<IpAddr>, String> {
        if let Ok(ip) = host.parse() {
            return Ok(BTreeSet::from([ip]));
        }
        let resolving = *self.resolving.borrow();
        sleep(resolving).await;
        let names = self.names.borrow();
        names.get(host).cloned().ok_or(format!("no `{host}`"))
    }

    fn remember(&self, host: &str, addresses: &BTreeSet<IpAddr>) {
        let mut names = self.names.borrow_mut();
        names
            .entry(host.to_owned())
            .or_insert_with(|| addresses.clone());
    }
}

struct Node(Rc<FakeServer>);

#[async_trait(?Send)]
impl RedisNode for Node {
    async fn locate(&self) -> Result<(), String> {
        if self.0.unknown.get() {
            sleep(RESOLVED_WITHIN).await;
            return Err("the resolver has not answered".to_owned());
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Box<dyn ProbeConnection>, ProbeFailure> {
        self.0.note(Deed::Connect);
        let state = self.0.state.subscribe();
        let State {
            manner,
            cuts,
            mutes,
            host_fails,
            ..
        } = state.borrow().clone();
        match manner {
            _ if host_fails => Err(ProbeFailure::Own("no file descriptors".to_owned())),
            Manner::Refuses => Err(ProbeFailure::Evidence(
                DownReason::Refused,
                "connection refused".to_owned(),
            )),
            Manner::HostFails => Err(ProbeFailure::Own("no file descriptors".to_owned())),
            _ => {
                self.0.open.set(self.0.open.get() + 1);
                Ok(Box::new(Connection {
                    server: Rc::clone(&self.0),
                    state,
                    cuts,
                    mutes,
                    owed: None,
                }))
            }
        }
    }

    async fn try_commands(&self) -> Result<(), CommandObstacle> {
        self.0.trials.set(self.0.trials.get() + 1);
        self.0.obstacle.borrow().clone().map_or(Ok(()), Err)
    }

    async fn command(&self, epoch: Epoch) -> Result<Box<dyn CommandConnection>, CommandError> {
        match self.0.state.borrow().manner {
            Manner::Refuses | Manner::HostFails | Manner::Hangs | Manner::Closes => {
                Err(CommandError::NotDone("no connection".to_owned()))
            }
            _ => Ok(Box::new(Commands {
                server: Rc::clone(&self.0),
                run_id: {
                    let moved = self.0.moved.borrow().clone();
                    let own = || self.0.info.borrow().run_id.clone();
                    moved.or_else(own).unwrap_or_default()
                },
                epoch,
                broken: false,
            })),
        }
    }
}
