//! The answers of a `ClusterActor`, each given in one synchronous step from memory.

use std::collections::BTreeMap;

use super::State;
use crate::actors::cluster_api::{
    CheckAnswer, ClusterStatus, ClusterView, Contradiction, NodeView, Question, Reason, Ruling,
    RunCheck,
};
use crate::domain::addresses::known_addresses;
use crate::domain::explain::{Explanation, explain};
use crate::domain::lease::Lease;
use crate::domain::node::{Moment, NodeAddr};
use crate::domain::observation::NodeObservation;
use crate::domain::observed::{ObservedNode, Topology};
use crate::domain::plan::Hold;
use crate::domain::serving::Serving;

impl State {
    pub(in crate::actors::cluster) fn answer(
        &self,
        ask: &RunCheck,
        lease: Lease,
        now: Moment,
    ) -> CheckAnswer {
        let named = self
            .observed
            .nodes
            .iter()
            .map(|(addr, node)| (addr, &node.observation.addresses));
        let unlisted = self.observed.unlisted.iter();
        let unlisted = unlisted.map(|(addr, it)| (addr, &it.addresses));
        let found = ask.node.find(named).or_else(|| ask.node.find(unlisted));
        let Some(addr) = found else {
            return CheckAnswer::unknown(self.not_found(ask, lease.holds(now)));
        };
        let deadline = self.deadline(ask.question, lease);
        let reason = self.reason(addr, ask.question, lease, now);
        let misnamed = self.misnamed(ask).filter(|_| reason != Reason::NoLease);
        let (addr, reason) = match &misnamed {
            // The answer is about the address: the clients are there, whatever HAProxy calls its server.
            Some(Contradiction { named, at }) => (at, Reason::Misnamed(named.clone(), at.clone())),
            None => (addr, reason),
        };
        let says = matches!(reason.ruling(), Ruling::Yes | Ruling::No);
        CheckAnswer {
            reason,
            node: Some(addr.clone()),
            generation: self
                .observed
                .published
                .as_ref()
                .map(|published| published.generation),
            deadline: deadline.filter(|_| says),
            consented: lease.is_consented() && says,
        }
    }

    /// Until when an answer about a node holds (RK-3).
    fn deadline(&self, question: Question, lease: Lease) -> Option<Moment> {
        match question {
            Question::Writable => lease.deadline(),
            Question::Readable => lease
                .deadline()
                .map(|deadline| deadline.after(self.settings.read_lease)),
        }
    }

    /// The answer about a node that is in this keeper's file, or in other keepers' files.
    pub(in crate::actors::cluster) fn reason(
        &self,
        addr: &NodeAddr,
        question: Question,
        lease: Lease,
        now: Moment,
    ) -> Reason {
        let deadline = self.deadline(question, lease);
        if deadline.is_none_or(|deadline| now >= deadline) {
            return Reason::NoLease;
        }
        let serving = self.serving(lease, now);
        match (self.observed.nodes.get(addr), question) {
            (Some(node), Question::Writable) => serving.writable(addr, node),
            (Some(node), Question::Readable) => serving.readable(addr, node),
            (None, _) => match self.observed.unlisted.get(addr) {
                Some(unlisted) => serving.unlisted(addr, unlisted),
                None => Reason::NoSuchNode,
            },
        }
    }

    /// Whether this keeper answers for any node that it is writable.
    fn any_writable(&self, lease: Lease, now: Moment) -> bool {
        let mut nodes = self
            .observed
            .nodes
            .keys()
            .chain(self.observed.unlisted.keys());
        nodes.any(|addr| {
            let reason = self.reason(addr, Question::Writable, lease, now);
            reason.ruling() == Ruling::Yes
        })
    }

    /// The node that a check names and the node at its address, if they are two servers.
    fn misnamed(&self, ask: &RunCheck) -> Option<Contradiction> {
        let nodes = self.observed.nodes.iter();
        let found = ask
            .node
            .contradiction(nodes.map(|(addr, node)| (addr, &node.observation.addresses)))?;
        let topology = Topology::of(&self.observed);
        (topology.stands_for(&found.named) != topology.stands_for(&found.at)).then_some(found)
    }

    /// The reason for a node that this keeper's file lacks. Other keepers may have that node: published, or in a file
    /// that differs. Only a keeper that is up to date can say that no such node exists.
    fn not_found(&self, ask: &RunCheck, up_to_date: bool) -> Reason {
        if self.shared.is_none() {
            return Reason::NoState;
        }
        if !up_to_date {
            return Reason::NoLease;
        }
        if !self.differences().is_empty() {
            return Reason::NotInFile;
        }
        let nodes = self.observed.nodes.iter();
        let unresolved = nodes.filter(|(addr, node)| {
            known_addresses(addr.host(), &node.observation.addresses).is_empty()
        });
        let mut ports = unresolved.map(|(addr, _)| addr.port());
        let asked = ask.node.literal();
        if asked.is_some_and(|asked| ports.any(|port| port == asked.port())) {
            // The address may belong to a node whose name is not resolved yet.
            Reason::Unprobed
        } else {
            Reason::NoSuchNode
        }
    }

