//! The world as the configuration describes it.

use std::rc::Rc;
use std::time::Duration;

use crate::adapters::embedded::Embedded;
use crate::adapters::redis::{Access, RedisServers, Tls, TlsError};
use crate::adapters::resolver::Resolver;
use crate::adapters::zookeeper::ZooKeeper;
use crate::config::{Config, CoordinationConfig, RedisAccess, TlsConfig, ZkAuth};
use crate::ports::coordination::Coordination;

/// How long one round trip of a command may take: longer than a server is usually kept busy by the commands of a few clients.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);

/// The servers, with the credentials of each cluster, and their names as `resolver` knows them.
pub(super) fn redis(config: &Config, resolver: &Resolver) -> Result<RedisServers, TlsError> {
    let access = config
        .clusters
        .iter()
        .map(|cluster| (cluster.name.clone(), access(&cluster.redis)));
    RedisServers::resolved_by(resolver, access, COMMAND_TIMEOUT)
}

/// What the keepers meet through: the ensemble, if there is one.
pub(super) fn coordination(ensemble: Option<ZooKeeper>) -> Rc<dyn Coordination> {
    let Some(ensemble) = ensemble else {
        tracing::warn!(
            "embedded coordination: this keeper decides alone and forgets everything when it ends; for trying out, \
             development and single hosts"
        );
        return Rc::new(Embedded::new());
    };
    Rc::new(ensemble)
}

/// The ensemble, if there is to be one.
pub(super) fn zookeeper(config: &Config) -> Option<ZooKeeper> {
    let CoordinationConfig::ZooKeeper {
        quorum,
        prefix,
        session_timeout,
        auth,
    } = &config.coordination
    else {
        return None;
    };
    let auth = auth.as_ref().map(digest);
    let servers = quorum.iter().map(ToString::to_string).collect();
    Some(ZooKeeper::new(servers, prefix, *session_timeout, auth))
}

/// A login as ZooKeeper takes it.
pub(super) fn digest(auth: &ZkAuth) -> String {
    format!("{}:{}", auth.user, auth.password.expose())
}

/// How the nodes of a cluster are spoken to.
pub(super) fn access(redis: &RedisAccess) -> Access {
    let tls = |tls: &TlsConfig| Tls {
        ca_file: tls.ca_file.clone(),
        identity: tls
            .identity
            .as_ref()
            .map(|identity| (identity.cert_file.clone(), identity.key_file.clone())),
        server_name: tls.server_name.clone(),
        insecure: tls.insecure,
    };
    Access {
        username: redis.username.clone(),
        passwords: redis
            .passwords
            .iter()
            .map(|password| password.expose().to_owned())
            .collect(),
        tls: redis.tls.as_ref().map(tls),
        names: redis.names.clone(),
    }
}
