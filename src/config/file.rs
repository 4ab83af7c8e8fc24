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
    /// Fills in the defaults. `host_name` is the default of names. Each cluster inherits from the document the
    /// settings that it does not have itself.
    pub(super) fn resolve(mut self, host_name: &str) -> Self {
        self.keeper_id.get_or_insert_with(|| host_name.to_owned());
        self.coordination.get_or_insert(CoordinationKind::Zookeeper);
        self.zk_prefix
            .get_or_insert_with(|| "/rediskeeper".to_owned());
        self.zk_session_timeout_seconds.get_or_insert(2.0);
        let lease = *self.lease_seconds.get_or_insert(0.8);
        let heartbeat = *self.heartbeat_seconds.get_or_insert(0.2);
        self.read_lease_seconds.get_or_insert(30.0);
        self.failsafe.get_or_insert(true);
        // After ZooKeeper's return, a keeper that consented holds failovers for the length of a consent. So the
        // default is short.
        self.failsafe_consent_seconds
            .get_or_insert(lease.min(heartbeat * 4.0));
        self.failsafe_max_seconds.get_or_insert(3_600.0);
        let rest_host = self.rest_host.get_or_insert_with(|| "0.0.0.0".to_owned());
        let reachable = if names::is_wildcard(rest_host) {
            host_name
        } else {
            rest_host
        };
        self.rest_advertise
            .get_or_insert_with(|| reachable.to_owned());
        self.rest_port.get_or_insert(46379);
        self.http_workers.get_or_insert(1);
        self.admin_operations.get_or_insert(false);
        self.log_format.get_or_insert(LogFormat::Text);
        self.log_level.get_or_insert_with(|| "info".to_owned());
        for cluster in self.clusters.iter_mut().flatten().flatten() {
            cluster.tuning.inherit(&self.tuning);
            cluster.tuning.resolve();
        }
        self.tuning.resolve();
        self
    }
}

impl Tuning {
    fn inherit(&mut self, global: &Self) {
        macro_rules! inherit {
            ($($field:ident)*) => { $(self.$field = self.$field.take().or(global.$field.clone());)* };
        }
        inherit! {
            tick_seconds failover_tick_seconds seconds_mark_down probe_timeout_seconds busy_seconds
            max_lag_bytes max_lag_seconds max_stale_seconds
            parallel_syncs min_votes settle_unrelated chained_replicas
            election_order failover_cooldown_seconds drain_seconds
            write_safety write_safety_max_lag_seconds
        }
        self.redis.inherit(&global.redis);
    }

    fn resolve(&mut self) {
        let tick = *self.tick_seconds.get_or_insert(1.0);
        let mark_down = *self.seconds_mark_down.get_or_insert(5.0);
        self.failover_tick_seconds.get_or_insert(10.0);
        self.probe_timeout_seconds
            .get_or_insert(f64::min(tick, mark_down / 4.0));
        self.busy_seconds.get_or_insert(0.0);
        self.max_stale_seconds.get_or_insert(60.0);
        self.parallel_syncs.get_or_insert(1);
        self.min_votes.get_or_insert(1);
        self.settle_unrelated.get_or_insert(false);
        self.chained_replicas
            .get_or_insert(ChainedReplicas::Correct);
        let order = self.election_order.get_or_insert_default();
        for criterion in [Criterion::Offset, Criterion::Priority, Criterion::Uptime] {
            if !order.contains(&Some(criterion)) {
                order.push(Some(criterion));
            }
        }
        self.failover_cooldown_seconds.get_or_insert(10.0);
        self.drain_seconds.get_or_insert(1.2);
        self.write_safety.get_or_insert(WriteSafety::None);
        self.write_safety_max_lag_seconds.get_or_insert(2);
        self.redis.resolve();
    }
}

