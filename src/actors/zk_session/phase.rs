//! The progress of a keeper: from no session to a connection on which everything was read.

use std::collections::BTreeSet;
use std::rc::Rc;

use actix::SpawnHandle;
use futures::FutureExt;
use futures::channel::mpsc;
use futures::future::LocalBoxFuture;

use super::campaign::Campaign;
use super::event::Event;
use super::guarded_write::Counter;
use crate::actors::messages::SessionReport;
use crate::domain::keepers::in_flight::InFlight;
use crate::domain::keepers::latch::LatchView;
use crate::domain::node::{ClusterName, Generation, KeeperId, Moment};
use crate::ports::coordination::Session;

/// The progress of a keeper, with what exists in that phase alone.
pub(super) enum Phase {
    /// A session is being opened.
    Connecting,
    /// The session has no connection, or a connection on which this keeper has not begun.
    Disconnected(Rc<dyn Session>),
    /// The keeper takes its id.
    Joining(Connection),
    /// The heartbeat node of this keeper exists.
    Online(Box<Online>),
    /// Ended by a [`Fatal`](crate::actors::messages::Fatal).
    Refused,
    /// Ended by a [`Leave`](crate::actors::messages::Leave).
    Left,
}

/// One start on a connection of the session. A lost connection drops everything under way: events that still arrive
/// from it are ignored.
pub(super) struct Connection {
    pub(super) session: Rc<dyn Session>,
    /// The number of the connection, as the session counts connections.
    pub(super) number: u64,
    /// Tells this start apart from every other one.
    pub(super) serial: u64,
    /// The futures under way, behind a single future of actix: actix polls each of its own at every wake.
    pub(super) futures: mpsc::UnboundedSender<LocalBoxFuture<'static, Event>>,
    pub(super) handle: SpawnHandle,
}

/// Everything that a keeper online has on one connection.
pub(super) struct Online {
    pub(super) connection: Connection,
    /// The version of this keeper's own heartbeat node.
    pub(super) own_version: i32,
    pub(super) progress: Progress,
    /// The latch, as read last; `None` before the first read.
    pub(super) latch_view: Option<LatchView>,
    /// The step towards leadership, or the pause after its failure.
    pub(super) campaign: InFlight<Campaign>,
    pub(super) counter: Counter,
    /// The keepers whose file settings are followed.
    pub(super) files: BTreeSet<KeeperId>,
    /// When the silence of keepers is checked again, even if nothing is read.
    pub(super) silence: Option<Moment>,
    pub(super) requests: Requests,
}

/// How far the keeper has read.
pub(super) enum Progress {
    /// Not everything was read yet.
    Reading(Reading),
    /// Everything was read, and heartbeats are sent.
    Current(Heartbeats),
}

/// What must be read before the first heartbeat.
pub(super) struct Reading {
    /// `/generation` as read before anything else.
    pub(super) first_generation: Option<Generation>,
    /// The clusters that were not read completely.
    pub(super) unread: BTreeSet<ClusterName>,
}

/// The heartbeats on this connection.
#[derive(Default)]
pub(super) struct Heartbeats {
    /// The heartbeat that is not answered yet, with the moment of its sending.
    pub(super) in_flight: InFlight<Moment>,
    /// The generation that the last heartbeat acknowledges.
    pub(super) acknowledged: Generation,
}

/// Other requests of which only one is under way at a time.
#[derive(Default)]
pub(super) struct Requests {
    /// The write to this keeper's registration for the failsafe group.
    pub(super) amendment: InFlight,
    /// The read of `/generation` to learn what has changed.
    pub(super) look: InFlight,
    /// The survey of silent keepers.
    pub(super) survey: InFlight,
    /// The transaction that deposes a silent leader.
    pub(super) deposition: InFlight,
}

// === impl Phase ===

impl Phase {
    /// Whether this keeper has ended.
    pub(super) fn over(&self) -> bool {
        matches!(self, Self::Refused | Self::Left)
    }

