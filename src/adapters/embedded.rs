//! Coordination inside the process: one tree, any number of sessions, nothing on disk, for the setting
//! `"coordination": "embedded"`. Tests use it in place of ZooKeeper.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::ready;
use tokio::sync::{oneshot, watch};

use self::tree::{NodeEvent, Tree, parent};
use crate::ports::coordination::{
    Children, Coordination, CoordinationError, CreateKind, Created, Fired, Node, Sent, Session,
    SessionState, Watch, Write,
};

mod tree;

/// The tree and its watches. Clones share both.
#[derive(Clone)]
pub struct Embedded(Rc<RefCell<World>>);

struct World {
    tree: Tree,
    watches: BTreeMap<(Watched, String), Vec<Armed>>,
    last_session: i64,
}

/// A watch: the id of the session that set the watch, and the sender that fires it.
type Armed = (i64, oneshot::Sender<Fired>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Watched {
    Node,
    Children,
}

// === impl Embedded ===

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

impl Embedded {
    /// An empty tree.
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(World {
            tree: Tree::new(),
            watches: BTreeMap::new(),
            last_session: 0,
        })))
    }
}

#[async_trait(?Send)]
impl Coordination for Embedded {
    async fn connect(&self) -> Result<Rc<dyn Session>, CoordinationError> {
        let mut world = self.0.borrow_mut();
        world.last_session += 1;
        Ok(Rc::new(EmbeddedSession {
            id: world.last_session,
            state: watch::Sender::new(SessionState::Connected(1)),
            world: self.0.clone(),
        }))
    }

    fn describe(&self) -> String {
        "embedded".into()
    }
}

// === impl World ===

impl World {
    fn end(&mut self, session: i64) {
        self.watches.retain(|_, watches| {
            watches.retain(|(owner, _)| *owner != session);
            !watches.is_empty()
        });
        let changes = self.tree.end_session(session);
        self.notify(changes);
    }

    fn watch(&mut self, session: i64, kind: Watched, path: &str) -> Watch {
        let (fire, fired) = oneshot::channel();
        let watches = self.watches.entry((kind, path.to_owned())).or_default();
        watches.push((session, fire));
        async move {
            // The end of the session drops the sender. A reader then reads again, as after a change.
            fired.await.unwrap_or(Fired::Changed)
        }
        .boxed_local()
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
    state: watch::Sender<SessionState>,
    world: Rc<RefCell<World>>,
}

impl EmbeddedSession {
    /// Executes a request at once.
    fn request<T: 'static>(
        &self,
        execute: impl FnOnce(&mut World) -> Result<T, CoordinationError>,
    ) -> Sent<T> {
        ready(execute(&mut self.world.borrow_mut())).boxed_local()
    }
}

impl Drop for EmbeddedSession {
    fn drop(&mut self) {
        self.state.send_replace(SessionState::Expired);
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
        self.state.subscribe()
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

    async fn two_sessions() -> (Rc<dyn Session>, Rc<dyn Session>) {
        let embedded = Embedded::new();
        let first = embedded.connect().await.unwrap();
        let second = embedded.connect().await.unwrap();
        (first, second)
    }

    #[tokio::test]
    async fn a_watch_fires_once_for_the_change_of_another_session() {
        let (first, second) = two_sessions().await;
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
        let (first, second) = two_sessions().await;
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
}
