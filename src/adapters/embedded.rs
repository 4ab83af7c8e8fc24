//! Coordination inside the process: one tree, any number of sessions, nothing on disk.
//!
//! - The setting `"coordination": "embedded"` uses this module.
//! - Tests and the simulation use this module in place of ZooKeeper. They can disconnect a session, expire a session,
//!   or cut its connection in the middle of a request.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::{oneshot, watch};

use self::tree::{NodeEvent, Tree, parent};
use crate::ports::coordination::{
    Children, Coordination, CoordinationError, CreateKind, Created, Fired, Node, Sent, Session,
    SessionState, Watch, Write,
};

mod tree;

/// The tree and its sessions. Clones share both.
#[derive(Clone)]
pub struct Embedded(Rc<RefCell<World>>);

struct World {
    tree: Tree,
    sessions: BTreeMap<i64, ServerSession>,
    watches: BTreeMap<(Watched, String), Vec<Armed>>,
    last_session: i64,
    reachable: bool,
}

/// A watch: the id of the session that set the watch, and the sender that fires it.
type Armed = (i64, oneshot::Sender<Fired>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Watched {
    Node,
    Children,
}

/// The server's end of a session.
struct ServerSession {
    state: watch::Sender<SessionState>,
    connections: u64,
    /// Requests made while disconnected.
    waiting: VecDeque<Request>,
    /// Whether the next request is executed, and its answer is lost with the connection.
    cut_at_next: bool,
}

type Request = Box<dyn FnOnce(&mut World, Delivery)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    Delivered,
    Lost,
}

// === impl Embedded ===

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

impl Embedded {
    /// An empty tree that accepts new sessions.
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(World {
            tree: Tree::new(),
            sessions: BTreeMap::new(),
            watches: BTreeMap::new(),
            last_session: 0,
            reachable: true,
        })))
    }

    /// The ids of the sessions that live, oldest first.
    pub fn sessions(&self) -> Vec<i64> {
        self.0.borrow().sessions.keys().copied().collect()
    }

    /// Whether new sessions can be opened.
    pub fn set_reachable(&self, reachable: bool) {
        self.0.borrow_mut().reachable = reachable;
    }

    /// Ends a session, as ZooKeeper does when a client was silent for the session timeout.
    pub fn expire(&self, session: i64) {
        self.0.borrow_mut().end(session);
    }

    /// Cuts the connection of a session. Later requests of the session wait for [`Self::reconnect`].
    pub fn disconnect(&self, session: i64) {
        self.0.borrow_mut().disconnect(session);
    }

    /// Connects a session again, and executes the requests that have waited.
    pub fn reconnect(&self, session: i64) {
        self.0.borrow_mut().reconnect(session);
    }

    /// Lets the next request of a session be executed, and then loses its answer together with the connection.
    pub fn cut_at_next_request(&self, session: i64) {
        if let Some(line) = self.0.borrow_mut().sessions.get_mut(&session) {
            line.cut_at_next = true;
        }
    }
}

#[async_trait(?Send)]
impl Coordination for Embedded {
    async fn connect(&self) -> Result<Rc<dyn Session>, CoordinationError> {
        let mut world = self.0.borrow_mut();
        if !world.reachable {
            return Err(CoordinationError::Unknown("nothing answers".into()));
        }
        world.last_session += 1;
        let id = world.last_session;
        let (state, watcher) = watch::channel(SessionState::Connected(1));
        let line = ServerSession {
            state,
            connections: 1,
            waiting: VecDeque::new(),
            cut_at_next: false,
        };
        world.sessions.insert(id, line);
        Ok(Rc::new(EmbeddedSession {
            id,
            state: watcher,
            world: self.0.clone(),
        }))
    }

    fn describe(&self) -> String {
        "embedded".into()
    }
}

// === impl World ===

impl World {
    fn submit(&mut self, session: i64, request: Request) {
        let Some(line) = self.sessions.get_mut(&session) else {
            return;
        };
        if *line.state.borrow() == SessionState::Disconnected {
            line.waiting.push_back(request);
        } else if std::mem::take(&mut line.cut_at_next) {
            request(self, Delivery::Lost);
            self.disconnect(session);
        } else {
            request(self, Delivery::Delivered);
        }
    }

