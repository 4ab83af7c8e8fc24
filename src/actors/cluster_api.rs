//! What HTTP asks of a `ClusterActor`, and what it answers. Every answer is made in one step from what the actor holds in
//! memory: it waits for neither Redis nor ZooKeeper.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix::{Message, MessageResponse};

use crate::domain::drain::Proxy;
use crate::domain::explain::Explanation;
use crate::domain::facts::{DownReason, Sighting};
use crate::domain::group::OtherGroup;
use crate::domain::lease::Lease;
use crate::domain::names::known_addresses;
use crate::domain::node::{ClusterName, Epoch, Generation, KeeperId, Moment, NodeAddr};
use crate::domain::plan::HoldKind;
use crate::domain::published::Published;
use crate::domain::rivals::Astray;
pub use crate::domain::serving::{Reason, Ruling};
use crate::domain::verdict::Verdict;

pub use self::contradiction::Contradiction;

mod contradiction;

/// HTTP → `ClusterActor`: may this node be written to, or read from?
#[derive(Debug, Clone, Message)]
#[rtype(result = "Answer")]
pub struct Ask {
    /// What is asked.
    pub question: Question,
    /// Of which node. Shared, because a question that met a restarting actor is sent again.
    pub node: Arc<NodeRef>,
    /// Who asks whether the node is writable, and acts on it; `None` where nothing depends on that.
    pub asker: Option<Arc<Asker>>,
}

/// Who asks whether a node is writable (RK-10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// A HAProxy that says who it is.
    Proxy {
        /// Which.
        proxy: Proxy,
        /// It sends clients to the node at the moment it asks.
        up: bool,
    },
    /// Whoever does not: one of a crowd, of which nobody can be told to have followed a withdrawal.
    Unnamed,
}

/// What may be asked of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Is it the primary?
    Writable,
    /// Is it the primary, or a replica fit to be read from?
    Readable,
}

/// A node as whoever asks names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeRef {
    /// The name of the server in the asker's own configuration; by custom the node's `host:port`.
    pub server_name: Option<String>,
    /// Where the asker reaches it: host name or IP literal without brackets, and port.
    pub address: Option<(String, u16)>,
    /// Where its clients are sent, where that says nothing of which node is meant.
    pub leads_to: Option<(String, u16)>,
}

impl NodeRef {
    /// The node that is meant: the one whose address reads as the server name, else the one at the address, as it is
    /// configured or as its host name resolves, else the one that the server name is an address of. `nodes` pairs each node with what its host name resolves to.
    pub fn find<'a>(
        &self,
        nodes: impl Iterator<Item = (&'a NodeAddr, &'a BTreeSet<IpAddr>)> + Clone,
    ) -> Option<&'a NodeAddr> {
        self.by_name(nodes.clone())
            .or_else(|| self.by_address(nodes.clone()))
            .or_else(|| self.name_as_address()?.by_address(nodes))
    }

    /// What the server name says, taken for where the server is.
    fn name_as_address(&self) -> Option<Self> {
        let named: NodeAddr = self.server_name.as_deref()?.parse().ok()?;
        Some(Self {
            server_name: None,
            address: Some((named.host().to_owned(), named.port())),
            leads_to: None,
        })
    }

    /// Where it is, if that is said by an address and not by a name.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        let named = self.name_as_address();
        let named = named.as_ref().and_then(|named| named.address.as_ref());
        let mut places = self.address.iter().chain(named);
        places.find_map(|(host, port)| Some(SocketAddr::new(host.parse().ok()?, *port)))
    }

    fn by_name<'a>(
        &self,
        mut nodes: impl Iterator<Item = (&'a NodeAddr, &'a BTreeSet<IpAddr>)>,
    ) -> Option<&'a NodeAddr> {
        let wanted: NodeAddr = self.server_name.as_deref()?.parse().ok()?;
        nodes.find_map(|(node, _)| (*node == wanted).then_some(node))
    }

    fn by_address<'a>(
        &self,
        nodes: impl Iterator<Item = (&'a NodeAddr, &'a BTreeSet<IpAddr>)> + Clone,
    ) -> Option<&'a NodeAddr> {
        let (host, port) = self.address.as_ref()?;
        let at_port = nodes.filter(|(node, _)| node.port() == *port);
        let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        if let Some((node, _)) = at_port.clone().find(|(node, _)| node.host() == host) {
            return Some(node);
        }
        let known = at_port.map(|(node, resolved)| (node, known_addresses(node.host(), resolved)));
        // A name with more addresses may have one of another node by mistake.
        known
            .filter(|(_, known)| ip.is_some_and(|ip| known.contains(&ip)))
            .min_by_key(|(_, known)| known.len())
            .map(|(node, _)| node)
    }
}

