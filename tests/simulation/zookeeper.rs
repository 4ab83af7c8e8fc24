//! ZooKeeper over the network: one leader's tree, and per session a follower that applies commits a little later.
//!
//! The simulation keeps these promises of ZooKeeper:
//!
//! - The requests of a session are executed in order.
//! - A read waits for the session's own writes before it.
//! - A watch event comes before the answer of any later read.
//!
//! The simulation gives nothing that ZooKeeper does not promise:
//!
//! - A follower lags behind the leader.
//! - A follower that is cut off from the leader goes on answering reads, and keeps its client connected.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) use self::client::Client;
use self::follower::{Arm, Follower, Watched, Work, Write};
use super::network::{Host, Network};
use super::tree::{NodeEvent, Tree};
use super::world::{Event, World, note};

mod client;
mod follower;
mod port;
mod sessions;

pub(crate) use self::port::Coordinator;

/// The session timeout, in microseconds.
const TIMEOUT: u64 = 2_000_000;
/// The interval at which the server and each client look after a session, in microseconds.
const TICK: u64 = 50_000;
/// The longest way from a follower to its leader or back, in microseconds.
const FORWARD: u64 = 1_500;

/// Called after every transaction, even one that changes nothing.
type Watcher = Box<dyn Fn(&Tree, &[NodeEvent])>;

/// The ensemble.
pub(crate) struct Ensemble {
    world: Rc<World>,
    network: Rc<Network>,
    host: Host,
    state: RefCell<State>,
    watcher: RefCell<Option<Watcher>>,
}

struct State {
    up: bool,
    tree: Rc<Tree>,
    sessions: BTreeMap<i64, ServerSession>,
    last_session: i64,
}

/// The servers' end of a session.
struct ServerSession {
    client: Rc<Client>,
    /// When the leader last heard of the client, in microseconds.
    heard: u64,
    /// The leader has ended the session, and the follower, which is cut off, does not know.
    over: bool,
    follower: Follower,
}

// === impl Ensemble ===

impl Ensemble {
    pub(crate) fn new(world: Rc<World>, network: Rc<Network>, host: Host) -> Rc<Self> {
        Rc::new(Self {
            world,
            network,
            host,
            state: RefCell::new(State {
                up: true,
                tree: Rc::new(Tree::new()),
                sessions: BTreeMap::new(),
                last_session: 0,
            }),
            watcher: RefCell::default(),
        })
    }

    /// Sets the function that is called after every transaction.
    pub(crate) fn watched_by(&self, watcher: impl Fn(&Tree, &[NodeEvent]) + 'static) {
        *self.watcher.borrow_mut() = Some(Box::new(watcher));
    }

    /// Removes that function.
    pub(crate) fn unwatched(&self) {
        self.watcher.take();
    }

    /// The leader's tree.
    pub(crate) fn tree(&self) -> Rc<Tree> {
        Rc::clone(&self.state.borrow().tree)
    }