    /// Whether this keeper has no connection, and tries to get one.
    pub(super) fn away(&self) -> bool {
        matches!(self, Self::Connecting | Self::Disconnected(_))
    }

    /// The session, with or without a connection.
    pub(super) fn session(&self) -> Option<&Rc<dyn Session>> {
        match self {
            Self::Disconnected(session) => Some(session),
            _ => self.connection().map(|connection| &connection.session),
        }
    }

    pub(super) fn connection(&self) -> Option<&Connection> {
        match self {
            Self::Joining(connection) => Some(connection),
            Self::Online(online) => Some(&online.connection),
            Self::Connecting | Self::Disconnected(_) | Self::Refused | Self::Left => None,
        }
    }

    pub(super) fn online(&self) -> Option<&Online> {
        match self {
            Self::Online(online) => Some(online),
            _ => None,
        }
    }

    pub(super) fn online_mut(&mut self) -> Option<&mut Online> {
        match self {
            Self::Online(online) => Some(online),
            _ => None,
        }
    }

    /// The heartbeats, if everything was read.
    pub(super) fn current(&self) -> Option<&Heartbeats> {
        match &self.online()?.progress {
            Progress::Current(heartbeats) => Some(heartbeats),
            Progress::Reading(_) => None,
        }
    }

    /// Whether everything was read on this connection.
    pub(super) fn is_current(&self) -> bool {
        self.current().is_some()
    }

    /// What is to be read yet, if not everything was read.
    pub(super) fn reading_mut(&mut self) -> Option<&mut Reading> {
        match &mut self.online_mut()?.progress {
            Progress::Reading(reading) => Some(reading),
            Progress::Current(_) => None,
        }
    }

    pub(super) fn latch_view(&self) -> Option<&LatchView> {
        self.online()?.latch_view.as_ref()
    }

    /// Drops the connection, if there is one, and returns it.
    pub(super) fn disconnect(&mut self) -> Option<Connection> {
        let session = self.connection()?.session.clone();
        match std::mem::replace(self, Self::Disconnected(session)) {
            Self::Joining(connection) => Some(connection),
            Self::Online(online) => Some(online.connection),
            Self::Connecting | Self::Disconnected(_) | Self::Refused | Self::Left => None,
        }
    }

    /// Goes online on the connection on which this keeper has joined. Its heartbeat node has this version; these
    /// clusters are to be read.
    pub(super) fn joined(&mut self, own_version: i32, unread: BTreeSet<ClusterName>) {
        *self = match std::mem::replace(self, Self::Connecting) {
            Self::Joining(connection) => Self::Online(Box::new(Online {
                connection,
                own_version,
                progress: Progress::Reading(Reading {
                    first_generation: None,
                    unread,
                }),
                latch_view: None,
                campaign: InFlight::default(),
                counter: Counter::default(),
                files: BTreeSet::new(),
                silence: None,
                requests: Requests::default(),
            })),
            other => other,
        };
    }

    /// Notes that everything was read.
    pub(super) fn all_read(&mut self) {
        if let Self::Online(online) = self {
            online.progress = Progress::Current(Heartbeats::default());
        }
    }

    /// The name of the phase, for display.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Disconnected(_) => "disconnected",
            Self::Joining(_) => "joining",
            Self::Online(online) => match online.progress {
                Progress::Reading(_) => "reading",
                Progress::Current(_) => SessionReport::CURRENT,
            },
            Self::Refused => "refused",
            Self::Left => "left",
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Runs a future for as long as this connection lasts.
    pub(super) fn spawn(&self, future: impl Future<Output = Event> + 'static) {
        // The receiver lives as long as the connection.
        let _ = self.futures.unbounded_send(future.boxed_local());
    }
}

// === impl Online ===

impl Online {
    pub(super) fn session(&self) -> Rc<dyn Session> {
        self.connection.session.clone()
    }
}