impl fmt::Display for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.as_ref();
        let address = address.map(|(host, port)| NodeAddr::new(host, *port).to_string());
        match (&self.server_name, address) {
            (Some(name), Some(address)) if *name != address => write!(f, "{name}, at {address}"),
            (Some(name), _) => f.write_str(name),
            (None, Some(address)) => f.write_str(&address),
            (None, None) => f.write_str("(unnamed)"),
        }
    }
}

/// The answer to [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq, MessageResponse)]
pub struct Answer {
    /// Why, and with it [what](Reason::ruling).
    pub reason: Reason,
    /// The node that was meant, as it is configured.
    pub node: Option<NodeAddr>,
    /// The generation it was answered from; `None` before any state was read.
    pub generation: Option<Generation>,
    /// The answer holds strictly before this moment (RK-3), so that whoever passes it on can test that again. `None`
    /// where no deadline applies: the answer is "unknown" or "no such node".
    pub deadline: Option<Moment>,
    /// It is not vouched for by a lease, but by the consent of all keepers (RK-8).
    pub consented: bool,
}

impl Answer {
    /// An answer that says nothing but why.
    pub fn unknown(reason: Reason) -> Self {
        Self {
            reason,
            node: None,
            generation: None,
            deadline: None,
            consented: false,
        }
    }
}

/// HTTP → `ClusterActor`: who is the primary, and which replicas are online? `Err` says why that is unknown.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<ClusterStatus, Reason>")]
pub struct AskStatus;

/// The answer to [`AskStatus`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// The published primary.
    pub primary: Option<NodeAddr>,
    /// Replicas that are online.
    pub replicas: Vec<NodeAddr>,
    /// As [`Answer::deadline`].
    pub deadline: Option<Moment>,
    /// It is not vouched for by a lease, but by the consent of all keepers (RK-8).
    pub consented: bool,
}

/// Anyone → `ClusterActor`: all that it knows and means to do, for display.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "ClusterView")]
pub struct InspectCluster;

/// One cluster as this keeper sees it, for display.
#[derive(Debug, Clone, MessageResponse)]
pub struct ClusterView {
    /// Its name.
    pub name: ClusterName,
    /// When this was seen.
    pub now: Moment,
    /// Until when this keeper vouches for the state.
    pub lease: Lease,
    /// The published state, if one was read.
    pub published: Option<Published>,
    /// Version of its node in ZooKeeper.
    pub version: Option<i32>,
    /// Keepers online.
    pub keepers: BTreeSet<KeeperId>,
    /// The epoch this keeper leads with, if it does.
    pub leading: Option<Epoch>,
    /// `is-writable` answers "yes" for a node at this moment.
    pub writable: bool,
    /// What the plan is, in words: the next action, or why there is none.
    pub plan: String,
    /// Why something is left undone, if this keeper is the one to do it.
    pub held: BTreeSet<HoldKind>,
    /// The nodes, in the order of their configuration.
    pub nodes: Vec<NodeView>,
    /// Where the files of keepers online differ: the nodes of this cluster that each of them lacks.
    pub differences: BTreeMap<String, Vec<String>>,
    /// HAProxies that asked this keeper lately whether a node is writable.
    pub proxies: Vec<ProxyView>,
    /// Other groups of keepers that look after the cluster (RK-12).
    pub other_groups: Vec<OtherGroup>,
    /// Names of other groups' keepers that this keeper met at its nodes, and that do not lead to them.
    pub astray: Vec<Astray>,
}

/// What one HAProxy said of one node last, to this keeper, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyView {
    /// Which.
    pub proxy: Proxy,
    /// The node.
    pub node: NodeAddr,
    /// It sends clients to the node.
    pub up: bool,
    /// When it said so.
    pub at: Moment,
    /// The other node that its server bears the name of, if it does: it is answered no.
    pub named: Option<NodeAddr>,
}

/// Anyone → `ClusterActor`: what is being done, and what if the primary died now?
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Explanation")]
pub struct ExplainCluster;

/// Anyone → `ClusterActor`: what is known of one node, for display. `None` if the cluster does not have it.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Option<NodeView>")]
pub struct InspectNode(pub NodeAddr);

/// One node as this keeper's `ClusterActor` sees it, for display.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// The node.
    pub node: NodeAddr,
    /// When this was seen.
    pub now: Moment,
    /// What its monitor saw last.
    pub sighting: Sighting,
    /// The votes of all online keepers, counted.
    pub verdict: Verdict,
    /// Each vote against it.
    pub votes: BTreeMap<KeeperId, DownReason>,
    /// What `is-writable` answers at this moment.
    pub writable: Reason,
    /// What `is-readable` answers at this moment.
    pub readable: Reason,
    /// Bytes of replication stream that it has produced or applied; `None` if that was never read.
    pub offset: Option<u64>,
    /// Bytes that it, a replica, is behind its primary, by that one's own answer; `None` if that is not known.
    pub lag_bytes: Option<u64>,
    /// Whole seconds since that primary heard from it, by the same answer; `None` if that is not known.
    pub lag_seconds: Option<u64>,
    /// How long ago its facts were read; `None` if they never were.
    pub age: Option<Duration>,
}

