//! Commands that change the state of a server. Each change has a connection of its own (RK-4).

use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use redis::{ServerErrorKind, Value};
use tokio::time::timeout;

use super::wire::{Wire, WireError, request};
use super::{Server, reply};
use crate::domain::facts::MinReplicas;
use crate::domain::info::Info;
use crate::domain::node::{Epoch, NodeAddr};
use crate::ports::redis::{CommandConnection, CommandError, Fence, RedisNode as _, Remember};

/// Writes the new role into the configuration file. A server without such a file refuses, and has its new role
/// anyway.
const REWRITE: &[&str] = &["CONFIG", "REWRITE"];

/// Closes the connections of clients that still expect the old role. Connections of replicas stay.
const CUT_CLIENTS: &[&str] = &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];

/// The prefix of a command connection's name; the epoch of the leader follows.
const NAME: &str = "keeper-";

/// A command connection, named after the epoch of its leader.
pub(super) struct Commanding {
    wire: Wire,
    limit: Duration,
    epoch: Epoch,
    run_id: String,
}

/// The role that `ROLE` must report after the transaction.
enum ExpectedRole<'a> {
    Primary,
    ReplicaOf(&'a NodeAddr),
}

impl Commanding {
    /// Connects, logs in, sets the connection's name, and reads the server's `run_id`.
    pub(super) async fn open(server: &Server, epoch: Epoch) -> Result<Self, CommandError> {
        let limit = server.params.command_timeout;
        let not_done = |text: String| CommandError::NotDone(format!("{}: {text}", server.addr));
        server.locate().await.map_err(not_done)?;
        let opened = timeout(limit, async {
            let mut wire = server.logged_in().await.map_err(not_done)?;
            let mut requests = redis::pipe();
            let name = format!("{NAME}{epoch}");
            requests.cmd("CLIENT").arg("SETNAME").arg(name);
            requests.cmd("INFO").arg("server");
            let sent = wire.send(&requests).await;
            let mut last = Value::Nil;
            for _ in 0..requests.len() {
                match wire.reply().await {
                    Ok(Value::ServerError(error)) => return Err(not_done(reply::words(&error))),
                    Ok(reply) => last = reply,
                    Err(error) => {
                        let error = sent.err().map_or(error, WireError::Io);
                        return Err(Lost::from(error).or(not_done));
                    }
                }
            }
            let run_id = Info::parse(&reply::text(&last).unwrap_or_default()).run_id;
            let run_id = run_id.ok_or_else(|| not_done("its INFO names no run_id".to_owned()))?;
            Ok((wire, run_id))
        });
        match opened.await {
            Ok(Ok((wire, run_id))) => Ok(Self {
                wire,
                limit,
                epoch,
                run_id,
            }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(not_done(format!("no connection within {limit:?}"))),
        }
    }

    /// Kills every other command connection with `CLIENT KILL`, those with an epoch above `newest` included: no
    /// leader ever had that epoch. If a connection has a higher epoch up to `newest`, a newer leader is at work. Then
    /// nothing is killed, and the result is `Fence::Newer`. The inner error is the server's own error message.
    async fn kill_others(
        &mut self,
        newest: Option<Epoch>,
    ) -> Result<Result<Fence, String>, WireError> {
        let mut requests = redis::pipe();
        requests.add_command(request(&["CLIENT", "ID"]));
        requests.add_command(request(&["CLIENT", "LIST", "TYPE", "normal"]));
        self.wire.send(&requests).await?;
        let (own, list) = (self.wire.reply().await?, self.wire.reply().await?);
        let own = match (own, reply::error(&list)) {
            (Value::Int(own), None) => own,
            (own, error) => {
                let why = reply::error(&own).or(error);
                return Ok(Err(
                    why.unwrap_or_else(|| format!("CLIENT ID was answered {own:?}"))
                ));
            }
        };
        let list = reply::text(&list).unwrap_or_default();
        let connections = list.lines().filter_map(command_connection);
        let others: Vec<_> = connections.filter(|other| other.id != own).collect();
        let may_lead = |epoch| newest.is_none_or(|newest| epoch <= newest);
        let newer = |other: &&Named| other.epoch > self.epoch && may_lead(other.epoch);
        if let Some(Named { epoch, .. }) = others.iter().find(newer) {
            return Ok(Ok(Fence::Newer(*epoch)));
        }
        for Named { id, epoch, client } in others {
            let text = id.to_string();
            let killed = self.wire.call(&["CLIENT", "KILL", "ID", &text]).await?;
            // A reply of 0 is no error: that connection has closed meanwhile.
            if let Some(error) = reply::error(&killed) {
                return Ok(Err(error));
            }
            if may_lead(epoch) {
                tracing::info!(id, %epoch, client, "killed an older command connection");
            } else {
                tracing::warn!(
                    id, %epoch, client,
                    "killed a connection that bears the name of a keeper and an epoch that no leader has raised"
                );
            }
        }
        Ok(Ok(Fence::Closed))
    }

    /// Runs `REPLICAOF target` and its accompanying commands as one transaction, and then asks for the role.
    ///
    /// If the server refuses to queue an accompanying command (a missing right, a renamed command), the transaction
    /// is aborted and has changed nothing. The transaction is then sent again without that command.
    async fn change_role(
        &mut self,
        target: [&str; 2],
        wanted: ExpectedRole<'_>,
        remember: Remember,
    ) -> Result<Vec<String>, CommandError> {
        let mut notes = Vec::new();
        let mut accompanying = match remember {
            Remember::AtOnce => vec![REWRITE, CUT_CLIENTS],
            Remember::Later => vec![CUT_CLIENTS],
        };
        loop {
            match self.transaction(target, &accompanying).await? {
                TxReply::Executed { replies, role } => {
                    let mut replies = replies.iter();
                    if let Some(error) = replies.next().and_then(reply::error) {
                        return Err(CommandError::NotDone(error));
                    }
                    for (command, reply) in accompanying.iter().zip(replies) {
                        notes.extend(reply::error(reply).map(|error| note(command, &error)));
                    }
                    return if wanted.is_met_by(&role) {
                        Ok(notes)
                    } else {
                        Err(CommandError::Unknown(format!("ROLE then said {role:?}")))
                    };
                }
                TxReply::Refused(refused) if !refused.is_empty() => {
                    for (command, error) in &refused {
                        notes.push(note(command, error));
                    }
                    accompanying
                        .retain(|command| refused.iter().all(|(other, _)| other != command));
                }
                TxReply::Refused(_) => {
                    return Err(CommandError::NotDone(
                        "the transaction was refused".to_owned(),
                    ));
                }
            }
        }
    }

    async fn transaction(
        &mut self,
        target: [&str; 2],
        accompanying: &[&'static [&'static str]],
    ) -> Result<TxReply, CommandError> {
        // `MULTI` is sent alone: behind a refused `MULTI`, the server would execute the rest outside a transaction.
        let begun = bounded(self.limit, self.wire.call(&["MULTI"])).await;
        let begun = begun.map_err(|lost| lost.or(CommandError::NotDone))?;
        if let Some(error) = reply::error(&begun) {
            return Err(CommandError::NotDone(error));
        }
        let mut requests = redis::pipe();
        requests.cmd("REPLICAOF").arg(&target);
        for command in accompanying {
            requests.add_command(request(command));
        }
        requests.cmd("EXEC").cmd("ROLE");
        let mut replies = self.exchange(&requests).await?;
        let role = replies.pop().unwrap_or(Value::Nil);
        match replies.pop() {
            Some(Value::Array(replies)) => Ok(TxReply::Executed { replies, role }),
            Some(Value::ServerError(aborted)) => match replies.first().and_then(reply::error) {
                Some(error) => Err(CommandError::NotDone(error)),
                None if aborted.kind() == Some(ServerErrorKind::ExecAbort) => Ok(TxReply::Refused(
                    accompanying
                        .iter()
                        .zip(&replies[1..])
                        .filter_map(|(command, reply)| Some((*command, reply::error(reply)?)))
                        .collect(),
                )),
                None => Err(CommandError::NotDone(reply::words(&aborted))),
            },
            other => Err(CommandError::Unknown(format!(
                "EXEC was answered {other:?}"
            ))),
        }
    }

