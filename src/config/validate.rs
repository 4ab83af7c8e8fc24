//! Makes domain types from the shape of the file. Checks the rules that concern several keys.

mod clusters;
mod redis;
mod scope;

use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::diagnostics::Diagnostics;
use super::file::{CoordinationKind, Document};
use super::names::{self, HostPort, Refused};
use super::{Config, CoordinationConfig, LogConfig, RestConfig, TimingConfig, ZkAuth, spans};
use crate::domain::failsafe::Failsafe;
use crate::domain::node::KeeperId;

/// The default port of ZooKeeper.
const ZOOKEEPER_PORT: u16 = 2181;

/// The configuration from `document`, whose defaults are filled in. `None` only if the report has a problem. The
/// result may also have parts with problems, so the report decides whether it is used.
pub(super) fn config(document: Document, report: &mut Diagnostics) -> Option<Config> {
    let keeper_id = keeper_id(&document, report);
    let coordination = coordination(&document, report);
    let rest = rest(&document, report);
    let timing = timing(&document, report);
    let log = log(&document, report);
    let clusters = clusters::clusters(&document, report);
    Some(Config {
        keeper_id: keeper_id?,
        coordination: coordination?,
        rest: rest?,
        timing: timing?,
        clusters,
        log: log?,
        document,
    })
}

/// The accepted value, or `None` and a problem in the report.
fn accept<T>(result: Result<T, Refused>, path: &str, report: &mut Diagnostics) -> Option<T> {
    result
        .map_err(|refused| report.problem(path, refused.fault, refused.remedy))
        .ok()
}