    fn disconnect(&mut self, session: i64) {
        if let Some(line) = self.sessions.get_mut(&session) {
            line.state.send_replace(SessionState::Disconnected);
            self.drop_watches(session);
        }
    }

    fn reconnect(&mut self, session: i64) {
        let Some(line) = self.sessions.get_mut(&session) else {
            return;
        };
        line.connections += 1;
        let connected = SessionState::Connected(line.connections);
        line.state.send_replace(connected);
        for request in std::mem::take(&mut line.waiting) {
            self.submit(session, request);
        }
    }

    fn end(&mut self, session: i64) {
        if let Some(line) = self.sessions.remove(&session) {
            line.state.send_replace(SessionState::Expired);
            self.drop_watches(session);
            let changes = self.tree.end_session(session);
            self.notify(changes);
        }
    }

    fn watch(&mut self, session: i64, kind: Watched, path: &str) -> Watch {
        let (fire, fired) = oneshot::channel();
        let watches = self.watches.entry((kind, path.to_owned())).or_default();
        watches.push((session, fire));
        async move {
            // A lost connection drops the sender. The reader then reads again, as after a change.
            fired.await.unwrap_or(Fired::Changed)
        }
        .boxed_local()
    }

    fn drop_watches(&mut self, session: i64) {
        self.watches.retain(|_, watches| {
            watches.retain(|(owner, _)| *owner != session);
            !watches.is_empty()
        });
    }

    fn notify(&mut self, changes: Vec<NodeEvent>) {
        for change in changes {
            match change {
                NodeEvent::Set(path) => self.fire(Watched::Node, &path, Fired::Changed),
                NodeEvent::Created(path) => {
                    self.fire(Watched::Node, &path, Fired::Changed);
                    self.fire(Watched::Children, parent(&path), Fired::Changed);
                }
                NodeEvent::Deleted(path) => {
                    self.fire(Watched::Node, &path, Fired::Deleted);
                    self.fire(Watched::Children, &path, Fired::Deleted);
                    self.fire(Watched::Children, parent(&path), Fired::Changed);
                }
            }
        }
    }

    fn fire(&mut self, kind: Watched, path: &str, fired: Fired) {
        for (_, watch) in self
            .watches
            .remove(&(kind, path.to_owned()))
            .unwrap_or_default()
        {
            let _ = watch.send(fired);
        }
    }
}

// === impl EmbeddedSession ===

struct EmbeddedSession {
    id: i64,
    state: watch::Receiver<SessionState>,
    world: Rc<RefCell<World>>,
}

impl EmbeddedSession {
    fn request<T: 'static>(
        &self,
        execute: impl FnOnce(&mut World) -> Result<T, CoordinationError> + 'static,
    ) -> Sent<T> {
        let (reply, outcome) = oneshot::channel();
        let request = Box::new(move |world: &mut World, answer| {
            let result = execute(world);
            let _ = reply.send(match answer {
                Delivery::Delivered => result,
                Delivery::Lost => Err(CoordinationError::Unknown("connection cut".into())),
            });
        });
        self.world.borrow_mut().submit(self.id, request);
        async move { outcome.await.unwrap_or(Err(CoordinationError::Expired)) }.boxed_local()
    }
}

impl Drop for EmbeddedSession {
    fn drop(&mut self) {
        self.world.borrow_mut().end(self.id);
    }
}

