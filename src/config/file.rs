//! The shape of the file, key by key, and the defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names;
use super::secret::{Passwords, Secret};

/// The document. After [`Document::resolve`], each key with a default has a value.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Document {
    pub(super) keeper_id: Option<String>,
    pub(super) coordination: Option<CoordinationKind>,
    pub(super) zk_quorum: Option<Vec<Option<String>>>,
    pub(super) zk_prefix: Option<String>,
    pub(super) zk_session_timeout_seconds: Option<f64>,
    pub(super) zk_auth: Option<Secret>,
    pub(super) zk_auth_file: Option<String>,
    pub(super) lease_seconds: Option<f64>,
    pub(super) heartbeat_seconds: Option<f64>,
    pub(super) read_lease_seconds: Option<f64>,
    pub(super) failsafe: Option<bool>,
    pub(super) failsafe_consent_seconds: Option<f64>,
    pub(super) failsafe_max_seconds: Option<f64>,
    pub(super) rest_host: Option<String>,
    pub(super) rest_port: Option<u16>,
    pub(super) rest_advertise: Option<String>,
    pub(super) http_workers: Option<usize>,
    pub(super) admin_operations: Option<bool>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) log_level: Option<String>,
    #[serde(flatten)]
    pub(super) tuning: Tuning,
    pub(super) clusters: Option<Vec<Option<Cluster>>>,
}

/// One item of `clusters`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Cluster {
    pub(super) name: Option<String>,
    #[serde(flatten)]
    pub(super) tuning: Tuning,
    pub(super) nodes: Option<Vec<Option<Node>>>,
}

/// One item of `nodes`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Node {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) priority: Option<u32>,
}

/// The settings that can be given for all clusters, and again for one cluster.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Tuning {
    pub(super) tick_seconds: Option<f64>,
    pub(super) failover_tick_seconds: Option<f64>,
    pub(super) seconds_mark_down: Option<f64>,
    pub(super) probe_timeout_seconds: Option<f64>,
    pub(super) busy_seconds: Option<f64>,
    pub(super) max_lag_bytes: Option<u64>,
    pub(super) max_lag_seconds: Option<f64>,
    pub(super) max_stale_seconds: Option<f64>,
    pub(super) parallel_syncs: Option<usize>,
    pub(super) min_votes: Option<usize>,
    pub(super) settle_unrelated: Option<bool>,
    pub(super) chained_replicas: Option<ChainedReplicas>,
    pub(super) election_order: Option<Vec<Option<Criterion>>>,
    pub(super) failover_cooldown_seconds: Option<f64>,
    pub(super) drain_seconds: Option<f64>,
    pub(super) write_safety: Option<WriteSafety>,
    pub(super) write_safety_max_lag_seconds: Option<u32>,
    pub(super) redis: Redis,
}

/// The settings for connections to Redis.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Redis {
    pub(super) username: Option<String>,
    pub(super) password: Option<Passwords>,
    pub(super) password_file: Option<String>,
    pub(super) tls: Option<bool>,
    pub(super) tls_ca_file: Option<String>,
    pub(super) tls_cert_file: Option<String>,
    pub(super) tls_key_file: Option<String>,
    pub(super) tls_server_name: Option<String>,
    pub(super) tls_insecure: Option<bool>,
    pub(super) rename_commands: Option<BTreeMap<String, String>>,
}

/// The coordination service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CoordinationKind {
    Zookeeper,
    Embedded,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object for each line.
    Json,
}

/// The treatment of a replica that follows another replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ChainedReplicas {
    Accept,
    Correct,
}

/// Whether a primary that is cut off refuses writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WriteSafety {
    None,
    Majority,
}

/// A criterion that ranks two candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Criterion {
    Offset,
    Priority,
    Uptime,
}

impl Document {
    /// Fills in the defaults that depend on other keys; [`super::defaults`] has filled in the others. `host_name` is the
    /// default of names.
    pub(super) fn resolve(mut self, host_name: &str) -> Self {
        self.keeper_id.get_or_insert_with(|| host_name.to_owned());
        if let (Some(lease), Some(heartbeat)) = (self.lease_seconds, self.heartbeat_seconds) {
            // After ZooKeeper's return, a keeper that consented holds failovers for the length of a consent. So the
            // default is short.
            self.failsafe_consent_seconds
                .get_or_insert(lease.min(heartbeat * 4.0));
        }
        let rest_host = self.rest_host.as_deref().unwrap_or_default();
        let reachable = if names::is_wildcard(rest_host) {
            host_name
        } else {
            rest_host
        };
        self.rest_advertise
            .get_or_insert_with(|| reachable.to_owned());
        for cluster in self.clusters.iter_mut().flatten().flatten() {
            cluster.tuning.resolve();
        }
        self.tuning.resolve();
        self
    }
}

impl Tuning {
    fn resolve(&mut self) {
        if let (Some(tick), Some(mark_down)) = (self.tick_seconds, self.seconds_mark_down) {
            self.probe_timeout_seconds
                .get_or_insert(f64::min(tick, mark_down / 4.0));
        }
        let order = self.election_order.get_or_insert_default();
        for criterion in [Criterion::Offset, Criterion::Priority, Criterion::Uptime] {
            if !order.contains(&Some(criterion)) {
                order.push(Some(criterion));
            }
        }
        self.redis.resolve();
    }
}

impl Redis {
    fn resolve(&mut self) {
        let files = [
            &self.tls_ca_file,
            &self.tls_cert_file,
            &self.tls_key_file,
            &self.tls_server_name,
        ];
        let spoken_of = files.iter().any(|file| file.is_some()) || self.tls_insecure == Some(true);
        self.tls.get_or_insert(spoken_of);
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::{self, Kind, keys};
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn written(value: impl Serialize) -> BTreeSet<String> {
        let Value::Object(object) = serde_json::to_value(value).unwrap() else {
            panic!("no object")
        };
        object.into_iter().map(|(key, _)| key).collect()
    }

    fn known(groups: &'static [&'static [keys::Key]]) -> BTreeSet<String> {
        keys(groups).map(|key| key.name.to_owned()).collect()
    }

    #[test]
    fn the_shape_has_exactly_the_keys_that_are_declared() {
        assert_eq!(written(Document::default()), known(keys::DOCUMENT));
        assert_eq!(written(Cluster::default()), known(keys::CLUSTER));
        let kind = |groups, name| keys(groups).find(|key| key.name == name).unwrap().kind;
        let Kind::List(Kind::Object(node)) = kind(keys::CLUSTER, "nodes") else {
            panic!()
        };
        let Kind::Object(redis) = kind(keys::CLUSTER, "redis") else {
            panic!()
        };
        assert_eq!(written(Node::default()), known(node));
        assert_eq!(written(Redis::default()), known(redis));
    }
}
