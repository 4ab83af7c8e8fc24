//! The state of a cluster that keepers agree on and clients follow.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{MinReplicas, NodeFacts};
use super::names::Addresses;
use super::node::{Epoch, Generation, KeeperId, NodeAddr};

/// What is published for one cluster. Its primary changes only A → none → B (RK-2).
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
    /// The process that is published, or was last: any other at its address has to show whose data it holds (RK-7).
    /// `None` where a former build wrote this.
    pub run_id: Option<String>,
    /// Primaries that were withdrawn and have not been seen as replicas since: they may come back as primaries.
    pub deposed: BTreeMap<NodeAddr, Deposed>,
    /// Every node ever published as a primary or replica.
    pub known: BTreeSet<NodeAddr>,
    /// The cluster's data history: replication ids of the published primary, newest first. A node whose replication
    /// id is none of these holds other data (RK-6).
    pub lineage: Vec<String>,
    /// A published primary has held keys. Outlives the memory of all keepers, so that after a blackout an empty node is
    /// not taken for the data (RK-6).
    pub has_data: bool,
    /// What the `min-replicas` settings were before the keepers changed them, of each node where they did: to be
    /// restored by whoever leads then (RK-9).
    pub former_min_replicas: BTreeMap<NodeAddr, MinReplicas>,
    /// What the names of the nodes resolved to last, by host: a keeper whose resolver fails tries the nodes there (RK-1).
    pub addresses: BTreeMap<String, Addresses>,
    /// Somebody else changed the primary too often: nothing is undone for a while (RK-12).
    pub breaker: bool,
    /// The failover or adoption in progress (RK-5).
    pub intent: Option<Intent>,
}

/// What tells a primary that was withdrawn from other servers at its address, as far as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deposed {
    /// Its process.
    pub run_id: Option<String>,
    /// Histories that it has had since, the newest first: each start begins one, and names only the one before.
    pub histories: Vec<String>,
}

/// How many histories of a primary that was withdrawn are kept.
const HISTORIES_KEPT: usize = 4;

impl Deposed {
    /// Takes in that it is this process now, with these histories, the newest first.
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

/// A change of primary that was begun, persisted before the first command so that any leader can finish it (RK-5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The leadership that began it or took it over last.
    pub epoch: Epoch,
    /// The primary that was withdrawn, if one was published.
    pub old: Option<NodeAddr>,
    /// Its run id when it was withdrawn: the same process coming back whole may be published again.
    pub old_run_id: Option<String>,
    /// The node that an operator has it switched to; `None` for a failover.
    pub switchover: Option<NodeAddr>,
    /// The node chosen to take over, once chosen; from the beginning, if the old primary flapped and is not to be published again.
    pub candidate: Option<NodeAddr>,
    /// How far it has come.
    pub step: Step,
    /// Why it was begun, in words.
    pub reason: String,
}

#[cfg(test)]
impl Intent {
    /// A failover that was just begun, of no primary in particular.
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
    /// Whether it was ever published: it has a primary, or one was withdrawn and is being replaced.
    pub fn is_begun(&self) -> bool {
        self.primary.is_some() || self.intent.is_some()
    }

    /// Adds the present replication ids of the primary to the front of the lineage. Returns whether that changed it.
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

    /// Whether these are facts of the very process that was withdrawn. Whoever withdrew it may never have seen that; then
    /// it is known by the history that was published, which a process begins anew when it starts.
    pub fn withdrew(&self, facts: &NodeFacts) -> bool {
        let run_id = self.intent.as_ref().and_then(|it| it.old_run_id.as_ref());
        match run_id {
            Some(run_id) => *run_id == facts.run_id,
            None => self.lineage.first() == Some(&facts.replication_id),
        }
    }

    /// Adds a replication id as the oldest of the lineage, unless it is there.
    pub fn append_lineage(&mut self, id: &str) {
        if !id.is_empty() && !self.lineage.iter().any(|known| known == id) {
            self.lineage.truncate(LINEAGE_LENGTH - 1);
            self.lineage.push(id.to_owned());
        }
    }
}
