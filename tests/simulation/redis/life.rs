//! How server processes are killed, stopped, and started with what is left of their data.

use std::rc::Rc;

use super::replication::Replica;
use super::{Fleet, Server};
use crate::world::note;

/// The data with which a process comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rebirth {
    Whole,
    OldDump,
    /// From a dump that was made a moment ago.
    RecentDump,
    /// From a dump of its history that was made before the first write.
    EmptyDump,
    Empty,
    /// Another server, a primary with data of its own and an offset above all others.
    Foreign,
}

impl Fleet {
    /// Kills the process.
    pub(crate) fn kill(self: &Rc<Self>, server: &Rc<Server>) {
        if !server.state.borrow().up {
            return;
        }
        note!(self.world, "redis {} dies", server.addr);
        {
            let mut state = server.state.borrow_mut();
            state.up = false;
            state.frozen = false;
            state.ailment = None;
            state.misled = false;
            state.incarnation = self.world.number();
            state.inbox.clear();
        }
        server.work.forget();
        server.close_connections(None);
        server.drop_replicas(self);
        server.leave_primary(self);
    }

    /// Stops the process (SIGSTOP).
    pub(crate) fn freeze(&self, server: &Rc<Server>) {
        note!(self.world, "redis {} stopped", server.addr);
        server.state.borrow_mut().frozen = true;
    }

    /// Lets the process continue (SIGCONT); it handles now what arrived meanwhile.
    pub(crate) fn thaw(&self, server: &Rc<Server>) {
        if !server.state.borrow().frozen {
            return;
        }
        note!(self.world, "redis {} continues", server.addr);
        server.state.borrow_mut().frozen = false;
        let inbox = std::mem::take(&mut server.state.borrow_mut().inbox);
        for event in inbox {
            event();
        }
    }

    /// Starts a process in place of the one that died, in the role that its configuration file names.
    pub(crate) fn start(&self, server: &Rc<Server>, rebirth: Rebirth) {
        if server.state.borrow().up {
            return;
        }
        server.leaves();
        let loading = self.world.draw(
            1_000..=if self.world.happens(10) {
                3_000_000
            } else {
                200_000
            },
        );
        let now = self.world.now();
        let mut state = server.state.borrow_mut();
        state.up = true;
        state.incarnation = self.world.number();
        state.started = now;
        state.starts += 1;
        state.origin = None;
        state.loading_until = now + loading;
        match rebirth {
            Rebirth::Whole => {}
            Rebirth::EmptyDump => {
                state.log.clear();
                state.offset = 1;
                state.previous = None;
            }
            Rebirth::Foreign => {
                state.foreign = true;
                state.remembered = None;
                state.append_only = false;
                state.offset += 1_000_000;
                state.log = vec![(state.offset, self.world.number())];
                state.replication_id = self.fresh_id();
                state.previous = None;
            }
            Rebirth::OldDump => {
                let percent = usize::try_from(self.world.draw(30..=90)).expect("small");
                let kept = state.log.len() * percent / 100;
                state.keep(kept);
            }
            Rebirth::RecentDump => {
                let lacking = usize::try_from(self.world.draw(1..=10)).expect("small");
                let kept = state.log.len().saturating_sub(lacking);
                state.keep(kept);
            }
            Rebirth::Empty => {
                state.log.clear();
                state.offset = 0;
                state.replication_id = self.fresh_id();
                state.previous = None;
            }
        }
        state.replica = state.remembered.as_ref().map(Replica::at_start);
        if state.append_only && rebirth != Rebirth::Empty {
            state.replication_id = self.fresh_id();
            state.previous = None;
            state.offset = 0;
            state.log.iter_mut().for_each(|(offset, _)| *offset = 0);
        } else if state.replica.is_none() && !matches!(rebirth, Rebirth::Empty | Rebirth::Foreign) {
            let old = std::mem::replace(&mut state.replication_id, self.fresh_id());
            match &state.previous {
                // The process was killed, so its dump is of the history in which its data last changed.
                Some((_, until)) if !state.changed => state.offset = *until,
                _ => state.previous = Some((old, state.offset)),
            }
            state.changed = false;
        }
        let keys = state.log.len();
        note!(
            self.world,
            "redis {} starts, {rebirth:?}, {keys} keys",
            server.addr
        );
    }
}
