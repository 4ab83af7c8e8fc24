//! The questions of HTTP to a `ClusterActor`, and the answers. No answer waits for Redis or ZooKeeper.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix::{Message, MessageResponse};

use crate::domain::addresses::known_addresses;
use crate::domain::drain::Proxy;
use crate::domain::explain::Explanation;
use crate::domain::group::OtherGroup;
use crate::domain::lease::Lease;
use crate::domain::liveness::DownReason;
use crate::domain::node::{ClusterName, Epoch, Generation, KeeperId, Moment, NodeAddr};
use crate::domain::observation::NodeObservation;
use crate::domain::plan::HoldKind;
use crate::domain::published::Published;
use crate::domain::rivals::Astray;
pub use crate::domain::serving::{Reason, Ruling};
use crate::domain::verdict::Verdict;

pub use self::contradiction::Contradiction;

mod contradiction;

/// HTTP → `ClusterActor`: may this node be written to, or read from?
#[derive(Debug, Clone, Message)]
#[rtype(result = "CheckAnswer")]
pub struct RunCheck {
    /// The question.
    pub question: Question,
    /// The node that is meant. Shared, because a question to an actor that was just restarting is sent again.
    pub node: Arc<NodeRef>,
    /// The HAProxy that asks whether the node is writable, and acts on the answer; `None` where nothing depends on
    /// that.
    pub proxy_check: Option<Arc<ProxyCheck>>,
}

/// The sender of a check of `is-writable` (RK-10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyCheck {
    /// A HAProxy that names itself in the check.
    Proxy {
        /// The name of the HAProxy.
        proxy: Proxy,
        /// How the HAProxy sees the node at the moment of the check.
        state: ProxyState,
    },
    /// A HAProxy that does not name itself. Unnamed HAProxies cannot be told apart, so no DOWN of theirs counts.
    Unnamed,
}

/// How a HAProxy sees a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyState {
    /// The HAProxy may send clients to the node.
    Up,
    /// The HAProxy sends no client to the node.
    Down,
}

/// The questions about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Is it the primary?
    Writable,
    /// Is it the primary, or a replica fit to be read from?
    Readable,
}

/// A node, as a check names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeRef {
    /// The name of the server in HAProxy's configuration: usually the node's `host:port`.
    pub server_name: Option<String>,
    /// The address of the server: host name or IP literal without brackets, and port.
    pub address: Option<(String, u16)>,
    /// Where clients are sent, if the check names the node in another way: this address does not choose the node.
    pub leads_to: Option<(String, u16)>,
}

impl NodeRef {
    /// Finds the node that is meant. `nodes` pairs each node with the addresses that its host name resolves to.
    ///
    /// The first of these that exists is the node:
    /// - the node whose configured address equals the server name;
    /// - the node at the check's address, as configured or as its host name resolves;
    /// - the node at the address that the server name says.
    pub fn find<'a>(
        &self,
        nodes: impl Iterator<Item = (&'a NodeAddr, &'a BTreeSet<IpAddr>)> + Clone,
    ) -> Option<&'a NodeAddr> {
        self.by_name(nodes.clone())
            .or_else(|| self.by_address(nodes.clone()))
            .or_else(|| self.name_as_address()?.by_address(nodes))
    }

    /// The server name, read as an address.
    fn name_as_address(&self) -> Option<Self> {
        let named: NodeAddr = self.server_name.as_deref()?.parse().ok()?;
        Some(Self {
            server_name: None,
            address: Some((named.host().to_owned(), named.port())),
            leads_to: None,
        })
    }

    /// The address of the node, if the check gives an IP literal and not a name.
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
        // A host name with several addresses may have an address of another node by mistake: the name with the fewest
        // addresses wins.
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

/// The answer to [`RunCheck`].
#[derive(Debug, Clone, PartialEq, Eq, MessageResponse)]
pub struct CheckAnswer {
    /// The reason, which decides the [ruling](Reason::ruling).
    pub reason: Reason,
    /// The node that is meant, as it is configured.
    pub node: Option<NodeAddr>,
    /// The generation from which the answer was made; `None` before any state was read.
    pub generation: Option<Generation>,
    /// The answer holds strictly before this moment (RK-3). So the HTTP handler can test the moment again before it
    /// sends the answer.
    ///
    /// `None` if no deadline applies: the answer is "unknown" or "no such node".
    pub deadline: Option<Moment>,
    /// Whether the consent of all keepers vouches for the answer, and not a lease (RK-8).
    pub consented: bool,
}

