//! The client's end of a session, as the library in a keeper keeps it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use redis_keeper::ports::coordination::{CoordinationError, SessionState};
use tokio::sync::watch;

use super::{Ensemble, TIMEOUT, Work};
use crate::keeper::Process;
use crate::network::Lane;
use crate::world::{Event, World, note};

/// Tells the caller of a request that the outcome of the request is unknown.
type Lost = Box<dyn FnOnce(CoordinationError)>;

/// A session as its client knows it.
pub(crate) struct Client {
    pub(super) id: i64,
    pub(super) process: Rc<Process>,
    pub(super) state: watch::Sender<SessionState>,
    pub(super) connections: Cell<u64>,
    /// When the client last heard a server, in microseconds.
    pub(super) heard: Cell<u64>,
    /// The earliest time of the next attempt to connect, in microseconds.
    pub(super) retry_at: Cell<u64>,
    closed: Cell<bool>,
    /// The process has received this session, and did not stop waiting before.
    taken: Cell<bool>,
    waiting: RefCell<VecDeque<(u64, Work, Lost)>>,
    in_flight: RefCell<BTreeMap<u64, Lost>>,
    to_server: RefCell<Rc<Lane>>,
}

impl Client {
    pub(super) fn new(id: i64, process: Rc<Process>, now: u64) -> Rc<Self> {
        Rc::new(Self {
            id,
            process,
            state: watch::Sender::new(SessionState::Connected(1)),
            connections: Cell::new(1),
            heard: Cell::new(now),
            retry_at: Cell::new(0),
            closed: Cell::new(false),
            taken: Cell::new(false),
            waiting: RefCell::default(),
            in_flight: RefCell::default(),
            to_server: RefCell::default(),
        })
    }

    /// Notes that the process has received this session.
    pub(super) fn take(&self) {
        self.taken.set(true);
    }

    /// Whether the client is of no more use: its process is dead, or closed it, or the session is over.
    pub(super) fn gone(&self) -> bool {
        self.process.dead() || self.closed.get() || *self.state.borrow() == SessionState::Expired
    }

    /// The number of the connection that the client believes to have.
    pub(super) fn connected(&self) -> Option<u64> {
        match *self.state.borrow() {
            SessionState::Connected(connection) => Some(connection),
            _ => None,
        }
    }

    /// Sends a request, or keeps it until there is a connection.
    pub(super) fn request(&self, ensemble: &Rc<Ensemble>, work: Work, lost: Lost) {
        let number = ensemble.world.number();
        match *self.state.borrow() {
            SessionState::Expired => lost(CoordinationError::Expired),
            SessionState::Disconnected => {
                let mut waiting = self.waiting.borrow_mut();
                waiting.push_back((number, work, lost));
            }
            SessionState::Connected(connection) => {
                self.transmit(ensemble, connection, number, work, lost);
            }
        }
    }

    fn transmit(
        &self,
        ensemble: &Rc<Ensemble>,
        connection: u64,
        number: u64,
        work: Work,
        lost: Lost,
    ) {
        self.in_flight.borrow_mut().insert(number, lost);
        let (id, way) = (self.id, (self.process.host, ensemble.host));
        if ensemble.network.resets(way.0, way.1) {
            // TCP ends a connection whose messages are lost.
            let server = Rc::clone(ensemble);
            ensemble
                .world
                .after(1, move || server.drop_connection(id, 0));
        }
        let server = Rc::clone(ensemble);
        let arrives = move || server.receive(id, connection, number, work);
        let lane = Rc::clone(&self.to_server.borrow());
        ensemble.network.send(way, &lane, arrives);
    }

    /// Takes in the answer to a request.
    pub(super) fn answered(&self, number: u64, event: Event) {
        if self.in_flight.borrow_mut().remove(&number).is_some() {
            // The judge asks first, and the keeper answers at its next turn: this answer has to count by then.
            self.process.reached();
            event();
        }
    }

    /// Takes a new connection, and sends the requests that waited.
    pub(super) fn connect(&self, ensemble: &Rc<Ensemble>, connection: u64) {
        self.connections.set(connection);
        self.heard.set(ensemble.world.now());
        *self.to_server.borrow_mut() = Rc::default();
        self.state.send_replace(SessionState::Connected(connection));
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        for (number, work, lost) in waiting {
            self.transmit(ensemble, connection, number, work, lost);
        }
    }

    /// Loses the connection, and tries another after at least `offline` microseconds. A paused process notices later.
    pub(super) fn lost(&self, world: &World, offline: u64) {
        let retry_at = world.now() + offline + world.draw(20_000..=600_000);
        self.retry_at.set(retry_at.max(self.retry_at.get()));
        if self.gone() || self.process.paused() || self.connected().is_none() {
            return;
        }
        note!(world, "{}: zookeeper disconnected", self.process.name);
        self.state.send_replace(SessionState::Disconnected);
        let in_flight = std::mem::take(&mut *self.in_flight.borrow_mut());
        for lost in in_flight.into_values() {
            lost(CoordinationError::Unknown("connection lost".into()));
        }
    }

    /// Ends the connection, and later the session, when the client hears no server.
    pub(super) fn count_silence(&self, world: &World) {
        let silence = world.now().saturating_sub(self.heard.get());
        if silence > TIMEOUT * 7 / 5 {
            self.over(world);
        } else if silence > TIMEOUT * 2 / 5 {
            self.lost(world, 0);
        }
    }

    /// Ends the session at the client.
    pub(super) fn over(&self, world: &World) {
        // A process never learns of the end of a session that it did not wait for.
        if self.taken.get() {
            note!(
                world,
                "{}: learns that its session is over",
                self.process.name
            );
            self.process.learned_over(world.now());
        }
        self.state.send_replace(SessionState::Expired);
        let in_flight = std::mem::take(&mut *self.in_flight.borrow_mut());
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        let waiting = waiting.into_iter().map(|(_, _, lost)| lost);
        for lost in in_flight.into_values().chain(waiting) {
            lost(CoordinationError::Expired);
        }
    }

    /// Closes the session, as the process does when it drops its last handle.
    pub(super) fn close(&self, ensemble: &Rc<Ensemble>) {
        if !self.gone() {
            self.request(ensemble, Work::Close, Box::new(|_| {}));
        }
        self.closed.set(true);
    }
}
