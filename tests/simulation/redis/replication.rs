//! Replication as Redis does it.
//!
//! - A replica tries its primary at once, and then every second.
//! - A replica continues where it was if the histories allow that; else it takes everything anew.
//! - A replica applies the stream that follows.
//!
//! Synchronisation has its own file.

use std::rc::Rc;

use redis_keeper::domain::node::NodeAddr;

use super::{Fleet, Server, State};
use crate::network::Lane;
use crate::world::note;

mod sync;

/// The interval at which a server looks after its links, in microseconds.
const CRON: u64 = 250_000;
/// A link over which nothing was heard for this time is given up (`repl-timeout`), in microseconds.
const LINK_TIMEOUT: u64 = 4_000_000;
/// The interval of a primary's pings to its replicas, in microseconds.
const PING: u64 = 1_000_000;

/// A replica's end of its link.
pub(super) struct Replica {
    pub(super) primary: NodeAddr,
    link: Link,
    /// The number of the link, which tells it apart from earlier links.
    number: u64,
    /// When the link broke, in microseconds; `None` if the link never was up.
    pub(super) down_since: Option<u64>,
    pub(super) heard: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Down,
    Asked,
    Syncing,
    Up,
}

/// A primary's end of the link of a replica.
#[derive(Clone)]
pub(super) struct Attached {
    number: u64,
    /// The full synchronisation is over.
    streams: bool,
    lane: Rc<Lane>,
}

/// A piece of the stream, with the offsets before and behind it.
#[derive(Clone, Copy)]
struct Piece {
    before: u64,
    behind: u64,
    what: What,
}

/// The content of a piece of the stream.
#[derive(Clone, Copy)]
pub(super) enum What {
    Ping,
    Write(u64),
    /// Delete everything.
    Drain,
}

impl Piece {
    fn join(self, state: &mut State) {
        state.changed |= !matches!(self.what, What::Ping);
        match self.what {
            What::Ping => {}
            What::Write(write) => state.log.push((self.behind, write)),
            What::Drain => {
                state.log.clear();
                state.drained_at = self.behind;
            }
        }
    }
}

// === impl Replica ===

impl Replica {
    /// A replica in good order from the beginning, except for the link.
    pub(super) fn of(primary: &NodeAddr) -> Self {
        Self {
            down_since: Some(0),
            ..Self::at_start(primary)
        }
    }

    pub(super) fn at_start(primary: &NodeAddr) -> Self {
        Self {
            primary: primary.clone(),
            link: Link::Down,
            number: 0,
            down_since: None,
            heard: 0,
        }
    }

    pub(super) fn linked(&self) -> bool {
        self.link == Link::Up
    }

    pub(super) fn syncing(&self) -> bool {
        self.link == Link::Syncing
    }

    fn breaks(&mut self, now: u64) {
        if self.link == Link::Up {
            self.down_since = Some(now);
        }
        self.link = Link::Down;
    }
}

// === impl Fleet ===

impl Fleet {
    /// Runs the server's periodic work from now on.
    pub(super) fn turn(self: &Rc<Self>, server: &Rc<Server>) {
        let (fleet, server) = (Rc::clone(self), Rc::clone(server));
        self.world.after(CRON, move || {
            fleet.cron(&server);
            fleet.turn(&server);
        });
    }

    fn cron(self: &Rc<Self>, server: &Rc<Server>) {
        let now = self.world.now();
        let mut state = server.state.borrow_mut();
        if !state.up || state.frozen || state.loading(now) {
            return;
        }
        let misled = state.misled;
        if let Some(replica) = &mut state.replica {
            if misled {
                replica.heard = now;
                return;
            }
            if replica.link != Link::Down && now > replica.heard + LINK_TIMEOUT {
                replica.breaks(now);
            }
            if replica.link == Link::Down {
                drop(state);
                self.ask(server);
            }
        } else if now / PING != (now - CRON.min(now)) / PING {
            drop(state);
            self.append(server, 14, What::Ping);
        }
    }

    /// Has the server's host resolve the name of its primary to a server of another site, which the server has
    /// copied.
    pub(crate) fn mislead(self: &Rc<Self>, server: &Rc<Server>) {
        let follows = server.state.borrow().replica.is_some();
        if !server.condition().up || !follows {
            return;
        }
        note!(self.world, "redis {} is led to another site", server.addr);
        server.leave_primary(self);
        let now = self.world.now();
        let mut state = server.state.borrow_mut();
        state.misled = true;
        state.foreign = true;
        state.replication_id = self.fresh_id();
        state.previous = None;
        state.origin = None;
        state.offset += 1_000_000;
        state.log = vec![(state.offset, self.world.number())];
        if let Some(replica) = &mut state.replica {
            (replica.link, replica.heard) = (Link::Up, now);
        }
    }

    /// Has the server's host resolve the name of the primary correctly again.
    pub(crate) fn lead_back(self: &Rc<Self>, server: &Rc<Server>) {
        let now = self.world.now();
        let mut state = server.state.borrow_mut();
        if std::mem::take(&mut state.misled)
            && let Some(replica) = &mut state.replica
        {
            replica.breaks(now);
        }
    }