    /// Sends all requests at once, and reads the replies in order. If a reply is missing, the outcome is unknown.
    async fn exchange(&mut self, requests: &redis::Pipeline) -> Result<Vec<Value>, CommandError> {
        let wire = &mut self.wire;
        let replies = bounded(self.limit, async {
            wire.send(requests).await?;
            let mut replies = Vec::with_capacity(requests.len());
            for _ in 0..requests.len() {
                replies.push(wire.reply().await?);
            }
            Ok(replies)
        });
        replies.await.map_err(|lost| lost.or(CommandError::Unknown))
    }

    /// Pauses the clients and reads the offset in one transaction, so that no write comes between the two. The inner
    /// error is the server's error message about the pause or the offset.
    async fn pause(&mut self, pause: &[&str]) -> Result<Result<u64, String>, CommandError> {
        let mut requests = redis::pipe();
        let info: &[&str] = &["INFO", "replication"];
        for command in [&["MULTI"], pause, info, &["EXEC"]] {
            requests.add_command(request(command));
        }
        let replies = self.exchange(&requests).await?;
        Ok(
            match (reply::items(&replies[3]), reply::error(&replies[1])) {
                ([paused, info], _) => match reply::error(paused) {
                    Some(error) => Err(error),
                    None => offset_in(info),
                },
                (_, Some(error)) => Err(error),
                (other, None) => Err(format!("EXEC was answered {other:?}")),
            },
        )
    }

