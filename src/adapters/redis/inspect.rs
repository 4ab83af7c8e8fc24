//! Inspects a live server for obstacles to a keeper's work (`check --live`). The inspection changes nothing there.

use std::fmt;
use std::time::Duration;

use tokio::time::timeout;

use super::login::Login;
use super::subscribers::{self, COUNT};
use super::wire::{Wire, WireError};
use super::{RedisServers, Server, reply};
use crate::domain::facts::{Mode, Role, Version};
use crate::domain::hindrance::HindranceKind;
use crate::domain::info::Info;
use crate::domain::node::{ClusterName, NodeAddr};
use crate::ports::redis::RedisNode as _;

mod rights;
mod settings;
mod writes;

use self::settings::Access;

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Information without a need to act.
    Note,
    /// In some case, safe operation depends on a remedy.
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

/// A finding at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFinding {
    /// The node.
    pub node: NodeAddr,
    /// The severity.
    pub severity: Severity,
    /// The finding, as a phrase that follows the node's address.
    pub finding: String,
    /// The remedy; empty if none is needed.
    pub remedy: String,
}

/// The demands of the keeper's settings on a node.
#[derive(Debug, Clone, Copy)]
pub struct Demands {
    /// Whether `write-safety` is on, so that the keeper sets `min-replicas-*` there (RK-9).
    pub write_safety: bool,
    /// The longest time for which a server may answer nothing while it runs a script. An error is an answer, too. A
    /// server that is silent for longer is voted down.
    pub answers_within: Duration,
    /// The number of nodes in the node's cluster.
    pub data_nodes: usize,
}

/// The oldest server version with the commands that keepers use.
const OLDEST: Version = Version {
    major: 5,
    minor: 0,
    patch: 0,
};

impl RedisServers {
    /// Inspects the node of `cluster` at `addr`. The findings of a server that answers include a note with its
    /// version and role.
    pub async fn inspect(
        &self,
        cluster: &ClusterName,
        addr: &NodeAddr,
        demands: Demands,
    ) -> Vec<ServerFinding> {
        let server = Server {
            addr: addr.clone(),
            params: self.params(cluster).clone(),
        };
        let mut inspection = Inspection {
            node: addr.clone(),
            write_safety: demands.write_safety,
            answers_within: demands.answers_within,
            data_nodes: demands.data_nodes,
            findings: Vec::new(),
        };
        // An inspection takes some dozens of round trips.
        let limit = server.params.command_timeout * 10;
        match timeout(limit, inspection.run(&server)).await {
            Ok(Ok(())) => {}
            Ok(Err(Stopped::Unreachable(error))) => inspection.error(
                format!("cannot be reached: {error}"),
                "start it, or correct its address, TLS settings or the firewall",
            ),
            Ok(Err(Stopped::Refused(error))) => inspection.error(
                format!("refuses the login: {error}"),
                "correct the user or the password of this cluster; commands are not sent without a login, even where the server \
                 answers anybody",
            ),
            Ok(Err(Stopped::Answered(error)))
                if HindranceKind::of(&error) == Some(HindranceKind::Busy) =>
            {
                inspection.error(
                    format!("is busy with a script, and serves nobody: {error}"),
                    "wait for the script, or end it: SCRIPT KILL or FUNCTION KILL; if it has written, SHUTDOWN NOSAVE",
                );
            }
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

/// The reason why the inspection ended early.
enum Stopped {
    Unreachable(String),
    Refused(String),
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
    /// Whether `write-safety` is on (RK-9).
    write_safety: bool,
    answers_within: Duration,
    data_nodes: usize,
    findings: Vec<ServerFinding>,
}

impl Inspection {
    async fn run(&mut self, server: &Server) -> Result<(), Stopped> {
        server.locate().await.map_err(Stopped::Unreachable)?;
        let mut wire = server
            .wire()
            .await
            .map_err(|failure| Stopped::Unreachable(failure.to_string()))??;
        let authenticated = self.login(server, &mut wire).await?;
        let told = wire.call(&["INFO"]).await?;
        if let Some(error) = reply::error(&told) {
            return Err(Stopped::Answered(error));
        }
        let info = Info::parse(&reply::text(&told).unwrap_or_default());
        let version = info.version.unwrap_or_default();
        self.server(&info, version);
        self.rights(&mut wire, version).await?;
        let access = Access {
            authenticates: authenticated,
            encrypts: server.params.secrets().tls.is_some(),
        };
        self.settings(&mut wire, access).await?;
        self.writes(&mut wire, &info).await?;
        self.sentinels(&mut wire).await
    }

    /// Logs in as commands do. Adds a note about the accepted passwords if two are configured. Returns whether the
    /// server wants a password.
    async fn login(&mut self, server: &Server, wire: &mut Wire) -> Result<bool, Stopped> {
        let secrets = server.params.secrets();
        if secrets.credentials.is_empty() {
            return Ok(false);
        }
        match server.log_in(wire).await? {
            Login::LoggedIn => {}
            Login::NotWanted => {
                let note = "wants no password; the one that is configured is not used here";
                self.add(Severity::Note, note, "");
                return Ok(false);
            }
            Login::WrongPassword(why) | Login::NoUsers(why) | Login::Refused(why) => {
                return Err(Stopped::Refused(why));
            }
        }
        let mut accepted = Vec::new();
        for alone in secrets.credentials.each_of_two() {
            let wire = server.wire().await;
            let mut wire = wire.map_err(|failure| Stopped::Unreachable(failure.to_string()))??;
            accepted.push(alone.log_in(&mut wire, &server.addr).await? == Login::LoggedIn);
        }
        match accepted[..] {
            [true, false] => self.add(Severity::Note, "accepts the first password only", ""),
            [false, true] => self.add(Severity::Note, "accepts the second password only", ""),
            [true, true] => self.add(Severity::Note, "accepts both passwords", ""),
            _ => {}
        }
        Ok(true)
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
        self.findings.push(ServerFinding {
            node: self.node.clone(),
            severity,
            finding: finding.into(),
            remedy: remedy.to_owned(),
        });
    }
}
