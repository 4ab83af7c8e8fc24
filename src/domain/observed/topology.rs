//! The nodes as they follow each other, and the names that mean one server: worked out once for each decision.

use std::collections::BTreeMap;

use super::{Observed, ObservedNode};
use crate::domain::addresses::{Addresses, known_addresses};
use crate::domain::facts::{Link, NodeFacts};
use crate::domain::node::NodeAddr;

/// The nodes of a cluster as they follow each other.
#[derive(Debug)]
pub struct Topology<'a> {
    observed: &'a Observed,
    aliases: Aliases<'a>,
    /// The configured node that each replica says it follows.
    named: Links<'a>,
    /// The configured node that each replica follows.
    upstreams: Links<'a>,
    /// The primary at the end of the chain that each node follows. A primary is its own root.
    roots: Links<'a>,
    /// Nodes that may be commanded.
    members: Vec<(&'a NodeAddr, &'a NodeFacts)>,
}

/// Each further name of a server, with the name that stands for it.
type Aliases<'a> = BTreeMap<&'a NodeAddr, &'a NodeAddr>;

/// A node for each of some nodes.
type Links<'a> = BTreeMap<&'a NodeAddr, &'a NodeAddr>;

impl<'a> Topology<'a> {
    /// The topology of what is observed.
    pub fn of(observed: &'a Observed) -> Self {
        let aliases = aliases(observed);
        let nodes = || observed.nodes.keys();
        let named: Links<'_> = nodes()
            .filter_map(|node| Some((node, named_by(observed, &aliases, node)?)))
            .collect();
        let upstreams: Links<'_> = named
            .iter()
            .filter(|(replica, _)| !observed.is_astray_by_itself(replica))
            .map(|(replica, upstream)| (*replica, *upstream))
            .collect();
        let roots = nodes()
            .filter_map(|node| Some((node, root_of(observed, &upstreams, node)?)))
            .collect();
        let members = observed
            .all_online()
            .filter(|(addr, _)| !aliases.contains_key(addr))
            .collect();
        Self {
            observed,
            aliases,
            named,
            upstreams,
            roots,
            members,
        }
    }

    /// The observation behind the topology.
    pub(in crate::domain) fn observed(&self) -> &'a Observed {
        self.observed
    }

    /// Configured nodes that are one server under two names: each further name with the name that stands for it. The
    /// name with the fewest addresses stands, since another one may lead elsewhere, too. Of equals, the name of the
    /// published or withdrawn primary stands, else the first one.
    pub fn aliases(&self) -> &BTreeMap<&'a NodeAddr, &'a NodeAddr> {
        &self.aliases
    }

    /// The name that stands for the server at `addr`.
    pub fn stands_for<'b>(&self, addr: &'b NodeAddr) -> &'b NodeAddr
    where
        'a: 'b,
    {
        self.aliases.get(addr).copied().unwrap_or(addr)
    }

    /// How many servers hold the cluster's data when all are up: the configured nodes without further names.
    pub fn data_nodes(&self) -> usize {
        self.observed.nodes.len() - self.aliases.len()
    }

    /// The configured node that `replica` says it follows.
    pub(in crate::domain) fn named_by(&self, replica: &NodeAddr) -> Option<&'a NodeAddr> {
        self.named.get(replica).copied()
    }

    /// The configured node that `replica` follows, if it is a replica of one. Of several names of one server, the
    /// name that stands for it. A node that the replica only names, while it is linked to another server, does not
    /// count.
    pub fn upstream_of(&self, replica: &NodeAddr) -> Option<&'a NodeAddr> {
        self.upstreams.get(replica).copied()
    }

    /// Whether `replica` follows `target`: by name, by resolved address and port, or by the history that it streams.
    /// Only `target` of all primaries produces that history.
    pub fn follows(&self, replica: &NodeAddr, target: &NodeAddr) -> bool {
        self.upstream_of(replica) == Some(target)
    }

    /// The primary at the end of the chain that `replica` follows, within the cluster. `None` for a loop, or for an
    /// end outside.
    pub fn root_of(&self, replica: &NodeAddr) -> Option<&'a NodeAddr> {
        self.roots.get(replica).copied()
    }

    /// Nodes that may be commanded: online, and not a second name of a server that another node stands for.
    pub(in crate::domain) fn members(&self) -> impl Iterator<Item = (&'a NodeAddr, &'a NodeFacts)> {
        self.members.iter().copied()
    }

    /// How many members follow `primary`, directly or through another replica.
    pub(in crate::domain) fn followers(&self, primary: &NodeAddr) -> usize {
        self.members()
            .filter(|(addr, _)| *addr != primary && self.root_of(addr) == Some(primary))
            .count()
    }
}

