//! The configuration: file and environment, validated into domain types.
//!
//! A document takes these steps; docs/configuration.md describes every key:
//!
//! 1. The JSON5 text is parsed.
//! 2. The environment is merged into the document ([`figment`]).
//! 3. The schema checks the document, and notes every problem.
//! 4. Inherited values and defaults are filled in.
//! 5. The document takes the shape of the file.
//! 6. Validation makes the types of this module.
//!
//! The keys themselves are declared once, in `keys`.

mod compared;
mod defaults;
mod diagnostics;
mod environment;
mod file;
mod keys;
mod names;
mod schema;
mod secret;
mod secret_files;
mod spans;
mod validate;

use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::value::{Dict, Tag, Value};
use figment::{Figment, Profile, Provider};

use crate::domain::commands::CommandNames;
use crate::domain::failsafe::Failsafe;
use crate::domain::node::{ClusterName, KeeperId, NodeAddr};
use crate::domain::policy::Policy;

use environment::{Environment, Layer};
use file::Document;
use spans::Spans;

pub use diagnostics::{ConfigError, Origin, Problem, Warning};
pub use file::LogFormat;
pub use names::HostPort;
pub use secret::{Secret, SecretFileError};

/// A validated configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The id of this keeper.
    pub keeper_id: KeeperId,
    /// The coordination service.
    pub coordination: CoordinationConfig,
    /// The HTTP server.
    pub rest: RestConfig,
    /// Leases and heartbeats of this keeper.
    pub timing: TimingConfig,
    /// The clusters; at least one.
    pub clusters: Vec<ClusterConfig>,
    /// The log.
    pub log: LogConfig,
    document: Document,
}

/// The coordination service, through which the keepers agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoordinationConfig {
    /// A single keeper without ZooKeeper.
    Embedded,
    /// A ZooKeeper ensemble.
    ZooKeeper {
        /// The servers; at least one.
        quorum: Vec<HostPort>,
        /// The path of the node below which all others are: begins with a slash, and does not end with one.
        prefix: String,
        /// The session timeout that the keeper asks for. The servers may grant another (`minSessionTimeout`,
        /// `maxSessionTimeout`).
        session_timeout: Duration,
        /// The login, if any.
        auth: Option<ZkAuth>,
    },
}

/// A login of ZooKeeper's `digest` scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZkAuth {
    /// The user name, without a colon.
    pub user: String,
    /// The user's password.
    pub password: Secret,
    /// The file with both; `None` if they were given directly.
    pub file: Option<PathBuf>,
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestConfig {
    /// The host name or IP literal on which the server listens; IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The address at which other keepers reach the server.
    pub advertise: HostPort,
    /// The number of worker threads; at least one.
    pub workers: usize,
    /// Whether operations of operators are permitted, such as a switchover.
    pub operations: bool,
}

/// Leases of this keeper (RK-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimingConfig {
    /// How long an answer holds after a heartbeat was sent; at most half the session timeout.
    pub lease: Duration,
    /// From one heartbeat to the next; shorter than the lease.
    pub heartbeat: Duration,
    /// How long checks of readability are answered after a heartbeat was sent; not shorter than the lease.
    pub read_lease: Duration,
    /// The settings of failsafe mode; `None` if the keeper does not go on without ZooKeeper (RK-8).
    pub failsafe: Option<Failsafe>,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// The format of the lines.
    pub format: LogFormat,
    /// The filter, in the syntax of `tracing_subscriber::EnvFilter`; known to be valid.
    pub level: String,
}

/// A primary and its replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Unique among the clusters.
    pub name: ClusterName,
    /// The nodes; at least one. No address is in two clusters.
    pub nodes: Vec<NodeConfig>,
    /// When the nodes are probed, and when a node is down.
    pub timing: ClusterTiming,
    /// The rules of votes, elections and failovers.
    pub policy: Policy,
    /// The settings for connections to the nodes.
    pub redis: RedisAccess,
}

/// One Redis node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// The address of the server.
    pub addr: NodeAddr,
    /// Overrides the node's own `replica-priority`: a lower one is preferred, 0 is never promoted. Also in
    /// [`Policy::priorities`].
    pub priority: Option<u32>,
}

/// When the nodes of a cluster are probed, and when a node is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterTiming {
    /// From one probe of a node to the next.
    pub tick: Duration,
    /// How long a node may give no proof of life until it is voted down; at least `tick` + `probe_timeout`.
    pub mark_down: Duration,
    /// The time limit for the answer to a probe.
    pub probe_timeout: Duration,
    /// From one reconciliation by the leader to the next.
    pub failover_tick: Duration,
    /// How long a primary may answer only that it is busy with a script; `None` for any time.
    pub busy: Option<Duration>,
}

