//! How far a replica is behind, by one answer of its primary.

use super::super::addresses::{Addresses, known_addresses};
use super::super::facts::{Attached, Lag};
use super::super::node::NodeAddr;
use super::Topology;

impl Topology<'_> {
    /// How far the replica is behind the primary that it follows, by the primary's last answer. `None` if that answer
    /// does not tell which replica is meant: behind a translation of addresses, a replica has to announce its own
    /// (`replica-announce-ip`).
    pub fn lag(&self, replica: &NodeAddr) -> Option<Lag> {
        let primary = self.upstream_of(replica)?;
        let facts = self.observed().nodes.get(primary)?.observation.named()?;
        let attached = facts.attached.iter().filter(|_| facts.is_primary());
        let named = attached.clone().find(|it| self.is_at(replica, it));
        let found = named.or_else(|| {
            // A replica that is alone at its port is that node, wherever its connection seems to come from.
            let at_port = |it: &&Attached| it.port == replica.port();
            let others = self.observed().nodes.keys().filter(|addr| *addr != primary);
            let mut nodes = others.filter(|addr| addr.port() == replica.port());
            let mut attached = attached.filter(at_port);
            let one = attached.next().filter(|_| nodes.next() == Some(replica))?;
            (attached.next().is_none() && nodes.next().is_none()).then_some(one)
        })?;
        Some(found.lag(facts))
    }

    fn is_at(&self, node: &NodeAddr, attached: &Attached) -> bool {
        let known_node = self.observed().nodes.get(node);
        let resolved = known_node.map(|it| &it.observation.addresses);
        let known = known_addresses(node.host(), resolved.unwrap_or(&Addresses::new()));
        let ip = attached.host.parse().ok();
        let ip = ip.map(|ip: std::net::IpAddr| ip.to_canonical());
        let there = node.host() == attached.host || ip.is_some_and(|ip| known.contains(&ip));
        node.port() == attached.port && there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::plan::tests::builder::{Cluster, addr, cluster};

    fn attached(host: &str, behind: u64) -> Attached {
        Attached {
            host: host.to_owned(),
            port: 6379,
            offset: 1_000 - behind,
            silent: Some(Duration::from_secs(behind)),
        }
    }

    fn bytes(cluster: &Cluster, name: &str) -> Option<u64> {
        let lag = Topology::of(&cluster.observed).lag(&addr(name))?;
        assert_eq!(lag.seconds, Some(lag.bytes));
        Some(lag.bytes)
    }

    #[test]
    fn a_replica_lags_by_what_its_primary_says_of_it() {
        let trio = cluster().primary("a").replica("b", "a").replica("c", "a");
        let trio = trio.observation("c", |c| {
            c.addresses = ["10.0.0.3".parse().expect("an ip")].into();
        });
        let said = |said: &[Attached]| trio_with(&trio, said);
        let told = said(&[attached("b", 3), attached("::ffff:10.0.0.3", 5)]);
        assert_eq!((bytes(&told, "b"), bytes(&told, "c")), (Some(3), Some(5)));
        assert_eq!(bytes(&told, "a"), None, "the primary itself");
        let masked = said(&[attached("10.9.9.9", 3), attached("10.9.9.9", 5)]);
        assert_eq!(bytes(&masked, "b"), None, "which of them is not told");
        assert_eq!(bytes(&said(&[attached("10.9.9.9", 3)]), "b"), None);
        assert_eq!(bytes(&said(&[]), "b"), None);
    }

    fn trio_with(trio: &Cluster, said: &[Attached]) -> Cluster {
        let Cluster { observed, policy } = trio;
        let trio = Cluster {
            observed: observed.clone(),
            policy: policy.clone(),
        };
        trio.with("a", |a| a.attached = said.to_vec())
    }

    #[test]
    fn the_only_replica_on_its_port_is_known_whatever_its_connection_seems_to_come_from() {
        let pair = cluster().primary("a").replica("b", "a");
        let pair = pair.with("a", |a| a.attached = vec![attached("172.17.0.1", 7)]);
        assert_eq!(bytes(&pair, "b"), Some(7));
        let silent = pair.silent("a");
        assert_eq!(bytes(&silent, "b"), None, "that is no answer of now");
    }
}
