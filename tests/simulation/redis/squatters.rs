//! Programs that listen at the address of a dead server, and answer only errors.

use std::rc::Rc;

use redis_keeper::ports::redis::{Alive, Depth};

use super::ailments::only_error;
use super::{Fleet, Server};
use crate::world::note;

/// The time from the end of the server until the program listens, in microseconds.
const LATER: u64 = 100_000;

/// A program at the address of a dead server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Squatter {
    /// Another Redis server with another password.
    Locked,
    /// A server of another protocol.
    Foreign,
}

impl Fleet {
    /// Kills the process, and lets a program listen in its place until the server is started again.
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
    /// The program that listens in place of the dead server.
    pub(super) fn squatter(&self) -> Option<Squatter> {
        self.state.borrow().taken
    }

    /// Ends the program that listens in place of the server.
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
