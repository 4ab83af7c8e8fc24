//! The counter of all withdrawals and publications.

use std::collections::BTreeMap;

use crate::domain::node::{ClusterName, Generation};

/// How many of the latest raises the counter names.
pub const CHANGES_NAMED: usize = 512;

/// The counter, and the cluster of each of its latest raises.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generations {
    /// The last generation.
    pub generation: Generation,
    /// The cluster of each raise, newest last. The last one made `generation`.
    pub changed: Vec<ClusterName>,
}

impl Generations {
    /// The counter after the next raise, for `cluster`. The raise goes past `published`, even if the counter has been
    /// set back.
    #[must_use]
    pub fn raised(mut self, cluster: &ClusterName, published: Generation) -> Self {
        if published > self.generation {
            self.generation = published;
            self.changed.clear();
        }
        self.generation.0 += 1;
        self.changed.push(cluster.clone());
        let old = self.changed.len().saturating_sub(CHANGES_NAMED);
        self.changed.drain(..old);
        self
    }

    /// The clusters that changed after `applied`, each with its latest generation. `None` if the counter no longer
    /// names all of these changes.
    pub fn since(&self, applied: Generation) -> Option<BTreeMap<&ClusterName, Generation>> {
        let raises = self.generation.0.saturating_sub(applied.0);
        let raises = usize::try_from(raises).ok()?;
        let first = self.changed.len().checked_sub(raises)?;
        Some(
            self.changed[first..]
                .iter()
                .zip(applied.0 + 1..)
                .map(|(cluster, generation)| (cluster, Generation(generation)))
                .collect(),
        )
    }
}
