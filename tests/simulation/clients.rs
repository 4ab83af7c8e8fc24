//! Clients behind HAProxies, and the functions that ask a keeper which node is writable.
//!
//! Each client has a HAProxy of its own.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis_keeper::actors::Directory;
use redis_keeper::actors::cluster_api::{
    AskStatus, CheckAnswer, NodeRef, ProxyCheck, Question, Reason, RunCheck,
};
use redis_keeper::domain::node::{ClusterName, Moment, NodeAddr};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::names::canonical;
use super::network::{Host, Lane, Network};
use super::proxies::Worker;
use super::redis::Fleet;
use super::world::World;

/// A write that the server acknowledged to a client.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) write: u64,
    pub(crate) cluster: ClusterName,
}

/// How many writes a client sends between two checks of its HAProxy.
const WRITES_EACH_INTERVAL: u32 = 6;

/// The interval of a client's writes on a session that a reloaded HAProxy has left open.
const LEFT_WRITES_EVERY: Duration = Duration::from_millis(30);

/// A client of one cluster, with its HAProxy.
pub(crate) struct Writer {
    pub(crate) worker: Worker,
    pub(crate) client: Rc<Client>,
}

/// The client itself: it writes to the server that its HAProxy names.
pub(crate) struct Client {
    pub(crate) world: Rc<World>,
    pub(crate) network: Rc<Network>,
    pub(crate) fleet: Rc<Fleet>,
    pub(crate) host: Host,
    pub(crate) cluster: ClusterName,
    pub(crate) ledger: Rc<RefCell<Vec<Acknowledged>>>,
    /// The span in which the client writes nothing, in microseconds.
    pub(crate) quiet: Range<u64>,
}

/// A client's session with a server, through a HAProxy.
struct Session {
    node: NodeAddr,
    /// False once the session is shut.
    open: Cell<bool>,
    /// The HAProxy worker of this session was replaced: nothing reopens a connection that the server ends.
    left: Cell<bool>,
    /// The server's count of ended client connections when this session opened its connection.
    opened: Cell<Option<u64>>,
}

/// Asks a keeper whether a node is writable. A keeper that does not answer within 1 ms counts as not answering.
pub(crate) async fn ask(
    clusters: &Directory,
    cluster: &ClusterName,
    node: &NodeAddr,
) -> CheckAnswer {
    check(clusters, cluster, node, None).await
}

/// Asks as [`ask`] does, in the name of a HAProxy.
pub(super) async fn check(
    clusters: &Directory,
    cluster: &ClusterName,
    node: &NodeAddr,
    proxy_check: Option<Arc<ProxyCheck>>,
) -> CheckAnswer {
    let answer = put(clusters, cluster, node, proxy_check);
    let answer = timeout(Duration::from_millis(1), answer).await;
    answer.unwrap_or_else(|_| CheckAnswer::unknown(Reason::NotAnswering))
}

/// Asks a keeper whether a node is writable, and waits for the answer without a limit.
pub(crate) async fn ask_in_time(
    clusters: &Directory,
    cluster: &ClusterName,
    node: &NodeAddr,
) -> CheckAnswer {
    put(clusters, cluster, node, None).await
}

async fn put(
    clusters: &Directory,
    cluster: &ClusterName,
    node: &NodeAddr,
    proxy_check: Option<Arc<ProxyCheck>>,
) -> CheckAnswer {
    let Some(actor) = clusters.get(cluster.as_str()) else {
        return CheckAnswer::unknown(Reason::NotAnswering);
    };
    let question = RunCheck {
        question: Question::Writable,
        node: Arc::new(NodeRef {
            server_name: Some(node.to_string()),
            address: None,
            leads_to: None,
        }),
        proxy_check,
    };
    let answer = actor.send(question).await;
    answer.unwrap_or_else(|_| CheckAnswer::unknown(Reason::NotAnswering))
}

/// The node that a keeper calls writable, the end of its lease, and whether the keeper goes on by consent.
///
/// One question answers all three. A keeper that does not answer within 1 ms gives `None`.
pub(crate) async fn primary(
    clusters: &Directory,
    cluster: &ClusterName,
) -> Option<(NodeAddr, Option<Moment>, bool)> {
    let actor = clusters.get(cluster.as_str())?;
    let status = timeout(Duration::from_millis(1), actor.send(AskStatus)).await;
    let status = status.ok()?.ok()?.ok()?;
    Some((
        canonical(&status.primary?),
        status.deadline,
        status.consented,
    ))
}

// === impl Writer ===

impl Writer {
    /// Lets the HAProxy check and the client write, for ever.
    ///
    /// - Between two checks the client writes to the server that the last check found.
    /// - HAProxy shuts the sessions of a server that it takes for DOWN (`on-marked-down shutdown-sessions`). A write
    ///   that the server takes on such a session later is acknowledged to no client.
    /// - A worker that was replaced shuts no sessions any more.
    pub(crate) async fn run(mut self) {
        let mut session: Option<Rc<Session>> = None;
        loop {
            let interval = self.worker.interval();
            for _ in 0..WRITES_EACH_INTERVAL {
                if let Some(session) = &session {
                    self.client.write(session);
                }
                sleep(interval / WRITES_EACH_INTERVAL).await;
            }
            if self.worker.reload()
                && let Some(left) = session.take()
            {
                left.left.set(true);
                spawn_local(Rc::clone(&self.client).write_to_the_end(left));
            }
            self.worker.check_all().await;
            if let Some(down) = session.take_if(|it| !self.worker.is_up(&it.node)) {
                down.open.set(false);
            }
            session = session.or_else(|| self.worker.target().map(Session::with));
        }
    }
}

// === impl Client ===

impl Client {
    fn write(&self, session: &Rc<Session>) {
        if self.quiet.contains(&self.world.now()) {
            return;
        }
        let Some(server) = self.fleet.server(&session.node).cloned() else {
            return;
        };
        let write = self.world.number();
        let (there, back) = ((self.host, server.host), (server.host, self.host));
        let (fleet, network) = (Rc::clone(&self.fleet), Rc::clone(&self.network));
        let (ledger, cluster) = (Rc::clone(&self.ledger), self.cluster.clone());
        let session = Rc::clone(session);
        let arrives = move || {
            let inner = Rc::clone(&server);
            server.request(move || {
                if !session.reaches(inner.clients_ended()) {
                    return;
                }
                let acknowledged = move || {
                    if session.open.get() {
                        ledger.borrow_mut().push(Acknowledged { write, cluster });
                    }
                };
                let taken = move || network.send(back, &Lane::default(), acknowledged);
                fleet.write(&inner, write, Box::new(taken));
            });
        };
        self.network.send(there, &Lane::default(), arrives);
    }

    /// Writes on this session until the server ends the connection.
    async fn write_to_the_end(self: Rc<Self>, session: Rc<Session>) {
        while session.open.get() {
            self.write(&session);
            sleep(LEFT_WRITES_EVERY).await;
        }
    }
}

// === impl Session ===

impl Session {
    fn with(node: NodeAddr) -> Rc<Self> {
        Rc::new(Self {
            node,
            open: Cell::new(true),
            left: Cell::default(),
            opened: Cell::default(),
        })
    }

    /// Whether a request on this session reaches a server that has ended its clients' connections `ended` times.
    ///
    /// A client whose connection was ended opens another one, unless a reloaded HAProxy has left the session.
    fn reaches(&self, ended: u64) -> bool {
        if !self.left.get() {
            self.opened.set(Some(ended));
        } else if self.opened.get() != Some(ended) {
            self.open.set(false);
        }
        self.open.get()
    }
}
