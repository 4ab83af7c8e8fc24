//! Servers that live and are not well: some answer errors, others are slow.

use std::rc::Rc;

use redis_keeper::domain::hindrance::HindranceKind;
use redis_keeper::domain::node::NodeAddr;
use redis_keeper::ports::redis::{Alive, Depth};

use super::{Fleet, Rebirth, Server};
use crate::world::note;

/// An ailment of a server process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ailment {
    /// The disk is full: `PING` and writes get MISCONF, and other requests work.
    DiskFull,
    /// A script runs: every request gets BUSY.
    Busy,
    /// The server was given a password: connections that are opened later get NOAUTH.
    Locked,
    /// `maxclients` are connected: connections that are opened later get an error, and are closed.
    Full,
    /// The server was told to end, and waits for replicas that lag: its writes are paused, and other requests work.
    Ending,
    /// Every request takes this many microseconds longer.
    Slow(u64),
}

impl Ailment {
    /// The error that every request of a keeper gets; see [`Self::spares_the_old`] for the connections that are
    /// spared.
    fn error(self) -> Option<&'static str> {
        match self {
            Self::Busy => Some("BUSY Redis is busy running a script."),
            Self::Locked => Some("NOAUTH Authentication required."),
            Self::Full => Some("ERR max number of clients reached"),
            Self::DiskFull | Self::Ending | Self::Slow(_) => None,
        }
    }

    fn spares_the_old(self) -> bool {
        matches!(self, Self::Locked | Self::Full)
    }
}

impl Fleet {
    /// Gives the process an ailment from now on.
    pub(crate) fn ail(&self, server: &Server, ailment: Ailment) {
        note!(self.world, "redis {} ails: {ailment:?}", server.addr);
        server.state.borrow_mut().ailment = Some((ailment, self.world.now()));
    }

    /// Ends a process that was told to end, unless that was called off or the process has died. The server is started
    /// again at once.
    pub(crate) fn end(self: &Rc<Self>, server: &Rc<Server>) {
        if server.is_ending() {
            self.kill(server);
            self.start(server, Rebirth::Whole);
        }
    }

    /// Whether a script runs in the server, which then serves no client.
    pub(crate) fn is_busy(&self, addr: &NodeAddr) -> bool {
        let state = self.server(addr).map(|server| server.state.borrow());
        state.is_some_and(|state| matches!(state.ailment, Some((Ailment::Busy, _))))
    }

    /// Ends the ailment of the server.
    pub(crate) fn cure(&self, server: &Server) {
        if server.state.borrow_mut().ailment.take().is_some() {
            note!(self.world, "redis {} is well again", server.addr);
        }
    }
}

impl Server {
    /// Runs a request of a client or a keeper, once the server has executed the requests before it.
    pub(crate) fn request(self: &Rc<Self>, event: impl FnOnce() + 'static) {
        let takes = match self.state.borrow().ailment {
            Some((Ailment::Slow(takes), _)) => takes,
            _ => 0,
        };
        if takes == 0 && self.work.is_idle(&self.world) {
            return self.arrive(None, event);
        }
        let (server, process) = (Rc::clone(self), self.state.borrow().incarnation);
        let executed = move || server.arrive(Some(process), event);
        self.work.pass(&self.world, takes, executed);
    }

    /// The error that a keeper gets on a connection that was opened at `opened`.
    pub(super) fn error(&self, opened: u64) -> Option<&'static str> {
        let (ailment, since) = self.state.borrow().ailment?;
        let spared = ailment.spares_the_old() && opened < since;
        ailment.error().filter(|_| !spared)
    }

    /// The error that only `PING` gets; the server still answers `INFO`.
    pub(super) fn misconf(&self) -> Option<&'static str> {
        let (ailment, _) = self.state.borrow().ailment?;
        (ailment == Ailment::DiskFull).then_some("MISCONF Errors writing to the AOF file")
    }

    /// Whether the server turns away a connection that was opened at `opened`, and closes it right after the error.
    pub(super) fn turns_away(&self, opened: u64) -> bool {
        let state = self.state.borrow();
        state
            .ailment
            .is_some_and(|(ailment, since)| ailment == Ailment::Full && opened >= since)
    }

    /// Whether the process has been told to end.
    pub(super) fn is_ending(&self) -> bool {
        let ailment = self.state.borrow().ailment;
        matches!(ailment, Some((Ailment::Ending, _)))
    }

    /// Whether writes of clients are paused.
    pub(super) fn holds_up_writes(&self) -> bool {
        self.is_ending() || self.state.borrow().paused_until > self.world.now()
    }

    /// Whether the server refuses every write of a client.
    pub(super) fn refuses_writes(&self) -> bool {
        let state = self.state.borrow();
        let ailment = state.ailment.map(|(ailment, _)| ailment);
        matches!(ailment, Some(Ailment::DiskFull | Ailment::Busy))
    }
}

/// The finding of a probe that got nothing but errors.
pub(super) fn only_error(error: &str, depth: Depth) -> Alive {
    Alive {
        info: None,
        loading: false,
        error: Some(error.to_owned()),
        hindrance: HindranceKind::of(error).map(|_| error.to_owned()),
        login_refused: None,
        foreign: false,
        subscribers: None,
        min_replicas: (depth == Depth::FullWithSettings).then(|| Err(error.to_owned())),
    }
}
