//! A look at a live server for what would stand in a keeper's way (`check --live`). Changes nothing there.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use redis::{ServerErrorKind, Value};
use tokio::time::timeout;

use super::subscribers::{self, COUNT};
use super::wire::{Wire, WireError};
use super::{RedisServers, Server, reply};
use crate::domain::facts::{Mode, Role, Version};
use crate::domain::info::Info;
use crate::domain::node::{ClusterName, NodeAddr};
use crate::ports::redis::RedisNode as _;

mod settings;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Safe operation depends on it in some case.
    Warning,
    /// The keeper cannot do its work on this node.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Something found at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub node: NodeAddr,
    /// How much it matters.
    pub severity: Severity,
    /// What was found.
    pub finding: String,
    /// What to do about it; empty if nothing.
    pub remedy: String,
}

/// What the keeper's settings demand of a node.
#[derive(Debug, Clone, Copy)]
pub struct Demands {
    /// The keeper is to hold settings there (RK-9).
    pub write_safety: bool,
    /// How soon a server that is busy with a script has to answer, if only with an error, so as not to be voted down.
    pub answers_within: Duration,
}

/// The oldest server that has what keepers use.
const OLDEST: Version = Version {
    major: 5,
    minor: 0,
    patch: 0,
};

/// `ACL DRYRUN` came with this version.
const DRY_RUN: Version = Version {
    major: 7,
    minor: 0,
    patch: 0,
};

/// Without these there is no failover.
const NEEDED: &[&[&str]] = &[
    &["PING"],
    &["INFO"],
    &["ROLE"],
    &["MULTI"],
    &["EXEC"],
    &["REPLICAOF", "NO", "ONE"],
    &["CLIENT", "SETNAME", "keeper-1"],
    &["CLIENT", "ID"],
    &["CLIENT", "LIST", "TYPE", "normal"],
    &["CLIENT", "KILL", "ID", "1"],
];

/// Without these `write-safety` does nothing.
const NEEDED_FOR_WRITE_SAFETY: &[&[&str]] = &[
    &["CONFIG", "GET", "min-replicas-*"],
    &["CONFIG", "SET", "min-replicas-to-write", "1"],
];

/// Without these there is one, with a gap: what it is.
const USEFUL: &[(&[&str], &str)] = &[
    (
        &["CONFIG", "REWRITE"],
        "a server that restarts comes back with its old role",
    ),
    (
        &["CLIENT", "PAUSE", "1", "WRITE"],
        "switchovers are called off",
    ),
    (
        &["CLIENT", "UNPAUSE"],
        "a switchover holds writes up for two seconds",
    ),
    (
        &["PUBSUB", "NUMSUB", "channel"],
        "a Sentinel at work is not noticed",
    ),
    (
        &["CONFIG", "GET", "save"],
        "this check cannot read the server's settings",
    ),
];

impl RedisServers {
    /// What stands in the way at the node of `cluster` at `addr`; at least one note that names its version and role.
    pub async fn inspect(
        &self,
        cluster: &ClusterName,
        addr: &NodeAddr,
        demands: Demands,
    ) -> Vec<Finding> {
        let server = Server {
            addr: addr.clone(),
            way: self.way(cluster).clone(),
        };
        let mut inspection = Inspection {
            node: addr.clone(),
            needed: vec![NEEDED],
            answers_within: demands.answers_within,
            findings: Vec::new(),
        };
        if demands.write_safety {
            inspection.needed.push(NEEDED_FOR_WRITE_SAFETY);
        }
        // Some dozens of round trips.
        let limit = server.way.command_timeout * 10;
        match timeout(limit, inspection.run(&server)).await {
            Ok(Ok(())) => {}
            Ok(Err(Stopped::Unreachable(error))) => inspection.error(
                format!("cannot be reached: {error}"),
                "start it, or correct its address, TLS settings or the firewall",
            ),
            Ok(Err(Stopped::Answered(error))) => inspection.error(
                format!("does not answer as it should: {error}"),
                "correct the user, the password or the TLS settings of this cluster",
            ),
            Err(_) => inspection.error(
                format!("did not answer within {limit:?}"),
                "look whether the server hangs, or expects TLS",
            ),
        }
        inspection.findings
    }
}

/// Why no more can be found.
enum Stopped {
    Unreachable(String),
    Answered(String),
}

impl From<WireError> for Stopped {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(error) => Self::Unreachable(error.to_string()),
            WireError::Tls(error) | WireError::Foreign(error) => Self::Answered(error),
        }
    }
}

struct Inspection {
    node: NodeAddr,
    /// Commands that the keeper cannot do without.
    needed: Vec<&'static [&'static [&'static str]]>,
    answers_within: Duration,
    findings: Vec<Finding>,
}

impl Inspection {
    async fn run(&mut self, server: &Server) -> Result<(), Stopped> {
        server.locate().await.map_err(Stopped::Unreachable)?;
        let mut wire = server
            .wire()
            .await
            .map_err(|failure| Stopped::Unreachable(failure.to_string()))??;
        let mut requests = server.way.opening();
        requests.cmd("INFO");
        wire.send(&requests).await.map_err(WireError::from)?;
        let mut last = Value::Nil;
        for _ in 0..requests.len() {
            last = wire.reply().await?;
            if let Some(error) = reply::error(&last) {
                return Err(Stopped::Answered(error));
            }
        }
        let info = Info::parse(&reply::text(&last).unwrap_or_default());
        let version = info.version.unwrap_or_default();
        self.server(&info, version);
        self.rights(&mut wire, version).await?;
        self.settings(&mut wire, server.way.auth.is_some()).await?;
        self.sentinels(&mut wire).await
    }

