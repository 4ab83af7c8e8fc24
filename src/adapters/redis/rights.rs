//! Checks which commands a server permits to this keeper.

use redis::{Pipeline, ServerErrorKind, Value};
use tokio::time::timeout;

use super::wire::{Wire, WireError, request};
use super::{Server, reply};
use crate::domain::facts::Version;
use crate::domain::info::Info;
use crate::ports::redis::{CommandObstacle, ProbeFailure, RedisNode as _};

/// The first version with `ACL DRYRUN`.
pub(super) const DRY_RUN: Version = Version {
    major: 7,
    minor: 0,
    patch: 0,
};

/// The commands that every failover needs.
pub(super) const NEEDED: &[&[&str]] = &[
    &["PING"],
    &["INFO"],
    &["ROLE"],
    &["MULTI"],
    &["EXEC"],
    &["REPLICAOF", "NO", "ONE"],
    &["CLIENT", "SETNAME", "name"],
    &["CLIENT", "ID"],
    &["CLIENT", "LIST", "TYPE", "normal"],
    &["CLIENT", "KILL", "ID", "1"],
];

/// The name of a command for messages. A subcommand belongs to the name (`CLIENT KILL`), an argument does not
/// (`REPLICAOF`).
pub(super) fn name(command: &[&str]) -> String {
    match command {
        [container @ ("CLIENT" | "CONFIG" | "PUBSUB"), subcommand, ..] => {
            format!("{container} {subcommand}")
        }
        [command, ..] => (*command).to_owned(),
        [] => String::new(),
    }
}

/// The reason why each of `commands` cannot be used, or `None`. With `user`, the server says whether that user may.
/// Without (before 7.0), the server says only whether the command exists. One round trip.
///
/// Sources: <https://redis.io/docs/latest/commands/acl-dryrun/>, <https://redis.io/docs/latest/commands/command-info/>.
pub(super) async fn obstacles(
    wire: &mut Wire,
    user: Option<&str>,
    commands: &[&[&str]],
) -> Result<Vec<Option<String>>, WireError> {
    let mut requests = redis::pipe();
    for command in commands {
        let called = wire.name_of(command[0]);
        requests.add_command(match user {
            Some(user) => request(&[&["ACL", "DRYRUN", user, called], &command[1..]].concat()),
            None => request(&["COMMAND", "INFO", called]),
        });
    }
    let answers = asked(wire, &requests).await?;
    let why = answers.into_iter().map(|answer| match user {
        Some(_) => not_permitted(&answer),
        None => missing(&answer),
    });
    Ok(why.collect())
}

fn not_permitted(answer: &Value) -> Option<String> {
    match answer {
        Value::Okay => None,
        // A user without the right to `ACL DRYRUN` may still have the right to the command.
        Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoPerm) => None,
        why => reply::error(why).or_else(|| Some(reply::text(why)?.into_owned())),
    }
}

fn missing(answer: &Value) -> Option<String> {
    matches!(reply::items(answer), [Value::Nil]).then(|| "there is no such command".to_owned())
}

/// Reads all answers, in the order of the requests. The answers are read even if sending failed: a server that turns
/// a client away says why before it closes.
async fn asked(wire: &mut Wire, requests: &Pipeline) -> Result<Vec<Value>, WireError> {
    let sent = wire.send(requests).await;
    let mut answers = Vec::with_capacity(requests.len());
    for _ in 0..requests.len() {
        answers.push(match wire.reply().await {
            Err(WireError::Io(error)) => {
                return Err(sent.err().unwrap_or(error).into());
            }
            answer => answer?,
        });
    }
    Ok(answers)
}

impl Server {
    /// Logs in on a new connection as commands do, and checks whether the needed commands would be permitted.
    pub(super) async fn rehearse(&self) -> Result<(), CommandObstacle> {
        self.locate().await.map_err(CommandObstacle::Unanswered)?;
        let limit = self.params.command_timeout;
        let looked = timeout(limit, self.look_at_rights()).await;
        let late = format!("no answer on a new connection within {limit:?}");
        looked.unwrap_or(Err(CommandObstacle::Unanswered(late)))
    }

    async fn look_at_rights(&self) -> Result<(), CommandObstacle> {
        let failed = |failure: ProbeFailure| CommandObstacle::Unanswered(failure.to_string());
        let mut wire = self.wire().await.map_err(failed)??;
        if let Some(why) = self.log_in(&mut wire).await?.refusal() {
            return Err(CommandObstacle::Refused(format!(
                "the login is refused: {why}"
            )));
        }
        let mut requests = redis::pipe();
        if let Some(name) = self.params.probe_name.borrow().as_deref() {
            requests.cmd("CLIENT").arg("SETNAME").arg(name);
        }
        requests.cmd("INFO").arg("server");
        requests.cmd("ACL").arg("WHOAMI");
        let answers = asked(&mut wire, &requests).await?;
        let [before @ .., user] = &*answers else {
            return Ok(());
        };
        if let Some(error) = before.iter().find_map(reply::error) {
            let passes = error.starts_with("LOADING") || error.starts_with("BUSY ");
            return Err(if passes {
                CommandObstacle::NotYet
            } else {
                CommandObstacle::Refused(error)
            });
        }
        let info = before.last().and_then(reply::text).unwrap_or_default();
        let version = Info::parse(&info).version.unwrap_or_default();
        let user = reply::text(user).filter(|_| version >= DRY_RUN);
        let found = obstacles(&mut wire, user.as_deref(), NEEDED).await?;
        let mut lacking = found.into_iter().zip(NEEDED);
        match lacking.find_map(|(why, command)| Some((why?, command))) {
            Some((why, command)) => Err(CommandObstacle::Refused(format!(
                "`{}` cannot be used: {why}",
                name(command)
            ))),
            None => Ok(()),
        }
    }
}

impl From<WireError> for CommandObstacle {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(error) => Self::Unanswered(error.to_string()),
            WireError::Tls(error) | WireError::Foreign(error) => Self::Refused(error),
        }
    }
}
