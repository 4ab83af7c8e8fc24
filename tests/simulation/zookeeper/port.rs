//! The ensemble as a keeper's coordination port.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use redis_keeper::ports::coordination::{
    self, Children, Coordination, CoordinationError, CreateKind, Created, Fired, Node, Sent,
    SessionState, Watch,
};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::{Arm, Client, Ensemble, TIMEOUT, Watched, Work};
use crate::keeper::Process;
use crate::network::Lane;
use crate::tree::{NodeEvent, Tree};
use crate::world::Event;

type Result<T> = std::result::Result<T, CoordinationError>;

/// Makes the sessions of one process.
pub(crate) struct Coordinator {
    pub(crate) ensemble: Rc<Ensemble>,
    pub(crate) process: Rc<Process>,
}

struct Session {
    client: Rc<Client>,
    ensemble: Rc<Ensemble>,
}

/// The receiver of an answer, whichever way the answer comes.
type ReplyTo<T> = Rc<RefCell<Option<oneshot::Sender<Result<T>>>>>;

fn give<T>(answer: &ReplyTo<T>, outcome: Result<T>) {
    if let Some(answer) = answer.borrow_mut().take() {
        // The receiver may have stopped waiting.
        let _ = answer.send(outcome);
    }
}

#[async_trait(?Send)]
impl Coordination for Coordinator {
    async fn connect(&self) -> Result<Rc<dyn coordination::Session>> {
        for _ in 0..5 {
            let (tell, told) = oneshot::channel();
            let (ensemble, process) = (Rc::clone(&self.ensemble), Rc::clone(&self.process));
            let way = (process.host, ensemble.host);
            let opened = move || {
                let now = ensemble.world.now();
                let back = (ensemble.host, process.host);
                let client = ensemble.open(|id| Client::new(id, process, now));
                if let Some(client) = client {
                    let answered = move || drop(tell.send(client));
                    ensemble.network.send(back, &Lane::default(), answered);
                }
            };
            let network = &self.ensemble.network;
            network.send(way, &Lane::default(), opened);
            let attempt = timeout(Duration::from_millis(400), told).await;
            if let Ok(Ok(client)) = attempt {
                client.take();
                return Ok(Rc::new(Session {
                    client,
                    ensemble: Rc::clone(&self.ensemble),
                }));
            }
            sleep(Duration::from_millis(100)).await;
        }
        Err(CoordinationError::Unknown("no server answers".into()))
    }

    fn describe(&self) -> String {
        "simulated zookeeper".into()
    }
}

// === impl Session ===

impl Session {
    fn read<T: 'static>(&self, read: impl FnOnce(&Tree) -> (Result<T>, Arm) + 'static) -> Sent<T> {
        self.send(|answer| {
            Work::Read(Box::new(move |tree| {
                let (outcome, arm) = read(tree);
                let event: Event = Box::new(move || give(&answer, outcome));
                (event, arm)
            }))
        })
    }

    fn write<T: 'static>(
        &self,
        write: impl FnOnce(&mut Tree, i64) -> Result<(T, Vec<NodeEvent>)> + 'static,
    ) -> Sent<T> {
        self.send(|answer| {
            Work::Write(Box::new(move |tree, session| {
                let (outcome, changes) = match write(tree, session) {
                    Ok((done, changes)) => (Ok(done), changes),
                    Err(error) => (Err(error), Vec::new()),
                };
                let event: Event = Box::new(move || give(&answer, outcome));
                (changes, event)
            }))
        })
    }

    fn send<T: 'static>(&self, work: impl FnOnce(ReplyTo<T>) -> Work) -> Sent<T> {
        let (tell, told) = oneshot::channel();
        let answer: ReplyTo<T> = Rc::new(RefCell::new(Some(tell)));
        let lost = Rc::clone(&answer);
        let lost = Box::new(move |error| give(&lost, Err(error)));
        self.client.request(&self.ensemble, work(answer), lost);
        async move { told.await.unwrap_or(Err(CoordinationError::Expired)) }.boxed_local()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.client.close(&self.ensemble);
    }
}

/// A watch: the part that stays with the follower, and the part for the reader.
fn watch(kind: Watched, path: String) -> (Arm, Watch) {
    let (fire, fired) = oneshot::channel();
    // A dropped sender means a lost connection. The reader has to read again in either case.
    let watch = fired
        .map(|fired| fired.unwrap_or(Fired::Changed))
        .boxed_local();
    (Some((kind, path, fire)), watch)
}

impl coordination::Session for Session {
    fn id(&self) -> i64 {
        self.client.id
    }

    fn timeout(&self) -> Duration {
        Duration::from_micros(TIMEOUT)
    }

    fn state(&self) -> watch::Receiver<SessionState> {
        self.client.state.subscribe()
    }

    fn get(&self, path: &str) -> Sent<Option<Node>> {
        let path = path.to_owned();
        self.read(move |tree| (Ok(tree.get(&path)), None))
    }

    fn get_and_watch(&self, path: &str) -> Sent<(Option<Node>, Watch)> {
        let path = path.to_owned();
        self.read(move |tree| {
            let node = tree.get(&path);
            let (arm, watch) = watch(Watched::Node, path);
            (Ok((node, watch)), arm)
        })
    }

    fn children(&self, path: &str) -> Sent<Children> {
        let path = path.to_owned();
        self.read(move |tree| {
            (
                Ok(tree.children_and_changes(&path).unwrap_or_default()),
                None,
            )
        })
    }

    fn children_and_watch(&self, path: &str) -> Sent<(Children, Watch)> {
        let path = path.to_owned();
        self.read(move |tree| match tree.children_and_changes(&path) {
            Some(children) => {
                let (arm, watch) = watch(Watched::Children, path);
                (Ok((children, watch)), arm)
            }
            None => (Err(CoordinationError::NoNode(path)), None),
        })
    }

    fn create(&self, path: &str, data: &[u8], kind: CreateKind) -> Sent<Created> {
        let (path, data) = (path.to_owned(), data.to_vec());
        self.write(move |tree, session| {
            let (created, change) = tree.create(&path, &data, kind, session)?;
            Ok((created, vec![change]))
        })
    }

    fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Sent<i32> {
        let (path, data) = (path.to_owned(), data.to_vec());
        self.write(move |tree, _| {
            let (version, change) = tree.set(&path, &data, version)?;
            Ok((version, vec![change]))
        })
    }

    fn delete(&self, path: &str, version: Option<i32>) -> Sent<()> {
        let path = path.to_owned();
        self.write(move |tree, _| Ok(((), vec![tree.delete(&path, version)?])))
    }

    fn multi(&self, writes: Vec<coordination::Write>) -> Sent<()> {
        self.write(move |tree, _| Ok(((), tree.multi(&writes)?)))
    }
}
