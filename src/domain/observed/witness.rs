//! Keeps the record of the published primary and its replicas from what is observed, and answers questions by it
//! (RK-6).

use std::collections::BTreeMap;

use super::{Observed, Topology};
use crate::domain::facts::{Link, NodeFacts};
use crate::domain::node::NodeAddr;
use crate::domain::observation::NodeObservation;
use crate::domain::witness::{LastRead, SeenReplica, Witness};

impl Witness {
    /// Updates the record with what is observed now.
    pub fn look(&mut self, observed: &Observed) {
        let Some(published) = &observed.published else {
            return;
        };
        let Some(subject) = published.subject() else {
            return;
        };
        let read = observed
            .read_primary()
            .map(|(_, observation, facts)| (observation, facts));
        let primary = read.map(|(_, facts)| facts);
        let known = self.primary.take();
        let same = |it: &LastRead| {
            let read = primary.map_or(it.run_id.as_str(), |facts| facts.run_id.as_str());
            it.node == *subject && it.run_id == read && published.is_process(&it.run_id)
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
        let topology = Topology::of(observed);
        for (addr, node) in &observed.nodes {
            let Some(facts) = node.observation.named() else {
                continue;
            };
            if let Some(read) = read {
                let names = topology.named_by(addr) == Some(subject);
                self.look_at_stream(read, names, (addr, node.observation.at, facts));
            }
            self.related.look(published, addr, facts);
            if !facts.is_primary() && addr != subject {
                self.look_at(&topology, primary, (addr, facts));
            }
        }
    }

    fn look_at(
        &mut self,
        topology: &Topology<'_>,
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
            .filter(|_| topology.upstream_of(addr).is_some())
        else {
            return;
        };
        let subject = self.primary.as_ref().map(|it| &it.node);
        let streams = |primary: &NodeFacts| primary.replication_id == facts.replication_id;
        let linked = upstream.link == Link::Up
            && !upstream.syncing
            && !facts.loading
            && primary.is_some_and(streams)
            && topology.root_of(addr) == subject;
        if known.is_none() || linked {
            let run_id = facts.run_id.clone();
            self.replicas
                .insert(addr.clone(), SeenReplica { run_id, linked });
        }
    }
}

impl Observed {
    /// The published primary, or the one that is being replaced.
    pub(in crate::domain) fn subject(&self) -> Option<&NodeAddr> {
        self.published.as_ref()?.subject()
    }

    /// The published primary, or the one that is being replaced, as this keeper read its process last.
    fn read_primary(&self) -> Option<(&NodeAddr, &NodeObservation, &NodeFacts)> {
        let published = self.published.as_ref()?;
        let subject = published.subject()?;
        let observation = &self.nodes.get(subject)?.observation;
        let facts = observation.facts.as_ref()?;
        let serves = facts.is_primary() && !facts.loading && published.is_process(&facts.run_id);
        serves.then_some((subject, observation, facts))
    }

    /// The primary, if it is to be read again, with the replicas that name it and stream histories that it was not
    /// read to have.
    pub fn unexplained_streams(&self) -> Option<(&NodeAddr, BTreeMap<NodeAddr, String>)> {
        let (subject, ..) = self.read_primary()?;
        Some((subject, self.witnesses.own.doubted()))
    }

    fn witnesses(&self) -> impl Iterator<Item = &Witness> {
        std::iter::once(&self.witnesses.own).chain(self.witnesses.told.values())
    }

    /// The greatest offset that any keeper has read of the process that is published, or was published last.
    pub(in crate::domain) fn last_read(&self) -> Option<u64> {
        let published = self.published.as_ref()?;
        let read = self.witnesses().filter_map(|it| it.knows(published));
        read.map(|it| it.offset).max()
    }

    /// Whether a keeper has seen this process linked to the one that is published, or was published last.
    pub(in crate::domain) fn was_linked(&self, addr: &NodeAddr, run_id: &str) -> bool {
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
    pub(in crate::domain) fn promoted_by_hand(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
        facts.is_primary() && self.was_replica(addr, facts)
    }

    /// Whether these facts are of a process that a keeper has seen as a replica of the cluster.
    pub(in crate::domain) fn was_replica(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
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
        let node = self.nodes.get(published.subject()?)?;
        let facts = node.observation.facts.as_ref();
        let other = facts.is_some_and(|facts| !published.is_process(&facts.run_id));
        // While the primary answers, its offset moves, and every report would differ from the last.
        let replaced = published.intent.is_some() && !node.observation.answering;
        let unproven = node.observation.unproven.is_some();
        let due = node.observation.vote.is_some() || replaced || other || unproven;
        let telling = due && !self.witnesses.own.replicas.is_empty();
        telling.then(|| Witness {
            primary: self.witnesses.own.primary.clone(),
            replicas: self.witnesses.own.replicas.clone(),
            ..Witness::default()
        })
    }
}

#[cfg(test)]
mod tests;
