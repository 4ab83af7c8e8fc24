//! Clients that write through the HAProxy of their host and record each acknowledgement, and observers that ask a
//! keeper.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use keeper_site::keeper::Keeper;
use keeper_site::session::Session;
use redis::RedisResult;
use tokio::time::{Instant, sleep};

use crate::judge::{Writable, Write};
use crate::network::Host;
use crate::site::{name, proxy_port};

/// The pause between two writes of one client, and before a new session after an error.
const PAUSE: Duration = Duration::from_millis(20);
/// The pause between two rounds of questions to a keeper.
const QUESTIONS: Duration = Duration::from_millis(100);

/// Sets one bit after another in a key of its own, until stopped or dropped. Bit `n` stands for write number `n`.
pub(crate) struct Client {
    cluster: usize,
    host: usize,
    diary: Arc<Mutex<Diary>>,
}

#[derive(Default)]
struct Diary {
    writes: Vec<Write>,
    stopped: bool,
}

/// Asks the keeper of its host about every node of every cluster, as HAProxy does.
pub(crate) struct Observer {
    /// The answers by cluster.
    heard: Arc<Mutex<Vec<Vec<Writable>>>>,
}

/// The key of the client on `host`.
pub(crate) fn key(host: usize) -> String {
    format!("client-{host}")
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Client ===

impl Client {
    /// Starts a client that writes to `cluster` on `host`. Times count from `start`.
    pub(crate) fn start(host: &Host, cluster: usize, start: Instant) -> Self {
        let diary = Arc::<Mutex<Diary>>::default();
        let writing = Writing {
            host: host.number(),
            proxy: SocketAddrV4::new(Ipv4Addr::LOCALHOST, proxy_port(cluster)),
            start,
            diary: Arc::clone(&diary),
        };
        host.start(|| writing.go_on());
        Self {
            cluster,
            host: host.number(),
            diary,
        }
    }

    /// The cluster to which the client writes.
    pub(crate) fn cluster(&self) -> usize {
        self.cluster
    }

    /// The host on which the client runs.
    pub(crate) fn host(&self) -> usize {
        self.host
    }

    /// The client's latest acknowledged write.
    pub(crate) fn latest(&self) -> Option<Write> {
        locked(&self.diary).writes.last().copied()
    }

    /// Stops writing. Returns all acknowledged writes.
    pub(crate) fn stop(&self) -> Vec<Write> {
        let mut diary = locked(&self.diary);
        diary.stopped = true;
        std::mem::take(&mut diary.writes)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        locked(&self.diary).stopped = true;
    }
}

struct Writing {
    host: usize,
    proxy: SocketAddrV4,
    start: Instant,
    diary: Arc<Mutex<Diary>>,
}

impl Writing {
    async fn go_on(self) {
        let mut number = 0;
        while !self.is_stopped() {
            let _ = self.use_up(&mut number).await;
            sleep(PAUSE).await;
        }
    }

    /// Writes until the session ends, or a write is refused.
    async fn use_up(&self, number: &mut u32) -> RedisResult<()> {
        let mut session = Session::open(self.proxy).await?;
        while !self.is_stopped() {
            *number += 1;
            let sent = self.start.elapsed();
            let words = ["SETBIT", &key(self.host), &number.to_string(), "1"];
            session.ask::<u8>(&words).await?;
            let write = Write {
                client: self.host,
                node: session.node(),
                number: *number,
                sent,
                acknowledged: self.start.elapsed(),
            };
            self.note(write);
            sleep(PAUSE).await;
        }
        Ok(())
    }

    fn note(&self, write: Write) {
        let mut diary = locked(&self.diary);
        if !diary.stopped {
            diary.writes.push(write);
        }
    }

    fn is_stopped(&self) -> bool {
        locked(&self.diary).stopped
    }
}

// === impl Observer ===

impl Observer {
    /// Starts to ask `keeper`, from the keeper's host, about the nodes of each cluster. Each node has the number of
    /// its host.
    pub(crate) fn start(
        host: &Host,
        keeper: &Arc<Keeper>,
        clusters: Vec<Vec<(usize, String)>>,
        start: Instant,
    ) -> Self {
        let heard = Arc::new(Mutex::new(vec![Vec::new(); clusters.len()]));
        let asking = Asking {
            keeper: host.number(),
            heard: Arc::clone(&heard),
            start,
        };
        let keeper = Arc::downgrade(keeper);
        host.start(move || async move {
            let asking = Rc::new(asking);
            while let Some(keeper) = keeper.upgrade() {
                let questions = clusters.iter().enumerate().flat_map(|(cluster, nodes)| {
                    let (asking, keeper) = (&asking, &keeper);
                    nodes
                        .iter()
                        .map(move |(node, at)| asking.ask(keeper, cluster, *node, at))
                });
                join_all(questions).await;
                drop(keeper);
                sleep(QUESTIONS).await;
            }
        });
        Self { heard }
    }

    /// The nodes that the keeper has called writable so far, by cluster.
    pub(crate) fn heard(&self) -> Vec<Vec<Writable>> {
        locked(&self.heard).clone()
    }
}

struct Asking {
    keeper: usize,
    heard: Arc<Mutex<Vec<Vec<Writable>>>>,
    start: Instant,
}

impl Asking {
    async fn ask(&self, keeper: &Keeper, cluster: usize, node: usize, at: &str) {
        let sent = self.start.elapsed();
        let path = format!("/cluster/{}/is-writable/{at}", name(cluster));
        let Ok(answer) = keeper.get(&path).await else {
            return;
        };
        let (200, Some(generation)) = (answer.code, answer.body["generation"].as_u64()) else {
            return;
        };
        let received = self.start.elapsed();
        let mut heard = locked(&self.heard);
        let said = heard[cluster]
            .iter_mut()
            .find(|it| it.node == node && it.generation == generation);
        match said {
            Some(said) => said.last = said.last.max(sent),
            None => heard[cluster].push(Writable {
                keeper: self.keeper,
                node,
                generation,
                first: received,
                last: sent,
            }),
        }
    }
}