    /// Sets one parameter with `CONFIG SET`. Redis before 7.0 takes only one parameter a command.
    async fn set(&mut self, parameter: &str, value: u32) -> Result<(), CommandError> {
        let value = value.to_string();
        let request = ["CONFIG", "SET", parameter, &value];
        let reply = bounded(self.limit, self.wire.call(&request)).await;
        let reply = reply.map_err(|lost| lost.or(CommandError::Unknown))?;
        match reply::error(&reply) {
            Some(error) => Err(CommandError::NotDone(format!("{parameter}: {error}"))),
            None => Ok(()),
        }
    }
}

impl ExpectedRole<'_> {
    fn is_met_by(&self, role: &Value) -> bool {
        // `redis::Role` cannot hold the offset −1 of a replica that is not connected yet.
        match (self, reply::items(role)) {
            (Self::Primary, [kind, ..]) => says(kind, "master"),
            (Self::ReplicaOf(primary), [kind, host, Value::Int(port), ..]) => {
                says(kind, "slave")
                    && says(host, primary.host())
                    && *port == i64::from(primary.port())
            }
            _ => false,
        }
    }
}

/// The result of a transaction.
enum TxReply {
    /// The transaction ran: the reply to each command, and the reply to `ROLE` behind it.
    Executed { replies: Vec<Value>, role: Value },
    /// The transaction did not run, because the server refused these accompanying commands.
    Refused(Vec<(&'static [&'static str], String)>),
}

fn offset_in(info: &Value) -> Result<u64, String> {
    let text = reply::text(info).ok_or_else(|| {
        reply::error(info).unwrap_or_else(|| format!("INFO was answered {info:?}"))
    })?;
    let offset = Info::parse(&text).offset;
    offset.ok_or_else(|| "INFO told no replication offset".to_owned())
}

fn says(reply: &Value, text: &str) -> bool {
    reply::text(reply).as_deref() == Some(text)
}

fn note(command: &[&str], error: &str) -> String {
    format!("{}: {error}", command[..2].join(" "))
}

/// The reason for a missing answer.
enum Lost {
    /// The server ended the connection.
    Cut(String),
    /// The server did not answer in time, or answered in another protocol.
    Otherwise(String),
}

impl Lost {
    /// Converts to `CommandError::Cut` if the server ended the connection, and to `otherwise` if not.
    fn or(self, otherwise: impl FnOnce(String) -> CommandError) -> CommandError {
        match self {
            Self::Cut(why) => CommandError::Cut(why),
            Self::Otherwise(why) => otherwise(why),
        }
    }
}

impl From<WireError> for Lost {
    fn from(error: WireError) -> Self {
        let why = error.to_string();
        match error {
            WireError::Io(_) => Self::Cut(why),
            WireError::Tls(_) | WireError::Foreign(_) => Self::Otherwise(why),
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Cut(why) | Self::Otherwise(why)) = self;
        f.write_str(why)
    }
}

/// Waits for `answer` for `limit` at most.
async fn bounded<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, WireError>>,
) -> Result<T, Lost> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Lost::from),
        Err(_) => Err(Lost::Otherwise(format!("no answer within {limit:?}"))),
    }
}

