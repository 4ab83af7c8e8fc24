//! What keepers command, and what becomes of it at the server.

use std::rc::Rc;

use redis_keeper::domain::node::{Epoch, NodeAddr};
use redis_keeper::ports::redis::CommandError;

use super::{Fleet, Server};
use crate::world::note;

/// A state-changing command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    Fence,
    Promote,
    Follow(NodeAddr),
}

impl Fleet {
    /// A command is executed on connection `number`; `None` if that is closed.
    pub(super) fn execute(
        self: &Rc<Self>,
        server: &Rc<Server>,
        number: u64,
        order: &Order,
    ) -> Option<Result<(), CommandError>> {
        let (epoch, process) = {
            let state = server.state.borrow();
            let connection = state.connections.get(&number)?;
            (connection.epoch?, Rc::clone(&connection.process))
        };
        if *order == Order::Fence {
            return Some(server.fence(number, epoch));
        }
        if server.condition().loading {
            return Some(Err(CommandError::NotDone("LOADING".into())));
        }
        note!(
            self.world,
            "redis {} is told by epoch {epoch}: {order:?}",
            server.addr
        );
        if let Some(judge) = self.judge() {
            judge.commanded(self, server, (&process.name, epoch), order);
        }
        match order {
            Order::Promote => server.become_primary(self),
            Order::Follow(primary) => server.become_replica(primary, self),
            Order::Fence => {}
        }
        server.close_connections(Some(number));
        Some(Ok(()))
    }

    /// A client writes; answers whether it was taken.
    pub(crate) fn write(self: &Rc<Self>, server: &Rc<Server>, write: u64) -> bool {
        let condition = server.condition();
        let taken = !condition.loading && condition.follows.as_ref() == Some(&server.addr);
        if taken {
            self.append(server, 50, Some(write));
        }
        taken
    }
}

impl Server {
    fn fence(&self, own: u64, epoch: Epoch) -> Result<(), CommandError> {
        let mut state = self.state.borrow_mut();
        let newer = state.connections.values().any(|it| it.epoch > Some(epoch));
        if newer {
            return Err(CommandError::NotDone("a newer leader is at work".into()));
        }
        let others: Vec<u64> = state
            .connections
            .iter()
            .filter(|(number, it)| it.epoch.is_some() && **number != own)
            .map(|(number, _)| *number)
            .collect();
        let killed: Vec<_> = others
            .iter()
            .filter_map(|number| state.connections.remove(number))
            .collect();
        drop(state);
        for connection in killed {
            self.close(connection);
        }
        Ok(())
    }

    /// A client's request arrives.
    pub(crate) fn request(&self, event: impl FnOnce() + 'static) {
        self.arrive(None, event);
    }
}
