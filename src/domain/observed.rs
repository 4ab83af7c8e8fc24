//! The inputs of one decision: everything seen, voted and published of one cluster at one moment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::addresses::{Addresses, Identity, identity};
use super::brake::Brake;
use super::claims::{Contender, Overlap};
use super::command_history::{CommandFailure, CommandHistory};
use super::confirmation::Confirmation;
use super::drain::Drain;
use super::facts::NodeFacts;
use super::group::OtherGroup;
use super::last_failover::LastFailover;
use super::lease::Unacknowledged;
use super::liveness::Limits;
use super::looks::Looks;
use super::node::{Epoch, KeeperId, Moment, NodeAddr};
use super::observation::NodeObservation;
use super::published::Published;
use super::rivals::Astray;
use super::sentinels::{AtNode, SentinelWatch};
use super::verdict::Verdict;
use super::witness::Witness;

pub use topology::Topology;
pub(super) use unlisted::not_considered_in_words;

mod drain;
mod impostor;
mod lag;
mod node;
mod overlap;
mod topology;
mod traces;
mod unlisted;
mod witness;

/// One cluster as this keeper observes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Every configured node.
    pub nodes: BTreeMap<NodeAddr, ObservedNode>,
    /// Published nodes that this keeper's file lacks.
    pub unlisted: BTreeMap<NodeAddr, Unlisted>,
    /// The published state; `None` before the first publication.
    pub published: Option<Published>,
    /// The epoch to act under.
    pub epoch: Epoch,
    /// The commands of this leadership, and their outcomes.
    pub commands: CommandHistory,
    /// When this keeper, by its own clock, learned of the published withdrawal or primary.
    pub published_at: Option<Moment>,
    /// How far the published withdrawal has come.
    pub withdrawal: WithdrawalProgress,
    /// The change that an operator has requested from this leader.
    pub requested: Option<Requested>,
    /// This leader's knowledge of whether a primary that is voted down is still down (RK-2).
    pub confirmation: Confirmation,
    /// The brake: so many primaries of all clusters are silent at once that a majority has to confirm each (RK-11).
    pub brake: Option<Brake>,
    /// The times that votes depend on.
    pub limits: Limits,
    /// The last failover that this keeper saw; `None` if it saw none since its start, or a switchover since.
    pub last_failover: Option<LastFailover>,
    /// The Sentinels that are present, and how long they hold this keeper back.
    pub sentinels: SentinelWatch,
    /// The keepers' records of the published primary and its replicas (RK-6).
    pub witnesses: Witnesses,
    /// Other groups of keepers at these servers (RK-12).
    pub groups: GroupsSeen,
    /// Other clusters of this group that have nodes of this one.
    pub clusters: ClustersSeen,
    /// Changes of primary from outside (RK-12).
    pub outside: OutsideSeen,
}

/// How far a withdrawal has come: who may still call the old primary writable, and who may still write to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WithdrawalProgress {
    /// The keepers that may still answer from before the withdrawal (RK-2).
    pub unacknowledged: Unacknowledged,
    /// How far HAProxies have followed the withdrawal (RK-10); `None` unless this keeper leads and waits for no
    /// keeper.
    pub drain: Option<Drain>,
    /// The process of the primary that was withdrawn is gone, and its clients with it (RK-10).
    pub old_gone: bool,
}

/// The records of the published primary and its replicas, each by one keeper since its start (RK-6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witnesses {
    /// This keeper's own record.
    pub own: Witness,
    /// The records of the other keepers online.
    pub told: BTreeMap<KeeperId, Witness>,
}

/// Other groups of keepers at the cluster's servers, as far as this keeper has seen them (RK-12).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupsSeen {
    /// The groups that manage these servers, in order.
    pub managing: Vec<OtherGroup>,
    /// Names of other groups' keepers, met at the cluster's servers, that lead to no such keeper.
    pub astray: Vec<Astray>,
    /// Where this leader has looked for other groups; `None` if this keeper does not lead.
    pub looks: Option<Looks>,
}

/// Other clusters of this group of keepers that have nodes of this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClustersSeen {
    /// Published ones.
    pub overlaps: Vec<Overlap>,
    /// Those that are held because this published cluster has nodes of theirs.
    pub contenders: Vec<Contender>,
}

/// Changes of primary that the leader did not make, and the breaker that they trip (RK-12).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutsideSeen {
    /// How many changes this leader knows of, within the last minute.
    pub changes: usize,
    /// When the last of these changes was seen.
    pub last: Option<Moment>,
    /// When this keeper first saw that the published breaker is tripped.
    pub breaker_since: Option<Moment>,
    /// An operator has acknowledged the tripped breaker.
    pub acknowledged: bool,
}

/// A node that this keeper does not probe, because its file lacks it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unlisted {
    /// The addresses of its host; empty if unknown.
    pub addresses: Addresses,
    /// How many keepers online probe it.
    pub voters: usize,
}

/// A switchover that somebody requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// The node to switch to; `None` for the best one.
    pub to: Option<NodeAddr>,
    /// The reason, in the operator's words.
    pub reason: String,
}

/// One node: this keeper's observation, and the votes of all keepers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedNode {
    /// The observation of this keeper's monitor. Boxed, since a map has room for eleven nodes, and a cluster has three.
    pub observation: Box<NodeObservation>,
    /// The votes of the keepers online.
    pub verdict: Verdict,
    /// Another keeper's facts of the node since the published generation, if the node does not answer this keeper.
    /// That keeper can carry out commands at the node.
    pub relayed: Option<Box<RelayedFacts>>,
}

