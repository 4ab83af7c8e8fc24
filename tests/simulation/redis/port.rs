//! The servers as a keeper's Redis port: probes and commands that travel over the network.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use redis_keeper::domain::facts::MinReplicas;
use redis_keeper::domain::group::ProbeName;
use redis_keeper::domain::liveness::DownReason;
use redis_keeper::domain::node::{ClusterName, Epoch, NodeAddr};
use redis_keeper::ports::redis::{
    Alive, Clients, CommandConnection, CommandError, CommandObstacle, ConnectionEvent, Depth,
    Fence, ProbeConnection, ProbeFailure, Redis, RedisNode, Remember,
};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use self::socket::Socket;
use super::ailments::only_error;
use super::answers::tell;
use super::commands::Order;
use super::{Fleet, Server};
use crate::keeper::Process;
use crate::names;
use crate::network::{Lane, Network};
use crate::world::World;

mod socket;

/// The limit of each round trip of a command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a lookup takes to fail while no resolver answers.
const RESOLVER_TIMEOUT: Duration = Duration::from_millis(300);

/// How long a lookup takes while no resolver answers, for a name whose address is remembered.
const QUICK: Duration = Duration::from_millis(50);

/// The servers as one process reaches them.
pub(crate) struct Redises(Rc<Reach>);

struct Reach {
    process: Rc<Process>,
    fleet: Rc<Fleet>,
    network: Rc<Network>,
    world: Rc<World>,
    /// The name of this keeper's probe connections, once it is set.
    name: Rc<RefCell<Option<ProbeName>>>,
    /// Host names that this keeper has resolved itself.
    resolved: RefCell<BTreeSet<String>>,
    /// Addresses of names as the published state tells them.
    remembered: RefCell<BTreeMap<String, BTreeSet<IpAddr>>>,
}

struct Node {
    reach: Rc<Reach>,
    /// The node's name in this keeper's file.
    host: String,
    server: Rc<Server>,
}

struct Probing {
    socket: Socket,
    sent: u64,
    /// The judge's number of the connection attempt.
    attempt: u64,
}

/// A server's answer to a probe.
struct ProbeReply {
    alive: Alive,
    /// The server closes the connection right after this answer.
    last: bool,
}

struct Commanding(Socket, String);

// === impl Redises ===

impl Redises {
    pub(crate) fn of(
        process: &Rc<Process>,
        fleet: &Rc<Fleet>,
        network: &Rc<Network>,
        world: &Rc<World>,
    ) -> Rc<dyn Redis> {
        Rc::new(Self(Rc::new(Reach {
            process: Rc::clone(process),
            fleet: Rc::clone(fleet),
            network: Rc::clone(network),
            world: Rc::clone(world),
            name: Rc::default(),
            resolved: RefCell::default(),
            remembered: RefCell::default(),
        })))
    }
}

impl Reach {
    /// Resolves as the keeper's resolver does: it goes on with addresses that it knows while no resolver answers.
    async fn resolve(&self, host: &str) -> Result<BTreeSet<IpAddr>, String> {
        let ip = names::resolve(host).ok_or_else(|| format!("no {host}"))?;
        let literal = host.parse::<IpAddr>().is_ok();
        if self.fleet.nameless.get() && !literal && !self.resolved.borrow().contains(host) {
            let remembers = self.remembered.borrow().contains_key(host);
            sleep(if remembers { QUICK } else { RESOLVER_TIMEOUT }).await;
            let remembered = self.remembered.borrow().get(host).cloned();
            return remembered.ok_or_else(|| format!("{host}: no resolver answers"));
        }
        self.resolved.borrow_mut().insert(host.to_owned());
        Ok(BTreeSet::from([ip]))
    }
}

#[async_trait(?Send)]
impl Redis for Redises {
    fn node(&self, _: &ClusterName, addr: &NodeAddr) -> Rc<dyn RedisNode> {
        let server = self
            .0
            .fleet
            .server(addr)
            .expect("every configured node exists");
        Rc::new(Node {
            reach: Rc::clone(&self.0),
            host: addr.host().to_owned(),
            server: Rc::clone(server),
        })
    }

    async fn resolve(&self, host: &str) -> Result<BTreeSet<IpAddr>, String> {
        self.0.resolve(host).await
    }

