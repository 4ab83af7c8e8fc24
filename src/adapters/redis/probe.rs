//! Probing over one connection.

use std::io;
use std::rc::Rc;

use async_trait::async_trait;

use super::resp::Reply;
use super::wire::{Wire, WireError};
use super::{Way, failure};
use crate::domain::info::Info;
use crate::ports::redis::{Alive, Depth, ProbeConnection, ProbeFailure, Stir};

/// `PING` for the one thing `INFO replication` does not tell, that the server is loading.
const TICK: &[u8] = b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n";
const TICK_REPLIES: usize = 2;

/// All sections, because Redis 5 and 6 take no list of them; and who else looks after this server.
const FULL: &[u8] = b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nINFO\r\n\
    *3\r\n$6\r\nPUBSUB\r\n$6\r\nNUMSUB\r\n$18\r\n__sentinel__:hello\r\n";
const FULL_REPLIES: usize = 3;

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
        let (probe, replies) = match depth {
            Depth::Tick => (TICK, TICK_REPLIES),
            Depth::Full => (FULL, FULL_REPLIES),
        };
        let passed_over = wire.owed();
        let auth = self.way.auth.as_deref().filter(|_| !self.authenticated);
        let sent = match auth {
            Some(auth) => wire.send(&[auth, probe].concat(), replies + 1).await,
            None => wire.send(probe, replies).await,
        };
        // Also when sending failed: a server that turns a client away says why before it closes.
        let mut alive = only_error(String::new());
        let mut answers = Answers::default();
        for at in 0..wire.owed() {
            let reply = wire.reply().await;
            self.untold |= reply.is_ok();
            match reply {
                Ok(_) if at < passed_over => {}
                Ok(reply) if auth.is_some() && at == passed_over => {
                    self.authenticated = reply.error().is_none();
                    answers.note(&reply);
                }
                Ok(reply) => answers.take(reply, &mut alive),
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
        } else if answers.subscribers > 0 {
            alive.sentinels = Some(sentinels(wire).await);
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
            Peer::Useless(_) => Stir::Closed,
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
        sentinels: None,
    }
}

/// What the replies to one probe have in common.
#[derive(Default)]
struct Answers {
    any: bool,
    /// The first error: `AUTH`'s says more than those that follow from it.
    error: Option<String>,
    unauthenticated: bool,
    subscribers: i64,
}

impl Answers {
    fn note(&mut self, reply: &Reply) {
        self.any = true;
        if let Some(error) = reply.error() {
            self.unauthenticated |= error.starts_with("NOAUTH");
            self.error.get_or_insert_with(|| error.to_owned());
        }
    }

    fn take(&mut self, reply: Reply, alive: &mut Alive) {
        self.note(&reply);
        match reply {
            Reply::Bulk(text) => {
                let info = Info::parse(&text);
                alive.loading |= info.loading == Some(true);
                alive.info = Some(info);
            }
            Reply::Array(items) => {
                if let Some(Reply::Integer(subscribers)) = items.get(1) {
                    self.subscribers = *subscribers;
                    alive.sentinels = Some(Vec::new());
                }
            }
            Reply::Error(error) => alive.loading |= error.starts_with("LOADING"),
            Reply::Status(_) | Reply::Integer(_) | Reply::Nil => {}
        }
    }
}

/// Who is subscribed to the channel that Sentinels greet each other on.
pub(super) async fn sentinels(wire: &mut Wire) -> Vec<String> {
    let listed = wire.call(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
    let mut names: Vec<String> = listed
        .ok()
        .as_ref()
        .and_then(Reply::text)
        .unwrap_or_default()
        .lines()
        .filter_map(sentinel)
        .collect();
    names.sort();
    if names.is_empty() {
        names.push("unnamed".to_owned());
    }
    names
}

/// `id=3 addr=10.0.0.9:41000 … name=sentinel-a1b2c3d4-pubsub …`. Its port, which each connection has anew, is left out.
fn sentinel(client: &str) -> Option<String> {
    let value = |key| {
        client
            .split(' ')
            .find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
    };
    let name = value("name").filter(|name| name.starts_with("sentinel-"))?;
    let (host, _port) = value("addr")?.rsplit_once(':')?;
    Some(format!("{name} at {host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentinel_is_named_without_its_changing_port() {
        assert_eq!(
            sentinel("id=3 addr=[::1]:41000 laddr=[::1]:6379 fd=8 name=sentinel-a1b2-pubsub age=1"),
            Some("sentinel-a1b2-pubsub at [::1]".to_owned())
        );
        assert_eq!(sentinel("id=3 addr=10.0.0.9:41000 name=app"), None);
        assert_eq!(sentinel(""), None);
    }

    #[test]
    fn the_packed_probes_are_what_they_say() {
        let mut tick = Vec::new();
        super::super::resp::pack(&mut tick, &["PING"]);
        super::super::resp::pack(&mut tick, &["INFO", "replication"]);
        assert_eq!(tick, TICK);
        let mut full = Vec::new();
        super::super::resp::pack(&mut full, &["PING"]);
        super::super::resp::pack(&mut full, &["INFO"]);
        super::super::resp::pack(&mut full, &["PUBSUB", "NUMSUB", "__sentinel__:hello"]);
        assert_eq!(full, FULL);
    }
}