impl CheckAnswer {
    /// An answer that contains only a reason.
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

/// HTTP → `ClusterActor`: which node is the primary, and which replicas are online? `Err` says why that is unknown.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<ClusterStatus, Reason>")]
pub struct AskStatus;

/// The answer to [`AskStatus`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// The published primary, if it is writable.
    pub primary: Option<NodeAddr>,
    /// Replicas that are online.
    pub replicas: Vec<NodeAddr>,
    /// Until when the answer holds, as [`CheckAnswer::deadline`].
    pub deadline: Option<Moment>,
    /// Whether the consent of all keepers vouches for the answer, and not a lease (RK-8).
    pub consented: bool,
}

/// Anyone → `ClusterActor`: everything that it knows and plans, for display.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "ClusterView")]
pub struct InspectCluster;

/// One cluster as this keeper sees it, for display.
#[derive(Debug, Clone, MessageResponse)]
pub struct ClusterView {
    /// The name of the cluster.
    pub name: ClusterName,
    /// When this view was made.
    pub now: Moment,
    /// Until when this keeper vouches for the state.
    pub lease: Lease,
    /// The published state, if one was read.
    pub published: Option<Published>,
    /// The version of the published state's node in ZooKeeper.
    pub version: Option<i32>,
    /// Keepers online.
    pub keepers: BTreeSet<KeeperId>,
    /// The epoch this keeper leads with, if it does.
    pub leading: Option<Epoch>,
    /// Whether `is-writable` answers "yes" for any node at this moment.
    pub writable: bool,
    /// The plan in words: the next action, or why there is none.
    pub plan: String,
    /// The reasons for everything that is left undone, if this keeper leads.
    pub held: BTreeSet<HoldKind>,
    /// The nodes, sorted by address.
    pub nodes: Vec<NodeView>,
    /// The nodes of this cluster that the file of each keeper online lacks.
    pub differences: BTreeMap<String, Vec<String>>,
    /// HAProxies that asked this keeper lately whether a node is writable.
    pub proxies: Vec<ProxyView>,
    /// Other groups of keepers that look after the cluster (RK-12).
    pub other_groups: Vec<OtherGroup>,
    /// Names of other groups' keepers that this keeper met at its nodes, and that lead elsewhere.
    pub astray: Vec<Astray>,
}

/// The last state that one HAProxy reported of one node to this keeper, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyView {
    /// The HAProxy.
    pub proxy: Proxy,
    /// The node.
    pub node: NodeAddr,
    /// How the HAProxy saw the node.
    pub state: ProxyState,
    /// When the HAProxy reported this.
    pub at: Moment,
    /// The other node after which HAProxy names its server, if any. The answer to such a check is "no".
    pub named: Option<NodeAddr>,
}

/// Anyone → `ClusterActor`: what is being done, and what would happen if the primary died now?
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Explanation")]
pub struct ExplainCluster;

/// Anyone → `ClusterActor`: the knowledge of one node, for display. `None` if the cluster does not have the node.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Option<NodeView>")]
pub struct InspectNode(pub NodeAddr);

/// One node as this keeper's `ClusterActor` sees it, for display.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// The node.
    pub node: NodeAddr,
    /// When this view was made.
    pub now: Moment,
    /// The last observation of its monitor.
    pub observation: NodeObservation,
    /// The votes of all online keepers, counted.
    pub verdict: Verdict,
    /// The votes against the node, by keeper.
    pub votes: BTreeMap<KeeperId, DownReason>,
    /// The answer to `is-writable` at this moment.
    pub writable: Reason,
    /// The answer to `is-readable` at this moment.
    pub readable: Reason,
    /// The replication offset in bytes, produced or applied; `None` if it was never read.
    pub offset: Option<u64>,
    /// How many bytes this replica is behind, by its primary's answer; `None` if that is not known.
    pub lag_bytes: Option<u64>,
    /// Whole seconds since the primary heard from this replica, by the same answer; `None` if that is not known.
    pub lag_seconds: Option<u64>,
    /// How long ago the facts were read; `None` if they never were.
    pub age: Option<Duration>,
}

impl NodeView {
    /// Whether the node is online. All must hold:
    /// - the facts are proven, and the server is not loading;
    /// - this keeper does not vote the node down;
    /// - no majority holds it down.
    pub fn online(&self) -> bool {
        let facts = self.observation.proven();
        let serves = facts.is_some_and(|facts| !facts.loading);
        serves && self.observation.vote.is_none() && !self.verdict.down()
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
