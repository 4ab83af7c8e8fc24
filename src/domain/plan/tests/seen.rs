//! Observations that keepers report to each other, and servers that were started again.

use super::builder::Cluster;
use crate::domain::node::KeeperId;
use crate::domain::witness::Witness;

impl Cluster {
    /// This keeper has seen the cluster in its present state.
    pub(in crate::domain) fn looked_at(mut self) -> Self {
        let mut witness = std::mem::take(&mut self.observed.witnesses.own);
        witness.look(&self.observed);
        self.observed.witnesses.own = witness;
        self
    }

    /// This keeper has just started, and has forgotten all of its own observations.
    pub(in crate::domain) fn restarted_keeper(mut self) -> Self {
        self.observed.witnesses.own = Witness::default();
        self
    }

    /// The same cluster without the reports of other keepers.
    pub(in crate::domain) fn clone_without_told(&self) -> Self {
        let (mut observed, policy) = (self.observed.clone(), self.policy.clone());
        observed.witnesses.told.clear();
        Self { observed, policy }
    }

    /// Another keeper reports everything that this keeper has seen so far.
    pub(in crate::domain) fn told_by(mut self, keeper: &str) -> Self {
        let witness = self.observed.witnesses.own.clone();
        self.observed
            .witnesses
            .told
            .insert(KeeperId::new(keeper), witness);
        self
    }

    /// The node was started anew from a dump that names its history: another process, which continues that history.
    pub(in crate::domain) fn restarted(self, name: &str, keys: u64, offset: u64) -> Self {
        let mut before = String::new();
        let named = self.with(name, |facts| before.clone_from(&facts.replication_id));
        named.reborn(name, keys, offset).with(name, |facts| {
            facts.previous_replication_id = Some(before);
            facts.previous_offset = Some(offset);
        })
    }
}
