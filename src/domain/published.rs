//! The state of a cluster that keepers agree on and clients follow.

use std::collections::{BTreeMap, BTreeSet};

use super::addresses::Addresses;
use super::facts::{MinReplicas, NodeFacts};
use super::node::{Epoch, Generation, KeeperId, NodeAddr};

/// The published state of one cluster. Its primary changes only A → none → B (RK-2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// The one node that may be written to.
    pub primary: Option<NodeAddr>,
    /// Nodes that were online replicas when this was published.
    pub replicas: BTreeSet<NodeAddr>,
    /// The leadership that published it.
    pub epoch: Epoch,
    /// The keeper that made the last withdrawal or publication; `None` where a former build did.
    pub by: Option<KeeperId>,
    /// Raised by every withdrawal and publication.
    pub generation: Generation,
    /// The process that is published, or was published last. Another process at its address has to show whose data it
    /// holds (RK-7). `None` from a former build.
    pub run_id: Option<String>,
    /// Primaries that were withdrawn, and were not seen as replicas since: they may come back as primaries.
    pub deposed: BTreeMap<NodeAddr, Deposed>,
    /// Every node ever published as a primary or replica.
    pub known: BTreeSet<NodeAddr>,
    /// The cluster's lineage: the replication ids of its published primaries, newest first. A node with none of these
    /// ids holds other data (RK-6).
    pub lineage: Vec<String>,
    /// A published primary has held keys. The state keeps this even if all keepers forget it: after a blackout, no
    /// empty node is taken for the data (RK-6).
    pub has_data: bool,
    /// For each node whose `min-replicas` settings the keepers have changed, the settings from before. A later leader
    /// restores them (RK-9).
    pub former_min_replicas: BTreeMap<NodeAddr, MinReplicas>,
    /// The last known addresses of the nodes' hosts. A keeper whose resolver fails tries the nodes there (RK-1).
    pub addresses: BTreeMap<String, Addresses>,
    /// The breaker is tripped: the primary was changed from outside too often, so nothing is undone for a while
    /// (RK-12).
    pub breaker: bool,
    /// The change of primary that is under way (RK-5).
    pub intent: Option<Intent>,
}

/// Identifies a withdrawn primary among the servers at its address, as far as the primary was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deposed {
    /// Its process.
    pub run_id: Option<String>,
    /// The histories that it has had since, newest first. Each start begins one, and names only the one before.
    pub histories: Vec<String>,
}

/// How many histories of a withdrawn primary are kept.
const HISTORIES_KEPT: usize = 4;

impl Deposed {
    /// Records that the primary is now this process, with these histories, newest first.
    pub fn is_now<'a>(&mut self, run_id: &str, newest_first: impl IntoIterator<Item = &'a str>) {
        self.run_id = Some(run_id.to_owned());
        let mut histories: Vec<String> = newest_first.into_iter().map(str::to_owned).collect();
        for old in self.histories.drain(..) {
            if !histories.contains(&old) {
                histories.push(old);
            }
        }
        histories.truncate(HISTORIES_KEPT);
        self.histories = histories;
    }
}

/// A change of primary that was begun. The intent is persisted before the first command, so that any leader can
/// finish it (RK-5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The leadership that began it or took it over last.
    pub epoch: Epoch,
    /// The primary that was withdrawn, if one was published.
    pub old: Option<NodeAddr>,
    /// The run id of that primary when it was withdrawn: the same process may be published again if it comes back
    /// whole.
    pub old_run_id: Option<String>,
    /// The node to which an operator switches over; `None` for a failover.
    pub switchover: Option<NodeAddr>,
    /// The candidate, once chosen. Set from the beginning if the old primary flapped, and must not be published
    /// again.
    pub candidate: Option<NodeAddr>,
    /// How far it has come.
    pub step: Step,
    /// Why it was begun, in words.
    pub reason: String,
}

#[cfg(test)]
impl Intent {
    /// A failover that has just begun, without an old primary.
    pub(in crate::domain) fn begun() -> Self {
        Self {
            epoch: Epoch(1),
            old: None,
            old_run_id: None,
            switchover: None,
            candidate: None,
            step: Step::Withdrawn,
            reason: String::new(),
        }
    }
}

/// The persisted steps of a change of primary, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// No primary is published; nothing was commanded yet.
    Withdrawn,
    /// A promotion of the candidate is about to be, or was, commanded.
    Promoting,
}

/// How many replication ids of the past a lineage keeps.
pub const LINEAGE_LENGTH: usize = 32;

impl Published {
    /// Whether the cluster was ever published: it has a primary, or a withdrawn one is being replaced.
    pub fn is_begun(&self) -> bool {
        self.primary.is_some() || self.intent.is_some()
    }

    /// The published primary, or the one that is being replaced.
    pub fn subject(&self) -> Option<&NodeAddr> {
        let withdrawn = || self.intent.as_ref()?.old.as_ref();
        self.primary.as_ref().or_else(withdrawn)
    }

    /// The nodes that the state names now, without those that it only remembers.
    pub fn mentioned(&self) -> impl Iterator<Item = &NodeAddr> {
        let intent = self.intent.as_ref();
        let changing = intent
            .into_iter()
            .flat_map(|it| [&it.old, &it.switchover, &it.candidate]);
        let nodes = self.primary.iter().chain(&self.replicas);
        nodes.chain(changing.flatten())
    }

    /// Adds the present replication ids of the primary to the front of the lineage. Returns whether the lineage
    /// changed.
    pub fn extend_lineage<'a>(&mut self, newest_first: impl IntoIterator<Item = &'a str>) -> bool {
        let before = self.lineage.clone();
        let mut ids: Vec<String> = newest_first.into_iter().map(str::to_owned).collect();
        ids.retain(|id| !id.is_empty());
        for old in &before {
            if !ids.contains(old) {
                ids.push(old.clone());
            }
        }
        ids.truncate(LINEAGE_LENGTH);
        self.lineage = ids;
        self.lineage != before
    }

    /// Whether these are facts of the very process that was withdrawn. The leader that withdrew it may never have
    /// read its run id. Then the published history identifies the process, since a process begins a new history when
    /// it starts.
    pub fn withdrew(&self, facts: &NodeFacts) -> bool {
        let run_id = self.intent.as_ref().and_then(|it| it.old_run_id.as_ref());
        match run_id {
            Some(run_id) => *run_id == facts.run_id,
            None => self.lineage.first() == Some(&facts.replication_id),
        }
    }

    /// Adds a replication id to the lineage as the oldest one, unless it is in there.
    pub fn append_lineage(&mut self, id: &str) {
        if !id.is_empty() && !self.lineage.iter().any(|known| known == id) {
            self.lineage.truncate(LINEAGE_LENGTH - 1);
            self.lineage.push(id.to_owned());
        }
    }
}
