//! Probing over one connection.

use std::io;
use std::rc::Rc;

use async_trait::async_trait;
use redis::{Pipeline, Value};

use super::wire::{Wire, WireError};
use super::{Way, failure, reply, subscribers};
use crate::domain::facts::MinReplicas;
use crate::domain::info::Info;
use crate::ports::redis::{Alive, Depth, ProbeConnection, ProbeFailure, Stir, Subscribers};

/// A connection for probing.
pub(super) struct Probing {
    peer: Peer,
    way: Rc<Way>,
    authenticated: bool,
    /// An answer was read that no probe has told of: a late one, or one of several before the time was up.
    untold: bool,
}

enum Peer {
    /// Speaks Redis, as far as is known.
    Server(Wire),
    /// Answers, but nothing that can be used: what is wrong, until a probe has told it.
    Useless(Option<String>),
}

impl Probing {
    pub(super) fn new(peer: Result<Wire, String>, way: Rc<Way>) -> Self {
        Self {
            peer: match peer {
                Ok(wire) => Peer::Server(wire),
                Err(error) => Peer::Useless(Some(error)),
            },
            way,
            authenticated: false,
            untold: false,
        }
    }
}

#[async_trait(?Send)]
impl ProbeConnection for Probing {
    async fn probe(&mut self, depth: Depth) -> Result<Alive, ProbeFailure> {
        let wire = match &mut self.peer {
            Peer::Server(wire) => wire,
            Peer::Useless(error) => return error.take().map(only_error).ok_or_else(closed),
        };
        let authenticates = self.way.auth.is_some() && !self.authenticated;
        let mut requests = if authenticates {
            self.way.opening()
        } else {
            redis::pipe()
        };
        ask(&mut requests, depth);
        let passed_over = wire.owed();
        // The last of the replies, if it is asked for.
        let asks_settings = depth == Depth::FullWithSettings;
        let sent = wire.send(&requests).await;
        // Also when sending failed: a server that turns a client away says why before it closes.
        let mut alive = only_error(String::new());
        let mut answers = Answers::default();
        let owed = wire.owed();
        for at in 0..owed {
            let reply = wire.reply().await;
            self.untold |= reply.is_ok();
            match reply {
                Ok(_) if at < passed_over => {}
                Ok(reply) if authenticates && at == passed_over => {
                    self.authenticated = !matches!(reply, Value::ServerError(_));
                    answers.note(&reply);
                }
                Ok(reply) if asks_settings && at + 1 == owed => {
                    answers.any = true;
                    alive.min_replicas = Some(min_replicas(&reply));
                }
                Ok(reply) => answers.take(&reply, &mut alive),
                Err(WireError::Foreign(error)) => {
                    answers.error.get_or_insert(error);
                    break;
                }
                Err(WireError::Io(_)) if answers.any => break,
                Err(WireError::Io(error)) => {
                    return Err(failure::sorted(sent.as_ref().err().unwrap_or(&error)));
                }
            }
        }
        if wire.owed() > 0 {
            self.peer = Peer::Useless(None);
        } else if let Some(count @ 1..) = answers.subscribers {
            alive.subscribers = Some(subscribers::sorted(wire, count).await);
        }
        self.untold = false;
        // Another password may be right the next time.
        self.authenticated &= !answers.unauthenticated;
        alive.error = answers.error.filter(|_| alive.info.is_none());
        Ok(alive)
    }

    async fn stirred(&mut self) -> Stir {
        match &mut self.peer {
            _ if std::mem::take(&mut self.untold) => Stir::Answered,
            Peer::Server(wire) => wire.stirred().await,
            Peer::Useless(_) => Stir::Lost,
        }
    }
}

fn closed() -> ProbeFailure {
    failure::sorted(&io::ErrorKind::UnexpectedEof.into())
}

fn only_error(error: String) -> Alive {
    Alive {
        info: None,
        loading: false,
        error: Some(error),
        subscribers: None,
        min_replicas: None,
    }
}

/// Adds what a probe asks.
fn ask(requests: &mut Pipeline, depth: Depth) {
    // For the one thing `INFO replication` does not tell, that the server is loading.
    requests.cmd("PING");
    match depth {
        Depth::Tick => requests.cmd("INFO").arg("replication"),
        // All sections, because Redis 5 and 6 take no list of them; and who else looks after this server.
        Depth::Full | Depth::FullWithSettings => {
            requests.cmd("INFO").cmd("PUBSUB").arg(&subscribers::COUNT)
        }
    };
    if depth == Depth::FullWithSettings {
        requests.cmd("CONFIG").arg(&["GET", "min-replicas-*"]);
    }
}

/// What `CONFIG GET min-replicas-*` was answered: names and values by turns.
fn min_replicas(reply: &Value) -> Result<MinReplicas, String> {
    if let Some(error) = reply::error(reply) {
        return Err(error);
    }
    let value = |name: &str| {
        let pairs = reply::items(reply).chunks_exact(2);
        let mut named = pairs.filter(|pair| reply::text(&pair[0]).as_deref() == Some(name));
        let value = named.next()?.get(1).and_then(reply::text)?;
        value.parse().ok()
    };
    let values = value("min-replicas-to-write").zip(value("min-replicas-max-lag"));
    let (to_write, max_lag) = values.ok_or("no such settings")?;
    Ok(MinReplicas { to_write, max_lag })
}

/// What the replies to one probe have in common.
#[derive(Default)]
struct Answers {
    any: bool,
    /// The first error: `AUTH`'s says more than those that follow from it.
    error: Option<String>,
    unauthenticated: bool,
    subscribers: Option<usize>,
}

impl Answers {
    fn note(&mut self, reply: &Value) {
        self.any = true;
        if let Value::ServerError(error) = reply {
            self.unauthenticated |= error.code() == "NOAUTH";
            self.error.get_or_insert_with(|| reply::words(error));
        }
    }

    fn take(&mut self, reply: &Value, alive: &mut Alive) {
        self.note(reply);
        match reply {
            Value::BulkString(text) => {
                let info = Info::parse(&String::from_utf8_lossy(text));
                alive.loading |= info.loading == Some(true);
                alive.info = Some(info);
            }
            Value::Array(_) => {
                self.subscribers = subscribers::counted(reply);
                alive.subscribers = self.subscribers.map(|_| Subscribers::default());
            }
            Value::ServerError(error) => alive.loading |= error.code() == "LOADING",
            _ => {}
        }
    }
}
