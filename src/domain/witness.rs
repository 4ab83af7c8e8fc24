//! A keeper's own record of the published primary's process and of its replicas, since the keeper started (RK-6).
//!
//! A replica has exactly the data that its primary had at the replica's offset, as long as it is the process that was
//! linked. So an empty replica has lost nothing if both conditions hold:
//! - the keeper has seen that process linked;
//! - its offset is not behind the last offset that was read of the primary.
//!
//! A replica that *came back* empty is another process, and shows nothing.

use std::collections::BTreeMap;

use super::facts::{Link, NodeFacts, NodeObservation, Upstream};
use super::lineage::RelatedHistories;
use super::node::{Moment, NodeAddr};
use super::observed::Observed;
use super::published::Published;

/// The record of one keeper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witness {
    /// The published primary, or the one that was withdrawn last, if this keeper has read it.
    pub primary: Option<LastRead>,
    /// Nodes that the keeper has seen as replicas of the cluster.
    pub replicas: BTreeMap<NodeAddr, SeenReplica>,
    /// Histories that the keeper has seen to continue the cluster's. They are not part of its report.
    pub related: RelatedHistories,
    /// Histories that replicas stream which name the primary, while the primary was not read to have them. They are
    /// not part of the report.
    pub(crate) strange: BTreeMap<NodeAddr, Stream>,
}

/// A history that a replica streams and that its primary was not read to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    history: String,
    /// When it was first read at the replica.
    seen: Moment,
    /// The primary was read since, and does not have the history: the replica's host leads it to another server.
    elsewhere: bool,
}

/// The last reading of a primary's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRead {
    /// The primary.
    pub node: NodeAddr,
    /// The run id of its process.
    pub run_id: String,
    /// The greatest offset that was read.
    pub offset: u64,
}

/// The process that was last seen as a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenReplica {
    /// Its run id.
    pub run_id: String,
    /// The process was linked to the primary's process.
    pub linked: bool,
}

/// The published primary, or the one that is being replaced.
fn subject(published: &Published) -> Option<&NodeAddr> {
    let withdrawn = || published.intent.as_ref()?.old.as_ref();
    published.primary.as_ref().or_else(withdrawn)
}

/// Whether `run_id` is the published process, as far as that is known.
fn is_published(published: &Published, run_id: &str) -> bool {
    published.process().is_none_or(|known| known == run_id)
}

impl Witness {
    /// Updates the record with what is observed now.
    pub fn look(&mut self, observed: &Observed) {
        let Some(published) = &observed.published else {
            return;
        };
        let Some(subject) = subject(published) else {
            return;
        };
        let read = observed
            .read_primary()
            .map(|(_, observation, facts)| (observation, facts));
        let primary = read.map(|(_, facts)| facts);
        let known = self.primary.take();
        let same = |it: &LastRead| {
            let read = primary.map_or(it.run_id.as_str(), |facts| facts.run_id.as_str());
            it.node == *subject && it.run_id == read && is_published(published, &it.run_id)
        };
        let known = known.filter(same);
        if known.is_none() {
            // Links to another process show nothing of this one.
            self.replicas.values_mut().for_each(|it| it.linked = false);
        }
        self.primary = match (known, primary) {
            (known, None) => known,
            (known, Some(facts)) => Some(LastRead {
                node: subject.clone(),
                run_id: facts.run_id.clone(),
                offset: known.map_or(0, |it| it.offset).max(facts.offset),
            }),
        };
        for (addr, node) in &observed.nodes {
            let Some(facts) = node.observation.named() else {
                continue;
            };
            if let Some(read) = read {
                let names = observed.named_by(addr) == Some(subject);
                self.look_at_stream(read, names, (addr, node.observation.at, facts));
            }
            self.related.look(published, addr, facts);
            if !facts.is_primary() && addr != subject {
                self.look_at(observed, primary, (addr, facts));
            }
        }
    }

    /// A linked replica has the replication id of its primary, and a primary has a new id before any replica can. So
    /// a replica that was read before its primary, and has another id, is linked to something else.
    fn look_at_stream(
        &mut self,
        (observation, primary): (&NodeObservation, &NodeFacts),
        names: bool,
        (addr, at, facts): (&NodeAddr, Moment, &NodeFacts),
    ) {
        if !names || primary.histories().any(|id| id == facts.replication_id) {
            self.strange.remove(addr);
            return;
        }
        let linked = |upstream: &Upstream| upstream.link == Link::Up && !upstream.syncing;
        if !facts.upstream().is_some_and(linked) || facts.loading {
            return;
        }
        let begun = || Stream {
            history: facts.replication_id.clone(),
            seen: at,
            elsewhere: false,
        };
        let stream = self.strange.entry(addr.clone()).or_insert_with(begun);
        if stream.history != facts.replication_id {
            *stream = begun();
        }
        stream.elsewhere |= observation.at > stream.seen;
    }

    /// Whether these facts are of a replica that streams a history which the primary was found not to have.
    pub(super) fn is_elsewhere(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
        let known = self.strange.get(addr).filter(|it| it.elsewhere);
        let same = known.is_some_and(|it| it.history == facts.replication_id);
        same && facts.upstream().is_some()
    }

