//! Helpers of the tests to reach a server through the adapter.

use std::rc::Rc;
use std::time::Duration;

use redis_keeper::adapters::redis::{Access, RedisServers};
use redis_keeper::domain::facts::{Link, NodeFacts};
use redis_keeper::domain::node::{ClusterName, Epoch, NodeAddr};
use redis_keeper::ports::redis::{
    Alive, CommandConnection, CommandError, Depth, ProbeConnection, Redis, RedisNode,
};
use tokio::time::timeout;

use crate::server::{PATIENCE, Server, eventually};

pub(crate) const SHORT: Duration = Duration::from_millis(500);

/// The access of a user `keeper`, whose password is `pw`.
pub(crate) fn as_keeper() -> Access {
    Access {
        username: Some("keeper".to_owned()),
        passwords: vec!["pw".to_owned()],
        ..Access::default()
    }
}

pub(crate) fn node(addr: &NodeAddr, access: Access) -> Rc<dyn RedisNode> {
    let cluster = ClusterName::new("c");
    RedisServers::new([(cluster.clone(), access)], SHORT)
        .expect("usable access")
        .node(&cluster, addr)
}

pub(crate) fn plain(server: &Server) -> Rc<dyn RedisNode> {
    node(&server.addr, Access::default())
}

pub(crate) async fn connected(node: &dyn RedisNode) -> Box<dyn ProbeConnection> {
    timeout(PATIENCE, node.connect())
        .await
        .expect("in time")
        .expect("a connection")
}

pub(crate) async fn probed(connection: &mut dyn ProbeConnection, depth: Depth) -> Alive {
    timeout(PATIENCE, connection.probe(depth))
        .await
        .expect("in time")
        .expect("an answer")
}

/// A command connection to `server`, as the leader of this epoch opens it.
pub(crate) async fn commanding(
    server: &Server,
    access: Access,
    epoch: u64,
) -> Result<Box<dyn CommandConnection>, CommandError> {
    node(&server.addr, access).command(Epoch(epoch)).await
}

pub(crate) async fn facts(server: &Server) -> Option<NodeFacts> {
    let alive = probed(&mut *connected(&*plain(server)).await, Depth::Full).await;
    NodeFacts::of(&alive.info?)
}

pub(crate) async fn is_replica_of(server: &Server, primary: &NodeAddr) {
    eventually("it follows", async || {
        let facts = facts(server).await?;
        let upstream = facts.upstream()?;
        (upstream.link == Link::Up && upstream.primary == *primary).then_some(())
    })
    .await;
}

fn replica_arguments(primary: &Server) -> Vec<String> {
    vec![
        "--replicaof".to_owned(),
        format!("127.0.0.1 {}", primary.addr.port()),
    ]
}

pub(crate) async fn replica_of(primary: &Server) -> Server {
    let arguments = replica_arguments(primary);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let replica = Server::start(&arguments).await;
    is_replica_of(&replica, &primary.addr).await;
    replica
}
