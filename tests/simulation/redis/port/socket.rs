//! A keeper's end of a connection to a server.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::pending;
use std::rc::Rc;

use redis_keeper::domain::node::Epoch;
use redis_keeper::ports::redis::{Alive, CommandError};
use tokio::sync::{Notify, oneshot};

use super::{COMMAND_TIMEOUT, Reach};
use crate::network::{Cut, Lane};
use crate::redis::commands::Order;
use crate::redis::{Connection, Server};
use crate::world::Event;

/// A keeper's end of a connection. A dropped socket is closed after everything that was sent on it.
pub(super) struct Socket {
    pub(super) reach: Rc<Reach>,
    pub(super) server: Rc<Server>,
    pub(super) number: u64,
    pub(super) opened: u64,
    pub(super) to_server: Lane,
    pub(super) to_keeper: Rc<Lane>,
    pub(super) inlet: Rc<Inlet>,
}

/// The messages that have come in.
#[derive(Default)]
pub(super) struct Inlet {
    pub(super) closed: Cell<bool>,
    /// The connection was reset, not closed in order.
    pub(super) reset: Cell<bool>,
    pub(super) answers: RefCell<VecDeque<(u64, Alive)>>,
    pub(super) news: Notify,
}

// === impl Socket ===

impl Socket {
    /// Connects, and names a command connection. A frozen server accepts the connection, and does not answer to the
    /// name.
    pub(super) async fn open(&self, epoch: Option<Epoch>) -> Result<(), &'static str> {
        let way = (self.reach.process.host, self.server.host);
        if self.reach.network.cut(way) == Some(Cut::Resets) {
            return Err("connection refused");
        }
        let (tell, told) = oneshot::channel();
        let (inlet, mute) = (Rc::clone(&self.inlet), self.mute());
        let connection = Connection {
            process: Rc::clone(&self.reach.process),
            epoch,
            name: if epoch.is_some() {
                Rc::default()
            } else {
                Rc::clone(&self.reach.name)
            },
            opened: self.opened,
            to_peer: Rc::clone(&self.to_keeper),
            closed: Rc::new(move || {
                if !mute() {
                    inlet.closed.set(true);
                    inlet.news.notify_one();
                }
            }),
        };
        let (server, number) = (Rc::clone(&self.server), self.number);
        let (network, lane) = (Rc::clone(&self.reach.network), Rc::clone(&self.to_keeper));
        let arrives = move || {
            let back = (way.1, way.0);
            let taken = server.squatter().is_some() && epoch.is_none();
            if !server.state.borrow().up && !taken {
                let refused = move || {
                    let _ = tell.send(Err("connection refused"));
                };
                return network.send(back, &lane, refused);
            }
            let inner = Rc::clone(&server);
            let opened = connection.opened;
            let accepted = move || {
                if epoch.is_some()
                    && let Some(error) = inner.error(opened)
                {
                    return network.send(back, &lane, move || {
                        let _ = tell.send(Err(error));
                    });
                }
                inner
                    .state
                    .borrow_mut()
                    .connections
                    .insert(number, connection);
                network.send(back, &lane, move || {
                    let _ = tell.send(Ok(()));
                });
            };
            if epoch.is_some() {
                server.request(accepted);
            } else {
                accepted();
            }
        };
        self.reach.network.send(way, &self.to_server, arrives);
        match told.await {
            Ok(outcome) => outcome,
            Err(_) => pending().await,
        }
    }

    /// A check whether this flow is mute by now.
    pub(super) fn mute(&self) -> impl Fn() -> bool + 'static {
        let (network, opened) = (Rc::clone(&self.reach.network), self.opened);
        let way = (self.reach.process.host, self.server.host);
        move || network.is_mute(way, opened)
    }

    /// Runs `event` at the server, if this connection is open there when the message arrives.
    pub(super) fn send(&self, event: impl FnOnce() + 'static) {
        let way = (self.reach.process.host, self.server.host);
        if self.reach.network.cut(way) == Some(Cut::Resets) {
            return self.inlet.lost();
        }
        if self.mute()() {
            return;
        }
        let (server, number) = (Rc::clone(&self.server), self.number);
        let arrives = move || {
            let inner = Rc::clone(&server);
            let executed = move || {
                if inner.state.borrow().connections.contains_key(&number) {
                    event();
                }
            };
            if server.squatter().is_some() {
                executed();
            } else {
                server.request(executed);
            }
        };
        self.reach.network.send(way, &self.to_server, arrives);
    }

    /// Wraps an answer, so that it travels back to the keeper. A connection that is closed by then drops the answer.
    pub(super) fn answer(&self, give: impl FnOnce(&Inlet) + 'static) -> Event {
        let (network, lane) = (Rc::clone(&self.reach.network), Rc::clone(&self.to_keeper));
        let way = (self.server.host, self.reach.process.host);
        let (inlet, mute) = (Rc::clone(&self.inlet), self.mute());
        Box::new(move || {
            network.send(way, &lane, move || {
                if !inlet.closed.get() && !mute() {
                    give(&inlet);
                    inlet.news.notify_one();
                }
            });
        })
    }

    pub(super) async fn order(&self, order: Order) -> Result<u64, CommandError> {
        let (tell, told) = oneshot::channel();
        let tell = Rc::new(Cell::new(Some(tell)));
        let outcome = Rc::new(RefCell::new(None));
        let (given, teller) = (Rc::clone(&outcome), Rc::clone(&tell));
        let answer = self.answer(move |_| {
            if let (Some(tell), Some(outcome)) = (teller.take(), given.borrow_mut().take()) {
                let _ = tell.send(outcome);
            }
        });
        let (fleet, server, number) = (
            Rc::clone(&self.reach.fleet),
            Rc::clone(&self.server),
            self.number,
        );
        self.send(move || {
            if let Some(result) = fleet.execute(&server, number, &order) {
                *outcome.borrow_mut() = Some(result);
                answer();
            }
        });
        tokio::select! {
            biased;
            outcome = told => match outcome {
                Ok(outcome) => outcome,
                Err(_) => Err(CommandError::Unknown("connection lost".into())),
            },
            () = self.closed() => Err(CommandError::Unknown("connection closed".into())),
            () = tokio::time::sleep(COMMAND_TIMEOUT) => {
                Err(CommandError::Unknown("no answer in time".into()))
            }
        }
    }

    pub(super) async fn closed(&self) {
        while !self.inlet.closed.get() {
            self.inlet.news.notified().await;
        }
    }
}

impl Inlet {
    /// Marks the connection as reset: it is of no more use.
    pub(super) fn lost(&self) {
        self.reset.set(true);
        self.closed.set(true);
        self.news.notify_one();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.mute()() {
            return;
        }
        let way = (self.reach.process.host, self.server.host);
        let (server, number) = (Rc::clone(&self.server), self.number);
        let arrives = move || {
            let inner = Rc::clone(&server);
            server.arrive(None, move || {
                inner.state.borrow_mut().connections.remove(&number);
            });
        };
        self.reach.network.send(way, &self.to_server, arrives);
    }
}
