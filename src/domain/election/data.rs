//! Whether a node holds the cluster's data (RK-6).

use super::{Electorate, Ineligibility};
use crate::domain::facts::NodeFacts;
use crate::domain::lineage::held;
use crate::domain::node::NodeAddr;
use crate::domain::observed::ObservedNode;

impl Electorate<'_> {
    pub(super) fn holds_the_data(
        &self,
        addr: &NodeAddr,
        facts: &NodeFacts,
    ) -> Result<(), Ineligibility> {
        let syncing = facts.upstream().is_some_and(|upstream| upstream.syncing);
        match held(facts, self.lineage) {
            None if !syncing && facts.keys > 0 => return self.is_chosen_by_hand(addr, facts),
            // A node in a full synchronisation is about to throw away data of an older history, and is refused below.
            Some((generation, extent)) if !syncing || generation == 0 => {
                let behind = self.best_offset(generation).saturating_sub(extent);
                match self.policy.max_lag_bytes {
                    Some(limit) if behind > limit => {
                        return Err(Ineligibility::TooFarBehind { behind, limit });
                    }
                    _ => {}
                }
            }
            _ => return Err(Ineligibility::NeverSynced),
        }
        if facts.keys == 0 && !self.has_lost_nothing(addr, facts) {
            return Err(Ineligibility::Empty);
        }
        Ok(())
    }

    /// Accepts a node that cannot show the origin of its data, if somebody promoted it by hand: a person has decided
    /// what keepers cannot know. Such a node ranks behind all that can show their origin.
    fn is_chosen_by_hand(&self, addr: &NodeAddr, facts: &NodeFacts) -> Result<(), Ineligibility> {
        // Data that were found to come from elsewhere stay another's, even if their origin has died since.
        if self.observed.is_astray_by_itself(addr) {
            Err(Ineligibility::OtherData)
        } else if self.observed.promoted_by_hand(addr, facts) {
            Ok(())
        } else if facts.is_primary() || !facts.starts_without_history() {
            Err(Ineligibility::OtherData)
        } else {
            Err(Ineligibility::HistoryUnknown)
        }
    }

    /// Whether an empty node lost nothing, because the cluster is empty, too. Two observations count:
    /// - a keeper saw the node's process linked to the primary's process;
    /// - the node is not behind the last offset that was read at the primary.
    ///
    /// A cluster that has data needs both, but in a switchover the first suffices: the node catches up before it
    /// takes over. A cluster without data needs one of the two.
    fn has_lost_nothing(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
        let observed = self.observed;
        let published = observed.published.as_ref();
        let switching = observed.requested.is_some()
            || published.is_some_and(|it| {
                let intent = it.intent.as_ref();
                intent.is_some_and(|intent| intent.switchover.is_some())
            });
        let linked = observed.was_linked(addr, &facts.run_id);
        let extent = held(facts, self.lineage).map_or(facts.offset, |(_, extent)| extent);
        let behind = observed.last_read().is_some_and(|last| extent < last);
        if self.has_data {
            linked && (switching || !behind)
        } else {
            linked || !behind
        }
    }

    /// The greatest offset that is known of this history or a newer one. `generation` counts promotions back. Offsets
    /// of an older history say nothing here: a primary that was cut off may have written on in it.
    fn best_offset(&self, generation: usize) -> u64 {
        let offset = |node: &ObservedNode| {
            let (theirs, extent) = held(node.last_known()?, self.lineage)?;
            (theirs <= generation).then_some(extent)
        };
        self.observed
            .nodes
            .values()
            .filter_map(offset)
            .max()
            .unwrap_or(0)
    }
}
