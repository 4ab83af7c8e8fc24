//! Servers and clients that pass for others.
//!
//! - The name of a node leads to another server for a while.
//! - A client takes the name of a keeper's connection.

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

/// An epoch that no leader reaches.
const NOBODYS: Epoch = Epoch(99_999_999);

impl Fleet {
    /// Leads the name of the node to a new, empty server, for keepers that look the name up from now on.
    ///
    /// Open connections stay where they are. The links of servers and clients stay, too: the simulation has them look
    /// up no names.
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

    /// Leads the name to the node again, and ends the other server.
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

    /// The server to which the name of the node leads, if that is another one.
    pub(super) fn moved(&self, addr: &NodeAddr) -> Option<Rc<Server>> {
        self.moved.borrow().get(addr).cloned()
    }

    pub(super) fn is_impostor(&self, server: &Rc<Server>) -> bool {
        let node = self.server(&server.addr);
        node.is_none_or(|node| !Rc::ptr_eq(node, server))
    }
}

impl Server {
    /// Has a client take the name of a keeper's command connection, until a keeper kills it.
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

    /// Has a client take the name of a keeper's probe connection, unless a client has taken it already.
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

    /// Makes the impostor a replica that never synchronises.
    pub(super) fn pretend_to_follow(&self, primary: &NodeAddr) {
        self.state.borrow_mut().replica = Some(Replica::at_start(primary));
    }
}
