//! The configuration: file and environment, validated into domain types.
//!
//! The way of a document: JSON5 text → merged with the environment ([`figment`]) → checked against the schema, every
//! problem noted → the shape of the file, defaults filled in → these types. docs/configuration.md describes every key.

mod compared;
mod environment;
mod file;
mod names;
mod report;
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

pub use file::LogFormat;
pub use names::HostPort;
pub use report::{ConfigError, Origin, Problem, Warning};
pub use secret::{Secret, SecretFileError};

/// A validated configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// This process among the keepers.
    pub keeper_id: KeeperId,
    /// Where the keepers meet.
    pub coordination: CoordinationConfig,
    /// The HTTP server.
    pub rest: RestConfig,
    /// Leases of this keeper.
    pub timing: TimingConfig,
    /// At least one.
    pub clusters: Vec<ClusterConfig>,
    /// The log.
    pub log: LogConfig,
    document: Document,
}

/// Where the keepers meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoordinationConfig {
    /// One keeper without ZooKeeper.
    Embedded,
    /// An ensemble.
    ZooKeeper {
        /// Its servers, at least one.
        quorum: Vec<HostPort>,
        /// The path below which everything is kept: begins with a slash, does not end with one.
        prefix: String,
        /// What is asked for; the servers may grant another (their `minSessionTimeout`, `maxSessionTimeout`).
        session_timeout: Duration,
        /// Who to log in as.
        auth: Option<ZkAuth>,
    },
}

/// A login of ZooKeeper's `digest` scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZkAuth {
    /// Without a colon.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// Where both were read.
    pub file: Option<PathBuf>,
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestConfig {
    /// What it binds: a host name or an IP literal; IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How other keepers reach it.
    pub advertise: HostPort,
    /// Worker threads, at least one.
    pub workers: usize,
    /// Operators may have the keepers do something, a switchover for one.
    pub operations: bool,
}

/// Leases of this keeper (RK-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimingConfig {
    /// How long an answer is certain after a heartbeat was sent; at most half the session timeout.
    pub lease: Duration,
    /// From one heartbeat to the next; shorter than the lease.
    pub heartbeat: Duration,
    /// How long reads are answered after a heartbeat was sent; not shorter than the lease.
    pub read_lease: Duration,
    /// How this keeper goes on without ZooKeeper; `None`: not at all (RK-8).
    pub failsafe: Option<Failsafe>,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// The form of its lines.
    pub format: LogFormat,
    /// What is logged, in the syntax of `tracing_subscriber::EnvFilter`; known to parse.
    pub level: String,
}

/// One primary/replica group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Unique among the clusters.
    pub name: ClusterName,
    /// At least one; none is a node of another cluster too, by configured address.
    pub nodes: Vec<NodeConfig>,
    /// When it is probed, and when a node is down.
    pub timing: ClusterTiming,
    /// How it is judged and led.
    pub policy: Policy,
    /// How its nodes are spoken to.
    pub redis: RedisAccess,
}

/// One Redis node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Where it listens.
    pub addr: NodeAddr,
    /// Overrides the node's own `replica-priority`: lower preferred, 0 never promoted. Also in [`Policy::priorities`].
    pub priority: Option<u32>,
}

/// When a cluster is probed, and when a node is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterTiming {
    /// From one probe of a node to the next.
    pub tick: Duration,
    /// How long a node gives no proof of life before it is voted down; at least `tick` + `probe_timeout`.
    pub mark_down: Duration,
    /// How long an answer to a probe is awaited.
    pub probe_timeout: Duration,
    /// From one reconciliation by the leader to the next.
    pub failover_tick: Duration,
    /// How long a primary may answer nothing but that it is busy with a script; `None`: for ever.
    pub busy: Option<Duration>,
}

/// How the nodes of a cluster are spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisAccess {
    /// ACL user; `None` is the default user.
    pub username: Option<String>,
    /// None: no AUTH is sent. At most two, of which a server has one.
    pub passwords: Vec<Secret>,
    /// Where they were read.
    pub password_file: Option<PathBuf>,
    /// `None`: plain TCP.
    pub tls: Option<TlsConfig>,
    /// Commands that the servers call otherwise.
    pub names: CommandNames,
}

/// TLS towards Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// PEM file of the authorities trusted; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM files of this client's certificate and its key.
    pub identity: Option<TlsIdentity>,
    /// The name expected in the servers' certificates instead of the configured host.
    pub server_name: Option<String>,
    /// The servers' certificates are not verified.
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
    /// Reads the file at `path`; variables of `environment` that begin with `REDIS_KEEPER_` override it.
    ///
    /// # Errors
    /// The file cannot be read, or it and the environment have problems: all of them.
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

    /// Like [`Config::load`], from the text of a file that problems call `name`.
    ///
    /// # Errors
    /// The text and the environment have problems: all of them.
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
        let document = schema::check(schema::DOCUMENT, document, "", &mut report);
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

    /// The effective configuration as JSON: every default filled in, each cluster with what it inherits, secrets masked.
    /// But for the masks it can be loaded, and means the same.
    #[expect(
        clippy::missing_panics_doc,
        reason = "it never does; property tests try"
    )]
    pub fn effective(&self) -> String {
        serde_json::to_string_pretty(&self.document).expect("keys are text and numbers are finite")
    }
}

/// The environment of this process, for [`Config::load`]. What is not Unicode is replaced.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// The object that `text` is.
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
