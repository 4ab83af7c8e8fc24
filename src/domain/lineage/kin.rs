//! Histories that go on from the cluster's, as one keeper has seen.
//!
//! A promotion, and some starts, begin a new history, and a server names only the one before it: of two in a row the second
//! shows nothing to those who have not seen the first. So a keeper remembers what it has seen, also while nobody can write it
//! down: operators who move the primary by hand while `ZooKeeper` is away leave no other trace.

use std::collections::BTreeMap;

use crate::domain::facts::{Link, NodeFacts};
use crate::domain::lineage::{generation_of, held};
use crate::domain::node::NodeAddr;
use crate::domain::observed::{Observed, ObservedNode};
use crate::domain::published::Published;

/// What one keeper remembers, of each node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kin(BTreeMap<NodeAddr, Vec<Known>>);

/// A history.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    id: String,
    /// Where it comes from; `None` of a history that was begun in the cluster's place, without any of its data.
    origin: Option<Origin>,
}

/// How much of the cluster's data a history goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::domain) struct Origin {
    /// A history of the lineage.
    id: String,
    /// Bytes of it.
    extent: u64,
}

/// How many histories of a node are remembered.
const KEPT: usize = 8;

impl Kin {
    /// Whether one of the node's histories goes on from the cluster's, or was begun there in its place.
    pub(in crate::domain) fn contains(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
        let mut known = self.0.get(addr).into_iter().flatten();
        known.any(|known| facts.histories().any(|own| own == known.id))
            || self.origin(facts).is_some()
    }

    /// What the node's data go on from, whichever node was seen with that history.
    fn origin(&self, facts: &NodeFacts) -> Option<&Origin> {
        let known = |id: &str| {
            let mut all = self.0.values().flatten();
            all.find_map(|known| known.origin.as_ref().filter(|_| known.id == id))
        };
        facts.histories().find_map(known)
    }

    /// Remembers the present history of a node if it goes on from one that is the cluster's, or is begun in its place.
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
            known.push(Known { id, origin });
            let old = known.len().saturating_sub(KEPT);
            known.drain(..old);
        }
    }
}

/// The published process itself, linked as a replica: it has thrown its own data away for those that it follows now. Whoever
/// did that has moved the primary.
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

impl Observed {
    /// What nodes go on from whose facts name no history of the lineage, as this keeper has seen.
    pub(in crate::domain) fn traces(&self) -> BTreeMap<NodeAddr, Origin> {
        let lineage = self.published.as_ref().map(|it| &it.lineage);
        let trace = |(addr, node): (&NodeAddr, &ObservedNode)| {
            let facts = node.sighting.facts.as_ref()?;
            let unknown = generation_of(facts, lineage?).is_none();
            let origin = self.witness.kin.origin(facts).filter(|_| unknown)?;
            Some((addr.clone(), origin.clone()))
        };
        self.nodes.iter().filter_map(trace).collect()
    }
}

impl NodeFacts {
    /// Names the history that the node's data go on from, as it would if it remembered more than one.
    pub(in crate::domain) fn trace_to(&mut self, origin: Origin) {
        self.previous_replication_id = Some(origin.id);
        self.previous_offset = Some(origin.extent);
    }
}
