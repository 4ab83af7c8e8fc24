//! Coordination that fails on demand: the embedded one, whose sessions a test disconnects, cuts off and expires.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt as _, TryFutureExt as _};
use redis_keeper::adapters::embedded::Embedded;
use redis_keeper::ports::coordination::{
    Children, Coordination, CoordinationError, CreateKind, Created, Fired, Node, Sent, Session,
    SessionState, Watch, Write,
};
use tokio::sync::{oneshot, watch};
use tokio::task::unconstrained;

/// The coordination, with the connections of its clients. Clones share both.
#[derive(Clone, Default)]
pub(crate) struct FaultyCoordination(Rc<World>);

#[derive(Default)]
struct World {
    embedded: Embedded,
    sessions: RefCell<BTreeMap<i64, Rc<Connection>>>,
    unreachable: Cell<bool>,
}

/// The connection of a client to its session.
struct Connection {
    /// `None` once the session has expired.
    session: RefCell<Option<Rc<dyn Session>>>,
    state: watch::Sender<SessionState>,
    connections: Cell<u64>,
    /// Replaced by a disconnection, which fires the watches.
    watches: RefCell<watch::Sender<()>>,
    /// Requests made while disconnected.
    waiting: RefCell<VecDeque<Request>>,
    /// Whether the next request is executed, and its answer is lost with the connection.
    cut_at_next: Cell<bool>,
}

type Request = Box<dyn FnOnce(&Connection, &dyn Session, Delivery)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Delivered,
    Lost,
}

// === impl FaultyCoordination ===

impl FaultyCoordination {
    /// The ids of the sessions that live, oldest first.
    pub(crate) fn sessions(&self) -> Vec<i64> {
        self.0.sessions.borrow().keys().copied().collect()
    }

    /// Whether new sessions can be opened.
    pub(crate) fn set_reachable(&self, reachable: bool) {
        self.0.unreachable.set(!reachable);
    }

    /// Ends a session, as ZooKeeper does when a client was silent for the session timeout.
    pub(crate) fn expire(&self, session: i64) {
        self.0.expire(session);
    }

    /// Cuts the connection of a session. Later requests of the session wait for [`Self::reconnect`].
    pub(crate) fn disconnect(&self, session: i64) {
        if let Some(connection) = self.0.connection(session) {
            connection.cut();
        }
    }

    /// Connects a session again, and executes the requests that have waited.
    pub(crate) fn reconnect(&self, session: i64) {
        if let Some(connection) = self.0.connection(session) {
            connection.restore();
        }
    }

    /// Lets the next request of a session be executed, and then loses its answer together with the connection.
    pub(crate) fn cut_at_next_request(&self, session: i64) {
        if let Some(connection) = self.0.connection(session) {
            connection.cut_at_next.set(true);
        }
    }
}

#[async_trait(?Send)]
impl Coordination for FaultyCoordination {
    async fn connect(&self) -> Result<Rc<dyn Session>, CoordinationError> {
        if self.0.unreachable.get() {
            return Err(CoordinationError::Unknown("nothing answers".into()));
        }
        let session = self.0.embedded.connect().await?;
        let id = session.id();
        let (sender, state) = watch::channel(SessionState::Connected(1));
        let connection = Rc::new(Connection {
            session: RefCell::new(Some(session)),
            state: sender,
            connections: Cell::new(1),
            watches: RefCell::default(),
            waiting: RefCell::default(),
            cut_at_next: Cell::default(),
        });
        let mut sessions = self.0.sessions.borrow_mut();
        sessions.insert(id, Rc::clone(&connection));
        Ok(Rc::new(FaultySession {
            id,
            state,
            connection,
            world: Rc::clone(&self.0),
        }))
    }

    fn describe(&self) -> String {
        self.0.embedded.describe()
    }
}

// === impl World ===

impl World {
    fn connection(&self, session: i64) -> Option<Rc<Connection>> {
        self.sessions.borrow().get(&session).cloned()
    }

    fn expire(&self, session: i64) {
        let expired = self.sessions.borrow_mut().remove(&session);
        if let Some(connection) = expired {
            connection.state.send_replace(SessionState::Expired);
            connection.waiting.take();
            connection.session.take();
        }
    }
}

// === impl Connection ===

impl Connection {
    fn submit(&self, request: Request) {
        let Some(session) = self.session.borrow().clone() else {
            return;
        };
        if *self.state.borrow() == SessionState::Disconnected {
            self.waiting.borrow_mut().push_back(request);
        } else if self.cut_at_next.take() {
            request(self, &*session, Delivery::Lost);
            self.cut();
        } else {
            request(self, &*session, Delivery::Delivered);
        }
    }

    fn cut(&self) {
        self.state.send_replace(SessionState::Disconnected);
        self.watches.take();
    }

    fn restore(&self) {
        self.connections.update(|count| count + 1);
        let connected = SessionState::Connected(self.connections.get());
        self.state.send_replace(connected);
        for request in self.waiting.take() {
            self.submit(request);
        }
    }
}

