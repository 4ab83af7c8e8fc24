//! Probing over one connection.

use std::io;
use std::rc::Rc;

use async_trait::async_trait;
use redis::{Pipeline, Value};

use super::login::Login;
use super::wire::{Wire, WireError};
use super::{Server, failure, reply, subscribers};
use crate::domain::facts::{MinReplicas, Role};
use crate::domain::hindrance::HindranceKind;
use crate::domain::info::Info;
use crate::ports::redis::{
    Alive, Clients, ConnectionEvent, Depth, ProbeConnection, ProbeFailure, Subscribers,
};

/// A server with more clients than this is not asked for `CLIENT LIST`: the list costs the server about a microsecond
/// for each client.
const LISTED_AT_MOST: usize = 50_000;

/// The most keepers that one list yields.
const KEEPERS_AT_MOST: usize = 256;

/// A connection for probing.
pub(super) struct Probing {
    peer: Peer,
    server: Server,
    /// Whether the login needs no further attempt on this connection.
    logged_in: bool,
    /// The connection's name that was last sent to the server (RK-12).
    name: Option<Rc<str>>,
    /// The number of clients connected to the server, as the last full probe read it.
    connected: usize,
    /// Whether the server is of version 7.0 or later. Such a primary waits for its replicas before it shuts down, and
    /// its `INFO` takes several sections.
    waits: bool,
    /// Whether each probe asks if the server is shutting down: for a primary of 7.0 or later, and for a server that
    /// was shutting down at the last answer.
    may_wait: bool,
}

enum Peer {
    /// A server that speaks the Redis protocol, as far as is known.
    Server(Wire),
    /// A peer whose answers cannot be used. Holds the error until a probe has returned it.
    Useless(Option<String>),
}

impl Probing {
    pub(super) fn new(peer: Result<Wire, String>, server: Server) -> Self {
        Self {
            peer: match peer {
                Ok(wire) => Peer::Server(wire),
                Err(error) => Peer::Useless(Some(error)),
            },
            server,
            logged_in: false,
            name: None,
            connected: 0,
            waits: false,
            may_wait: false,
        }
    }

    /// Decides what the next probe asks for. A section that was not asked for changes nothing.
    fn heed(&mut self, info: &Info) {
        if let Some(version) = info.version {
            self.waits = version.major >= 7;
        }
        let primary = matches!(info.role, Some(Role::Primary { .. }));
        self.may_wait = self.waits && (primary || info.shutting_down.flatten().is_some());
    }
}

#[async_trait(?Send)]
impl ProbeConnection for Probing {
    async fn probe(&mut self, depth: Depth) -> Result<Alive, ProbeFailure> {
        let wire = match &mut self.peer {
            Peer::Server(wire) => wire,
            Peer::Useless(error) => return error.take().map(only_error).ok_or_else(closed),
        };
        let login = if self.logged_in {
            Ok(None)
        } else {
            log_in(wire, &self.server).await
        };
        let login = match login {
            Ok(login) => login,
            Err(error) => {
                self.peer = Peer::Useless(None);
                return useless(error);
            }
        };
        let mut answers = Answers {
            any: login.is_some(),
            ..Answers::default()
        };
        let refused = login.and_then(Login::refusal);
        self.logged_in = refused.is_none();
        answers.error.clone_from(&refused);
        let mut requests = redis::pipe();
        let name = self.server.params.probe_name.borrow().clone();
        let name = name.filter(|name| self.name.as_ref() != Some(name));
        if let Some(name) = &name {
            requests.cmd("CLIENT").arg("SETNAME").arg(&**name);
        }
        ask(&mut requests, depth, self.may_wait);
        let passed_over = wire.owed();
        // The settings are the last of the replies, if they were asked for.
        let asks_settings = depth == Depth::FullWithSettings;
        let sent = wire.send(&requests).await;
        // The replies are read even if sending failed: a server that turns a client away says why before it closes.
        let mut alive = only_error(String::new());
        let owed = wire.owed();
        for at in 0..owed {
            let reply = wire.reply().await;
            match reply {
                Ok(_) if at < passed_over => {}
                // A refused name does not matter if the server otherwise answers. The same name is not tried again on
                // this connection. A server that turns a client away sends that error as the answer to the first
                // request.
                Ok(reply) if name.is_some() && at == passed_over => {
                    answers.note(&reply);
                    if !matches!(&reply, Value::ServerError(error) if error.code() == "NOAUTH") {
                        self.name.clone_from(&name);
                    }
                }
                Ok(reply) if asks_settings && at + 1 == owed => {
                    answers.any = true;
                    alive.min_replicas = Some(min_replicas(&reply));
                }
                Ok(reply) => answers.take(&reply, &mut alive),
                Err(WireError::Foreign(error)) => {
                    alive.foreign = true;
                    answers.error.get_or_insert(error);
                    break;
                }
                Err(WireError::Tls(error)) => {
                    answers.error.get_or_insert(error);
                    break;
                }
                Err(WireError::Io(_)) if answers.any => break,
                Err(WireError::Io(error)) => {
                    return Err(failure::sorted(sent.as_ref().err().unwrap_or(&error)));
                }
            }
        }
        if let Some(count @ 1..) = answers.subscribers.filter(|_| wire.owed() == 0) {
            alive.subscribers = Some(subscribers::sorted(wire, count).await);
        }
        wire.mark_reported();
        if wire.owed() > 0 {
            self.peer = Peer::Useless(None);
        }
        self.connected = answers.connected.unwrap_or(self.connected);
        if let Some(info) = &alive.info {
            self.heed(info);
        }
        // At the next probe, another password may fit.
        self.logged_in &= !answers.unauthenticated;
        if alive.info.is_none() && answers.error.is_none() {
            alive.foreign = true;
            answers.error = Some("it takes INFO, and tells nothing".to_owned());
        }
        alive.login_refused = refused;
        alive.hindrance = answers.hindrance;
        alive.error = answers.error.filter(|_| alive.info.is_none());
        Ok(alive)
    }