impl NodeView {
    /// Whether it is online: reachable, and not loading.
    pub fn online(&self) -> bool {
        let facts = self.sighting.proven();
        let serves = facts.is_some_and(|facts| !facts.loading);
        serves && self.sighting.vote.is_none() && !self.verdict.down()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(server_name: Option<&str>, address: Option<(&str, u16)>) -> Option<String> {
        let nodes = [
            (NodeAddr::new("10.0.0.1", 6379), BTreeSet::new()),
            (
                NodeAddr::new("redis-2", 6379),
                BTreeSet::from(["10.0.0.2".parse().unwrap()]),
            ),
            (NodeAddr::new("::1", 6379), BTreeSet::new()),
        ];
        let named = NodeRef {
            server_name: server_name.map(str::to_owned),
            address: address.map(|(host, port)| (host.to_owned(), port)),
            leads_to: None,
        };
        let found = named.find(nodes.iter().map(|(node, resolved)| (node, resolved)));
        found.map(ToString::to_string)
    }

    #[test]
    fn a_node_is_found_by_name_before_address() {
        assert_eq!(
            find(Some("10.0.0.1:6379"), Some(("10.0.0.2", 6379))).as_deref(),
            Some("10.0.0.1:6379")
        );
        assert_eq!(
            find(Some("[::1]:6379"), None).as_deref(),
            Some("[::1]:6379")
        );
    }

    #[test]
    fn an_address_of_two_names_is_that_of_the_one_with_fewer_addresses() {
        let ips = |ips: &[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect();
        let nodes: [(NodeAddr, BTreeSet<IpAddr>); 2] = [
            (
                NodeAddr::new("redis-1", 6379),
                ips(&["10.0.0.1", "10.0.0.2"]),
            ),
            (NodeAddr::new("redis-2", 6379), ips(&["10.0.0.2"])),
        ];
        let find = |host: &str| {
            let asked = NodeRef {
                server_name: None,
                address: Some((host.to_owned(), 6379)),
                leads_to: None,
            };
            let found = asked.find(nodes.iter().map(|(node, resolved)| (node, resolved)));
            found.map(|node| node.host().to_owned())
        };
        assert_eq!(find("10.0.0.2").as_deref(), Some("redis-2"));
        assert_eq!(find("10.0.0.1").as_deref(), Some("redis-1"));
        assert_eq!(find("10.0.0.3"), None);
    }

    #[test]
    fn an_address_is_the_same_however_it_is_written() {
        let found = find(None, Some(("::ffff:10.0.0.1", 6379)));
        assert_eq!(found.as_deref(), Some("10.0.0.1:6379"));
        let nothing = BTreeSet::new();
        let mapped = NodeAddr::new("::ffff:10.0.0.9", 6379);
        let asked = NodeRef {
            server_name: Some("10.0.0.9:6379".to_owned()),
            address: Some(("10.0.0.9".to_owned(), 6379)),
            leads_to: None,
        };
        let nodes = [(&mapped, &nothing)];
        assert_eq!(asked.find(nodes.into_iter()), Some(&mapped));
    }

    #[test]
    fn a_node_with_another_name_is_found_by_address_and_port() {
        assert_eq!(
            find(Some("first"), Some(("10.0.0.1", 6379))).as_deref(),
            Some("10.0.0.1:6379")
        );
        assert_eq!(
            find(None, Some(("::1", 6379))).as_deref(),
            Some("[::1]:6379")
        );
    }

    #[test]
    fn a_node_configured_by_host_name_is_found_by_what_that_resolves_to() {
        assert_eq!(
            find(Some("second"), Some(("10.0.0.2", 6379))).as_deref(),
            Some("redis-2:6379")
        );
    }

    #[test]
    fn a_name_that_is_the_address_of_a_node_configured_by_host_name_finds_it() {
        let found = find(Some("10.0.0.2:6379"), None);
        assert_eq!(found.as_deref(), Some("redis-2:6379"));
        assert_eq!(find(Some("10.0.0.2:6380"), None), None);
    }

    #[test]
    fn neither_name_nor_address_finds_nothing() {
        assert_eq!(find(Some("10.0.0.1"), None), None);
        assert_eq!(find(None, Some(("10.0.0.1", 6380))), None);
        assert_eq!(find(Some("x"), Some(("10.0.0.9", 6379))), None);
        assert_eq!(find(None, None), None);
    }
}