    fn look_at(
        &mut self,
        observed: &Observed,
        primary: Option<&NodeFacts>,
        (addr, facts): (&NodeAddr, &NodeFacts),
    ) {
        let known = self.replicas.get(addr);
        let known = known.filter(|it| it.run_id == facts.run_id);
        if known.is_some_and(|it| it.linked || primary.is_none()) {
            return;
        }
        let Some(upstream) = facts
            .upstream()
            .filter(|_| observed.upstream_of(addr).is_some())
        else {
            return;
        };
        let subject = self.primary.as_ref().map(|it| &it.node);
        let streams = |primary: &NodeFacts| primary.replication_id == facts.replication_id;
        let linked = upstream.link == Link::Up
            && !upstream.syncing
            && !facts.loading
            && primary.is_some_and(streams)
            && observed.root_of(addr) == subject;
        if known.is_none() || linked {
            let run_id = facts.run_id.clone();
            self.replicas
                .insert(addr.clone(), SeenReplica { run_id, linked });
        }
    }

    /// The record of the primary, if it is about the process that is published, or was published last.
    fn knows(&self, published: &Published) -> Option<&LastRead> {
        let primary = self.primary.as_ref()?;
        let same = subject(published) == Some(&primary.node);
        (same && is_published(published, &primary.run_id)).then_some(primary)
    }
}

impl Observed {
    /// The published primary, or the one that is being replaced.
    pub(super) fn subject(&self) -> Option<&NodeAddr> {
        subject(self.published.as_ref()?)
    }

    /// The published primary, or the one that is being replaced, as this keeper read its process last.
    fn read_primary(&self) -> Option<(&NodeAddr, &NodeObservation, &NodeFacts)> {
        let published = self.published.as_ref()?;
        let subject = subject(published)?;
        let observation = &self.nodes.get(subject)?.observation;
        let facts = observation.facts.as_ref()?;
        let serves = facts.is_primary() && !facts.loading && is_published(published, &facts.run_id);
        serves.then_some((subject, observation, facts))
    }

    /// The primary, if it is to be read again, with the replicas that name it and stream histories that it was not
    /// read to have.
    pub fn unexplained_streams(&self) -> Option<(&NodeAddr, BTreeMap<NodeAddr, String>)> {
        let (subject, ..) = self.read_primary()?;
        let strange = self.witness.strange.iter();
        let doubted = strange.filter(|(_, stream)| !stream.elsewhere);
        let doubted = doubted.map(|(addr, stream)| (addr.clone(), stream.history.clone()));
        Some((subject, doubted.collect()))
    }

    fn witnesses(&self) -> impl Iterator<Item = &Witness> {
        std::iter::once(&self.witness).chain(self.told.values())
    }

    /// The greatest offset that any keeper has read of the process that is published, or was published last.
    pub(super) fn last_read(&self) -> Option<u64> {
        let published = self.published.as_ref()?;
        let read = self.witnesses().filter_map(|it| it.knows(published));
        read.map(|it| it.offset).max()
    }

    /// Whether a keeper has seen this process linked to the one that is published, or was published last.
    pub(super) fn was_linked(&self, addr: &NodeAddr, run_id: &str) -> bool {
        let Some(published) = &self.published else {
            return false;
        };
        let linked = |it: &Witness| {
            let replica = it.replicas.get(addr);
            replica.is_some_and(|it| it.linked && it.run_id == run_id)
        };
        self.witnesses()
            .any(|it| it.knows(published).is_some() && linked(it))
    }

    /// Whether these facts, of a primary, are of a process that a keeper has seen as a replica of the cluster. Then
    /// somebody has promoted it.
    pub(super) fn promoted_by_hand(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
        facts.is_primary() && self.was_replica(addr, facts)
    }

    /// Whether these facts are of a process that a keeper has seen as a replica of the cluster.
    pub(super) fn was_replica(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
        let seen = |it: &Witness| {
            let replica = it.replicas.get(addr);
            replica.is_some_and(|it| it.run_id == facts.run_id)
        };
        self.witnesses().any(seen)
    }

    /// The record that this keeper reports to the others about the primary, and its replicas. `None` unless one of
    /// these holds:
    /// - this keeper votes the primary down;
    /// - the primary is being replaced, and does not answer;
    /// - another process answers at its address, or may do so.
    pub fn testimony(&self) -> Option<Witness> {
        let published = self.published.as_ref()?;
        let node = self.nodes.get(subject(published)?)?;
        let facts = node.observation.facts.as_ref();
        let other = facts.is_some_and(|facts| !is_published(published, &facts.run_id));
        // While the primary answers, its offset moves, and every report would differ from the last.
        let replaced = published.intent.is_some() && !node.observation.answering;
        let unproven = node.observation.unproven.is_some();
        let due = node.observation.vote.is_some() || replaced || other || unproven;
        let telling = due && !self.witness.replicas.is_empty();
        telling.then(|| Witness {
            primary: self.witness.primary.clone(),
            replicas: self.witness.replicas.clone(),
            ..Witness::default()
        })
    }
}

#[cfg(test)]
mod tests;
