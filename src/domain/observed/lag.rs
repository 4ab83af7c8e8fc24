//! How far a replica is behind, by one answer of its primary.

use super::super::facts::{Attached, Lag};
use super::super::names::known_addresses;
use super::super::node::NodeAddr;
use super::Observed;

impl Observed {
    /// How far the replica is behind the primary that it follows, as that told last; `None` if the primary does not name it
    /// so that it can be told apart: behind a translation of addresses a replica has to announce its own
    /// (`replica-announce-ip`).
    pub fn lag(&self, replica: &NodeAddr) -> Option<Lag> {
        let primary = self.upstream_of(replica)?;
        let facts = self.nodes.get(primary)?.sighting.named()?;
        let attached = facts.attached.iter().filter(|_| facts.is_primary());
        let named = attached.clone().find(|it| self.is_at(replica, it));
        let found = named.or_else(|| {
            // Alone on its port, it is that one wherever its connection seems to come from.
            let at_port = |it: &&Attached| it.port == replica.port();
            let others = self.nodes.keys().filter(|addr| *addr != primary);
            let mut nodes = others.filter(|addr| addr.port() == replica.port());
            let mut attached = attached.filter(at_port);
            let one = attached.next().filter(|_| nodes.next() == Some(replica))?;
            (attached.next().is_none() && nodes.next().is_none()).then_some(one)
        })?;
        Some(found.lag(facts))
    }

    fn is_at(&self, node: &NodeAddr, attached: &Attached) -> bool {
        let resolved = self.nodes.get(node).map(|it| &it.sighting.addresses);
        let known = known_addresses(node.host(), resolved.unwrap_or(&Default::default()));
        let ip = attached.host.parse().ok();
        let ip = ip.map(|ip: std::net::IpAddr| ip.to_canonical());
        let there = node.host() == attached.host || ip.is_some_and(|ip| known.contains(&ip));
        node.port() == attached.port && there
    }
}
