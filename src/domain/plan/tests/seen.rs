//! What keepers have seen with their own eyes, and tell each other; and servers that were started again.

use super::builder::Cluster;
use crate::domain::node::KeeperId;
use crate::domain::witness::Witness;

impl Cluster {
    /// This keeper has seen it as it is now.
    pub(in crate::domain) fn looked_at(mut self) -> Self {
        let mut witness = std::mem::take(&mut self.observed.witness);
        witness.look(&self.observed);
        self.observed.witness = witness;
        self
    }

    /// It has started a moment ago: all that it has seen itself is forgotten.
    pub(in crate::domain) fn restarted_keeper(mut self) -> Self {
        self.observed.witness = Witness::default();
        self
    }

    /// The same where no other keeper tells anything.
    pub(in crate::domain) fn clone_without_told(&self) -> Self {
        let (mut observed, policy) = (self.observed.clone(), self.policy.clone());
        observed.told.clear();
        Self { observed, policy }
    }

    /// Another keeper tells what this one has seen so far.
    pub(in crate::domain) fn told_by(mut self, keeper: &str) -> Self {
        let witness = self.observed.witness.clone();
        self.observed.told.insert(KeeperId::new(keeper), witness);
        self
    }

    /// Started anew from a dump that names its history: another process, which goes on from there.
    pub(in crate::domain) fn restarted(self, name: &str, keys: u64, offset: u64) -> Self {
        let mut before = String::new();
        let named = self.with(name, |facts| before.clone_from(&facts.replication_id));
        named.reborn(name, keys, offset).with(name, |facts| {
            facts.previous_replication_id = Some(before);
            facts.previous_offset = Some(offset);
        })
    }
}
