//! Decides which names mean the same node: the resolved address and the port identify a node, not its name in a file.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::node::NodeAddr;

/// The addresses that a host resolves to here.
pub type Addresses = BTreeSet<IpAddr>;

/// Whether two names mean one node, as far as addresses tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Both names mean one node.
    Same,
    /// The names mean two nodes.
    Different,
    /// The addresses of one of the two are unknown.
    Unknown,
}

/// The known addresses of `host`: `host` itself if it is an address, else `resolved`.
pub fn known_addresses(host: &str, resolved: &Addresses) -> Addresses {
    let literal = host.parse::<IpAddr>().ok();
    let known = literal.into_iter().chain(resolved.iter().copied());
    let known = known.take(literal.map_or(usize::MAX, |_| 1));
    known.map(|ip| ip.to_canonical()).collect()
}

/// Compares two names, each with the addresses of its host.
pub fn identity(one: (&NodeAddr, &Addresses), other: (&NodeAddr, &Addresses)) -> Identity {
    if one.0 == other.0 {
        return Identity::Same;
    }
    if one.0.port() != other.0.port() {
        return Identity::Different;
    }
    let [first, second] =
        [one, other].map(|(addr, resolved)| known_addresses(addr.host(), resolved));
    if first.is_empty() || second.is_empty() {
        Identity::Unknown
    } else if first.is_disjoint(&second) {
        Identity::Different
    } else {
        Identity::Same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str) -> NodeAddr {
        NodeAddr::new(host, 6379)
    }

    #[test]
    fn two_names_are_one_node_if_their_addresses_and_ports_are_the_same() {
        let nothing = Addresses::new();
        let same = |one: &NodeAddr, other: &NodeAddr| identity((one, &nothing), (other, &nothing));
        assert_eq!(same(&at("10.0.0.1"), &at("10.0.0.1")), Identity::Same);
        assert_eq!(same(&at("10.0.0.1"), &at("10.0.0.2")), Identity::Different);
        assert_eq!(same(&at("10.0.0.1"), &at("redis-1")), Identity::Unknown);
        let other_port = NodeAddr::new("redis-1", 6380);
        assert_eq!(same(&at("10.0.0.1"), &other_port), Identity::Different);
    }
}
