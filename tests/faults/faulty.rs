//! Parts that can be made to fail: actors, by one more message that they handle, and ports.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};

use actix::prelude::*;
use async_trait::async_trait;
use redis_keeper::actors::cluster::ClusterActor;
use redis_keeper::actors::failover::FailoverActor;
use redis_keeper::actors::node_monitor::NodeMonitor;
use redis_keeper::actors::zk_session::ZkSession;
use redis_keeper::adapters::clock::BootClock;
use redis_keeper::domain::node::{ClusterName, Epoch, Moment, NodeAddr};
use redis_keeper::ports::clock::LeaseClock;
use redis_keeper::ports::redis::{
    CommandConnection, CommandError, CommandObstacle, ProbeConnection, ProbeFailure, Redis,
    RedisNode,
};

use super::redis::FakeRedis;

/// The text of every such fault.
pub(crate) const CAUSE: &str = "a fault made by a test";

/// Makes the actor that handles it panic.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Crash;

/// Keeps the actor that handles it busy for ever.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Hang;

macro_rules! can_fail {
    ($($actor:ty),*) => {$(
        impl Handler<Crash> for $actor {
            type Result = ();

            fn handle(&mut self, _: Crash, _: &mut Self::Context) {
                panic!("{CAUSE}")
            }
        }

        impl Handler<Hang> for $actor {
            type Result = AtomicResponse<Self, ()>;

            fn handle(&mut self, _: Hang, _: &mut Self::Context) -> Self::Result {
                AtomicResponse::new(Box::pin(std::future::pending().into_actor(self)))
            }
        }
    )*};
}

can_fail!(ZkSession, FailoverActor, ClusterActor, NodeMonitor);

/// Fake servers. A command, or every monitor of one node, may be made to panic.
#[derive(Default)]
pub(crate) struct FaultyRedis {
    pub(crate) servers: FakeRedis,
    /// Whether the next command panics.
    pub(crate) command: Rc<Cell<bool>>,
    /// The node whose every use panics.
    pub(crate) node: Cell<Option<NodeAddr>>,
}

struct FaultyNode(Rc<dyn RedisNode>, Rc<Cell<bool>>);

#[async_trait(?Send)]
impl Redis for FaultyRedis {
    fn node(&self, cluster: &ClusterName, addr: &NodeAddr) -> Rc<dyn RedisNode> {
        let faulty = self.node.take();
        self.node.set(faulty.clone());
        assert!(faulty.as_ref() != Some(addr), "{CAUSE}");
        let node = self.servers.node(cluster, addr);
        Rc::new(FaultyNode(node, self.command.clone()))
    }

    async fn resolve(&self, host: &str) -> Result<BTreeSet<IpAddr>, String> {
        self.servers.resolve(host).await
    }

    fn remember(&self, host: &str, addresses: &BTreeSet<IpAddr>) {
        self.servers.remember(host, addresses);
    }
}

#[async_trait(?Send)]
impl RedisNode for FaultyNode {
    async fn connect(&self) -> Result<Box<dyn ProbeConnection>, ProbeFailure> {
        self.0.connect().await
    }

    async fn command(&self, epoch: Epoch) -> Result<Box<dyn CommandConnection>, CommandError> {
        assert!(!self.1.replace(false), "{CAUSE}");
        self.0.command(epoch).await
    }

    async fn try_commands(&self) -> Result<(), CommandObstacle> {
        self.0.try_commands().await
    }
}

/// A clock that once panics in a thread of the HTTP server, when armed. Make the clock on the actors' thread.
pub(crate) struct FaultyClock {
    actors: ThreadId,
    pub(crate) armed: AtomicBool,
}

impl Default for FaultyClock {
    fn default() -> Self {
        Self {
            actors: thread::current().id(),
            armed: AtomicBool::new(false),
        }
    }
}

impl LeaseClock for FaultyClock {
    fn now(&self) -> Moment {
        let fails =
            thread::current().id() != self.actors && self.armed.swap(false, Ordering::Relaxed);
        assert!(!fails, "{CAUSE}");
        BootClock.now()
    }
}