    /// The sessions of the keepers on `host`, the latest last.
    pub(crate) fn sessions_of(&self, host: Host) -> Vec<i64> {
        let state = self.state.borrow();
        let lines = state.sessions.iter();
        lines
            .filter(|(_, server_session)| server_session.client.process.host == host)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Stops or starts the whole ensemble. After a start every session has its full timeout again.
    pub(crate) fn set_up(self: &Rc<Self>, up: bool) {
        let now = self.world.now();
        let ids: Vec<i64> = {
            let mut state = self.state.borrow_mut();
            state.up = up;
            for server_session in state.sessions.values_mut() {
                server_session.heard = now;
            }
            state.sessions.keys().copied().collect()
        };
        if !up {
            for id in ids {
                self.drop_connection(id, 0);
            }
        }
    }

    /// Closes the connection of a session. The client tries again after at least `offline` microseconds.
    pub(crate) fn drop_connection(self: &Rc<Self>, id: i64, offline: u64) {
        let client = {
            let mut state = self.state.borrow_mut();
            let Some(server_session) = state.sessions.get_mut(&id) else {
                return;
            };
            let client = Rc::clone(&server_session.client);
            state.close(id);
            client
        };
        client.lost(&self.world, offline);
    }

    /// Cuts the follower of a session off from the leader, or ends the cut. At the end the follower closes the
    /// connection.
    pub(crate) fn cut_follower(self: &Rc<Self>, id: i64, cut: bool) {
        if !cut {
            return self.drop_connection(id, 0);
        }
        if let Some(server_session) = self.state.borrow_mut().sessions.get_mut(&id) {
            server_session.follower.cut = true;
        }
    }

    /// Ends the cut of a session's follower, if there is one.
    pub(crate) fn heal_follower(self: &Rc<Self>, id: i64) {
        let cut = {
            let state = self.state.borrow();
            state
                .sessions
                .get(&id)
                .is_some_and(|server_session| server_session.follower.cut)
        };
        if cut {
            self.cut_follower(id, false);
        }
    }

    /// Ends a session, as the leader does after the session timeout.
    pub(crate) fn expire(self: &Rc<Self>, id: i64) {
        {
            let mut state = self.state.borrow_mut();
            let Some(server_session) = state
                .sessions
                .get_mut(&id)
                .filter(|server_session| !server_session.over)
            else {
                return;
            };
            let name = &server_session.client.process.name;
            note!(self.world, "zookeeper: session {id:x} of {name} over");
            // The client learns of the end when it next hears a server.
            server_session.over = true;
            if !server_session.follower.cut {
                state.sessions.remove(&id);
            }
        }
        let mut tree = Tree::clone(&self.tree());
        let changes = tree.end_session(id);
        self.commit(tree, changes, None);
    }

    fn commit(
        self: &Rc<Self>,
        tree: Tree,
        changes: Vec<NodeEvent>,
        answer: Option<(i64, u64, Event)>,
    ) {
        let tree = Rc::new(tree);
        let changes: Rc<[NodeEvent]> = changes.into();
        self.state.borrow_mut().tree = Rc::clone(&tree);
        if let Some(watcher) = &*self.watcher.borrow() {
            watcher(&tree, &changes);
        }
        let mut answer = answer;
        let state = self.state.borrow();
        for (id, server_session) in &state.sessions {
            let follower = &server_session.follower;
            if follower.cut || follower.connection == 0 {
                continue;
            }
            let own = answer.take_if(|(session, _, _)| session == id);
            if changes.is_empty() && own.is_none() {
                continue;
            }
            let (id, connection) = (*id, follower.connection);
            let (ensemble, tree, changes) =
                (Rc::clone(self), Rc::clone(&tree), Rc::clone(&changes));
            let applied = move || ensemble.apply(id, connection, tree, &changes, own);
            let lag = self.world.draw(100..=FORWARD);
            follower.from_leader.pass(&self.world, lag, applied);
        }
    }

    /// Applies a commit at the follower of a session.
    fn apply(
        self: &Rc<Self>,
        id: i64,
        connection: u64,
        tree: Rc<Tree>,
        changes: &[NodeEvent],
        answer: Option<(i64, u64, Event)>,
    ) {
        {
            let mut state = self.state.borrow_mut();
            let Some(server_session) = state.sessions.get_mut(&id) else {
                return;
            };
            let follower = &mut server_session.follower;
            if follower.connection != connection || follower.cut {
                return;
            }
            follower.view = tree;
            let host = server_session.client.process.host;
            let fired: Vec<_> = changes
                .iter()
                .flat_map(|change| follower.fired(change))
                .collect();
            for (watch, fired) in fired {
                let told = move || {
                    let _ = watch.send(fired);
                };
                self.network
                    .send((self.host, host), &follower.to_client, told);
            }
            if let Some((_, number, event)) = answer {
                follower.writing = false;
                let client = Rc::clone(&server_session.client);
                let answered = move || client.answered(number, event);
                self.network
                    .send((self.host, host), &follower.to_client, answered);
            }
        }
        self.serve(id, connection);
    }

    /// Takes a request in at the follower of a session.
    fn receive(self: &Rc<Self>, id: i64, connection: u64, number: u64, work: Work) {
        {
            let mut state = self.state.borrow_mut();
            let Some(server_session) = state.sessions.get_mut(&id) else {
                return;
            };
            if server_session.follower.connection != connection {
                return;
            }
            server_session.follower.requests.push_back((number, work));
        }
        self.serve(id, connection);
    }

    /// Has the follower of a session do the requests that are due.
    fn serve(self: &Rc<Self>, id: i64, connection: u64) {
        loop {
            let mut state = self.state.borrow_mut();
            let Some(server_session) = state.sessions.get_mut(&id) else {
                return;
            };
            let follower = &mut server_session.follower;
            if follower.writing || follower.connection != connection {
                return;
            }
            let Some((number, work)) = follower.requests.pop_front() else {
                return;
            };
            match work {
                Work::Read(read) => {
                    let (event, arm) = read(&follower.view);
                    if let Some((kind, path, watch)) = arm {
                        let watches = follower.watches.entry((kind, path)).or_default();
                        watches.push(watch);
                    }
                    let client = Rc::clone(&server_session.client);
                    let way = (self.host, client.process.host);
                    let answered = move || client.answered(number, event);
                    self.network.send(way, &follower.to_client, answered);
                }
                Work::Write(write) => {
                    follower.writing = true;
                    if follower.cut {
                        return;
                    }
                    let ensemble = Rc::clone(self);
                    let lag = self.world.draw(100..=FORWARD);
                    self.world
                        .after(lag, move || ensemble.execute(id, number, write));
                }
                Work::Close => {
                    drop(state);
                    return self.expire(id);
                }
            }
        }
    }

    /// Executes a write at the leader.
    fn execute(self: &Rc<Self>, id: i64, number: u64, write: Write) {
        {
            let state = self.state.borrow();
            // A write on its way may still be executed after its connection is lost.
            let living = state
                .sessions
                .get(&id)
                .is_some_and(|server_session| !server_session.over);
            if !state.up || !living {
                return;
            }
        }
        let mut tree = Tree::clone(&self.tree());
        let (changes, event) = write(&mut tree, id);
        self.commit(tree, changes, Some((id, number, event)));
    }
}

// === impl State ===

impl State {
    /// Closes the connection of a session.
    fn close(&mut self, id: i64) {
        if let Some(server_session) = self.sessions.get_mut(&id) {
            server_session.follower.close();
            if server_session.over {
                self.sessions.remove(&id);
            }
        }
    }
}
