//! Servers that live and are not well: some answer errors, some are slow.

use std::rc::Rc;

use redis_keeper::domain::hindrance::HindranceKind;
use redis_keeper::domain::node::NodeAddr;
use redis_keeper::ports::redis::{Alive, Depth};

use super::{Fleet, Rebirth, Server};
use crate::world::note;

/// What ails a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ailment {
    /// Its disk is full: it answers MISCONF to `PING` and to writes, and all else as ever.
    DiskFull,
    /// A script runs in it: it answers BUSY to everything.
    Busy,
    /// It was given a password: it answers NOAUTH to all that connect from then on.
    Locked,
    /// `maxclients` are connected: it says so to all that connect from then on, and closes.
    Full,
    /// It was told to end, and waits for replicas that lag: writes are held up, and all else is as ever.
    Ending,
    /// Everything takes so many microseconds longer.
    Slow(u64),
}

impl Ailment {
    /// What every request of a keeper is answered, but on connections that were open before it began if it `spares` them.
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
    /// Something ails the process from now on.
    pub(crate) fn ail(&self, server: &Server, ailment: Ailment) {
        note!(self.world, "redis {} ails: {ailment:?}", server.addr);
        server.state.borrow_mut().ailment = Some((ailment, self.world.now()));
    }

    /// It has waited long enough, and ends, unless that was called off or it has died; it is started again at once.
    pub(crate) fn end(self: &Rc<Self>, server: &Rc<Server>) {
        if server.is_ending() {
            self.kill(server);
            self.start(server, Rebirth::Whole);
        }
    }

    /// Whether a script runs in it, which is no server for anybody.
    pub(crate) fn is_busy(&self, addr: &NodeAddr) -> bool {
        let state = self.server(addr).map(|server| server.state.borrow());
        state.is_some_and(|state| matches!(state.ailment, Some((Ailment::Busy, _))))
    }

    /// It is well again.
    pub(crate) fn cure(&self, server: &Server) {
        if server.state.borrow_mut().ailment.take().is_some() {
            note!(self.world, "redis {} is well again", server.addr);
        }
    }
}

impl Server {
    /// A request arrives, of a client or a keeper, and is executed when the server comes to it.
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

    /// The error that a keeper is answered on a connection that was opened then.
    pub(super) fn error(&self, opened: u64) -> Option<&'static str> {
        let (ailment, since) = self.state.borrow().ailment?;
        let spared = ailment.spares_the_old() && opened < since;
        ailment.error().filter(|_| !spared)
    }

    /// What it answers to `PING` alone, though it tells its state.
    pub(super) fn misconf(&self) -> Option<&'static str> {
        let (ailment, _) = self.state.borrow().ailment?;
        (ailment == Ailment::DiskFull).then_some("MISCONF Errors writing to the AOF file")
    }

    /// Whether it turns a connection away that was opened then: that is closed right behind the error.
    pub(super) fn turns_away(&self, opened: u64) -> bool {
        let state = self.state.borrow();
        state
            .ailment
            .is_some_and(|(ailment, since)| ailment == Ailment::Full && opened >= since)
    }

    /// The process has been told to end.
    pub(super) fn is_ending(&self) -> bool {
        let ailment = self.state.borrow().ailment;
        matches!(ailment, Some((Ailment::Ending, _)))
    }

    /// Whether writes of clients wait.
    pub(super) fn holds_up_writes(&self) -> bool {
        self.is_ending() || self.state.borrow().paused_until > self.world.now()
    }

    /// Whether it takes no write of any client.
    pub(super) fn refuses_writes(&self) -> bool {
        let state = self.state.borrow();
        let ailment = state.ailment.map(|(ailment, _)| ailment);
        matches!(ailment, Some(Ailment::DiskFull | Ailment::Busy))
    }
}

/// What a probe makes of nothing but errors.
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
