//! Nodes that copy a server that is no node of the cluster. Every keeper logs them: the leader's plan may leave them
//! as they are, and an operator may look at the log of any keeper.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::addresses::{Identity, identity};
use crate::domain::facts::{Link, NodeFacts, Upstream};
use crate::domain::node::{Moment, NodeAddr};
use crate::domain::observed::{Observed, Topology, Unlisted};

/// How long a node has followed the same server before that is logged. A new replica is repointed sooner.
const SETTLES: Duration = Duration::from_secs(2);

/// A node that follows a server outside the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideStream {
    /// The node.
    pub node: NodeAddr,
    /// The server, as the node names it.
    pub server: NodeAddr,
    /// What the node is.
    pub kind: OutsideStreamKind,
}

/// The cases that a keeper tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutsideStreamKind {
    /// The published primary follows the server.
    Primary,
    /// A replica is linked to the server.
    Replica,
    /// A replica names a node of the cluster, and is linked to another server of that name or address.
    Misled,
}

/// The state behind the logged streams.
#[derive(Debug, Default)]
pub struct OutsideStreams {
    /// Each node with its stream, since when it was seen, and whether it was told.
    seen: BTreeMap<NodeAddr, (OutsideStream, Moment, bool)>,
    again: Option<Moment>,
}

impl OutsideStreams {
    /// When to look again even if nothing happens meanwhile.
    pub fn again(&self) -> Option<Moment> {
        self.again
    }

    /// The streams that are news now: each one once, as long as it lasts. A node that does not answer keeps its stream.
    pub fn look(&mut self, observed: &Observed, now: Moment) -> Vec<OutsideStream> {
        self.again = None;
        let observed = &*observed.through_others();
        self.seen
            .retain(|addr, _| observed.nodes.contains_key(addr));
        let mut news = Vec::new();
        let topology = Topology::of(observed);
        for (addr, node) in &observed.nodes {
            let Some(facts) = node.observation.named() else {
                continue;
            };
            let Some(stream) = stream(&topology, addr, facts) else {
                self.seen.remove(addr);
                continue;
            };
            let seen = self.seen.get(addr).filter(|(seen, ..)| *seen == stream);
            let (since, told) = seen.map_or((now, false), |(_, since, told)| (*since, *told));
            let due = since.after(SETTLES);
            if !told && now < due {
                self.again = self.again.into_iter().chain([due]).min();
            } else if !told {
                news.push(stream.clone());
            }
            self.seen
                .insert(addr.clone(), (stream, since, told || now >= due));
        }
        news
    }
}

/// The stream of the node at `addr`, if its server is no node of the cluster.
fn stream(topology: &Topology<'_>, addr: &NodeAddr, facts: &NodeFacts) -> Option<OutsideStream> {
    let upstream = facts.upstream()?;
    if topology.upstream_of(addr).is_some() {
        return None;
    }
    let observed = topology.observed();
    let published = observed.published.as_ref();
    let kind = if published.is_some_and(|it| it.primary.as_ref() == Some(addr)) {
        OutsideStreamKind::Primary
    } else if observed.is_astray_by_itself(addr) {
        OutsideStreamKind::Misled
    } else {
        OutsideStreamKind::Replica
    };
    let copies = kind == OutsideStreamKind::Primary || upstream.link == Link::Up;
    let inside = kind != OutsideStreamKind::Misled && may_be_published(observed, addr, upstream);
    (copies && !inside).then(|| OutsideStream {
        node: addr.clone(),
        server: upstream.primary.clone(),
        kind,
    })
}

/// Whether the node at `addr` may follow a published node that this keeper's file lacks.
fn may_be_published(observed: &Observed, addr: &NodeAddr, upstream: &Upstream) -> bool {
    let node = observed.nodes.get(addr);
    let addresses = node.map(|node| &node.observation.upstream_addresses);
    let is_it = |(unlisted, it): (&NodeAddr, &Unlisted)| {
        let followed = addresses.map(|addresses| (&upstream.primary, addresses));
        let identity = followed.map(|followed| identity((unlisted, &it.addresses), followed));
        identity.is_some_and(|it| it != Identity::Different)
    };
    observed.unlisted.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::tests::builder::{Cluster, NOW, addr, cluster};

    fn trio() -> Cluster {
        let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
        cluster.published("a")
    }

    fn later(ms: u64) -> Moment {
        NOW.after(Duration::from_millis(ms))
    }

    fn news(cluster: &Cluster) -> Vec<OutsideStream> {
        let mut streams = OutsideStreams::default();
        assert_eq!(streams.look(&cluster.observed, NOW), []);
        streams.look(&cluster.observed, later(2_000))
    }

    fn told(name: &str, server: &str, kind: OutsideStreamKind) -> OutsideStream {
        OutsideStream {
            node: addr(name),
            server: addr(server),
            kind,
        }
    }

    #[test]
    fn a_replica_that_streams_from_a_stranger_is_told_once_after_two_seconds() {
        let mut streams = OutsideStreams::default();
        let astray = trio().replica("b", "x").observed;
        assert_eq!(streams.look(&astray, NOW), []);
        assert_eq!(streams.again(), Some(later(2_000)));
        let expected = [told("b", "x", OutsideStreamKind::Replica)];
        assert_eq!(streams.look(&astray, later(2_000)), expected);
        assert_eq!(streams.look(&astray, later(60_000)), []);
        assert_eq!(streams.again(), None);
        let silent = trio().replica("b", "x").silent("b").observed;
        assert_eq!(streams.look(&silent, later(61_000)), []);
        assert_eq!(streams.look(&astray, later(64_000)), [], "the same");
        assert_eq!(streams.look(&trio().observed, later(65_000)), []);
        assert_eq!(streams.look(&astray, later(66_000)), [], "anew");
        assert_eq!(streams.look(&astray, later(68_000)), expected);
    }

    #[test]
    fn a_published_primary_that_follows_a_stranger_is_told_even_without_a_link() {
        let cluster = trio().replica("a", "x").unlinked("a");
        let expected = [told("a", "x", OutsideStreamKind::Primary)];
        assert_eq!(news(&cluster), expected);
    }

    #[test]
    fn a_replica_of_a_node_or_without_a_link_is_no_news() {
        assert_eq!(news(&trio().replica("b", "c")), []);
        assert_eq!(news(&trio().replica("b", "x").unlinked("b")), []);
    }

    #[test]
    fn a_published_node_that_this_keepers_file_lacks_is_no_stranger() {
        let mut cluster = trio().replica("b", "x");
        let unlisted = Unlisted::default();
        cluster.observed.unlisted.insert(addr("x"), unlisted);
        assert_eq!(news(&cluster), []);
    }
}
