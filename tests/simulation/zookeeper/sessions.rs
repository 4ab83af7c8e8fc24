//! How sessions begin, how both ends look after them, and how they are lost.

use std::rc::Rc;

use super::follower::Follower;
use super::{Client, Ensemble, ServerSession, TICK, TIMEOUT};
use crate::world::note;

impl Ensemble {
    /// Opens a session.
    pub(super) fn open(
        self: &Rc<Self>,
        client: impl FnOnce(i64) -> Rc<Client>,
    ) -> Option<Rc<Client>> {
        let now = self.world.now();
        let client = {
            let mut state = self.state.borrow_mut();
            if !state.up {
                return None;
            }
            state.last_session += 1;
            let id = state.last_session;
            let client = client(id);
            let follower = Follower::new(1, Rc::clone(&state.tree));
            let server_session = ServerSession {
                client: Rc::clone(&client),
                heard: now,
                over: false,
                follower,
            };
            state.sessions.insert(id, server_session);
            client
        };
        note!(
            self.world,
            "zookeeper: session {:x} for {}",
            client.id,
            client.process.name
        );
        self.look_after(&client);
        Some(client)
    }

    fn look_after(self: &Rc<Self>, client: &Rc<Client>) {
        let (ensemble, client) = (Rc::clone(self), Rc::clone(client));
        self.world.after(TICK, move || {
            ensemble.tick_server(client.id);
            if client.gone() && !ensemble.state.borrow().sessions.contains_key(&client.id) {
                return;
            }
            ensemble.tick_client(&client);
            ensemble.look_after(&client);
        });
    }

    fn tick_server(self: &Rc<Self>, id: i64) {
        let now = self.world.now();
        let overdue = {
            let state = self.state.borrow();
            let living = state
                .sessions
                .get(&id)
                .filter(|server_session| !server_session.over);
            let heard = living.map(|server_session| server_session.heard);
            state.up && heard.is_some_and(|heard| now > heard + TIMEOUT)
        };
        if overdue {
            self.expire(id);
        }
    }

    fn tick_client(self: &Rc<Self>, client: &Rc<Client>) {
        let now = self.world.now();
        if client.gone() || client.process.paused() {
            return;
        }
        let mut state = self.state.borrow_mut();
        let present = Rc::clone(&state.tree);
        let reachable = state.up && self.network.passes(client.process.host, self.host);
        let Some(server_session) = state.sessions.get_mut(&client.id) else {
            drop(state);
            if reachable {
                client.over(&self.world);
            }
            return client.count_silence(&self.world);
        };
        let hosts = (client.process.host, self.host);
        let reset = self.network.resets(hosts.0, hosts.1);
        match client.connected() {
            Some(_) if reset => {
                drop(state);
                self.drop_connection(client.id, 0);
            }
            Some(connection) if connection != server_session.follower.connection => {
                drop(state);
                client.lost(&self.world, 0);
            }
            Some(_) if reachable => {
                client.heard.set(now);
                if !server_session.follower.cut {
                    server_session.heard = now;
                }
            }
            None if reachable && now >= client.retry_at.get() => {
                let connection = client.connections.get() + 1;
                server_session.follower = Follower::new(connection, present);
                server_session.heard = now;
                drop(state);
                note!(
                    self.world,
                    "{}: connected to zookeeper again",
                    client.process.name
                );
                client.connect(self, connection);
            }
            _ => {
                drop(state);
                client.count_silence(&self.world);
                if client.connected().is_none() {
                    self.state.borrow_mut().close(client.id);
                }
            }
        }
    }
}
