//! The clusters that a keeper follows: those of its file, and those that ZooKeeper has beside them.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster_copy::ClusterCopy;
use crate::domain::leadership_transfer::{DeficitComparison, LeaderDeficit};
use crate::domain::node::{ClusterName, Generation, KeeperId};
use crate::domain::published::Published;

mod differences;

/// How many clusters are followed at most that the file lacks. A file that lacks more is that of another group.
const MOST_UNLISTED: usize = 1_000;

/// The copies of all clusters that are followed.
#[derive(Debug, Default)]
pub struct Clusters {
    copies: BTreeMap<ClusterName, ClusterCopy>,
    /// The clusters among them that the file lacks.
    unlisted: BTreeSet<ClusterName>,
    /// How many clusters were followed so far, each as often as it was.
    subscriptions: u64,
}

/// A change of the clusters that ZooKeeper has and the file lacks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UnlistedNews {
    /// Clusters that are to be followed from now on.
    pub come: Vec<ClusterName>,
    /// Clusters that are not to be followed any more.
    pub gone: Vec<ClusterName>,
}

impl Clusters {
    /// The copy of a cluster that is followed.
    pub fn get(&self, name: &ClusterName) -> Option<&ClusterCopy> {
        self.copies.get(name)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &ClusterName) -> Option<&mut ClusterCopy> {
        self.copies.get_mut(name)
    }

    /// All clusters that are followed.
    pub fn iter(&self) -> impl Iterator<Item = (&ClusterName, &ClusterCopy)> {
        self.copies.iter()
    }

    /// The names of all clusters that are followed.
    pub fn names(&self) -> impl Iterator<Item = &ClusterName> {
        self.copies.keys()
    }

    /// Begins to follow a cluster. Returns the number of the subscription; `None` if the cluster is followed already.
    pub fn subscribe(&mut self, name: &ClusterName) -> Option<u64> {
        if self.copies.contains_key(name) {
            return None;
        }
        self.subscriptions += 1;
        let serial = self.subscriptions;
        self.copies.insert(name.clone(), ClusterCopy::new(serial));
        Some(serial)
    }

    /// Ends the subscription of a cluster, and returns what was known.
    pub fn unsubscribe(&mut self, name: &ClusterName) -> Option<ClusterCopy> {
        self.copies.remove(name)
    }

    /// Whether the subscription with this number is the present one of the cluster.
    pub fn subscribed(&self, name: &ClusterName, serial: u64) -> bool {
        self.get(name).is_some_and(|copy| copy.serial == serial)
    }

    /// Whether the cluster is one that the file lacks.
    pub fn is_unlisted(&self, name: &ClusterName) -> bool {
        self.unlisted.contains(name)
    }

    /// The clusters that ZooKeeper has and the file lacks.
    pub fn unlisted(&self) -> &BTreeSet<ClusterName> {
        &self.unlisted
    }

    /// Takes in the clusters that ZooKeeper has. `file` are those of the file.
    pub fn listed(
        &mut self,
        names: BTreeSet<ClusterName>,
        file: &BTreeSet<ClusterName>,
    ) -> UnlistedNews {
        let unlisted = names.into_iter().filter(|name| !file.contains(name));
        let unlisted: BTreeSet<ClusterName> = unlisted.take(MOST_UNLISTED).collect();
        let news = UnlistedNews {
            come: unlisted.difference(&self.unlisted).cloned().collect(),
            gone: self.unlisted.difference(&unlisted).cloned().collect(),
        };
        self.unlisted = unlisted;
        news
    }

    /// Begins with a new session: no node of this keeper is left.
    pub fn new_session(&mut self) {
        for copy in self.copies.values_mut() {
            copy.own.new_session();
        }
    }

    /// Begins with a new connection: everything is read again.
    pub fn new_connection(&mut self) {
        for copy in self.copies.values_mut() {
            copy.own.new_connection();
            copy.forget();
        }
    }

    /// The applied generation of a cluster; `None` for a cluster that is not followed.
    pub fn applied(&self, name: &ClusterName) -> Option<Generation> {
        self.get(name).map(ClusterCopy::generation)
    }

    /// The newest published generation.
    pub fn newest_generation(&self) -> Generation {
        let published = self.copies.values().filter_map(ClusterCopy::published);
        let newest = published.map(|published| published.generation).max();
        newest.unwrap_or_default()
    }

    /// The clusters whose change waits for other keepers, as last shared.
    pub fn waiting(&self) -> Vec<ClusterName> {
        let waiting = self.iter();
        let waiting = waiting.filter(|(_, copy)| !copy.unacknowledged.is_empty());
        waiting.map(|(name, _)| name.clone()).collect()
    }

    /// Compares the lacks of keeper `me` with those of the other keepers `online`, over all clusters that count. `next`
    /// is the keeper behind it in the latch. `bars` says whether a keeper's file lets no replica of a cluster take
    /// over.
    pub fn compare_deficits(
        &self,
        me: &KeeperId,
        online: &BTreeSet<KeeperId>,
        next: Option<&KeeperId>,
        counts: impl Fn(&ClusterName) -> bool,
        bars: impl Fn(&KeeperId, &ClusterName, Option<&Published>) -> bool,
    ) -> DeficitComparison {
        let lack = |keeper: &KeeperId, name: &ClusterName, copy: &ClusterCopy| LeaderDeficit {
            barred: usize::from(bars(keeper, name, copy.published())),
            ..LeaderDeficit::of(keeper, online, &copy.reports, copy.published())
        };
        // Whether a cluster counts is looked up only where something is lacking: in next to no cluster.
        let lacks = |keeper: &KeeperId| -> LeaderDeficit {
            let lacks = self
                .iter()
                .map(|(name, copy)| (name, lack(keeper, name, copy)));
            let lacks = lacks.filter(|(_, lack)| *lack != LeaderDeficit::default());
            lacks
                .filter(|(name, _)| counts(name))
                .map(|(_, lack)| lack)
                .sum()
        };
        let own = lacks(me);
        if own == LeaderDeficit::default() {
            return DeficitComparison {
                own,
                best: None,
                next: None,
            };
        }
        let others = online.iter().filter(|keeper| *keeper != me);
        DeficitComparison {
            own,
            best: others.map(lacks).min(),
            next: next.filter(|next| online.contains(*next)).map(lacks),
        }
    }
}

#[cfg(test)]
mod tests;