impl Redis {
    fn inherit(&mut self, global: &Self) {
        let Self {
            username,
            password,
            password_file,
            ..
        } = global.clone();
        self.username = self.username.take().or(username);
        if self.password.is_none() && self.password_file.is_none() {
            (self.password, self.password_file) = (password, password_file);
        }
        let Self {
            tls,
            tls_ca_file,
            tls_cert_file,
            tls_key_file,
            ..
        } = global.clone();
        self.tls = self.tls.or(tls);
        self.tls_ca_file = self.tls_ca_file.take().or(tls_ca_file);
        if self.tls_cert_file.is_none() && self.tls_key_file.is_none() {
            (self.tls_cert_file, self.tls_key_file) = (tls_cert_file, tls_key_file);
        }
        self.tls_server_name = self
            .tls_server_name
            .take()
            .or(global.tls_server_name.clone());
        self.tls_insecure = self.tls_insecure.or(global.tls_insecure);
        self.rename_commands = self
            .rename_commands
            .take()
            .or(global.rename_commands.clone());
    }

    fn resolve(&mut self) {
        let files = [
            &self.tls_ca_file,
            &self.tls_cert_file,
            &self.tls_key_file,
            &self.tls_server_name,
        ];
        let spoken_of = files.iter().any(|file| file.is_some()) || self.tls_insecure == Some(true);
        self.tls.get_or_insert(spoken_of);
        self.tls_insecure.get_or_insert(false);
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn written(value: impl Serialize) -> BTreeSet<String> {
        let Value::Object(object) = serde_json::to_value(value).unwrap() else {
            panic!("no object")
        };
        object.into_iter().map(|(key, _)| key).collect()
    }

    fn known(groups: &'static [&'static [schema::Key]]) -> BTreeSet<String> {
        schema::keys(groups)
            .map(|key| key.name.to_owned())
            .collect()
    }

    #[test]
    fn the_schema_knows_exactly_the_keys_of_the_shape() {
        assert_eq!(written(Document::default()), known(schema::DOCUMENT));
        assert_eq!(written(Cluster::default()), known(schema::CLUSTER));
        let kind = |groups, name| {
            schema::keys(groups)
                .find(|key| key.name == name)
                .unwrap()
                .kind
        };
        let schema::Kind::List(schema::Kind::Object(node)) = kind(schema::CLUSTER, "nodes") else {
            panic!()
        };
        let schema::Kind::Object(redis) = kind(schema::CLUSTER, "redis") else {
            panic!()
        };
        assert_eq!(written(Node::default()), known(node));
        assert_eq!(written(Redis::default()), known(redis));
    }

    #[test]
    fn a_cluster_inherits_what_it_does_not_say() {
        let global = Redis {
            tls_ca_file: Some("ca".into()),
            password: Some(Passwords::One(Secret::new("p"))),
            ..Redis::default()
        };
        let global = Tuning {
            tick_seconds: Some(0.5),
            min_votes: Some(2),
            redis: global,
            ..Tuning::default()
        };
        let redis = Redis {
            password_file: Some("f".into()),
            ..Redis::default()
        };
        let tuning = Tuning {
            min_votes: Some(3),
            redis,
            ..Tuning::default()
        };
        let clusters = Some(vec![Some(Cluster {
            tuning,
            ..Cluster::default()
        })]);
        let document = Document {
            tuning: global,
            clusters,
            ..Document::default()
        }
        .resolve("host");
        let tuning = &document.clusters.unwrap()[0]
            .as_ref()
            .unwrap()
            .tuning
            .clone();
        assert_eq!(
            (tuning.tick_seconds, tuning.min_votes),
            (Some(0.5), Some(3))
        );
        assert_eq!(tuning.probe_timeout_seconds, Some(0.5));
        assert_eq!(
            (&tuning.redis.password, &tuning.redis.password_file),
            (&None, &Some("f".to_owned()))
        );
        assert_eq!(tuning.redis.tls, Some(true), "a tls key turns TLS on");
    }
}
