//! A check that names one node while its server is at another. The usual cause: two lines of a HAProxy configuration
//! are swapped.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::NodeRef;
use crate::domain::addresses::known_addresses;
use crate::domain::node::NodeAddr;

/// Two nodes of one cluster: HAProxy names the first, and sends its clients to the second.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contradiction {
    /// The node that the server's name or the path names.
    pub named: NodeAddr,
    /// The node at the server's address.
    pub at: NodeAddr,
}

impl NodeRef {
    /// The two nodes, if the server's address belongs to another node than its name. `nodes` is as in [`Self::find`].
    ///
    /// A node whose addresses are not known contradicts nothing.
    pub fn contradiction<'a>(
        &self,
        mut nodes: impl Iterator<Item = (&'a NodeAddr, &'a BTreeSet<IpAddr>)> + Clone,
    ) -> Option<Contradiction> {
        let place = self.address.as_ref().or(self.leads_to.as_ref())?;
        let named = self
            .by_name(nodes.clone())
            .or_else(|| self.name_as_address()?.by_address(nodes.clone()))?;
        let there = Self {
            address: Some(place.clone()),
            ..Self::default()
        };
        let at = there.by_address(nodes.clone())?;
        let (_, resolved) = nodes.find(|(node, _)| *node == named)?;
        let own = known_addresses(named.host(), resolved);
        let ip = place.0.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        let may_be_there = own.is_empty() || ip.is_some_and(|ip| own.contains(&ip));
        if at == named || may_be_there && at.port() == named.port() {
            return None;
        }
        Some(Contradiction {
            named: named.clone(),
            at: at.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<(NodeAddr, BTreeSet<IpAddr>)> {
        let ips = |ips: &[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect();
        vec![
            (NodeAddr::new("10.0.0.1", 6379), BTreeSet::new()),
            (NodeAddr::new("10.0.0.2", 6379), BTreeSet::new()),
            (NodeAddr::new("10.0.0.2", 6380), BTreeSet::new()),
            (NodeAddr::new("redis-3", 6379), ips(&["10.0.0.3"])),
            (NodeAddr::new("redis-4", 6379), ips(&[])),
            (
                NodeAddr::new("redis-5", 6379),
                ips(&["10.0.0.3", "10.0.0.5"]),
            ),
        ]
    }

    fn found(
        name: &str,
        address: Option<&str>,
        leads_to: Option<&str>,
    ) -> Option<(String, String)> {
        let place = |addr: &str| {
            let addr: NodeAddr = addr.parse().unwrap();
            (addr.host().to_owned(), addr.port())
        };
        let asked = NodeRef {
            server_name: Some(name.to_owned()),
            address: address.map(place),
            leads_to: leads_to.map(place),
        };
        let nodes = nodes();
        let found = asked.contradiction(nodes.iter().map(|(node, ips)| (node, ips)));
        found.map(|it| (it.named.to_string(), it.at.to_string()))
    }

    #[test]
    fn a_name_of_one_node_and_the_address_of_another_contradict_each_other() {
        let both = |named: &str, at: &str| Some((named.to_owned(), at.to_owned()));
        let (one, two) = ("10.0.0.1:6379", "10.0.0.2:6379");
        assert_eq!(found(one, Some(two), None), both(one, two));
        assert_eq!(
            found(two, Some("10.0.0.2:6380"), None),
            both(two, "10.0.0.2:6380")
        );
        assert_eq!(
            found("redis-3:6379", Some(one), None),
            both("redis-3:6379", one)
        );
        assert_eq!(
            found("10.0.0.3:6379", Some(one), None),
            both("redis-3:6379", one)
        );
        assert_eq!(found(one, None, Some(two)), both(one, two), "of a path");
    }

    #[test]
    fn what_may_be_one_node_is_no_contradiction() {
        let one = "10.0.0.1:6379";
        assert_eq!(found(one, Some(one), None), None);
        assert_eq!(found(one, None, None), None);
        assert_eq!(found("first", Some(one), None), None, "no node's name");
        assert_eq!(
            found(one, Some("192.0.2.1:6379"), None),
            None,
            "no node's address"
        );
        assert_eq!(found("redis-3:6379", Some("10.0.0.3:6379"), None), None);
        assert_eq!(
            found("redis-4:6379", Some(one), None),
            None,
            "not resolved yet"
        );
        assert_eq!(
            found("redis-5:6379", Some("10.0.0.3:6379"), None),
            None,
            "shared"
        );
    }
}
