//! Names of servers: each may be called by an address or by a host name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use redis_keeper::domain::names::{Names, mentioned};
use redis_keeper::domain::node::{ClusterName, NodeAddr};
use redis_keeper::domain::published::Published;

/// What one keeper's file may call a cluster instead.
pub(crate) fn otherwise(cluster: &ClusterName) -> ClusterName {
    ClusterName::new(format!("other-{cluster}"))
}

/// The host name of a server at 10.0.`cluster`.`number + 1`.
pub(crate) fn alias(addr: &NodeAddr) -> NodeAddr {
    let host = addr.host().replace('.', "-");
    NodeAddr::new(format!("redis-{host}"), addr.port())
}

/// What a host resolves to.
pub(crate) fn resolve(host: &str) -> Option<IpAddr> {
    let named = host.strip_prefix("redis-").map(|ip| ip.replace('-', "."));
    named.as_deref().unwrap_or(host).parse().ok()
}

/// The server's address, by whichever name.
pub(crate) fn canonical(addr: &NodeAddr) -> NodeAddr {
    resolve(addr.host()).map_or_else(
        || addr.clone(),
        |ip| NodeAddr::new(ip.to_string(), addr.port()),
    )
}

/// A state by the addresses of its servers.
pub(crate) fn by_address(state: Published) -> Published {
    let named: BTreeSet<NodeAddr> = mentioned(&state).chain(&state.known).cloned().collect();
    let servers: BTreeSet<NodeAddr> = named.iter().map(canonical).collect();
    let nothing = BTreeSet::new();
    let listed = servers.iter().map(|addr| (addr, &nothing)).collect();
    let hosts = named.iter().map(|addr| addr.host().to_owned());
    let resolved: BTreeMap<String, BTreeSet<IpAddr>> = hosts
        .map(|host| (host.clone(), resolve(&host).into_iter().collect()))
        .collect();
    Names::of(&named, &listed, &resolved).localise(state)
}
