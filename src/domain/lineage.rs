//! Histories of the data: how far back a node's data are the cluster's, and what another process at the published address
//! holds of them (RK-7).
//!
//! A process is known by its run id, data by replication ids. An address tells neither.

use std::collections::BTreeMap;

use super::facts::{Family, NodeFacts, Version};
use super::node::NodeAddr;
use super::observed::{Observed, ObservedNode};
use super::published::{Deposed, Published};

/// The first version that dumps its history, so that its next process still names it. Neither an append-only file nor the
/// dump of an older version does: <https://github.com/redis/redis/blob/7.0/00-RELEASENOTES>.
const DUMPS_ITS_HISTORY: Version = Version {
    major: 7,
    minor: 0,
    patch: 0,
};

/// How many promotions back the node's data history lies in the lineage: 0 is the present one, `None` another data set.
pub(super) fn generation_of(facts: &NodeFacts, lineage: &[String]) -> Option<usize> {
    lineage
        .iter()
        .position(|id| facts.histories().any(|own| own == id))
}

/// Bytes of the history `id` that the node holds.
pub(super) fn extent(facts: &NodeFacts, id: &str) -> Option<u64> {
    let previous = facts.previous_replication_id.as_deref();
    if facts.replication_id == id {
        Some(facts.offset)
    } else if previous == Some(id) {
        let end = facts.previous_offset.unwrap_or(facts.offset);
        Some(end.min(facts.offset))
    } else {
        None
    }
}

/// What the node holds of the lineage: how many promotions back, and how many bytes of that history. What was written to it after it
/// left the lineage counts for nothing.
///
/// Source: `second_repl_offset` in <https://redis.io/docs/latest/commands/info/>.
pub(super) fn held(facts: &NodeFacts, lineage: &[String]) -> Option<(usize, u64)> {
    let generation = generation_of(facts, lineage)?;
    Some((generation, extent(facts, &lineage[generation])?))
}

/// Whether `primary` began a new history with less data than `other` holds of the `lineage` published before: it was
/// reborn empty, or from an old dump (RK-7). A new history alone tells no loss: a primary also begins one when it has
/// had no replica for long. `process` is the one that was published, if that is known.
///
/// What another process wrote after it left the lineage makes up for nothing that it lacks of it.
pub(super) fn lost_against(
    primary: &NodeFacts,
    other: &NodeFacts,
    lineage: &[String],
    process: Option<&str>,
) -> bool {
    let Some((theirs, kept)) = held(other, lineage) else {
        return false;
    };
    let reborn = lineage.first() != Some(&primary.replication_id);
    if !reborn || primary.replication_id == other.replication_id {
        return false;
    }
    let behind = match generation_of(primary, lineage) {
        Some(own) if process != Some(&primary.run_id) => {
            own > theirs || own == theirs && Some(kept) > extent(primary, &lineage[own])
        }
        // Only offsets of the newest history can be compared with the primary's.
        _ => theirs == 0 && kept > primary.offset,
    };
    let emptied = primary.keys == 0 && other.keys > 0 && kept >= primary.offset;
    behind || emptied
}

impl NodeFacts {
    /// Whether the server, when it is started again, cannot name the history that its data are of.
    pub(super) fn starts_without_history(&self) -> bool {
        self.append_only || self.family == Family::Redis && self.version < DUMPS_ITS_HISTORY
    }
}

impl Deposed {
    /// Whether these facts are of the same process, or of one that went on from what it left on disk.
    fn is(&self, facts: &NodeFacts) -> bool {
        let known = |id: &str| self.histories.iter().any(|history| history == id);
        self.run_id.as_ref() == Some(&facts.run_id) || facts.histories().any(known)
    }
}

impl Observed {
    /// Which server process answers at each node, as a plan made now sees it.
    pub fn run_ids(&self) -> BTreeMap<NodeAddr, String> {
        let known = |(addr, node): (&NodeAddr, &ObservedNode)| {
            let run_id = &node.sighting.named().or(node.last_known())?.run_id;
            Some((addr.clone(), run_id.clone()))
        };
        self.nodes.iter().filter_map(known).collect()
    }
}

impl Published {
    /// The process that is published, or was last, if that is known.
    pub fn process(&self) -> Option<&str> {
        let withdrawn = || self.intent.as_ref()?.old_run_id.as_deref();
        self.run_id.as_deref().or_else(withdrawn)
    }

    /// Whether these facts, of a primary at the published address, are of another process whose data are none of the
    /// cluster's, as far as it can show (RK-7).
    pub fn is_stranger(&self, facts: &NodeFacts) -> bool {
        let another = self.process().is_some_and(|known| known != facts.run_id);
        another && generation_of(facts, &self.lineage).is_none()
    }

    /// Whether these facts, of a node at the published address, are of another process, which is a replica or a stranger: the
    /// published one has been replaced, or the address leads elsewhere from here.
    pub fn is_replaced_by(&self, facts: &NodeFacts) -> bool {
        let another = self.process().is_some_and(|known| known != facts.run_id);
        another && (!facts.is_primary() || self.is_stranger(facts))
    }

    /// What is to be remembered of a primary that is withdrawn and said this last. Another process there is the cluster's if
    /// it has some of its history, or if it came up empty, as `kin` remembers: all that it has later was meant for the cluster.
    pub(super) fn deposing(&self, old: &NodeAddr, last: Option<&NodeFacts>, kin: &Kin) -> Deposed {
        let ours = |facts: &&NodeFacts| {
            !self.is_stranger(facts) || facts.keys == 0 || kin.contains(old, facts)
        };
        let mut deposed = Deposed {
            run_id: self.process().map(str::to_owned),
            histories: Vec::new(),
        };
        if let Some(facts) = last.filter(ours) {
            deposed.is_now(&facts.run_id, facts.histories());
        }
        deposed
    }

    /// Keeps up with primaries that were withdrawn and are seen again before they follow.
    pub(super) fn recognise(&mut self, observed: &Observed) {
        let (lineage, kin) = (&self.lineage, &observed.witness.kin);
        for (addr, deposed) in &mut self.deposed {
            let node = observed.nodes.get(addr);
            let Some(facts) = node.and_then(|node| node.last_known()) else {
                continue;
            };
            let ours = facts.keys == 0
                || facts.starts_without_history()
                || generation_of(facts, lineage).is_some()
                || deposed.is(facts)
                || kin.contains(addr, facts);
            if ours {
                deposed.is_now(&facts.run_id, facts.histories());
            }
        }
    }

    /// Whether `facts`, of a primary at `addr`, are of one that was withdrawn and comes back: the same process, or what it
    /// left on disk; or another one of a server that starts without any history. Such a server cannot show that it is the
    /// old one, and one that would be left alone would be missed as a replica after every failover.
    pub(super) fn comes_back(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
        let deposed = self.deposed.get(addr);
        deposed.is_some_and(|deposed| facts.starts_without_history() || deposed.is(facts))
    }

    /// Whether facts of the node show that its data go back to the cluster's.
    pub(super) fn is_related(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
        let deposed = self.deposed.get(addr);
        generation_of(facts, &self.lineage).is_some()
            || deposed.is_some_and(|deposed| deposed.is(facts))
    }
}

mod kin;
pub use kin::Kin;

#[cfg(test)]
mod tests;