    async fn clients(&mut self) -> Option<Clients> {
        let Peer::Server(wire) = &mut self.peer else {
            return None;
        };
        if self.connected > LISTED_AT_MOST || wire.owed() > 0 {
            return None;
        }
        let listed = wire.call(&["CLIENT", "LIST", "TYPE", "normal"]).await;
        Some(clients(&reply::text(&listed.ok()?)?))
    }

    async fn next_event(&mut self) -> ConnectionEvent {
        match &mut self.peer {
            Peer::Server(wire) => wire.next_event().await,
            Peer::Useless(_) => ConnectionEvent::Lost,
        }
    }
}

/// Logs in, after reading the replies that are still owed. `None` if no password is configured.
async fn log_in(wire: &mut Wire, server: &Server) -> Result<Option<Login>, WireError> {
    if server.params.secrets().credentials.is_empty() {
        return Ok(None);
    }
    while wire.owed() > 0 {
        wire.reply().await?;
    }
    server.log_in(wire).await.map(Some)
}

/// The result of a probe whose login got no readable answer.
fn useless(error: WireError) -> Result<Alive, ProbeFailure> {
    match error {
        WireError::Io(error) => Err(failure::sorted(&error)),
        WireError::Tls(error) => Ok(only_error(error)),
        WireError::Foreign(error) => Ok(Alive {
            foreign: true,
            ..only_error(error)
        }),
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
        hindrance: None,
        login_refused: None,
        foreign: false,
        subscribers: None,
        min_replicas: None,
    }
}

/// Adds the requests of a probe.
fn ask(requests: &mut Pipeline, depth: Depth, may_wait: bool) {
    // `PING` shows whether the server is loading: `INFO replication` does not.
    requests.cmd("PING");
    match depth {
        Depth::Tick if may_wait => requests.cmd("INFO").arg(&["server", "replication"]),
        Depth::Tick => requests.cmd("INFO").arg("replication"),
        // `INFO` without a list of sections, because Redis 5 and 6 take no list. `PUBSUB NUMSUB` shows whether
        // Sentinels watch this server.
        Depth::Full | Depth::FullWithSettings => {
            requests.cmd("INFO").cmd("PUBSUB").arg(&subscribers::COUNT)
        }
    };
    if depth == Depth::FullWithSettings {
        requests.cmd("CONFIG").arg(&["GET", "min-replicas-*"]);
    }
}

/// Parses the reply to `CONFIG GET min-replicas-*`: names and values in turn.
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

/// Parses the reply to `CLIENT LIST`: the number of clients, and the names of keepers' probe connections. At most
/// `KEEPERS_AT_MOST` names are kept. A client that takes many such names may hide others, and causes no further work.
fn clients(list: &str) -> Clients {
    let name = |line: &str| {
        let mut fields = line.split(' ');
        fields
            .find_map(|field| field.strip_prefix("name="))?
            .parse()
            .ok()
    };
    let mut clients = Clients::default();
    for line in list.lines() {
        clients.count += 1;
        if clients.keepers.len() < KEEPERS_AT_MOST {
            clients.keepers.extend(name(line));
        }
    }
    clients
}

/// The replies to one probe, summed up.
#[derive(Default)]
struct Answers {
    /// The number of clients connected to the server (`connected_clients`).
    connected: Option<usize>,
    any: bool,
    /// The first error. An error from `AUTH` says more than the errors that follow from it.
    error: Option<String>,
    /// The first error that names a hindrance.
    hindrance: Option<String>,
    unauthenticated: bool,
    subscribers: Option<usize>,
}

impl Answers {
    fn note(&mut self, reply: &Value) {
        self.any = true;
        if let Value::ServerError(error) = reply {
            self.unauthenticated |= error.code() == "NOAUTH";
            let words = reply::words(error);
            if self.hindrance.is_none() && HindranceKind::of(&words).is_some() {
                self.hindrance = Some(words.clone());
            }
            self.error.get_or_insert(words);
        }
    }

    fn take(&mut self, reply: &Value, alive: &mut Alive) {
        self.note(reply);
        match reply {
            Value::BulkString(text) => {
                let text = String::from_utf8_lossy(text);
                if !text.starts_with("# Replication") {
                    let mut lines = text.lines();
                    let count = lines.find_map(|line| line.strip_prefix("connected_clients:"));
                    self.connected = count.and_then(|count| count.parse().ok());
                }
                let info = Info::parse(&text);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keepers_are_known_by_the_names_of_their_probe_connections_and_few_are_enough() {
        let line = |id: usize, name: &str| {
            format!(
                "id={id} addr=10.0.0.9:41000 laddr=10.0.0.1:6379 fd=8 name={name} age=1 idle=0\n"
            )
        };
        let keeper = "keeper-probe/00a1/keeper-1/10.0.0.9:46379";
        let list = ["", "keeper-17", "app", keeper, keeper, "keeper-probe/x"];
        let list: String = (1..).zip(list).map(|(id, name)| line(id, name)).collect();
        let found = clients(&list);
        assert_eq!(found.count, 6);
        assert_eq!(found.keepers, BTreeSet::from([keeper.parse().unwrap()]));
        let many = (0..10_000).map(|it| line(it, &format!("keeper-probe/{it}/k/h:1")));
        let found = clients(&many.collect::<String>());
        assert_eq!(
            (found.count, found.keepers.len()),
            (10_000, KEEPERS_AT_MOST)
        );
    }
}
