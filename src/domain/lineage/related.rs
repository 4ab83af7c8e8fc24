//! Histories that continue the cluster's, as one keeper has seen them.
//!
//! A promotion, and some starts, begin a new history, and a server names only the history before. After two in a row,
//! a keeper that missed the first cannot see the relation any more. So a keeper remembers what it has seen, even
//! while no keeper can write to ZooKeeper. Operators who move the primary by hand during such an outage leave no
//! other trace.

use std::collections::BTreeMap;

use crate::domain::facts::{Link, NodeFacts};
use crate::domain::lineage::held;
use crate::domain::node::NodeAddr;
use crate::domain::published::Published;

/// The histories that one keeper remembers, for each node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelatedHistories(BTreeMap<NodeAddr, Vec<RelatedHistory>>);

/// A remembered history.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RelatedHistory {
    id: String,
    /// The origin of the history; `None` if it was begun in the cluster's place, without any of the cluster's data.
    origin: Option<Origin>,
}

/// The part of the cluster's data that a history continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::domain) struct Origin {
    /// A history of the lineage.
    id: String,
    /// How many bytes of it.
    extent: u64,
}

/// How many histories of a node are remembered.
const KEPT: usize = 8;

impl RelatedHistories {
    /// Whether one of the node's histories continues the cluster's, or was begun at this node in its place.
    pub(in crate::domain) fn contains(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
        let mut known = self.0.get(addr).into_iter().flatten();
        known.any(|known| facts.histories().any(|own| own == known.id))
            || self.origin(facts).is_some()
    }

    /// The origin of the node's data, whichever node was seen with that history.
    pub(in crate::domain) fn origin(&self, facts: &NodeFacts) -> Option<&Origin> {
        let known = |id: &str| {
            let mut all = self.0.values().flatten();
            all.find_map(|known| known.origin.as_ref().filter(|_| known.id == id))
        };
        facts.histories().find_map(known)
    }

    /// Remembers the present history of a node if it continues the cluster's, or was begun in its place.
    pub(in crate::domain) fn look(
        &mut self,
        published: &Published,
        addr: &NodeAddr,
        facts: &NodeFacts,
    ) {
        let origin = match held(facts, &published.lineage) {
            Some((generation, extent)) => Some(Origin {
                id: published.lineage[generation].clone(),
                extent,
            }),
            None => self
                .origin(facts)
                .cloned()
                .or_else(|| led_away(published, facts)),
        };
        let begun = || {
            let empty = facts.keys == 0 && published.primary.as_ref() == Some(addr);
            let related = published.is_related(addr, facts) || self.contains(addr, facts);
            facts.is_primary() && (empty || related)
        };
        if origin.is_none() && !begun() {
            return;
        }
        let known = self.0.entry(addr.clone()).or_default();
        if known.last().map(|last| &last.id) != Some(&facts.replication_id) {
            known.retain(|known| known.id != facts.replication_id);
            let id = facts.replication_id.clone();
            known.push(RelatedHistory { id, origin });
            let old = known.len().saturating_sub(KEPT);
            known.drain(..old);
        }
    }
}

/// The origin of the published process once it is linked as a replica. The process has thrown its own data away for
/// those that it follows, so somebody has moved the primary.
fn led_away(published: &Published, facts: &NodeFacts) -> Option<Origin> {
    let upstream = facts.upstream()?;
    let linked = upstream.link == Link::Up && !upstream.syncing && !facts.loading;
    let same = published.process() == Some(facts.run_id.as_str());
    let id = published.lineage.first()?.clone();
    (same && linked).then_some(Origin {
        id,
        extent: facts.offset,
    })
}

impl NodeFacts {
    /// Names `origin` as the node's history before, as the node would if it remembered more than one.
    pub(in crate::domain) fn trace_to(&mut self, origin: Origin) {
        self.previous_replication_id = Some(origin.id);
        self.previous_offset = Some(origin.extent);
    }
}