    /// Appends a change or a ping to the stream of a primary.
    pub(super) fn append(self: &Rc<Self>, server: &Rc<Server>, bytes: u64, what: What) {
        let mut state = server.state.borrow_mut();
        let before = state.offset;
        state.offset += bytes;
        let piece = Piece {
            before,
            behind: state.offset,
            what,
        };
        piece.join(&mut state);
        drop(state);
        self.stream(server, piece);
    }

    fn stream(self: &Rc<Self>, server: &Rc<Server>, piece: Piece) {
        let attached = server.state.borrow().attached.clone();
        for (
            addr,
            Attached {
                number,
                streams,
                lane,
            },
        ) in attached
        {
            let Some(replica) = self.server(&addr).filter(|_| streams).cloned() else {
                continue;
            };
            let way = (server.host, replica.host);
            let fleet = Rc::clone(self);
            let arrives = move || {
                let inner = Rc::clone(&replica);
                // The number of the link also tells the process apart from earlier ones.
                replica.arrive(None, move || fleet.streamed(&inner, number, piece));
            };
            self.network.send(way, &lane, arrives);
        }
    }

    fn streamed(self: &Rc<Self>, server: &Rc<Server>, number: u64, piece: Piece) {
        let now = self.world.now();
        {
            let mut guard = server.state.borrow_mut();
            let state = &mut *guard;
            let Some(replica) = state.replica.as_mut() else {
                return;
            };
            if replica.number != number || replica.link != Link::Up {
                return;
            }
            if state.offset != piece.before {
                // Bytes are missing, so the connection was reset: TCP leaves no gap.
                return replica.breaks(now);
            }
            replica.heard = now;
            state.offset = piece.behind;
            piece.join(state);
        }
        self.stream(server, piece);
    }

    /// Closes a link, and tells the replica when the message arrives.
    fn break_link(self: &Rc<Self>, from: &Server, replica: &Rc<Server>, number: u64, lane: &Lane) {
        let (fleet, to) = (Rc::clone(self), Rc::clone(replica));
        let arrives = move || {
            let inner = Rc::clone(&to);
            to.arrive(None, move || {
                let broken = inner.link_breaks(number);
                if broken {
                    fleet.ask(&inner);
                }
            });
        };
        self.network.send((from.host, replica.host), lane, arrives);
    }
}

// === impl Server ===

impl Server {
    /// Breaks the link `number`. Returns whether that link was up, so that the replica tries again at once.
    fn link_breaks(&self, number: u64) -> bool {
        let now = self.world.now();
        let mut state = self.state.borrow_mut();
        let Some(replica) = state.replica.as_mut().filter(|it| it.number == number) else {
            return false;
        };
        let was_up = replica.link == Link::Up;
        replica.breaks(now);
        was_up
    }

    /// Closes the links of all its replicas.
    pub(super) fn drop_replicas(&self, fleet: &Rc<Fleet>) {
        let attached = std::mem::take(&mut self.state.borrow_mut().attached);
        for (addr, Attached { number, lane, .. }) in attached {
            if let Some(replica) = fleet.server(&addr) {
                fleet.break_link(self, replica, number, &lane);
            }
        }
    }

    /// Closes its own link to its primary.
    pub(super) fn leave_primary(&self, fleet: &Rc<Fleet>) {
        let now = self.world.now();
        let mut state = self.state.borrow_mut();
        let Some(replica) = &mut state.replica else {
            return;
        };
        replica.breaks(now);
        let number = std::mem::take(&mut replica.number);
        let primary = fleet.server(&replica.primary).cloned();
        drop(state);
        let Some(primary) = primary else { return };
        let (way, own) = ((self.host, primary.host), self.addr.clone());
        let arrives = move || {
            let inner = Rc::clone(&primary);
            primary.arrive(None, move || {
                let mut state = inner.state.borrow_mut();
                if state
                    .attached
                    .get(&own)
                    .is_some_and(|it| it.number == number)
                {
                    state.attached.remove(&own);
                }
            });
        };
        self.network.send(way, &Lane::default(), arrives);
    }

    /// `REPLICAOF NO ONE`.
    pub(super) fn become_primary(&self, fleet: &Rc<Fleet>) {
        if self.state.borrow().replica.is_none() {
            return;
        }
        self.leave_primary(fleet);
        {
            let mut state = self.state.borrow_mut();
            state.misled = false;
            state.replica = None;
            let old = std::mem::replace(&mut state.replication_id, fleet.fresh_id());
            state.previous = Some((old, state.offset));
            state.changed = false;
        }
        self.drop_replicas(fleet);
    }

    /// `REPLICAOF host port`.
    pub(super) fn become_replica(self: &Rc<Self>, primary: &NodeAddr, fleet: &Rc<Fleet>) {
        let followed = {
            let state = self.state.borrow();
            state
                .replica
                .as_ref()
                .map(|replica| (replica.primary.clone(), replica.down_since))
        };
        if followed
            .as_ref()
            .is_some_and(|(followed, _)| followed == primary)
        {
            return;
        }
        self.leave_primary(fleet);
        // The replica now follows another name.
        self.state.borrow_mut().misled = false;
        self.state.borrow_mut().wandered = false;
        let down_since = followed.is_some().then(|| self.world.now());
        self.state.borrow_mut().replica = Some(Replica {
            down_since,
            ..Replica::at_start(primary)
        });
        self.drop_replicas(fleet);
        fleet.ask(self);
    }
}