fn aliases(observed: &Observed) -> Aliases<'_> {
    let primary = observed.subject();
    let mut by_run_id: BTreeMap<&str, Vec<&NodeAddr>> = BTreeMap::new();
    for (addr, node) in &observed.nodes {
        if let Some(facts) = node.live() {
            by_run_id.entry(&facts.run_id).or_default().push(addr);
        }
    }
    let mut aliases = BTreeMap::new();
    for names in by_run_id.values().filter(|names| names.len() > 1) {
        let first = names
            .iter()
            .min_by_key(|name| (places(observed, name).len(), Some(**name) != primary));
        let Some(stands) = first else { continue };
        aliases.extend(
            names
                .iter()
                .filter(|name| *name != stands)
                .map(|name| (*name, *stands)),
        );
    }
    aliases
}

/// The addresses of the node, as far as they are known here.
fn places(observed: &Observed, addr: &NodeAddr) -> Addresses {
    let nothing = Addresses::new();
    let node = observed.nodes.get(addr);
    let resolved = node.map_or(&nothing, |node| &node.observation.addresses);
    known_addresses(addr.host(), resolved)
}

fn named_by<'a>(
    observed: &'a Observed,
    aliases: &Aliases<'a>,
    replica: &NodeAddr,
) -> Option<&'a NodeAddr> {
    let observation = &observed.nodes.get(replica)?.observation;
    let facts = observation.facts.as_ref()?;
    let upstream = facts.upstream()?;
    let find = |is_it: &dyn Fn(&NodeAddr, &ObservedNode) -> bool| {
        let mut nodes = observed.nodes.iter();
        nodes.find(|(addr, node)| is_it(addr, node))
    };
    let named = |addr: &NodeAddr, _: &ObservedNode| *addr == upstream.primary;
    let resolved = |addr: &NodeAddr, node: &ObservedNode| {
        let addresses = &node.observation.addresses;
        addr.port() == upstream.primary.port()
            && !addresses.is_disjoint(&observation.upstream_addresses)
    };
    let streamed = |_: &NodeAddr, node: &ObservedNode| {
        let known = node.observation.facts.as_ref();
        let primary = known.filter(|facts| facts.is_primary());
        upstream.link == Link::Up
            && primary.is_some_and(|primary| primary.replication_id == facts.replication_id)
    };
    let (found, _) = find(&named)
        .or_else(|| find(&resolved))
        .or_else(|| find(&streamed))?;
    // If the name leads elsewhere, too, the replica may be there.
    let elsewhere =
        |stands: &NodeAddr| places(observed, stands).len() != places(observed, found).len();
    let stands = aliases.get(found).copied();
    Some(stands.filter(|it| !elsewhere(it)).unwrap_or(found))
}

fn root_of<'a>(
    observed: &'a Observed,
    upstreams: &Links<'a>,
    node: &'a NodeAddr,
) -> Option<&'a NodeAddr> {
    let mut at = node;
    for _ in 0..observed.nodes.len() {
        match upstreams.get(at) {
            Some(next) => at = next,
            None => break,
        }
    }
    let facts = observed.nodes.get(at)?.observation.facts.as_ref()?;
    facts.is_primary().then_some(at)
}
