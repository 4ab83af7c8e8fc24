//! Names of servers: a keeper's file may name a server by its address or by a host name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use redis_keeper::domain::names::Names;
use redis_keeper::domain::node::{ClusterName, NodeAddr};
use redis_keeper::domain::published::Published;

/// Another name for a cluster, as in the file of one keeper with [`Oddity::Called`](crate::schedule::Oddity::Called).
pub(crate) fn otherwise(cluster: &ClusterName) -> ClusterName {
    ClusterName::new(format!("other-{cluster}"))
}

/// The host name of a server at 10.0.`cluster`.`number + 1`.
pub(crate) fn alias(addr: &NodeAddr) -> NodeAddr {
    let host = addr.host().replace('.', "-");
    NodeAddr::new(format!("redis-{host}"), addr.port())
}

/// The address of a host name of [`alias`], or the address itself.
pub(crate) fn resolve(host: &str) -> Option<IpAddr> {
    let named = host.strip_prefix("redis-").map(|ip| ip.replace('-', "."));
    named.as_deref().unwrap_or(host).parse().ok()
}

/// The address and port of a server, whichever name is given.
pub(crate) fn canonical(addr: &NodeAddr) -> NodeAddr {
    resolve(addr.host()).map_or_else(
        || addr.clone(),
        |ip| NodeAddr::new(ip.to_string(), addr.port()),
    )
}

/// A published state with all host names replaced by addresses.
pub(crate) fn by_address(state: Published) -> Published {
    let named: BTreeSet<NodeAddr> = state.mentioned().chain(&state.known).cloned().collect();
    let servers: BTreeSet<NodeAddr> = named.iter().map(canonical).collect();
    let nothing = BTreeSet::new();
    let listed = servers.iter().map(|addr| (addr, &nothing)).collect();
    let hosts = named.iter().map(|addr| addr.host().to_owned());
    let resolved: BTreeMap<String, BTreeSet<IpAddr>> = hosts
        .map(|host| (host.clone(), resolve(&host).into_iter().collect()))
        .collect();
    Names::of(&named, &listed, &resolved).localise(state)
}
