//! What takes the place or the name of another: a server to which a node's name leads for a while, a client that calls itself
//! a keeper.

use std::cell::RefCell;
use std::rc::Rc;

use redis_keeper::domain::group::ProbeName;
use redis_keeper::domain::node::{Epoch, NodeAddr};

use super::replication::Replica;
use super::{Connection, Fleet, Server};
use crate::keeper::Process;
use crate::network::Lane;
use crate::schedule::CLIENTS;
use crate::world::note;

/// An epoch that no leader comes to.
const NOBODYS: Epoch = Epoch(99_999_999);

impl Fleet {
    /// From now on, the name of the node leads those who look it up to another server, new and empty. Connections that stand
    /// lead where they did; so do the links of servers and clients, who look nothing up here.
    pub(crate) fn move_name(&self, node: &Rc<Server>) {
        note!(self.world, "redis {}: its name leads elsewhere", node.addr);
        let server = Server {
            addr: node.addr.clone(),
            cluster: node.cluster.clone(),
            host: node.host,
            world: Rc::clone(&self.world),
            network: Rc::clone(&self.network),
            work: Lane::default(),
            state: RefCell::new(self.fresh(self.fresh_id())),
        };
        let mut moved = self.moved.borrow_mut();
        moved.insert(node.addr.clone(), Rc::new(server));
    }

    /// The name leads to the node again, and the other server ends.
    pub(crate) fn move_name_back(&self, addr: &NodeAddr) {
        if let Some(impostor) = self.moved.borrow_mut().remove(addr) {
            note!(self.world, "redis {addr}: its name leads there again");
            impostor.state.borrow_mut().up = false;
            impostor.close_connections(None);
        }
    }

    pub(crate) fn move_names_back(&self) {
        let moved: Vec<_> = self.moved.borrow().keys().cloned().collect();
        for addr in &moved {
            self.move_name_back(addr);
        }
    }

    /// Where the name of the node leads, if not there.
    pub(super) fn moved(&self, addr: &NodeAddr) -> Option<Rc<Server>> {
        self.moved.borrow().get(addr).cloned()
    }

    pub(super) fn is_impostor(&self, server: &Rc<Server>) -> bool {
        let node = self.server(&server.addr);
        node.is_none_or(|node| !Rc::ptr_eq(node, server))
    }
}

impl Server {
    /// A client takes the name of a keeper's command connection, until it is killed.
    pub(crate) fn imitate_keeper(&self) {
        note!(
            self.world,
            "redis {}: a client is named as a keeper",
            self.addr
        );
        let imitator = Connection {
            process: Process::client(CLIENTS),
            epoch: Some(NOBODYS),
            name: Rc::default(),
            opened: self.world.now(),
            to_peer: Rc::default(),
            closed: Rc::new(|| {}),
        };
        let number = self.world.number();
        self.state.borrow_mut().connections.insert(number, imitator);
    }

    /// A client takes the name of a keeper's probe connection, unless one has it.
    pub(crate) fn imitate_prober(&self) {
        let name = "keeper-probe/0ddf11e5/keeper-9/10.1.1.200:46379".parse();
        let name: ProbeName = name.expect("a name that a keeper would take");
        let mut state = self.state.borrow_mut();
        let mut taken = state
            .connections
            .values()
            .map(|it| it.name.borrow().clone());
        if !state.up || taken.any(|it| it.as_ref() == Some(&name)) {
            return;
        }
        let imitator = Connection {
            process: Process::client(CLIENTS),
            epoch: None,
            name: Rc::new(RefCell::new(Some(name))),
            opened: self.world.now(),
            to_peer: Rc::default(),
            closed: Rc::new(|| {}),
        };
        let number = self.world.number();
        state.connections.insert(number, imitator);
    }

    /// Nobody lets it synchronise.
    pub(super) fn pretend_to_follow(&self, primary: &NodeAddr) {
        self.state.borrow_mut().replica = Some(Replica::at_start(primary));
    }
}