/// A connection that bears the name of a keeper's command connection.
struct Named<'a> {
    id: i64,
    epoch: Epoch,
    /// The address of the client at the other end.
    client: &'a str,
}

/// Parses a line of `CLIENT LIST` (<https://redis.io/docs/latest/commands/client-list/>): `None` for another client.
fn command_connection(line: &str) -> Option<Named<'_>> {
    let field = |key: &str| line.split(' ').find_map(|field| field.strip_prefix(key));
    let epoch = field("name=")?.strip_prefix(NAME)?.parse().ok()?;
    Some(Named {
        id: field("id=")?.parse().ok()?,
        epoch: Epoch(epoch),
        client: field("addr=").unwrap_or_default(),
    })
}

#[async_trait(?Send)]
impl CommandConnection for Commanding {
    fn run_id(&self) -> &str {
        &self.run_id
    }

    async fn fence(&mut self, newest: Option<Epoch>) -> Result<Fence, CommandError> {
        let fenced = bounded(self.limit, self.kill_others(newest)).await;
        let not_done =
            |why: String| CommandError::NotDone(format!("older leaders not fenced off: {why}"));
        fenced.map_err(|lost| lost.or(not_done))?.map_err(not_done)
    }

    async fn promote(&mut self, remember: Remember) -> Result<Vec<String>, CommandError> {
        self.change_role(["NO", "ONE"], ExpectedRole::Primary, remember)
            .await
    }

    async fn follow(
        &mut self,
        primary: &NodeAddr,
        remember: Remember,
    ) -> Result<Vec<String>, CommandError> {
        let port = primary.port().to_string();
        let target = [primary.host(), &port];
        self.change_role(target, ExpectedRole::ReplicaOf(primary), remember)
            .await
    }

    async fn rewrite(&mut self) -> Vec<String> {
        let rewritten = bounded(self.limit, self.wire.call(REWRITE)).await;
        let refused = rewritten.map_or_else(|lost| Some(lost.to_string()), |it| reply::error(&it));
        refused.map(|why| note(REWRITE, &why)).into_iter().collect()
    }

    async fn pause_writes(&mut self, limit: Duration) -> Result<u64, CommandError> {
        let millis = limit.as_millis().to_string();
        let writes_only = self.pause(&["CLIENT", "PAUSE", &millis, "WRITE"]).await?;
        match writes_only {
            Ok(offset) => Ok(offset),
            // Redis before 6.2 knows no `WRITE` mode. Without a mode the pause also delays the commands on this
            // connection, so the limit grows by the length of the pause.
            Err(error) if error.contains("syntax") || error.contains("Unknown subcommand") => {
                let paused = self.pause(&["CLIENT", "PAUSE", &millis]).await?;
                self.limit += limit;
                paused.map_err(CommandError::NotDone)
            }
            Err(error) => Err(CommandError::NotDone(error)),
        }
    }

    async fn unpause(&mut self) -> Result<(), CommandError> {
        let answer = bounded(self.limit, self.wire.call(&["CLIENT", "UNPAUSE"])).await;
        let answer = answer.map_err(|lost| lost.or(CommandError::Unknown))?;
        match reply::error(&answer) {
            // A server without `CLIENT UNPAUSE` (before 6.2) has answered, so its pause is over.
            Some(error) if error.contains("Unknown subcommand") => Ok(()),
            Some(error) => Err(CommandError::NotDone(error)),
            None => Ok(()),
        }
    }

    async fn offset(&mut self) -> Result<u64, CommandError> {
        let answer = bounded(self.limit, self.wire.call(&["INFO", "replication"])).await;
        let answer = answer.map_err(|lost| lost.or(CommandError::NotDone))?;
        offset_in(&answer).map_err(CommandError::NotDone)
    }

    async fn set_min_replicas(&mut self, values: MinReplicas) -> Result<Vec<String>, CommandError> {
        // If the new values demand nothing, one of them is 0. That 0 goes first, so that no demand arises in between.
        let mut settings = [
            ("min-replicas-to-write", values.to_write),
            ("min-replicas-max-lag", values.max_lag),
        ];
        if values.max_lag == 0 {
            settings.reverse();
        }
        for (setting, value) in settings {
            self.set(setting, value).await?;
        }
        Ok(self.rewrite().await)
    }
}
