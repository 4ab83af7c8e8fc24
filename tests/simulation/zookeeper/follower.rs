//! The server that a session's client is connected to: a view of the tree, the watches on it, requests in their order.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use redis_keeper::ports::coordination::Fired;
use tokio::sync::oneshot;

use crate::network::Lane;
use crate::tree::{NodeEvent, Tree, parent};
use crate::world::Event;

/// The server that a session's client is connected to.
pub(super) struct Follower {
    /// The number of the connection that it serves, or 0.
    pub(super) connection: u64,
    /// The follower is cut off from the leader.
    pub(super) cut: bool,
    pub(super) view: Rc<Tree>,
    pub(super) watches: BTreeMap<(Watched, String), Vec<oneshot::Sender<Fired>>>,
    pub(super) requests: VecDeque<(u64, Work)>,
    /// A write of the session is under way; later requests wait.
    pub(super) writing: bool,
    pub(super) from_leader: Lane,
    pub(super) to_client: Rc<Lane>,
}

/// The change that a watch waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Watched {
    Node,
    Children,
}

/// A watch that a read leaves with the follower.
pub(super) type Arm = Option<(Watched, String, oneshot::Sender<Fired>)>;
pub(super) type Read = Box<dyn FnOnce(&Tree) -> (Event, Arm)>;
pub(super) type Written = (Vec<NodeEvent>, Event);
pub(super) type Write = Box<dyn FnOnce(&mut Tree, i64) -> Written>;

/// A request: its work at the servers, which yields the event at the arrival of the answer.
pub(super) enum Work {
    Read(Read),
    Write(Write),
    Close,
}

// === impl Follower ===

impl Follower {
    pub(super) fn new(connection: u64, view: Rc<Tree>) -> Self {
        Self {
            connection,
            cut: false,
            view,
            watches: BTreeMap::new(),
            requests: VecDeque::new(),
            writing: false,
            from_leader: Lane::default(),
            to_client: Rc::default(),
        }
    }

    pub(super) fn close(&mut self) {
        self.connection = 0;
        self.cut = false;
        self.watches.clear();
        self.requests.clear();
    }

    /// The watches that a change fires.
    pub(super) fn fired(&mut self, change: &NodeEvent) -> Vec<(oneshot::Sender<Fired>, Fired)> {
        let deleted = matches!(change, NodeEvent::Deleted(_));
        let keys = match change {
            NodeEvent::Set(path) => vec![(Watched::Node, path.clone())],
            NodeEvent::Created(path) | NodeEvent::Deleted(path) => vec![
                (Watched::Node, path.clone()),
                (Watched::Children, path.clone()),
                (Watched::Children, parent(path).to_owned()),
            ],
        };
        let watches = &mut self.watches;
        keys.into_iter()
            .flat_map(|key| {
                let fired = match key.0 {
                    Watched::Node if deleted => Fired::Deleted,
                    Watched::Node | Watched::Children => Fired::Changed,
                };
                let armed = watches.remove(&key).unwrap_or_default();
                armed.into_iter().map(move |watch| (watch, fired))
            })
            .collect()
    }
}