/// The settings for connections to the nodes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisAccess {
    /// ACL user; `None` is the default user.
    pub username: Option<String>,
    /// If the list is empty, no `AUTH` is sent. There are at most two passwords, of which a server accepts one.
    pub passwords: Vec<Secret>,
    /// The file with the passwords; `None` if they were given directly.
    pub password_file: Option<PathBuf>,
    /// `None`: plain TCP.
    pub tls: Option<TlsConfig>,
    /// The commands that the servers know by another name (`rename-command`).
    pub names: CommandNames,
}

/// TLS for connections to Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file of the trusted authorities; `None` for those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM files of this client's certificate and its key.
    pub identity: Option<TlsIdentity>,
    /// The name expected in the servers' certificates instead of the configured host.
    pub server_name: Option<String>,
    /// Whether the servers' certificates are accepted without verification.
    pub insecure: bool,
}

/// A client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// PEM file of the certificate chain.
    pub cert_file: PathBuf,
    /// PEM file of its private key.
    pub key_file: PathBuf,
}

// === impl Config ===

impl Config {
    /// Reads the file at `path`. Variables of `environment` that begin with `REDIS_KEEPER_` override the file.
    ///
    /// # Errors
    /// The file cannot be read, or the file and the environment have problems. The error lists all problems.
    pub fn load(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&path.display().to_string(), &text, environment)
    }

    /// The same as [`Config::load`], with the file's text. Messages call the file `name`.
    ///
    /// # Errors
    /// The text and the environment have problems. The error lists all problems.
    #[expect(
        clippy::missing_panics_doc,
        reason = "it never does; property tests try"
    )]
    pub fn parse(
        name: &str,
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<(Self, Vec<Warning>), ConfigError> {
        let spans = Spans::scan(text);
        let mut environment = Environment::new(environment);
        let file = read(text, &spans).map_err(|problem| ConfigError::Invalid {
            file: name.to_owned(),
            problems: vec![problem],
            warnings: Vec::new(),
        })?;
        let mut document = merge(file, environment.layer());
        environment.apply_to_clusters(&mut document);
        let mut report = environment.into_report(spans);
        report.repeated_keys();
        let mut document = schema::check(keys::DOCUMENT, document, "", &mut report);
        defaults::fill_in(&mut document);
        let document: Document = Value::Dict(Tag::Default, document)
            .deserialize()
            .expect("the schema takes nothing that the shape does not");
        let config = validate::config(document.resolve(&host_name()), &mut report);
        let warnings = report.finish(name)?;
        Ok((
            config.expect("there is a configuration if nothing was found wrong"),
            warnings,
        ))
    }

    /// The effective configuration as JSON: with every default, with each cluster's inherited settings, and with
    /// secrets masked. Apart from the masks, the JSON can be loaded, and means the same.
    #[expect(
        clippy::missing_panics_doc,
        reason = "it never does; property tests try"
    )]
    pub fn effective(&self) -> String {
        serde_json::to_string_pretty(&self.document).expect("keys are text and numbers are finite")
    }
}

/// The environment of this process, for [`Config::load`]. Bytes that are no Unicode are replaced.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// Parses `text` into an object.
fn read(text: &str, spans: &Spans) -> Result<Dict, Problem> {
    let problem = |line: Option<usize>, fault: String, remedy: &str| Problem {
        path: String::new(),
        origin: Origin::File { line },
        value: None,
        fault,
        remedy: remedy.to_owned(),
    };
    if spans.too_deep.is_some() {
        return Err(problem(
            spans.too_deep,
            "is nested too deeply".to_owned(),
            "see docs/configuration.md for its form",
        ));
    }
    match json5::from_str(text) {
        Ok(Value::Dict(_, dict)) => Ok(dict),
        Ok(_) => Err(problem(
            Some(1),
            "is not an object".to_owned(),
            "write {\"clusters\": […], …}",
        )),
        Err(error) => {
            let last = text.lines().count().max(1);
            let line = error.position().map_or(last, |position| position.line + 1);
            Err(problem(
                Some(line),
                format!("is not JSON5: {error}"),
                "correct it, or what stands before it",
            ))
        }
    }
}

fn merge(file: Dict, environment: Layer) -> Dict {
    let merged = Figment::new()
        .merge(Layer {
            name: "file",
            dict: file,
        })
        .merge(environment)
        .data();
    merged
        .expect("layers hold data already read")
        .remove(&Profile::Default)
        .unwrap_or_default()
}

fn host_name() -> String {
    hostname::get()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