impl Session for EmbeddedSession {
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
        self.request(move |world| Ok(world.tree.get(&path)))
    }

    fn get_and_watch(&self, path: &str) -> Sent<(Option<Node>, Watch)> {
        let (id, path) = (self.id, path.to_owned());
        self.request(move |world| {
            Ok((world.tree.get(&path), world.watch(id, Watched::Node, &path)))
        })
    }

    fn children(&self, path: &str) -> Sent<Children> {
        let path = path.to_owned();
        self.request(move |world| Ok(world.tree.children_and_changes(&path).unwrap_or_default()))
    }

    fn children_and_watch(&self, path: &str) -> Sent<(Children, Watch)> {
        let (id, path) = (self.id, path.to_owned());
        self.request(move |world| match world.tree.children_and_changes(&path) {
            Some(children) => Ok((children, world.watch(id, Watched::Children, &path))),
            None => Err(CoordinationError::NoNode(path)),
        })
    }

    fn create(&self, path: &str, data: &[u8], kind: CreateKind) -> Sent<Created> {
        let (id, path, data) = (self.id, path.to_owned(), data.to_vec());
        self.request(move |world| {
            let (created, change) = world.tree.create(&path, &data, kind, id)?;
            world.notify(vec![change]);
            Ok(created)
        })
    }

    fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Sent<i32> {
        let (path, data) = (path.to_owned(), data.to_vec());
        self.request(move |world| {
            let (version, change) = world.tree.set(&path, &data, version)?;
            world.notify(vec![change]);
            Ok(version)
        })
    }

    fn delete(&self, path: &str, version: Option<i32>) -> Sent<()> {
        let path = path.to_owned();
        self.request(move |world| {
            let change = world.tree.delete(&path, version)?;
            world.notify(vec![change]);
            Ok(())
        })
    }

    fn multi(&self, writes: Vec<Write>) -> Sent<()> {
        self.request(move |world| {
            let changes = world.tree.multi(&writes)?;
            world.notify(changes);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn two_sessions() -> (Embedded, Rc<dyn Session>, Rc<dyn Session>) {
        let embedded = Embedded::new();
        let first = embedded.connect().await.unwrap();
        let second = embedded.connect().await.unwrap();
        (embedded, first, second)
    }

    #[tokio::test]
    async fn a_watch_fires_once_for_the_change_of_another_session() {
        let (_embedded, first, second) = two_sessions().await;
        let (node, watch) = first.get_and_watch("/a").await.unwrap();
        assert_eq!(node, None);
        let mut watch = watch.fuse();
        assert!((&mut watch).now_or_never().is_none());
        second
            .create("/a", b"1", CreateKind::Persistent)
            .await
            .unwrap();
        watch.await;
        assert_eq!(first.get("/a").await.unwrap().unwrap().data, b"1");
    }

    #[tokio::test]
    async fn ephemeral_nodes_go_with_the_last_clone_of_their_session() {
        let (_embedded, first, second) = two_sessions().await;
        first
            .create("/a", b"", CreateKind::Ephemeral)
            .await
            .unwrap();
        let (Children { names, .. }, watch) = second.children_and_watch("/").await.unwrap();
        assert_eq!(names, ["a"]);
        drop(first);
        watch.await;
        assert_eq!(second.get("/a").await.unwrap(), None);
    }

    #[tokio::test]
    async fn requests_made_while_disconnected_are_executed_on_reconnection() {
        let (embedded, first, second) = two_sessions().await;
        embedded.disconnect(first.id());
        let waiting = first.create("/a", b"", CreateKind::Persistent);
        assert_eq!(second.get("/a").await.unwrap(), None);
        embedded.reconnect(first.id());
        waiting.await.unwrap();
        assert_eq!(*first.state().borrow(), SessionState::Connected(2));
        assert!(second.get("/a").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_request_cut_off_is_executed_and_its_outcome_unknown() {
        let (embedded, first, second) = two_sessions().await;
        embedded.cut_at_next_request(first.id());
        let outcome = first.create("/a", b"", CreateKind::Persistent).await;
        assert!(matches!(outcome, Err(CoordinationError::Unknown(_))));
        assert!(second.get("/a").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn an_expired_session_answers_nothing_more() {
        let (embedded, first, _second) = two_sessions().await;
        embedded.expire(first.id());
        assert_eq!(*first.state().borrow(), SessionState::Expired);
        assert_eq!(first.get("/").await, Err(CoordinationError::Expired));
    }
}
