//! Every key of the file, declared once: its name, the kind of its value, and its default. A cluster inherits the keys
//! of [`TUNING`].
//!
//! The rest follows from these tables: the checks of the schema, the names of variables, inheritance and the defaults.
//! Tests hold the shape of the file, `docs/configuration.md` and `conf/keeper.conf` against them.

use Absent::{Is, Means, Required};

/// The kind of a key's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// Text that messages do not show.
    Secret,
    /// A secret, or a list of one or two.
    Passwords,
    Flag,
    /// A whole number between these two, both included.
    Whole(u64, u64),
    Port,
    /// Seconds, fractions allowed, from [`SHORTEST`](super::schema::SHORTEST) to [`LONGEST`](super::schema::LONGEST).
    Seconds,
    /// As [`Self::Seconds`], or 0.
    SecondsOrZero,
    Choice(&'static [&'static str]),
    /// A list of at least one item.
    List(&'static Kind),
    /// An object of texts with any keys.
    Texts,
    /// An object with the keys of these groups.
    Object(&'static [&'static [Key]]),
}

/// The meaning of a key that an object does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// A problem.
    Required,
    /// The same as this JSON5.
    Is(&'static str),
    /// The consequence in words. A default that depends on other keys is made in [`super::file`].
    Means(&'static str),
}

/// One key of an object. Everything that is the same for every key is told here once: its default, and by the group
/// that the key is in, whether clusters inherit it.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) absent: Absent,
}

const fn key(name: &'static str, kind: Kind, absent: Absent) -> Key {
    Key { name, kind, absent }
}

