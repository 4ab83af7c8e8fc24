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
    Alive, Clients, Depth, ProbeConnection, ProbeFailure, Stir, Subscribers,
};

/// With more clients than that, a server is not asked who they are: the list takes it a microsecond a client.
const LISTED_AT_MOST: usize = 50_000;

/// So many keepers are told of at most.
const KEEPERS_AT_MOST: usize = 256;

/// A connection for probing.
pub(super) struct Probing {
    peer: Peer,
    server: Server,
    /// Nothing is left to be said of who this keeper is, on this connection.
    logged_in: bool,
    /// The name that the server was told (RK-12).
    name: Option<Rc<str>>,
    /// Clients connected to the server, as it said last.
    connected: usize,
    /// It waits for its replicas before it ends, and takes several sections in one `INFO`: 7.0 or later.
    waits: bool,
    /// Each probe asks whether it is shutting down: it is a primary that waits, or it was shutting down when it said so last.
    may_wait: bool,
}

enum Peer {
    /// Speaks Redis, as far as is known.
    Server(Wire),
    /// Answers, but nothing that can be used: what is wrong, until a probe has told it.
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

    /// Takes in what the next probe is to ask for. A section that was not asked for tells nothing.
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
        let name = self.server.way.probe_name.borrow().clone();
        let name = name.filter(|name| self.name.as_ref() != Some(name));
        if let Some(name) = &name {
            requests.cmd("CLIENT").arg("SETNAME").arg(&**name);
        }
        ask(&mut requests, depth, self.may_wait);
        let passed_over = wire.owed();
        // The last of the replies, if it is asked for.
        let asks_settings = depth == Depth::FullWithSettings;
        let sent = wire.send(&requests).await;
        // Also when sending failed: a server that turns a client away says why before it closes.
        let mut alive = only_error(String::new());
        let owed = wire.owed();
        for at in 0..owed {
            let reply = wire.reply().await;
            match reply {
                Ok(_) if at < passed_over => {}
                // Refused, it is of no account where the state is told: the same name is not tried again on this connection. A
                // server that turns a client away answers the first request with that, whatever it is.
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
        wire.told();
        if wire.owed() > 0 {
            self.peer = Peer::Useless(None);
        }
        self.connected = answers.connected.unwrap_or(self.connected);
        if let Some(info) = &alive.info {
            self.heed(info);
        }
        // Another password may be right the next time.
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

    async fn stirred(&mut self) -> Stir {
        match &mut self.peer {
            Peer::Server(wire) => wire.stirred().await,
            Peer::Useless(_) => Stir::Lost,
        }
    }
}

/// Logs in, behind the answers that are still owed; `None` without a password.
async fn log_in(wire: &mut Wire, server: &Server) -> Result<Option<Login>, WireError> {
    if server.way.secrets().credentials.is_empty() {
        return Ok(None);
    }
    while wire.owed() > 0 {
        wire.reply().await?;
    }
    server.log_in(wire).await.map(Some)
}

/// What is known of a peer whose answer to `AUTH` cannot be read.
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

/// Adds what a probe asks.
fn ask(requests: &mut Pipeline, depth: Depth, may_wait: bool) {
    // For the one thing `INFO replication` does not tell, that the server is loading.
    requests.cmd("PING");
    match depth {
        Depth::Tick if may_wait => requests.cmd("INFO").arg(&["server", "replication"]),
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

/// Who is among the connections that `CLIENT LIST` told. So many keepers there may be; whoever takes more names than that
/// hides others, and makes no more work.
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

/// What the replies to one probe have in common.
#[derive(Default)]
struct Answers {
    /// Clients connected to the server (`connected_clients`).
    connected: Option<usize>,
    any: bool,
    /// The first error: `AUTH`'s says more than those that follow from it.
    error: Option<String>,
    /// The first error that tells of a hindrance.
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