/// Another keeper's facts of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayedFacts {
    /// The keeper that read them.
    pub keeper: KeeperId,
    /// The facts.
    pub facts: NodeFacts,
}

impl Observed {
    /// The cluster with the knowledge of other keepers: a node that answers only another keeper has that keeper's
    /// facts. A history whose origin this keeper has seen names the origin. Nodes of other clusters are left out.
    pub(super) fn through_others(&self) -> Cow<'_, Self> {
        let unseen = |node: &ObservedNode| !node.observation.answering && node.relayed.is_some();
        let foreign = self.foreign();
        let traces = self.traces();
        if foreign.is_empty() && !self.nodes.values().any(unseen) && traces.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut observed = self.clone();
        for (addr, origin) in traces {
            let node = observed.nodes.get_mut(&addr);
            if let Some(facts) = node.and_then(|node| node.observation.facts.as_mut()) {
                facts.trace_to(origin);
            }
        }
        observed.nodes.retain(|addr, _| !foreign.contains(addr));
        for node in observed.nodes.values_mut().filter(|node| unseen(node)) {
            let Some(relayed) = &node.relayed else {
                continue;
            };
            let facts = &relayed.facts;
            let observation = &mut node.observation;
            let upstream = facts.upstream().map(|upstream| upstream.primary.host());
            let literal = upstream.and_then(|host| host.parse::<IpAddr>().ok());
            observation.upstream_addresses = literal.into_iter().collect();
            observation.facts = Some(facts.clone());
            observation.answering = true;
            // The facts were read after the present state was published.
            observation.at = observation.at.max(self.published_at.unwrap_or_default());
            observation.trouble = None;
            observation.hindrance = None;
            observation.login_refused = None;
            observation.unproven = None;
            observation.outdated = None;
            observation.min_replicas = None;
            // The keeper that reads the node commands it, too.
            observation.commandable = None;
        }
        Cow::Owned(observed)
    }

    /// The failure for which the node is left alone now. A command that failed through one keeper may be tried
    /// through another.
    pub(super) fn failed_lately(&self, addr: &NodeAddr, now: Moment) -> Option<&CommandFailure> {
        let failure = self.commands.roles.get(addr)?;
        let through = self.nodes.get(addr).and_then(ObservedNode::through);
        let untried = through.is_some_and(|keeper| !failure.through.contains(keeper));
        (now < failure.retry_at(self.has_no_primary()) && !untried).then_some(failure)
    }

    /// Whether a primary is withdrawn, and no other one is published yet.
    pub(super) fn has_no_primary(&self) -> bool {
        let published = self.published.as_ref();
        published.is_some_and(|it| it.primary.is_none() && it.intent.is_some())
    }

    /// Updates the record of Sentinels, and of the time that they have.
    pub fn watch_sentinels(&mut self, now: Moment) {
        let seen = |(addr, node): (&NodeAddr, &ObservedNode)| {
            let facts = node.observation.named()?;
            Some(AtNode {
                node: addr.clone(),
                sentinel: facts.sentinels.first()?.clone(),
            })
        };
        let sentinel = self.nodes.iter().find_map(seen);
        let primary = self.published.as_ref().and_then(|it| it.primary.as_ref());
        let primary = primary.and_then(|primary| self.nodes.get(primary));
        let down = primary.is_some_and(|node| node.verdict.unfit_as_primary());
        self.sentinels.look(sentinel, down, now);
    }

    /// Whether the published node `primary`, which this keeper's file lacks, may be its node `addr` by another name.
    pub fn may_be(&self, primary: &NodeAddr, addr: &NodeAddr) -> bool {
        let Some((unlisted, node)) = self.unlisted.get(primary).zip(self.nodes.get(addr)) else {
            return false;
        };
        let own = (addr, &node.observation.addresses);
        identity((primary, &unlisted.addresses), own) == Identity::Unknown
    }

    /// The facts of `addr`, if the node is configured, live and serving.
    pub fn online(&self, addr: &NodeAddr) -> Option<&NodeFacts> {
        self.nodes.get(addr)?.online()
    }

    /// The process at each node, as a plan that is made now sees it: the one that answers, or the one known last.
    pub fn run_ids(&self) -> BTreeMap<NodeAddr, String> {
        let known = |(addr, node): (&NodeAddr, &ObservedNode)| {
            let run_id = &node.observation.named().or(node.last_known())?.run_id;
            Some((addr.clone(), run_id.clone()))
        };
        self.nodes.iter().filter_map(known).collect()
    }

    /// Nodes that are live and serving, with their facts, in address order.
    pub fn all_online(&self) -> impl Iterator<Item = (&NodeAddr, &NodeFacts)> {
        self.nodes
            .iter()
            .filter_map(|(addr, node)| Some((addr, node.online()?)))
    }

    /// Whether the replica is linked to another server than the one that it names: see [`Witness`].
    pub(super) fn is_astray_by_itself(&self, replica: &NodeAddr) -> bool {
        let known = self.nodes.get(replica);
        let facts = known.and_then(|node| node.observation.facts.as_ref());
        facts.is_some_and(|facts| self.witnesses.own.is_elsewhere(replica, facts))
    }
}
