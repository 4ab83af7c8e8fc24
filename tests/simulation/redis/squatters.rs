//! What listens at the address of a server that is dead, and answers nothing but errors.

use std::rc::Rc;

use redis_keeper::ports::redis::{Alive, Depth};

use super::ailments::only_error;
use super::{Fleet, Server};
use crate::world::note;

/// How long after the end of the server it begins to listen, in microseconds.
const LATER: u64 = 100_000;

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Squatter {
    /// Another server, with another password.
    Locked,
    /// A server of another protocol.
    Foreign,
}

impl Fleet {
    /// The process dies, and something else comes up in its place, until it is started again.
    pub(crate) fn squat(self: &Rc<Self>, server: &Rc<Server>, squatter: Squatter) {
        self.kill(server);
        let (fleet, server) = (Rc::clone(self), Rc::clone(server));
        self.world.after(LATER, move || {
            let mut state = server.state.borrow_mut();
            if !state.up {
                note!(
                    fleet.world,
                    "redis {}: {squatter:?} in its place",
                    server.addr
                );
                state.taken = Some(squatter);
            }
        });
    }
}

impl Server {
    /// What listens in its place.
    pub(super) fn squatter(&self) -> Option<Squatter> {
        self.state.borrow().taken
    }

    /// That goes away.
    pub(super) fn leaves(&self) {
        if self.state.borrow_mut().taken.take().is_some() {
            self.close_connections(None);
        }
    }
}

impl Squatter {
    pub(super) fn tells(self, depth: Depth) -> Alive {
        let error = match self {
            Self::Locked => "NOAUTH Authentication required.",
            Self::Foreign => "the answer is not the Redis protocol",
        };
        Alive {
            login_refused: None,
            foreign: self == Self::Foreign,
            ..only_error(error, depth)
        }
    }
}
