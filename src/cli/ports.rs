//! Builds the adapters from the configuration.

use std::rc::Rc;
use std::time::Duration;

use crate::adapters::embedded::Embedded;
use crate::adapters::redis::{Access, RedisServers, Tls, TlsError};
use crate::adapters::resolver::Resolver;
use crate::adapters::zookeeper::ZooKeeper;
use crate::config::{Config, CoordinationConfig, RedisAccess, TlsConfig, ZkAuth};
use crate::ports::coordination::Coordination;

/// The time limit for one round trip of a command: longer than the commands of a few clients usually keep a server
/// busy.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);

/// The client for the Redis servers, with the credentials of each cluster. `resolver` resolves the host names.
pub(super) fn redis(config: &Config, resolver: &Resolver) -> Result<RedisServers, TlsError> {
    let access = config
        .clusters
        .iter()
        .map(|cluster| (cluster.name.clone(), access(&cluster.redis)));
    RedisServers::resolved_by(resolver, access, COMMAND_TIMEOUT)
}

/// The coordination: the ensemble if there is one, else embedded.
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

/// The client for the ensemble, if the configuration names one.
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

/// The login in ZooKeeper's form: `user:password`.
pub(super) fn digest(auth: &ZkAuth) -> String {
    format!("{}:{}", auth.user, auth.password.expose())
}

/// The settings for connections to the nodes of a cluster.
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
