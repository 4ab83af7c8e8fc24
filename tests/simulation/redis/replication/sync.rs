//! How a replica synchronises with its primary.
//!
//! The replica continues where it was if the histories allow that; else it takes everything anew.

use std::rc::Rc;

use super::{Attached, Link, Replica};
use crate::network::Lane;
use crate::redis::{Fleet, Server};
use crate::world::note;

/// The answer to a request for synchronisation.
struct Sync {
    replication_id: String,
    offset: u64,
    /// The writes that the replica lacks.
    log: Vec<(u64, u64)>,
    full: bool,
    /// The offset behind which a client last deleted everything.
    drained_at: u64,
    /// The process at the head of the chain of links.
    origin: Option<u64>,
}

// === impl Fleet ===

impl Fleet {
    /// Sends a replica's request to its primary (`PSYNC`).
    pub(super) fn ask(self: &Rc<Self>, server: &Rc<Server>) {
        let number = self.world.number();
        let (primary, id, offset, incarnation) = {
            let mut state = server.state.borrow_mut();
            let (id, offset) = (state.replication_id.clone(), state.offset);
            let incarnation = state.incarnation;
            let Some(replica) = &mut state.replica else {
                return;
            };
            replica.link = Link::Asked;
            replica.number = number;
            replica.heard = self.world.now();
            (replica.primary.clone(), id, offset, incarnation)
        };
        let Some(primary) = self.server(&primary).cloned() else {
            return;
        };
        let way = (server.host, primary.host);
        let (fleet, asking, asked) = (Rc::clone(self), Rc::clone(server), Rc::clone(&primary));
        let arrives = move || {
            let to = Rc::clone(&asked);
            asked.arrive(None, move || {
                fleet.sync(&to, &asking, incarnation, number, &id, offset);
            });
        };
        self.network.send(way, &Lane::default(), arrives);
    }

    /// Answers a replica's request at its primary.
    fn sync(
        self: &Rc<Self>,
        primary: &Rc<Server>,
        replica: &Rc<Server>,
        incarnation: u64,
        number: u64,
        id: &str,
        offset: u64,
    ) {
        let now = self.world.now();
        let mut state = primary.state.borrow_mut();
        let in_order = state.replica.as_ref().is_none_or(Replica::linked);
        if state.loading(now) || !in_order {
            drop(state);
            return self.break_link(primary, replica, number, &Lane::default());
        }
        let previous = state.previous.as_ref();
        let shared = id == state.replication_id && offset <= state.offset;
        let before = previous.is_some_and(|(old, until)| id == old && offset <= *until);
        let full = !shared && !before;
        let lane = Rc::new(Lane::default());
        let attached = Attached {
            number,
            streams: !full,
            lane: Rc::clone(&lane),
        };
        state.attached.insert(replica.addr.clone(), attached);
        drop(state);
        if !full {
            return self.hand_over(primary, replica, incarnation, number, Some(offset));
        }
        let taking = Rc::clone(replica);
        let begins = move || {
            let inner = Rc::clone(&taking);
            taking.arrive(Some(incarnation), move || {
                inner.begins_sync(number);
            });
        };
        self.network
            .send((primary.host, replica.host), &lane, begins);
        // Redis first waits for `repl-diskless-sync-delay`.
        let lasts = self.world.draw(1_000_000..=3_000_000);
        let (fleet, primary, replica) = (Rc::clone(self), Rc::clone(primary), Rc::clone(replica));
        let process = primary.state.borrow().incarnation;
        self.world.after(lasts, move || {
            let (from, fleet) = (Rc::clone(&primary), fleet);
            primary.arrive(Some(process), move || {
                fleet.hand_over(&from, &replica, incarnation, number, None);
            });
        });
    }

    /// Sends the replica what it lacks: everything, or the writes behind the offset `from`.
    fn hand_over(
        self: &Rc<Self>,
        primary: &Rc<Server>,
        replica: &Rc<Server>,
        incarnation: u64,
        number: u64,
        from: Option<u64>,
    ) {
        let mut state = primary.state.borrow_mut();
        let Some(attached) = state.attached.get_mut(&replica.addr) else {
            return;
        };
        if attached.number != number {
            return;
        }
        attached.streams = true;
        let lane = Rc::clone(&attached.lane);
        let after = from.unwrap_or(0);
        let missing = state
            .log
            .iter()
            .filter(|(offset, _)| from.is_none() || *offset > after);
        let sync = Sync {
            replication_id: state.replication_id.clone(),
            offset: state.offset,
            log: missing.copied().collect(),
            full: from.is_none(),
            drained_at: state.drained_at,
            origin: match state.replica {
                Some(_) => state.origin,
                None => Some(state.incarnation),
            },
        };
        drop(state);
        let (fleet, taking) = (Rc::clone(self), Rc::clone(replica));
        let arrives = move || {
            let inner = Rc::clone(&taking);
            taking.arrive(Some(incarnation), move || {
                fleet.synced(&inner, number, sync);
            });
        };
        self.network
            .send((primary.host, replica.host), &lane, arrives);
    }

    /// Applies a synchronisation at the replica.
    fn synced(self: &Rc<Self>, server: &Rc<Server>, number: u64, sync: Sync) {
        let now = self.world.now();
        {
            let mut guard = server.state.borrow_mut();
            let state = &mut *guard;
            let Some(replica) = state.replica.as_mut().filter(|it| it.number == number) else {
                return;
            };
            replica.link = Link::Up;
            replica.heard = now;
            let how = if sync.full {
                "takes everything from"
            } else {
                "goes on with"
            };
            note!(
                self.world,
                "redis {} {how} {}",
                server.addr,
                replica.primary
            );
            let other = sync.replication_id != state.replication_id;
            state.origin = sync.origin;
            state.starts = 0;
            state.changed = true;
            if sync.full {
                state.foreign = false;
                state.log = sync.log;
                state.previous = None;
                state.loading_until = now + self.world.draw(1_000..=150_000);
            } else {
                if sync.drained_at > state.offset {
                    state.log.clear();
                }
                state.log.extend(sync.log);
                if other {
                    state.previous = Some((state.replication_id.clone(), state.offset));
                }
            }
            state.drained_at = sync.drained_at;
            state.replication_id = sync.replication_id;
            state.offset = sync.offset;
            if !other && !sync.full {
                return;
            }
        }
        server.drop_replicas(self);
    }
}

// === impl Server ===

impl Server {
    fn begins_sync(&self, number: u64) {
        let mut state = self.state.borrow_mut();
        if let Some(replica) = state.replica.as_mut().filter(|it| it.number == number) {
            replica.link = Link::Syncing;
        }
    }
}