    fn remember(&self, host: &str, addresses: &BTreeSet<IpAddr>) {
        let mut remembered = self.0.remembered.borrow_mut();
        let known = remembered.entry(host.to_owned());
        known.or_insert_with(|| addresses.clone());
    }

    fn introduce(&self, name: &ProbeName) {
        *self.0.name.borrow_mut() = Some(name.clone());
    }
}

// === impl Node ===

impl Node {
    /// A connection to the server to which the name leads now.
    fn socket(&self) -> Socket {
        let moved = self.reach.fleet.moved(&self.server.addr);
        Socket {
            reach: Rc::clone(&self.reach),
            server: moved.unwrap_or_else(|| Rc::clone(&self.server)),
            number: self.reach.world.number(),
            opened: self.reach.world.now(),
            to_server: Lane::default(),
            to_keeper: Rc::default(),
            inlet: Rc::default(),
        }
    }
}

#[async_trait(?Send)]
impl RedisNode for Node {
    async fn locate(&self) -> Result<(), String> {
        self.reach.resolve(&self.host).await.map(drop)
    }

    async fn connect(&self) -> Result<Box<dyn ProbeConnection>, ProbeFailure> {
        let (socket, server) = (self.socket(), &self.server);
        let (judge, keeper) = (self.reach.fleet.judge(), &self.reach.process.name);
        let attempt = judge.map_or(0, |judge| {
            judge.asks_anew(keeper, (&server.cluster, &server.addr), &self.reach.fleet)
        });
        if let Err(why) = socket.open(None).await {
            if let Some(judge) = judge {
                judge.refused(keeper, &server.addr);
            }
            return Err(ProbeFailure::Evidence(DownReason::Refused, why.to_owned()));
        }
        Ok(Box::new(Probing {
            socket,
            sent: 0,
            attempt,
        }))
    }

    async fn command(&self, epoch: Epoch) -> Result<Box<dyn CommandConnection>, CommandError> {
        let socket = self.socket();
        let opened = timeout(COMMAND_TIMEOUT, socket.open(Some(epoch))).await;
        match opened {
            Ok(Ok(())) => {
                // A process that has died since then executes no command on this connection.
                let run_id = socket.server.run_id();
                Ok(Box::new(Commanding(socket, run_id)))
            }
            Ok(Err(why)) => Err(CommandError::NotDone(why.into())),
            Err(_) => Err(CommandError::NotDone("no connection in time".into())),
        }
    }

    async fn try_commands(&self) -> Result<(), CommandObstacle> {
        let socket = self.socket();
        match timeout(COMMAND_TIMEOUT, socket.open(None)).await {
            Ok(Ok(())) => match socket.server.error(socket.opened) {
                Some(error) => Err(CommandObstacle::Refused(error.to_owned())),
                None => Ok(()),
            },
            Ok(Err(why)) => Err(CommandObstacle::Unanswered(why.to_owned())),
            Err(_) => Err(CommandObstacle::Unanswered(
                "no connection in time".to_owned(),
            )),
        }
    }
}

// === probes ===

fn closed() -> ProbeFailure {
    ProbeFailure::Evidence(DownReason::Closed, "connection closed".into())
}

#[async_trait(?Send)]
impl ProbeConnection for Probing {
    async fn probe(&mut self, depth: Depth) -> Result<Alive, ProbeFailure> {
        self.sent += 1;
        let (number, server) = (self.sent, Rc::clone(&self.socket.server));
        let alive = Rc::new(RefCell::new(None));
        let told = Rc::clone(&alive);
        let answer = self.socket.answer(move |inlet| {
            let Some(ProbeReply { alive, last }) = told.borrow_mut().take() else {
                return;
            };
            inlet.answers.borrow_mut().push_back((number, alive));
            if last {
                inlet.lost();
            }
        });
        let (fleet, process) = (
            Rc::clone(&self.socket.reach.fleet),
            Rc::clone(&self.socket.reach.process),
        );
        let opened = self.socket.opened;
        self.socket.send(move || {
            let squatter = server.squatter();
            let error = server.error(opened);
            if let (None, None, Some(judge)) = (squatter, error, fleet.judge()) {
                judge.read(&process.name, server.run_id());
            }
            let told = match (squatter, error) {
                (Some(squatter), _) => squatter.tells(depth),
                (None, Some(error)) => only_error(error, depth),
                (None, None) => tell(&server, depth),
            };
            *alive.borrow_mut() = Some(ProbeReply {
                alive: told,
                last: server.turns_away(opened),
            });
            answer();
        });
        let inlet = &self.socket.inlet;
        loop {
            while let Some((answered, alive)) = inlet.answers.borrow_mut().pop_front() {
                if answered == number {
                    self.tell_judge();
                    return Ok(alive);
                }
            }
            if inlet.closed.get() {
                return Err(closed());
            }
            inlet.news.notified().await;
        }
    }