    fn server(&mut self, info: &Info, version: Version) {
        let product = if info.valkey { "Valkey" } else { "Redis" };
        let role = match &info.role {
            Some(Role::Primary { .. }) => "primary".to_owned(),
            Some(Role::Replica(upstream)) => format!("replica of {}", upstream.primary),
            None => "of unknown role".to_owned(),
        };
        self.add(Severity::Note, format!("{product} {version}, {role}"), "");
        if version < OLDEST {
            self.error(
                format!("{product} {version} is too old"),
                "use Redis 5 or newer, or Valkey",
            );
        }
        match info.mode {
            Some(Mode::Cluster) => self.error(
                "runs in Redis Cluster mode, which fails over by itself",
                "remove it from the configuration, or set cluster-enabled no",
            ),
            Some(Mode::Sentinel) => self.error(
                "is a Sentinel, not a data node",
                "name the data node's port",
            ),
            Some(Mode::Standalone) | None => {}
        }
        if info.loading == Some(true) {
            self.warn(
                "is loading its data set",
                "check again when it has finished",
            );
        }
        if info.config_file.as_deref() == Some("") {
            self.warn(
                "was started without a configuration file: after a restart it has the role of its command line",
                "start it with a configuration file that it may write",
            );
        }
    }

    /// Whether the commands keepers use are there and permitted.
    async fn rights(&mut self, wire: &mut Wire, version: Version) -> Result<(), Stopped> {
        let user = match wire.call(&["ACL", "WHOAMI"]).await? {
            reply if version >= DRY_RUN => reply::text(&reply).map(Cow::into_owned),
            _ => None,
        };
        if user.is_none() {
            self.add(
                Severity::Note,
                "rights cannot be tried out here, only whether the commands exist",
                "",
            );
        }
        for command in self.needed.concat() {
            if let Some(why) = obstacle(wire, user.as_deref(), command).await? {
                let name = name(command);
                self.error(
                    format!("`{name}` cannot be used: {why}"),
                    &format!("give the keeper's user the right to {name}"),
                );
            }
        }
        for (command, gap) in USEFUL {
            if let Some(why) = obstacle(wire, user.as_deref(), command).await? {
                let name = name(command);
                self.warn(
                    format!("`{name}` cannot be used ({why}): {gap}"),
                    &format!("give the keeper's user the right to {name}"),
                );
            }
        }
        Ok(())
    }

    async fn sentinels(&mut self, wire: &mut Wire) -> Result<(), Stopped> {
        let counted = wire
            .call(&["PUBSUB", COUNT[0], COUNT[1]])
            .await
            .map(|reply| subscribers::counted(&reply))?;
        let found = subscribers::sorted(wire, counted.unwrap_or(0)).await;
        if !found.sentinels.is_empty() {
            let names = found.sentinels.join(", ");
            self.error(
                format!("is looked after by a Redis Sentinel ({names})"),
                "stop the Sentinels: two managers would undo each other's failovers",
            );
        }
        if found.others > 0 {
            self.warn(
                format!(
                    "{} clients listen on the channel of Redis Sentinels without the names of one",
                    found.others
                ),
                "nothing, unless they are Sentinels that may not name themselves: give those the right to CLIENT SETNAME",
            );
        }
        Ok(())
    }

    fn error(&mut self, finding: impl Into<String>, remedy: &str) {
        self.add(Severity::Error, finding, remedy);
    }

    fn warn(&mut self, finding: impl Into<String>, remedy: &str) {
        self.add(Severity::Warning, finding, remedy);
    }

    fn add(&mut self, severity: Severity, finding: impl Into<String>, remedy: &str) {
        self.findings.push(Finding {
            node: self.node.clone(),
            severity,
            finding: finding.into(),
            remedy: remedy.to_owned(),
        });
    }
}

/// `CLIENT KILL`, but `REPLICAOF`: a subcommand belongs to a command's name, an argument does not.
fn name(command: &[&str]) -> String {
    match command {
        [container @ ("CLIENT" | "CONFIG" | "PUBSUB"), subcommand, ..] => {
            format!("{container} {subcommand}")
        }
        [command, ..] => (*command).to_owned(),
        [] => String::new(),
    }
}

/// Why `command` cannot be used: not permitted to `user`, or, where that cannot be tried out, not there.
async fn obstacle(
    wire: &mut Wire,
    user: Option<&str>,
    command: &[&str],
) -> Result<Option<String>, WireError> {
    let Some(user) = user else {
        let described = wire.call(&["COMMAND", "INFO", command[0]]).await?;
        let missing = matches!(reply::items(&described), [Value::Nil]);
        return Ok(missing.then(|| "there is no such command".to_owned()));
    };
    let trial = [&["ACL", "DRYRUN", user], command].concat();
    Ok(match wire.call(&trial).await? {
        Value::Okay => None,
        // Whoever may not try out is not thereby forbidden to do.
        Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoPerm) => None,
        why => reply::error(&why).or_else(|| Some(reply::text(&why)?.into_owned())),
    })
}
