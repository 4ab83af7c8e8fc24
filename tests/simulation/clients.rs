//! Clients, each behind a HAProxy of its own; and the questions that are put to keepers.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis_keeper::actors::Directory;
use redis_keeper::actors::cluster_api::{Answer, Ask, AskStatus, Asker, NodeRef, Question, Reason};
use redis_keeper::domain::node::{ClusterName, Moment, NodeAddr};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::names::canonical;
use super::network::{Host, Lane, Network};
use super::proxies::Worker;
use super::redis::Fleet;
use super::world::World;

/// A write that was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) write: u64,
    pub(crate) cluster: ClusterName,
}

/// How often a client writes from one check of its HAProxy to the next.
const WRITES_EACH_INTERVAL: u32 = 6;

/// How often one writes that its HAProxy has left to itself.
const LEFT_WRITES_EVERY: Duration = Duration::from_millis(30);

/// A client of one cluster, with its HAProxy.
pub(crate) struct Writer {
    pub(crate) worker: Worker,
    pub(crate) client: Rc<Client>,
}

/// What writes.
pub(crate) struct Client {
    pub(crate) world: Rc<World>,
    pub(crate) network: Rc<Network>,
    pub(crate) fleet: Rc<Fleet>,
    pub(crate) host: Host,
    pub(crate) cluster: ClusterName,
    pub(crate) ledger: Rc<RefCell<Vec<Acknowledged>>>,
    /// It writes nothing then, in microseconds.
    pub(crate) quiet: Range<u64>,
}

/// A connection to a server, through a HAProxy.
struct Session {
    node: NodeAddr,
    /// Nobody has shut it.
    open: Cell<bool>,
    /// The worker that it goes through was replaced: once it is ended, nothing opens it again.
    left: Cell<bool>,
    /// How often the server had ended its clients' connections when this one was opened.
    opened: Cell<Option<u64>>,
}

/// Asks a keeper whether a node is writable; answered within this instant or not at all.
pub(crate) async fn ask(clusters: &Directory, cluster: &ClusterName, node: &NodeAddr) -> Answer {
    check(clusters, cluster, node, None).await
}

/// The same, by a HAProxy.
pub(super) async fn check(
    clusters: &Directory,
    cluster: &ClusterName,
    node: &NodeAddr,
    asker: Option<Arc<Asker>>,
) -> Answer {
    let answer = put(clusters, cluster, node, asker);
    let answer = timeout(Duration::from_millis(1), answer).await;
    answer.unwrap_or_else(|_| Answer::unknown(Reason::NotAnswering))
}

/// Asks a keeper whether a node is writable; answered when the keeper has its turn.
pub(crate) async fn ask_in_time(
    clusters: &Directory,
    cluster: &ClusterName,
    node: &NodeAddr,
) -> Answer {
    put(clusters, cluster, node, None).await
}

async fn put(
    clusters: &Directory,
    cluster: &ClusterName,
    node: &NodeAddr,
    asker: Option<Arc<Asker>>,
) -> Answer {
    let Some(actor) = clusters.get(cluster.as_str()) else {
        return Answer::unknown(Reason::NotAnswering);
    };
    let question = Ask {
        question: Question::Writable,
        node: Arc::new(NodeRef {
            server_name: Some(node.to_string()),
            address: None,
            leads_to: None,
        }),
        asker,
    };
    let answer = actor.send(question).await;
    answer.unwrap_or_else(|_| Answer::unknown(Reason::NotAnswering))
}

/// The node that a keeper calls writable, in one question, and its deadline; answered within this instant or not at all.
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
    /// Has its HAProxy check, and writes for ever. Between two checks clients go on to where the last one sent them. A server
    /// that is taken for DOWN has its sessions shut (`on-marked-down shutdown-sessions`): what it takes of them later,
    /// acknowledges nobody. A worker that was replaced shuts none any more.
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

    /// Writes until the server ends the session.
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

    /// Whether a request on it has a connection to a server that has ended those of its clients so often. A client whose
    /// connection was ended opens another one, unless its HAProxy has left it.
    fn reaches(&self, ended: u64) -> bool {
        if !self.left.get() {
            self.opened.set(Some(ended));
        } else if self.opened.get() != Some(ended) {
            self.open.set(false);
        }
        self.open.get()
    }
}