    async fn clients(&mut self) -> Option<Clients> {
        if !self.socket.reach.fleet.tells.get() {
            return None;
        }
        let (tell, told) = oneshot::channel();
        let tell = Cell::new(Some(tell));
        let found = Rc::new(RefCell::new(None));
        let given = Rc::clone(&found);
        let answer = self.socket.answer(move |_| {
            if let (Some(tell), Some(clients)) = (tell.take(), given.borrow_mut().take()) {
                let _ = tell.send(clients);
            }
        });
        let server = Rc::clone(&self.socket.server);
        self.socket.send(move || {
            *found.borrow_mut() = Some(server.clients());
            answer();
        });
        told.await.ok()
    }

    async fn next_event(&mut self) -> ConnectionEvent {
        let inlet = &self.socket.inlet;
        loop {
            if inlet.answers.borrow_mut().pop_front().is_some() {
                self.tell_judge();
                return ConnectionEvent::Answered;
            }
            if inlet.closed.get() {
                return if inlet.reset.get() {
                    ConnectionEvent::Lost
                } else {
                    ConnectionEvent::Closed
                };
            }
            inlet.news.notified().await;
        }
    }
}

impl Probing {
    /// Tells the judge that an answer has reached the keeper.
    fn tell_judge(&self) {
        let Socket { reach, server, .. } = &self.socket;
        if let Some(judge) = reach.fleet.judge()
            && server.squatter().is_none()
        {
            judge.answered(&reach.process.name, &server.addr, self.attempt);
        }
    }
}

// === commands ===

#[async_trait(?Send)]
impl CommandConnection for Commanding {
    fn run_id(&self) -> &str {
        &self.1
    }

    async fn fence(&mut self, newest: Option<Epoch>) -> Result<Fence, CommandError> {
        match self.0.order(Order::Fence(newest)).await {
            Ok(0) => Ok(Fence::Closed),
            Ok(newer) => Ok(Fence::Newer(Epoch(newer))),
            Err(error) => Err(CommandError::NotDone(error.to_string())),
        }
    }

    async fn promote(&mut self, remember: Remember) -> Result<Vec<String>, CommandError> {
        let promoted = self.0.order(Order::Promote(remember)).await;
        promoted.map(|_| Vec::new())
    }

    async fn follow(
        &mut self,
        primary: &NodeAddr,
        remember: Remember,
    ) -> Result<Vec<String>, CommandError> {
        let primary = names::canonical(primary);
        let followed = self.0.order(Order::Follow(primary, remember)).await;
        followed.map(|_| Vec::new())
    }

    async fn rewrite(&mut self) -> Vec<String> {
        let rewritten = self.0.order(Order::Rewrite).await;
        rewritten.err().iter().map(ToString::to_string).collect()
    }

    async fn pause_writes(&mut self, limit: Duration) -> Result<u64, CommandError> {
        let micros = u64::try_from(limit.as_micros()).expect("a short time");
        self.0.order(Order::Pause(micros)).await
    }

    async fn unpause(&mut self) -> Result<(), CommandError> {
        self.0.order(Order::Unpause).await.map(drop)
    }

    async fn offset(&mut self) -> Result<u64, CommandError> {
        self.0.order(Order::Offset).await
    }

    async fn set_min_replicas(&mut self, values: MinReplicas) -> Result<Vec<String>, CommandError> {
        self.0.order(Order::Demand(values)).await?;
        Ok(Vec::new())
    }
}
