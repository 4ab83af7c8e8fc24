//! Commands of keepers, and their effects at the server.

use std::rc::Rc;

use redis_keeper::domain::facts::MinReplicas;
use redis_keeper::domain::node::{Epoch, NodeAddr};
use redis_keeper::ports::redis::{CommandError, Remember};

use super::replication::What;
use super::{Fleet, Server};
use crate::world::{Event, note};

/// A state-changing command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Kills the command connections of older epochs, and those above the newest epoch. Answers the newer epoch that
    /// is left, or 0.
    Fence(Option<Epoch>),
    Promote(Remember),
    Follow(NodeAddr, Remember),
    /// Writes the role to the configuration file (`CONFIG REWRITE`).
    Rewrite,
    /// Pauses writes for this many microseconds.
    Pause(u64),
    Unpause,
    /// Asks for the offset, and changes nothing.
    Offset,
    Demand(MinReplicas),
}

/// The interval at which a paused write is tried again, in microseconds.
const PAUSED_LOOKS_EVERY: u64 = 1_000;

impl Fleet {
    /// Executes a command on connection `number`. Returns the replication offset, or `None` if the connection is
    /// closed.
    pub(super) fn execute(
        self: &Rc<Self>,
        server: &Rc<Server>,
        number: u64,
        order: &Order,
    ) -> Option<Result<u64, CommandError>> {
        let (epoch, process, opened) = {
            let state = server.state.borrow();
            let connection = state.connections.get(&number)?;
            let process = Rc::clone(&connection.process);
            (connection.epoch?, process, connection.opened)
        };
        if let Some(error) = server.error(opened) {
            return Some(Err(CommandError::NotDone(error.into())));
        }
        if let Order::Fence(newest) = order {
            return Some(Ok(server.fence(number, epoch, *newest).0));
        }
        if server.condition().loading {
            return Some(Err(CommandError::NotDone("LOADING".into())));
        }
        let now = self.world.now();
        match order {
            Order::Pause(micros) => server.state.borrow_mut().paused_until = now + micros,
            Order::Unpause => server.state.borrow_mut().paused_until = 0,
            Order::Rewrite => server.state.borrow_mut().remember(),
            Order::Fence(_)
            | Order::Promote(_)
            | Order::Follow(..)
            | Order::Demand(_)
            | Order::Offset => {}
        }
        if !matches!(
            order,
            Order::Promote(_) | Order::Follow(..) | Order::Demand(_)
        ) {
            return Some(Ok(server.condition().offset));
        }
        note!(
            self.world,
            "redis {} is told by epoch {epoch}: {order:?}",
            server.addr
        );
        if let Some(judge) = self.judge() {
            judge.proven(server, &process.name, order);
            if !self.is_impostor(server) {
                judge.commanded(self, server, (&process.name, epoch), order);
            }
        }
        match order {
            Order::Demand(values) => {
                let mut state = server.state.borrow_mut();
                state.min_replicas = *values;
                state.remember();
                drop(state);
                return Some(Ok(server.condition().offset));
            }
            Order::Promote(_) => {
                self.promotions.borrow_mut().push(now);
                server.become_primary(self);
            }
            Order::Follow(primary, _) if self.is_impostor(server) => {
                server.pretend_to_follow(primary);
            }
            Order::Follow(primary, _) => server.become_replica(primary, self),
            Order::Fence(_) | Order::Pause(_) | Order::Unpause | Order::Offset | Order::Rewrite => {
            }
        }
        if let Order::Promote(Remember::AtOnce) | Order::Follow(_, Remember::AtOnce) = order {
            server.state.borrow_mut().remember();
        }
        server.close_connections(Some(number));
        Some(Ok(server.condition().offset))
    }

    /// Has a client delete everything.
    pub(crate) fn drain(self: &Rc<Self>, server: &Rc<Server>) {
        let condition = server.condition();
        if condition.up && condition.follows.as_ref() == Some(&server.addr) {
            note!(self.world, "redis {} is drained", server.addr);
            self.append(server, 50, What::Drain);
        }
    }

    /// Has an operator promote the server by hand, and write data to it that no client of the cluster wrote.
    pub(crate) fn wander(self: &Rc<Self>, server: &Rc<Server>) {
        if server.condition().up {
            note!(
                self.world,
                "redis {} is made a primary by hand",
                server.addr
            );
            server.become_primary(self);
            server.state.borrow_mut().wandered = true;
            self.append(server, 5_000, What::Ping);
        }
    }

    /// Sends a client's write; `taken` runs if the server takes it. While writes are paused, the write waits.
    pub(crate) fn write(self: &Rc<Self>, server: &Rc<Server>, write: u64, taken: Event) {
        let condition = server.condition();
        if condition.loading
            || server.refuses_writes()
            || condition.follows.as_ref() != Some(&server.addr)
            || !server.has_replicas_enough()
        {
            return;
        }
        if server.holds_up_writes() {
            let (fleet, inner, started) = (Rc::clone(self), Rc::clone(server), condition.started);
            self.world.after(PAUSED_LOOKS_EVERY, move || {
                let again = Rc::clone(&inner);
                // A process that has died forgets the writes that waited.
                inner.request(move || {
                    let condition = again.condition();
                    if condition.up && condition.started == started {
                        fleet.write(&again, write, taken);
                    }
                });
            });
            return;
        }
        let unread = self
            .judge()
            .is_some_and(|judge| !judge.was_read_by_all(&condition.run_id));
        if unread {
            let mut state = server.state.borrow_mut();
            state.written_unread = Some(state.incarnation);
        }
        self.append(server, 50, What::Write(write));
        taken();
    }
}

impl Server {
    /// Whether as many replicas are linked as the settings demand. The lag is not simulated: a replica counts as long
    /// as its link is open.
    fn has_replicas_enough(&self) -> bool {
        let state = self.state.borrow();
        let demanded = usize::try_from(state.min_replicas.demanded()).expect("few nodes");
        state.attached.len() >= demanded
    }

    fn fence(&self, own: u64, epoch: Epoch, newest: Option<Epoch>) -> Epoch {
        let mut state = self.state.borrow_mut();
        let mut named = state.connections.values().filter_map(|it| it.epoch);
        let may_lead = |it: &Epoch| *it > epoch && newest.is_none_or(|newest| *it <= newest);
        if let Some(newer) = named.find(may_lead) {
            return newer;
        }
        let others: Vec<u64> = state
            .connections
            .iter()
            .filter(|(number, it)| it.epoch.is_some() && **number != own)
            .map(|(number, _)| *number)
            .collect();
        let killed: Vec<_> = others
            .iter()
            .filter_map(|number| state.connections.remove(number))
            .collect();
        drop(state);
        for connection in killed {
            self.close(connection);
        }
        Epoch(0)
    }
}