/// A watch that the end of `connected` fires, too.
fn until_cut(watch: Watch, mut connected: watch::Receiver<()>) -> Watch {
    async move {
        tokio::select! {
            biased;
            fired = watch => fired,
            _ = connected.changed() => Fired::Changed,
        }
    }
    .boxed_local()
}

// === impl FaultySession ===

struct FaultySession {
    id: i64,
    state: watch::Receiver<SessionState>,
    connection: Rc<Connection>,
    world: Rc<World>,
}

impl FaultySession {
    fn request<T: 'static>(
        &self,
        send: impl FnOnce(&Connection, &dyn Session) -> Sent<T> + 'static,
    ) -> Sent<T> {
        let (reply, outcome) = oneshot::channel();
        self.connection
            .submit(Box::new(move |connection, session, delivery| {
                let result = unconstrained(send(connection, session)).now_or_never();
                let result = result.expect("the embedded coordination answers at once");
                let _ = reply.send(match delivery {
                    Delivery::Delivered => result,
                    Delivery::Lost => Err(CoordinationError::Unknown("connection cut".into())),
                });
            }));
        async move { outcome.await.unwrap_or(Err(CoordinationError::Expired)) }.boxed_local()
    }
}

impl Drop for FaultySession {
    fn drop(&mut self) {
        self.world.expire(self.id);
    }
}

impl Session for FaultySession {
    fn id(&self) -> i64 {
        self.id
    }

    fn timeout(&self) -> Duration {
        Duration::MAX
    }

    fn state(&self) -> watch::Receiver<SessionState> {
        self.state.clone()
    }

    fn get(&self, path: &str) -> Sent<Option<Node>> {
        let path = path.to_owned();
        self.request(move |_, session| session.get(&path))
    }

    fn get_and_watch(&self, path: &str) -> Sent<(Option<Node>, Watch)> {
        let path = path.to_owned();
        self.request(move |connection, session| {
            let connected = connection.watches.borrow().subscribe();
            let read = session.get_and_watch(&path);
            read.map_ok(|(node, watch)| (node, until_cut(watch, connected)))
                .boxed_local()
        })
    }

    fn children(&self, path: &str) -> Sent<Children> {
        let path = path.to_owned();
        self.request(move |_, session| session.children(&path))
    }

    fn children_and_watch(&self, path: &str) -> Sent<(Children, Watch)> {
        let path = path.to_owned();
        self.request(move |connection, session| {
            let connected = connection.watches.borrow().subscribe();
            let read = session.children_and_watch(&path);
            read.map_ok(|(children, watch)| (children, until_cut(watch, connected)))
                .boxed_local()
        })
    }

    fn create(&self, path: &str, data: &[u8], kind: CreateKind) -> Sent<Created> {
        let (path, data) = (path.to_owned(), data.to_vec());
        self.request(move |_, session| session.create(&path, &data, kind))
    }

    fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Sent<i32> {
        let (path, data) = (path.to_owned(), data.to_vec());
        self.request(move |_, session| session.set(&path, &data, version))
    }

    fn delete(&self, path: &str, version: Option<i32>) -> Sent<()> {
        let path = path.to_owned();
        self.request(move |_, session| session.delete(&path, version))
    }

    fn multi(&self, writes: Vec<Write>) -> Sent<()> {
        self.request(move |_, session| session.multi(writes))
    }
}

async fn two_sessions() -> (FaultyCoordination, Rc<dyn Session>, Rc<dyn Session>) {
    let coordination = FaultyCoordination::default();
    let first = coordination.connect().await.unwrap();
    let second = coordination.connect().await.unwrap();
    (coordination, first, second)
}

#[tokio::test]
async fn requests_made_while_disconnected_are_executed_on_reconnection() {
    let (coordination, first, second) = two_sessions().await;
    coordination.disconnect(first.id());
    let waiting = first.create("/a", b"", CreateKind::Persistent);
    assert_eq!(second.get("/a").await.unwrap(), None);
    coordination.reconnect(first.id());
    waiting.await.unwrap();
    assert_eq!(*first.state().borrow(), SessionState::Connected(2));
    assert!(second.get("/a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_request_cut_off_is_executed_and_its_outcome_unknown() {
    let (coordination, first, second) = two_sessions().await;
    coordination.cut_at_next_request(first.id());
    let outcome = first.create("/a", b"", CreateKind::Persistent).await;
    assert!(matches!(outcome, Err(CoordinationError::Unknown(_))));
    assert!(second.get("/a").await.unwrap().is_some());
}

#[tokio::test]
async fn an_expired_session_answers_nothing_more() {
    let (coordination, first, _second) = two_sessions().await;
    coordination.expire(first.id());
    assert_eq!(*first.state().borrow(), SessionState::Expired);
    assert_eq!(first.get("/").await, Err(CoordinationError::Expired));
}

#[tokio::test]
async fn a_watch_fires_when_the_connection_is_cut() {
    let (coordination, first, _second) = two_sessions().await;
    let (_, watch) = first.get_and_watch("/a").await.unwrap();
    let mut watch = watch.fuse();
    assert!((&mut watch).now_or_never().is_none());
    coordination.disconnect(first.id());
    assert_eq!(watch.await, Fired::Changed);
}
