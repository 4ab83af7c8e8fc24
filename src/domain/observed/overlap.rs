//! Which nodes belong to this cluster, if another published cluster of the group has some of them.

use std::collections::BTreeSet;

use super::Observed;
use crate::domain::claims::{Overlap, OverlapRole};
use crate::domain::node::{ClusterName, NodeAddr};
use crate::domain::published::Published;

impl Observed {
    /// Whether the cluster was published: it has a primary, or a withdrawn one is being replaced.
    pub(in crate::domain) fn is_published(&self) -> bool {
        self.published.as_ref().is_some_and(Published::is_begun)
    }

    /// The nodes of the other cluster with which this cluster is published, too.
    fn shared<'a>(&'a self, overlap: &'a Overlap) -> BTreeSet<&'a NodeAddr> {
        let own = self.published.iter();
        let own: BTreeSet<&NodeAddr> = own.flat_map(|it| it.mentioned().chain(&it.known)).collect();
        let nodes = overlap.nodes.iter();
        nodes.filter(|node| own.contains(node)).collect()
    }

    /// Whether both clusters are published with the primary of one of them.
    fn at_heart(&self, overlap: &Overlap) -> bool {
        let own = self.published.iter();
        let replaced = |it: &super::Published| {
            let intent = it.intent.clone();
            intent.into_iter().flat_map(|it| [it.old, it.candidate])
        };
        let first = own.flat_map(|it| replaced(it).chain([it.primary.clone()]));
        let first: BTreeSet<NodeAddr> = first.flatten().chain(overlap.primary.clone()).collect();
        let shared = self.shared(overlap);
        let primaries = shared.iter().any(|node| first.contains(*node));
        primaries || (overlap.primary.is_none() && !shared.is_empty())
    }

    /// How this cluster is affected by another published one that has nodes of it.
    pub(in crate::domain) fn part(&self, overlap: &Overlap) -> OverlapRole {
        let yields = overlap.managed;
        if !self.is_published() {
            let heir = !yields && overlap.primary.is_some();
            if heir {
                OverlapRole::Heir
            } else {
                OverlapRole::Unpublished
            }
        } else if self.at_heart(overlap) {
            if yields {
                OverlapRole::Held
            } else {
                OverlapRole::Managed
            }
        } else if yields || self.shared(overlap).len() < overlap.nodes.len() {
            OverlapRole::Without
        } else {
            OverlapRole::Managed
        }
    }

    /// Nodes of this keeper's file that belong to another published cluster.
    pub(super) fn foreign(&self) -> BTreeSet<NodeAddr> {
        let mut foreign = BTreeSet::new();
        let overlaps = self
            .clusters
            .overlaps
            .iter()
            .filter(|_| self.is_published());
        for overlap in overlaps {
            let all = overlap.managed && !self.at_heart(overlap);
            let shared = self.shared(overlap);
            let theirs = overlap.nodes.iter();
            foreign.extend(theirs.filter(|it| all || !shared.contains(it)).cloned());
        }
        foreign
    }

    /// The cluster, changed after this one, that forbids writes to this one's primary `addr`: no two nodes of one
    /// cluster are writable. One of these holds:
    /// - The other cluster has the node, and does not publish it as its primary now.
    /// - The other cluster's primary is a node of this cluster, too, and does not say that it is a replica.
    pub(in crate::domain) fn contradicted(&self, addr: &NodeAddr) -> Option<&ClusterName> {
        let replica = |node: &NodeAddr| self.online(node).is_some_and(|it| !it.is_primary());
        let gainsays = |overlap: &&Overlap| {
            let primary = overlap.primary.as_ref();
            let same = primary == Some(addr);
            let has = overlap.nodes.contains(addr);
            let shared = || primary.filter(|it| self.shared(overlap).contains(it));
            overlap.newer && !same && (has || shared().is_some_and(|it| !replica(it)))
        };
        self.clusters
            .overlaps
            .iter()
            .find(gainsays)
            .map(|it| &it.cluster)
    }

    /// The cluster, changed after this one, whose primary is `addr`: this cluster must not deny that.
    pub(in crate::domain) fn proclaimed(&self, addr: &NodeAddr) -> Option<&ClusterName> {
        let mut others = self
            .clusters
            .overlaps
            .iter()
            .filter(|overlap| overlap.newer);
        let other = others.find(|overlap| overlap.primary.as_ref() == Some(addr))?;
        Some(&other.cluster)
    }
}
