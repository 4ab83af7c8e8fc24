//! Clients, each behind an HAProxy of its own that asks the keepers who is writable.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis_keeper::actors::Directory;
use redis_keeper::actors::cluster_api::{
    Answer, Ask, AskStatus, Asker, NodeRef, Question, Reason, Ruling,
};
use redis_keeper::domain::drain::Proxy;
use redis_keeper::domain::node::{ClusterName, Moment, NodeAddr};
use tokio::time::{sleep, timeout};

use super::keeper::Keeper;
use super::names::canonical;
use super::network::{Host, Lane, Network};
use super::oracle::Oracle;
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

/// A client of one cluster.
pub(crate) struct Writer {
    pub(crate) world: Rc<World>,
    pub(crate) network: Rc<Network>,
    pub(crate) fleet: Rc<Fleet>,
    pub(crate) keepers: Rc<Vec<Rc<Keeper>>>,
    pub(crate) host: Host,
    pub(crate) cluster: ClusterName,
    pub(crate) nodes: Vec<NodeAddr>,
    pub(crate) ledger: Rc<RefCell<Vec<Acknowledged>>>,
    pub(crate) judge: Rc<Oracle>,
    /// Its HAProxy says who it is.
    pub(crate) named: bool,
    /// It writes nothing then, in microseconds.
    pub(crate) quiet: Range<u64>,
}

/// Asks a keeper whether a node is writable; answered within this instant or not at all.
pub(crate) async fn ask(clusters: &Directory, cluster: &ClusterName, node: &NodeAddr) -> Answer {
    check(clusters, cluster, node, None).await
}

/// The same, by a HAProxy.
async fn check(
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

impl Writer {
    /// Checks and writes for ever. Between two checks clients go on to where the last one sent them. A server that is taken for
    /// DOWN has its sessions shut (`on-marked-down shutdown-sessions`): what it takes of them later, acknowledges nobody.
    pub(crate) async fn run(self) {
        let mut turn = usize::from(self.host);
        let mut up = BTreeMap::new();
        let mut session = Rc::new(Cell::new(true));
        loop {
            let interval = Duration::from_micros(self.world.draw(100_000..=200_000));
            let target = up.iter().find(|(_, up)| **up);
            let target = target.map(|(node, _): (&NodeAddr, &bool)| node.clone());
            for _ in 0..WRITES_EACH_INTERVAL {
                if let Some(node) = &target
                    && !self.quiet.contains(&self.world.now())
                {
                    self.write(node, &session);
                }
                sleep(interval / WRITES_EACH_INTERVAL).await;
            }
            for node in &self.nodes {
                turn += 1;
                let known = up.get(node).copied().unwrap_or(false);
                let now = self.check(node, turn, known).await;
                self.judge.proxy_says(&self.cluster, node, self.host, now);
                if !now && target.as_ref() == Some(node) {
                    session.replace(false);
                    session = Rc::new(Cell::new(true));
                }
                up.insert(node.clone(), now);
            }
        }
    }

    /// One check, sent again to another keeper when one does not know. `fall 1 rise 1`.
    async fn check(&self, node: &NodeAddr, turn: usize, up: bool) -> bool {
        let proxy = Proxy {
            name: format!("host-{}", self.host),
            backend: self.cluster.to_string(),
            address: None,
        };
        let asker = Arc::new(if self.named {
            Asker::Proxy { proxy, up }
        } else {
            Asker::Unnamed
        });
        for step in 0..self.keepers.len() {
            let keeper = &self.keepers[(turn + step) % self.keepers.len()];
            if !self.network.passes(self.host, keeper.host) {
                continue;
            }
            let Some(voice) = keeper.trusted() else {
                continue;
            };
            match check(
                &voice.clusters,
                &self.cluster,
                node,
                Some(Arc::clone(&asker)),
            )
            .await
            .reason
            .ruling()
            {
                Ruling::Yes => return true,
                Ruling::Unknown => {}
                Ruling::No | Ruling::NoSuchNode => return false,
            }
        }
        false
    }

    fn write(&self, node: &NodeAddr, session: &Rc<Cell<bool>>) {
        let Some(server) = self.fleet.server(node).cloned() else {
            return;
        };
        let write = self.world.number();
        let (there, back) = ((self.host, server.host), (server.host, self.host));
        let (fleet, network) = (Rc::clone(&self.fleet), Rc::clone(&self.network));
        let (ledger, cluster) = (Rc::clone(&self.ledger), self.cluster.clone());
        let open = Rc::clone(session);
        let arrives = move || {
            let inner = Rc::clone(&server);
            server.request(move || {
                let acknowledged = move || {
                    if open.get() {
                        ledger.borrow_mut().push(Acknowledged { write, cluster });
                    }
                };
                let taken = move || network.send(back, &Lane::default(), acknowledged);
                fleet.write(&inner, write, Box::new(taken));
            });
        };
        self.network.send(there, &Lane::default(), arrives);
    }
}