    pub(in crate::actors::cluster) fn status(
        &self,
        lease: Lease,
        now: Moment,
    ) -> Result<ClusterStatus, Reason> {
        if !lease.holds(now) {
            return Err(Reason::NoLease);
        }
        let published = self.observed.published.as_ref().ok_or(Reason::NoState)?;
        let serving = self.serving(lease, now);
        let reason = |primary| match (
            self.observed.nodes.get(primary),
            self.observed.unlisted.get(primary),
        ) {
            (Some(node), _) => serving.writable(primary, node),
            (None, Some(unlisted)) => serving.unlisted(primary, unlisted),
            (None, None) => Reason::NotInFile,
        };
        let primary = match published.primary.as_ref() {
            Some(primary) => {
                let reason = reason(primary);
                match reason.ruling() {
                    Ruling::Unknown => return Err(reason),
                    ruling => Some(primary).filter(|_| ruling == Ruling::Yes),
                }
            }
            None => None,
        };
        let online = |(addr, node): (&NodeAddr, &ObservedNode)| {
            let replica = node.online()?.upstream().is_some() && Some(addr) != primary;
            replica.then(|| addr.clone())
        };
        Ok(ClusterStatus {
            primary: primary.cloned(),
            replicas: self.observed.nodes.iter().filter_map(online).collect(),
            deadline: lease.deadline(),
            consented: lease.is_consented(),
        })
    }

    pub(in crate::actors::cluster) fn view(&self, lease: Lease, now: Moment) -> ClusterView {
        let shared = self.shared.as_ref();
        ClusterView {
            name: self.settings.name.clone(),
            now,
            lease,
            published: self.observed.published.clone(),
            version: shared.and_then(|shared| shared.version),
            keepers: shared
                .map(|shared| shared.keepers.clone())
                .unwrap_or_default(),
            leading: self.leading().map(|leading| leading.epoch),
            writable: self.any_writable(lease, now),
            plan: self.plan.summary(&self.observed, now),
            held: self.held().iter().map(Hold::kind).collect(),
            nodes: self
                .observed
                .nodes
                .keys()
                .filter_map(|addr| self.node_view(addr, lease, now))
                .collect(),
            differences: self.differences(),
            proxies: self.proxies.views(now),
            other_groups: self.other_groups().to_vec(),
            astray: self.observed.groups.astray.clone(),
        }
    }

    pub(in crate::actors::cluster) fn explanation(&self, now: Moment) -> Explanation {
        let mut explanation = explain(&self.observed, &self.settings.policy, now);
        if self.shared.is_none() {
            "nothing: what is published was not read yet".clone_into(&mut explanation.now);
        }
        explanation
    }

    pub(in crate::actors::cluster) fn node_view(
        &self,
        addr: &NodeAddr,
        lease: Lease,
        now: Moment,
    ) -> Option<NodeView> {
        let node = self.observed.nodes.get(addr)?;
        let mut votes = BTreeMap::new();
        if let Some(shared) = &self.shared {
            let online = shared
                .reports
                .iter()
                .filter(|(keeper, _)| shared.keepers.contains(*keeper));
            votes.extend(
                online.filter_map(|(keeper, report)| {
                    Some((keeper.clone(), *report.votes.get(addr)?))
                }),
            );
        }
        let facts = node.observation.proven();
        let lag = Topology::of(&self.observed).lag(addr);
        Some(NodeView {
            node: addr.clone(),
            now,
            observation: NodeObservation {
                vote: self.observed.vote(addr, now),
                ..(*node.observation).clone()
            },
            verdict: node.verdict,
            votes,
            writable: self.reason(addr, Question::Writable, lease, now),
            readable: self.reason(addr, Question::Readable, lease, now),
            offset: facts.map(|facts| facts.offset),
            lag_bytes: lag.map(|lag| lag.bytes),
            lag_seconds: lag.and_then(|lag| lag.seconds),
            age: node
                .observation
                .facts
                .is_some()
                .then(|| now.since(node.observation.at)),
        })
    }

    fn serving(&self, lease: Lease, now: Moment) -> Serving<'_> {
        let relisting = self.shared.as_ref().is_some_and(|it| it.relisting);
        Serving {
            observed: &self.observed,
            policy: &self.settings.policy,
            votes_current: lease.holds(now) && !lease.is_consented() && !relisting,
            now,
        }
    }
}
