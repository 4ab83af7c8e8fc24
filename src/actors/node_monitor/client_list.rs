//! Looks which keepers of other groups probe this node: their connections have names (RK-12).
//!
//! `CLIENT LIST` costs a server about a microsecond for each client. So the more clients there are, the more rarely
//! the list is read. A look takes place between two probes, and is given up when the next probe is due. Only a look
//! that a change waits for may delay a probe (by [`AT_ONCE_WITHIN`] at most).
//!
//! Source: <https://redis.io/docs/latest/commands/client-list/>.

use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Connection, NodeMonitor};
use crate::actors::Outbox;
use crate::actors::messages::{KeepersMet, ListClients, ListClientsNow, ProbesNamed};
use crate::domain::node::Moment;
use crate::domain::timing::groups::{AT_ONCE_WITHIN, LOOK_AT_LEAST_EVERY};
use crate::ports::redis::Clients;

/// The least time from one look to the next.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The least time from one look to the next, for each client. With 10,000 clients: 300 s.
const LOOK_EVERY_PER_CLIENT: Duration = Duration::from_millis(30);

/// The divisor of that time on a new connection, or when another keeper says that it is there.
const SOONER: u32 = 30;

/// The time after a look that took too long.
const LOOK_AGAIN_AFTER: Duration = Duration::from_mins(2);

/// From the first look to the second one: a keeper of another group may have been started together with this one.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(3);

/// A look with less time than this before the next probe is not begun.
const LOOK_TAKES: Duration = Duration::from_millis(20);

/// When this monitor looks at the node's clients.
#[derive(Default)]
pub(super) struct ClientListSchedule {
    /// Where met keepers are reported; without it the monitor never looks.
    outbox: Option<Outbox<KeepersMet>>,
    last: Option<Look>,
    /// Whether there is a reason to look sooner.
    hurries: bool,
    /// The changes that wait for a look.
    waiting: Vec<oneshot::Sender<()>>,
    /// Whether a probe has to tell the server the connection's name before the next look.
    introduces: bool,
}

/// A look that has ended.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Moment,
    /// How long after this look the next one is due.
    next_after: Duration,
}

impl ClientListSchedule {
    /// The looks of a monitor that reports met keepers to `outbox`.
    pub(super) fn new(outbox: Option<Outbox<KeepersMet>>) -> Self {
        Self {
            outbox,
            ..Self::default()
        }
    }

    fn due(&self, now: Moment) -> bool {
        let due = |last: Look| {
            let wait = if self.hurries && last.next_after < LOOK_AT_LEAST_EVERY {
                last.next_after / SOONER
            } else {
                last.next_after
            };
            now.since(last.at) >= wait
        };
        self.outbox.is_some() && self.last.is_none_or(due)
    }

    /// Whether an actor waits for a look, or for the probe before it.
    pub(super) fn is_requested(&self) -> bool {
        self.introduces || !self.waiting.is_empty()
    }

    /// Whether an actor waits for a look, and the server knows the connection's name.
    pub(super) fn lists_at_once(&self) -> bool {
        !self.introduces && !self.waiting.is_empty()
    }

    /// Notes that a probe is sent, which names the connection if it has a name.
    pub(super) fn probed(&mut self) {
        if std::mem::take(&mut self.introduces) {
            self.last = None;
        }
    }

    /// Makes the next look come sooner.
    pub(super) fn hurry(&mut self) {
        self.hurries = true;
    }

    /// Notes the result of a look. An error is a look that was given up.
    fn listed<T>(&mut self, found: &Result<Option<Clients>, T>, now: Moment) {
        let wait = match found {
            Ok(Some(found)) => {
                let clients = u32::try_from(found.count).unwrap_or(u32::MAX);
                let wait = LOOK_EVERY_PER_CLIENT.saturating_mul(clients);
                wait.clamp(LOOK_EVERY, LOOK_AT_LEAST_EVERY)
            }
            Ok(None) => LOOK_AT_LEAST_EVERY,
            Err(_) => LOOK_AGAIN_AFTER,
        };
        let next_after = if self.last.is_none() && wait == LOOK_EVERY {
            SECOND_LOOK_AFTER
        } else {
            wait
        };
        self.last = Some(Look {
            at: now,
            next_after,
        });
        self.hurries = false;
    }
}