/// Converts seconds that the schema has accepted as a span of time.
fn span(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn keeper_id(document: &Document, report: &mut Diagnostics) -> Option<KeeperId> {
    let id = document.keeper_id.as_ref()?;
    accept(names::segment(id), "keeper-id", report)?;
    Some(KeeperId::new(id))
}

fn coordination(document: &Document, report: &mut Diagnostics) -> Option<CoordinationConfig> {
    let prefix = document.zk_prefix.as_ref()?;
    let prefix = accept(names::prefix(prefix), "zk-prefix", report).map(|()| prefix.clone());
    let quorum = document
        .zk_quorum
        .as_ref()
        .map(|servers| quorum(servers, report));
    let auth = zk_auth(document, report);
    match document.coordination? {
        CoordinationKind::Embedded => {
            if quorum.is_some() {
                report.warning(
                    "zk-quorum",
                    "has no effect beside \"coordination\": \"embedded\"; take one of them out",
                );
            }
            Some(CoordinationConfig::Embedded)
        }
        CoordinationKind::Zookeeper => {
            if quorum.is_none() && report.sound(&["zk-quorum", "coordination"]) {
                let remedy = "write \"zk-quorum\": [\"host:2181\", …], or \
                              \"coordination\": \"embedded\" to do without ZooKeeper";
                report.unquoted("zk-quorum", "is missing", remedy);
            }
            Some(CoordinationConfig::ZooKeeper {
                quorum: quorum?,
                prefix: prefix?,
                session_timeout: span(document.zk_session_timeout_seconds?),
                auth,
            })
        }
    }
}

fn quorum(servers: &[Option<String>], report: &mut Diagnostics) -> Vec<HostPort> {
    let mut quorum: Vec<HostPort> = Vec::with_capacity(servers.len());
    for (index, server) in servers.iter().enumerate() {
        let path = spans::item("zk-quorum", index);
        let parsed = server.as_ref().map(|server| {
            let server = HostPort::parse(server, ZOOKEEPER_PORT)?;
            names::peer(&server.host).map(|_| server)
        });
        let Some(server) = parsed.and_then(|parsed| accept(parsed, &path, report)) else {
            continue;
        };
        if quorum.contains(&server) {
            report.problem(&path, "is listed twice", "list every server once");
        }
        quorum.push(server);
    }
    quorum
}

fn zk_auth(document: &Document, report: &mut Diagnostics) -> Option<ZkAuth> {
    match (&document.zk_auth, &document.zk_auth_file) {
        (Some(_), Some(_)) => {
            report.unquoted(
                "zk-auth-file",
                "is given beside zk-auth",
                "keep one of them",
            );
            None
        }
        (Some(auth), None) => {
            let read = ZkAuth::parse(auth).map_err(|Refused { fault, remedy }| {
                report.unquoted("zk-auth", fault, remedy);
            });
            read.ok()
        }
        (None, Some(file)) => accept(ZkAuth::read(file.as_ref()), "zk-auth-file", report),
        (None, None) => None,
    }
}

fn rest(document: &Document, report: &mut Diagnostics) -> Option<RestConfig> {
    let host = accept(
        names::host(document.rest_host.as_ref()?),
        "rest-host",
        report,
    )?;
    let port = document.rest_port?;
    let advertise = HostPort::parse(document.rest_advertise.as_ref()?, port)
        .and_then(|address| names::peer(&address.host).map(|_| address));
    let advertise = accept(advertise, "rest-advertise", report);
    Some(RestConfig {
        host,
        port,
        advertise: advertise?,
        workers: document.http_workers?,
        operations: document.admin_operations?,
    })
}

fn timing(document: &Document, report: &mut Diagnostics) -> Option<TimingConfig> {
    let [lease, heartbeat, read_lease, session] = [
        document.lease_seconds?,
        document.heartbeat_seconds?,
        document.read_lease_seconds?,
        document.zk_session_timeout_seconds?,
    ];
    let embedded = document.coordination == Some(CoordinationKind::Embedded);
    if !embedded
        && lease > session / 2.0
        && report.sound(&["lease-seconds", "zk-session-timeout-seconds"])
    {
        let path = report.first_written(&["lease-seconds", "zk-session-timeout-seconds"]);
        let fault = format!(
            "lease-seconds ({lease}) is longer than half of zk-session-timeout-seconds ({session})"
        );
        let remedy = format!(
            "lower lease-seconds to {}, or raise the session timeout to {}",
            session / 2.0,
            lease * 2.0
        );
        report.problem(path, fault, remedy);
    }
    if heartbeat >= lease && report.sound(&["lease-seconds", "heartbeat-seconds"]) {
        let path = report.first_written(&["heartbeat-seconds", "lease-seconds"]);
        let fault =
            format!("heartbeat-seconds ({heartbeat}) is not shorter than lease-seconds ({lease})");
        report.problem(
            path,
            fault,
            format!("lower heartbeat-seconds: {} suits this lease", lease / 4.0),
        );
    }
    if read_lease < lease && report.sound(&["lease-seconds", "read-lease-seconds"]) {
        let path = report.first_written(&["read-lease-seconds", "lease-seconds"]);
        let fault =
            format!("read-lease-seconds ({read_lease}) is shorter than lease-seconds ({lease})");
        report.problem(
            path,
            fault,
            format!("raise read-lease-seconds to {lease} or more"),
        );
    }
    let failsafe = failsafe(document, heartbeat, report);
    Some(TimingConfig {
        lease: span(lease),
        heartbeat: span(heartbeat),
        read_lease: span(read_lease),
        failsafe: failsafe.filter(|_| !embedded),
    })
}

/// The settings of failsafe mode; `None` if it is off.
fn failsafe(document: &Document, heartbeat: f64, report: &mut Diagnostics) -> Option<Failsafe> {
    let [consent, limit] = [
        document.failsafe_consent_seconds?,
        document.failsafe_max_seconds?,
    ];
    if !document.failsafe? {
        return None;
    }
    let keys = ["failsafe-consent-seconds", "failsafe-max-seconds"];
    if consent > limit && report.sound(&keys) {
        let fault = format!(
            "failsafe-consent-seconds ({consent}) is longer than failsafe-max-seconds ({limit})"
        );
        let remedy = format!("lower failsafe-consent-seconds to {limit} or less");
        report.problem(report.first_written(&keys), fault, remedy);
    }
    // One request for consent may be lost; the next one comes a heartbeat later.
    let two = heartbeat * 2.0;
    if consent < two && report.sound(&["failsafe-consent-seconds", "heartbeat-seconds"]) {
        let path = report.first_written(&[
            "failsafe-consent-seconds",
            "lease-seconds",
            "heartbeat-seconds",
        ]);
        let fault = format!(
            "failsafe-consent-seconds ({consent}) is shorter than two heartbeats ({heartbeat})"
        );
        report.problem(
            path,
            fault,
            format!("raise failsafe-consent-seconds to {two} or more"),
        );
    }
    Some(Failsafe {
        consent: span(consent),
        limit: span(limit),
    })
}

fn log(document: &Document, report: &mut Diagnostics) -> Option<LogConfig> {
    let level = document.log_level.as_ref()?;
    let unknown = || {
        // `EnvFilter` takes any other word for the name of a module, and then passes nothing else.
        let mut words = level.split(',').map(str::trim);
        let word =
            words.find(|word| !word.contains(['=', '[']) && word.parse::<LevelFilter>().is_err());
        word.map(|word| format!("`{word}` is not a level"))
    };
    let error = EnvFilter::try_new(level).err();
    let error = error.map(|error| format!("is not a log filter: {error}"));
    if let Some(error) = error.or_else(unknown) {
        let remedy = "write error, warn, info, debug or trace, or such as \"info,redis_keeper::actors=debug\"";
        report.problem("log-level", error, remedy);
        return None;
    }
    Some(LogConfig {
        format: document.log_format?,
        level: level.clone(),
    })
}
