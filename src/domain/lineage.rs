//! Histories of data (RK-7): how far back a node's data are the cluster's, and which of them another process at the
//! published address holds.
//!
//! A run id identifies a process, and replication ids identify its data. An address identifies neither.

use super::facts::{Family, NodeFacts, Version};
use super::node::NodeAddr;
use super::published::{Deposed, Published};

/// The first version of Redis whose dump names its history, so that the next process still knows the history. Neither
/// an append-only file nor an older dump names it: <https://github.com/redis/redis/blob/7.0/00-RELEASENOTES>.
const DUMPS_ITS_HISTORY: Version = Version {
    major: 7,
    minor: 0,
    patch: 0,
};

/// How many promotions back the history of the node's data lies in the lineage: 0 is the present one, `None` means
/// other data.
pub(super) fn promotions_back(facts: &NodeFacts, lineage: &[String]) -> Option<usize> {
    lineage
        .iter()
        .position(|id| facts.histories().any(|own| own == id))
}

/// How many bytes of the history `id` the node holds.
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

/// The node's share of the lineage: how many promotions back, and how many bytes of that history. Writes that the
/// node took after it left the lineage do not count.
///
/// Source: `second_repl_offset` in <https://redis.io/docs/latest/commands/info/>.
pub(super) fn held(facts: &NodeFacts, lineage: &[String]) -> Option<(usize, u64)> {
    let generation = promotions_back(facts, lineage)?;
    Some((generation, extent(facts, &lineage[generation])?))
}

/// Whether `primary` began a new history with less of the published `lineage` than `other` holds: it was reborn
/// empty, or from an old dump (RK-7). `process` is the published process, if known.
///
/// - A new history alone shows no loss: a primary also begins one when it has had no replica for long.
/// - Writes of another process after it left the lineage make up for nothing that it lacks.
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
    let behind = match promotions_back(primary, lineage) {
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
    /// Whether the server, once started again, cannot name the history of its data.
    pub(super) fn starts_without_history(&self) -> bool {
        self.append_only || self.family == Family::Redis && self.version < DUMPS_ITS_HISTORY
    }
}

impl Deposed {
    /// Whether these facts are of the same process, or of a process that went on from its files.
    fn is(&self, facts: &NodeFacts) -> bool {
        let known = |id: &str| self.histories.iter().any(|history| history == id);
        self.run_id.as_ref() == Some(&facts.run_id) || facts.histories().any(known)
    }
}

impl Published {
    /// The process that is published, or was published last, if known.
    pub fn process(&self) -> Option<&str> {
        let withdrawn = || self.intent.as_ref()?.old_run_id.as_deref();
        self.run_id.as_deref().or_else(withdrawn)
    }

    /// Whether `run_id` is the published process, as far as that is known.
    pub(super) fn is_process(&self, run_id: &str) -> bool {
        self.process().is_none_or(|known| known == run_id)
    }

    /// Whether these facts, of a primary at the published address, are of a server of another deployment (RK-7). As
    /// far as the facts show, that is another process, whose data are not the cluster's.
    pub fn is_stranger(&self, facts: &NodeFacts) -> bool {
        let another = self.process().is_some_and(|known| known != facts.run_id);
        another && promotions_back(facts, &self.lineage).is_none()
    }

    /// Whether these facts, of a node at the published address, are of another process, which is a replica or a
    /// server of another deployment. Then the published process was replaced, or the address leads elsewhere from
    /// here.
    pub fn is_replaced_by(&self, facts: &NodeFacts) -> bool {
        let another = self.process().is_some_and(|known| known != facts.run_id);
        another && (!facts.is_primary() || self.is_stranger(facts))
    }

    /// The record of a primary that is withdrawn; `last` are its last facts. Another process at its address belongs
    /// to the cluster in one of these cases:
    /// - it has some of the cluster's history;
    /// - it came up empty: all its later data were meant for the cluster;
    /// - `related` remembers it.
    pub(super) fn deposing(
        &self,
        old: &NodeAddr,
        last: Option<&NodeFacts>,
        related: &RelatedHistories,
    ) -> Deposed {
        let ours = |facts: &&NodeFacts| {
            !self.is_stranger(facts) || facts.keys == 0 || related.contains(old, facts)
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

    /// Updates the records of withdrawn primaries that are seen again before they follow. `last_known` gives the newest
    /// known facts of a node.
    pub(super) fn recognise<'a>(
        &mut self,
        related: &RelatedHistories,
        last_known: impl Fn(&NodeAddr) -> Option<&'a NodeFacts>,
    ) {
        let lineage = &self.lineage;
        for (addr, deposed) in &mut self.deposed {
            let Some(facts) = last_known(addr) else {
                continue;
            };
            let ours = facts.keys == 0
                || facts.starts_without_history()
                || promotions_back(facts, lineage).is_some()
                || deposed.is(facts)
                || related.contains(addr, facts);
            if ours {
                deposed.is_now(&facts.run_id, facts.histories());
            }
        }
    }

    /// Whether `facts`, of a primary at `addr`, are of a withdrawn primary that comes back:
    /// - the same process, or one that went on from its files;
    /// - another process, if the server starts without any history. Such a server cannot show that it is the old one.
    ///   Left alone, it would be missing as a replica after every failover.
    pub(super) fn comes_back(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
        let deposed = self.deposed.get(addr);
        deposed.is_some_and(|deposed| facts.starts_without_history() || deposed.is(facts))
    }

    /// Whether facts of the node show that its data go back to the cluster's.
    pub(super) fn is_related(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
        let deposed = self.deposed.get(addr);
        promotions_back(facts, &self.lineage).is_some()
            || deposed.is_some_and(|deposed| deposed.is(facts))
    }
}

mod related;
pub(super) use related::Origin;
pub use related::RelatedHistories;

#[cfg(test)]
mod tests;
