//! Nodes by name: the effect of a resolver that fails or hangs on probes and commands.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use redis_keeper::adapters::redis::{Access, RedisServers};
use redis_keeper::adapters::resolver::Resolver;
use redis_keeper::domain::node::{ClusterName, Epoch, NodeAddr};
use redis_keeper::ports::redis::{Depth, ProbeFailure, Redis as _, RedisNode};
use tokio::time::{Instant, timeout};

use crate::asking::{SHORT, connected, probed};
use crate::server::{PATIENCE, Server, eventually};

/// A resolver that answers until it is told to hang, and counts how many times it is asked.
#[derive(Default)]
struct NameServer {
    hangs: AtomicBool,
    asked: AtomicUsize,
}

/// The node of a server, by the name `redis-1`.
fn named(server: &Server, names: &Arc<NameServer>) -> Rc<dyn RedisNode> {
    let names = Arc::clone(names);
    let resolver = Resolver::new(move |_| {
        names.asked.fetch_add(1, Ordering::SeqCst);
        if names.hangs.load(Ordering::SeqCst) {
            // The sender stays open, so no answer comes.
            let (_open, never) = channel::<()>();
            let _ = never.recv();
        }
        Ok::<_, io::Error>(BTreeSet::from([IpAddr::V4(Ipv4Addr::LOCALHOST)]))
    });
    let cluster = ClusterName::new("c");
    let access = [(cluster.clone(), Access::default())];
    let servers = RedisServers::resolved_by(&resolver, access, SHORT).expect("no TLS");
    servers.node(&cluster, &NodeAddr::new("redis-1", server.addr.port()))
}

#[tokio::test]
async fn a_resolver_that_hangs_delays_no_probe_or_command_to_a_known_address() {
    let server = Server::start(&[]).await;
    let names = Arc::<NameServer>::default();
    let node = named(&server, &names);
    node.locate().await.expect("it resolves");
    names.hangs.store(true, Ordering::SeqCst);
    // A name that was looked up a moment ago is not looked up again at once.
    eventually("it is asked again", async || {
        node.locate().await.expect("known");
        (names.asked.load(Ordering::SeqCst) == 2).then_some(())
    })
    .await;
    for _ in 0..3 {
        timeout(SHORT, node.locate())
            .await
            .expect("in time")
            .expect("known");
        let mut connection = connected(&*node).await;
        assert!(probed(&mut *connection, Depth::Tick).await.info.is_some());
        assert!(node.command(Epoch(1)).await.is_ok());
    }
}

#[tokio::test]
async fn a_resolver_that_hangs_from_the_start_is_this_hosts_own_trouble() {
    let server = Server::start(&[]).await;
    let names = Arc::<NameServer>::default();
    names.hangs.store(true, Ordering::SeqCst);
    let node = named(&server, &names);
    let begun = Instant::now();
    let why = timeout(PATIENCE, node.locate()).await.expect("in time");
    assert!(why.is_err_and(|why| why.contains("has not answered")));
    assert!(begun.elapsed() < PATIENCE / 4);
    // No connection waits for the resolver, whatever the connection's own limit is.
    let failed = timeout(SHORT, node.connect()).await.expect("at once").err();
    assert!(matches!(failed, Some(ProbeFailure::Own(_))), "{failed:?}");
}
