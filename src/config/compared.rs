//! The settings that keepers compare with each other: all settings that decide what happens to a cluster, without
//! secrets.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::file::{Cluster, Redis, Tuning};
use super::{Config, Document};
use crate::domain::node::ClusterName;
use crate::domain::settings::{FileSettings, PRIORITY, Settings};

/// The value of a setting that may be a secret, or that names a file of this host.
const GIVEN: &str = "given";
/// The value of a setting that the file does not have.
const NONE: &str = "none";

impl Config {
    /// The settings that must be the same in the files of all keepers, with defaults filled in.
    pub fn compared(&self) -> FileSettings {
        let clusters = self.document.clusters.iter().flatten().flatten();
        FileSettings {
            keeper: of_keeper(&self.document),
            clusters: clusters
                .filter_map(|cluster| Some((ClusterName::new(cluster.name.clone()?), of(cluster))))
                .collect(),
        }
    }
}

fn of_keeper(document: &Document) -> Settings {
    let settings = [
        (
            "zk-session-timeout-seconds",
            text(document.zk_session_timeout_seconds),
        ),
        ("lease-seconds", text(document.lease_seconds)),
        ("heartbeat-seconds", text(document.heartbeat_seconds)),
        ("read-lease-seconds", text(document.read_lease_seconds)),
        ("failsafe", text(document.failsafe)),
        (
            "failsafe-consent-seconds",
            text(document.failsafe_consent_seconds),
        ),
        ("failsafe-max-seconds", text(document.failsafe_max_seconds)),
    ];
    settings
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The settings of one cluster: those that can be set for all clusters, the public part of `redis`, and the
/// priorities of the nodes.
fn of(cluster: &Cluster) -> Settings {
    let tuning = Tuning {
        redis: Redis::default(),
        ..cluster.tuning.clone()
    };
    let Ok(Value::Object(tuning)) = serde_json::to_value(tuning) else {
        unreachable!("tuning is an object of plain values");
    };
    let tuning = tuning.into_iter().filter(|(name, _)| name != "redis");
    let mut settings: Settings = tuning.map(|(name, it)| (name, text(it))).collect();
    settings.extend(access(&cluster.tuning.redis));
    settings.insert(PRIORITY.to_owned(), priorities(cluster));
    settings
}

fn access(redis: &Redis) -> Settings {
    let given = |is: bool| if is { GIVEN } else { NONE }.to_owned();
    let password = redis.password.is_some() || redis.password_file.is_some();
    let renamed = redis.rename_commands.as_ref();
    let settings = [
        ("redis.username", given(redis.username.is_some())),
        ("redis.password", given(password)),
        ("redis.tls", text(redis.tls)),
        ("redis.tls-cert-file", given(redis.tls_cert_file.is_some())),
        ("redis.tls-insecure", text(redis.tls_insecure)),
        (
            "redis.rename-commands",
            given(renamed.is_some_and(|it| !it.is_empty())),
        ),
    ];
    settings
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The priorities of the nodes: `a:1 = 50, b:1 = 0`.
fn priorities(cluster: &Cluster) -> String {
    let nodes = cluster.nodes.iter().flatten().flatten();
    let mut all: Vec<String> = nodes
        .filter_map(|node| {
            let mut text = node.host.clone()?;
            let (port, priority) = (node.port?, node.priority?);
            write!(text, ":{port} = {priority}").ok()?;
            Some(text)
        })
        .collect();
    all.sort();
    if all.is_empty() {
        NONE.to_owned()
    } else {
        all.join(", ")
    }
}

/// The value as an operator would write it.
fn text(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::Null) | Err(_) => NONE.to_owned(),
        Ok(Value::String(text)) => text,
        Ok(Value::Number(number)) => number
            .as_f64()
            .map_or_else(|| number.to_string(), |it| it.to_string()),
        Ok(Value::Array(items)) => {
            let items: Vec<String> = items.into_iter().map(text).collect();
            items.join(", ")
        }
        Ok(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(extra: &str, nodes: &str) -> FileSettings {
        let text = format!(
            r#"{{"keeper-id": "k", "zk-quorum": ["z:1"], {extra} "clusters": [{{"name": "c", "nodes": [{nodes}]}}]}}"#
        );
        let parsed = Config::parse("test", &text, std::iter::empty());
        parsed
            .unwrap_or_else(|error| panic!("{error}"))
            .0
            .compared()
    }

    const NODE: &str = r#"{"host": "a", "port": 1}"#;

    fn differences(extra: &str, nodes: &str) -> Vec<String> {
        let own = compared("", NODE);
        let found = own.differences(&compared(extra, nodes));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_kind_of_setting_is_compared_with_its_default() {
        for (extra, told) in [
            (
                r#""seconds-mark-down": 7,"#,
                "seconds-mark-down of cluster c: 5 here, 7 there",
            ),
            (
                r#""tick-seconds": 0.5, "probe-timeout-seconds": 1,"#,
                "tick-seconds of cluster c: 1 here, 0.5 there",
            ),
            (
                r#""probe-timeout-seconds": 0.5,"#,
                "probe-timeout-seconds of cluster c: 1 here, 0.5 there",
            ),
            (
                r#""lease-seconds": 0.9, "failsafe-consent-seconds": 0.8,"#,
                "lease-seconds: 0.8 here, 0.9 there",
            ),
            (r#""failsafe": false,"#, "failsafe: true here, false there"),
            (
                r#""write-safety": "majority","#,
                "write-safety of cluster c: none here, majority there",
            ),
            (
                r#""max-lag-bytes": 1000,"#,
                "max-lag-bytes of cluster c: none here, 1000 there",
            ),
            (
                r#""redis": {"password": "hidden"},"#,
                "redis.password of cluster c: none here, given there",
            ),
            (
                r#""redis": {"username": "hidden", "password": "x"},"#,
                "redis.username of cluster c: none here, given there",
            ),
        ] {
            let found = differences(extra, NODE);
            assert!(found.iter().any(|it| it == told), "{extra}: {found:?}");
            assert!(found.iter().all(|it| !it.contains("hidden")), "{found:?}");
        }
        let priority = r#"{"host": "a", "port": 1, "priority": 0}"#;
        assert_eq!(
            differences("", priority),
            ["priority of cluster c: none here, a:1 = 0 there"]
        );
        assert_eq!(differences("", NODE), Vec::<String>::new());
    }

    #[test]
    fn what_differs_from_keeper_to_keeper_by_nature_is_not_compared() {
        let own = r#""rest-port": 1234, "log-level": "debug", "http-workers": 2,"#;
        assert_eq!(differences(own, NODE), Vec::<String>::new());
    }

    #[test]
    fn two_secrets_read_alike() {
        let with =
            |secret: &str| compared(&format!(r#""redis": {{"password": "{secret}"}},"#), NODE);
        assert_eq!(with("one"), with("two"));
    }
}