/// The document.
pub(super) const DOCUMENT: &[&[Key]] = &[
    &[
        key("keeper-id", Kind::Text, Means("the host name")),
        key(
            "coordination",
            Kind::Choice(&["zookeeper", "embedded"]),
            Is(r#""zookeeper""#),
        ),
        key(
            "zk-quorum",
            Kind::List(&Kind::Text),
            Means("required with `zookeeper`"),
        ),
        key("zk-prefix", Kind::Text, Is(r#""/rediskeeper""#)),
        key("zk-session-timeout-seconds", Kind::Seconds, Is("2")),
        key("zk-auth", Kind::Secret, Means("none")),
        key("zk-auth-file", Kind::Text, Means("none")),
        key("lease-seconds", Kind::Seconds, Is("0.8")),
        key("heartbeat-seconds", Kind::Seconds, Is("0.2")),
        key("read-lease-seconds", Kind::Seconds, Is("30")),
        key("failsafe", Kind::Flag, Is("true")),
        key(
            "failsafe-consent-seconds",
            Kind::Seconds,
            Means("four heartbeats, or the lease if that is shorter"),
        ),
        key("failsafe-max-seconds", Kind::Seconds, Is("3600")),
        key("rest-host", Kind::Text, Is(r#""0.0.0.0""#)),
        key("rest-port", Kind::Port, Is("46379")),
        key(
            "rest-advertise",
            Kind::Text,
            Means("`rest-host`, or the host name if that is a wildcard"),
        ),
        key("http-workers", Kind::Whole(1, 64), Is("1")),
        key("admin-operations", Kind::Flag, Is("false")),
        key(
            "log-format",
            Kind::Choice(&["text", "json"]),
            Is(r#""text""#),
        ),
        key("log-level", Kind::Text, Is(r#""info""#)),
        key("clusters", Kind::List(&Kind::Object(CLUSTER)), Required),
    ],
    TUNING,
];

/// One item of `clusters`.
pub(super) const CLUSTER: &[&[Key]] = &[
    &[
        key("name", Kind::Text, Required),
        key("nodes", Kind::List(&Kind::Object(NODE)), Required),
    ],
    TUNING,
];

const NODE: &[&[Key]] = &[&[
    key("host", Kind::Text, Required),
    key("port", Kind::Port, Required),
    key(
        "priority",
        Kind::Whole(0, u32::MAX as u64),
        Means("the node's own `replica-priority`"),
    ),
]];

/// The settings that can be given for all clusters, and again for one cluster.
pub(super) const TUNING: &[Key] = &[
    key("tick-seconds", Kind::Seconds, Is("1")),
    key("failover-tick-seconds", Kind::Seconds, Is("10")),
    key("seconds-mark-down", Kind::Seconds, Is("5")),
    key(
        "probe-timeout-seconds",
        Kind::Seconds,
        Means("the smaller of `tick-seconds` and a quarter of `seconds-mark-down`"),
    ),
    key("busy-seconds", Kind::SecondsOrZero, Is("0")),
    key("max-lag-bytes", Kind::Whole(0, u64::MAX), Means("any")),
    key("max-lag-seconds", Kind::Seconds, Means("any")),
    key("max-stale-seconds", Kind::Seconds, Is("60")),
    key("parallel-syncs", Kind::Whole(1, 1024), Is("1")),
    key("min-votes", Kind::Whole(1, 1024), Is("1")),
    key("settle-unrelated", Kind::Flag, Is("false")),
    key(
        "chained-replicas",
        Kind::Choice(&["accept", "correct"]),
        Is(r#""correct""#),
    ),
    key(
        "election-order",
        Kind::List(&Kind::Choice(CRITERIA)),
        Is(r#"["offset", "priority", "uptime"]"#),
    ),
    key("failover-cooldown-seconds", Kind::SecondsOrZero, Is("10")),
    key("drain-seconds", Kind::SecondsOrZero, Is("1.2")),
    key(
        "write-safety",
        Kind::Choice(&["none", "majority"]),
        Is(r#""none""#),
    ),
    key(
        "write-safety-max-lag-seconds",
        Kind::Whole(1, 86_400),
        Is("2"),
    ),
    key("redis", Kind::Object(REDIS), Means("none")),
];

const CRITERIA: &[&str] = &["offset", "priority", "uptime"];

const REDIS: &[&[Key]] = &[&[
    key("username", Kind::Text, Means("the default user")),
    key("password", Kind::Passwords, Means("none")),
    key("password-file", Kind::Text, Means("none")),
    key(
        "tls",
        Kind::Flag,
        Means("whether any other `tls-` key is set"),
    ),
    key("tls-ca-file", Kind::Text, Means("the system's authorities")),
    key("tls-cert-file", Kind::Text, Means("none")),
    key("tls-key-file", Kind::Text, Means("none")),
    key("tls-server-name", Kind::Text, Means("the node's `host`")),
    key("tls-insecure", Kind::Flag, Is("false")),
    key("rename-commands", Kind::Texts, Means("none")),
]];

/// Keys that count as one: an object that has one of them inherits neither.
pub(super) const AS_ONE: [[&str; 2]; 2] = [
    ["password", "password-file"],
    ["tls-cert-file", "tls-key-file"],
];

/// The keys of all groups of an object.
pub(super) fn keys(groups: &'static [&'static [Key]]) -> impl Iterator<Item = &'static Key> {
    groups.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn all(groups: &'static [&'static [Key]]) -> Vec<&'static Key> {
        keys(groups)
            .flat_map(|key| {
                let inner = match key.kind {
                    Kind::Object(groups) | Kind::List(&Kind::Object(groups)) => all(groups),
                    _ => Vec::new(),
                };
                std::iter::once(key).chain(inner)
            })
            .collect()
    }

    /// The defaults by the tables of the page, whose rows are ``| `key` | kind | default | meaning |``.
    fn documented() -> BTreeMap<&'static str, &'static str> {
        let page = include_str!("../../docs/configuration.md");
        let row = |line: &'static str| {
            let [key, _, default, _] = line
                .strip_prefix("| `")?
                .strip_suffix(" |")?
                .split(" | ")
                .collect::<Vec<_>>()[..]
            else {
                return None;
            };
            Some((key.strip_suffix('`')?, default))
        };
        page.lines().filter_map(row).collect()
    }

    #[test]
    fn every_key_is_documented_with_its_default() {
        let documented = documented();
        for key in all(DOCUMENT) {
            let default = match key.absent {
                Required => "required".to_owned(),
                Is(default) => format!("`{default}`"),
                Means(words) => words.to_owned(),
            };
            let found = documented.get(key.name).copied();
            assert_eq!(found, Some(&*default), "the row of {}", key.name);
        }
        let known: Vec<_> = all(DOCUMENT).iter().map(|key| key.name).collect();
        for key in documented.keys() {
            assert!(known.contains(key), "{key} is documented, and no key");
        }
    }

    #[test]
    fn every_key_is_in_the_sample_with_its_default() {
        let sample = include_str!("../../conf/keeper.conf");
        let values = |key: &Key| -> Vec<&str> {
            let start = format!("\"{}\": ", key.name);
            sample
                .match_indices(&start)
                .map(|(at, _)| &sample[at + start.len()..])
                .collect()
        };
        for key in all(DOCUMENT) {
            let values = values(key);
            assert!(!values.is_empty(), "{} in conf/keeper.conf", key.name);
            if let Is(default) = key.absent {
                let default = format!("{default},");
                assert!(
                    values.iter().any(|value| value.starts_with(&default)),
                    "{} in conf/keeper.conf with its default {default}",
                    key.name
                );
            }
        }
    }
}