impl NodeMonitor {
    /// Rests until the next probe is due. Looks at the clients first, if a look is due or an actor waits for one.
    pub(super) fn list_clients_and_rest(
        &mut self,
        connection: Connection,
        ctx: &mut Context<Self>,
    ) {
        let now = self.links.clock.now();
        let left = self.due(now).since(now);
        // Dropping these senders tells those that wait.
        let waiting = std::mem::take(&mut self.client_list.waiting);
        let (least, limit) = if waiting.is_empty() {
            (LOOK_TAKES, left)
        } else {
            (Duration::ZERO, left.max(AT_ONCE_WITHIN))
        };
        let due = self.client_list.due(now) || !waiting.is_empty();
        let looks = self.observation.answering && due && left >= least;
        let mut open = match connection {
            Some(open) if looks && self.client_list.outbox.is_some() => open,
            connection => return self.rest(connection, ctx),
        };
        let looking = async move {
            let found = timeout(limit, open.connection.clients()).await;
            (Some(open), found)
        };
        ctx.spawn(
            wrap_future::<_, Self>(looking).map(move |(connection, found), monitor, ctx| {
                let now = monitor.links.clock.now();
                monitor.client_list.listed(&found, now);
                let found = found.ok().flatten();
                let names = found.map(|found| found.keepers).unwrap_or_default();
                if let Some(outbox) = monitor
                    .client_list
                    .outbox
                    .as_ref()
                    .filter(|_| !names.is_empty())
                {
                    let node = monitor.addr.clone();
                    outbox(KeepersMet { node, names });
                }
                drop(waiting);
                monitor.rest(connection, ctx);
            }),
        );
    }
}

impl Handler<ListClients> for NodeMonitor {
    type Result = ();

    fn handle(&mut self, _: ListClients, _: &mut Self::Context) {
        self.client_list.hurry();
        if self.client_list.due(self.links.clock.now()) {
            self.requests.wake();
        }
    }
}

impl Handler<ProbesNamed> for NodeMonitor {
    type Result = ();

    fn handle(&mut self, _: ProbesNamed, _: &mut Self::Context) {
        self.client_list.introduces = true;
        self.requests.wake();
    }
}

impl Handler<ListClientsNow> for NodeMonitor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: ListClientsNow, _: &mut Self::Context) -> Self::Result {
        let (wait, over) = oneshot::channel();
        self.client_list.waiting.push(wait);
        self.requests.wake();
        Box::pin(async { drop(over.await) })
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn found(count: usize) -> Clients {
        Clients {
            count,
            ..Clients::default()
        }
    }

    #[test]
    fn the_more_clients_there_are_the_more_rarely_they_are_listed() {
        for (found, seconds, sooner) in [
            (Some(found(3)), 30, 1),
            (Some(found(1_000)), 30, 1),
            (Some(found(10_000)), 300, 10),
            (Some(found(40_000)), 600, 600),
            (None, 600, 600),
        ] {
            let mut client_list = ClientListSchedule {
                outbox: Some(Rc::new(drop)),
                ..ClientListSchedule::default()
            };
            assert!(client_list.due(at(0)));
            client_list.last = Some(Look {
                at: at(0),
                next_after: LOOK_EVERY,
            });
            client_list.listed(&Ok::<_, ()>(found.clone()), at(0));
            assert!(!client_list.due(at(seconds - 1)), "{found:?}");
            assert!(client_list.due(at(seconds)), "{found:?}");
            client_list.hurry();
            assert!(!client_list.due(at(sooner - 1)), "{found:?}");
            assert!(client_list.due(at(sooner)), "{found:?}");
        }
        assert!(!ClientListSchedule::default().due(at(0)), "nobody is told");
    }

    #[test]
    fn the_first_look_and_the_first_with_a_name_are_followed_by_another_before_long() {
        let mut client_list = ClientListSchedule {
            outbox: Some(Rc::new(drop)),
            ..ClientListSchedule::default()
        };
        for from in [0, 10] {
            client_list.introduces = from > 0;
            client_list.probed();
            assert!(client_list.due(at(from)));
            client_list.listed(&Ok::<_, ()>(Some(found(3))), at(from));
            assert!(!client_list.due(at(from + 2)));
            assert!(client_list.due(at(from + 3)));
            client_list.listed(&Ok::<_, ()>(Some(found(3))), at(from + 3));
            assert!(!client_list.due(at(from + 32)));
        }
    }
}
