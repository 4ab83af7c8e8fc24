//! The facts that this keeper relays of nodes which the leader does not reach, and the facts that others relay.

use std::collections::{BTreeMap, BTreeSet};

use crate::actors::messages::SharedState;
use crate::domain::node::{Generation, KeeperId, NodeAddr};
use crate::domain::observation::NodeObservation;
use crate::domain::observed::{Observed, RelayedFacts};
use crate::domain::report::{KeeperReport, RelayReport};
use crate::domain::witness::Witness;

/// The facts that this keeper relays to the leader.
#[derive(Debug, Default)]
pub(super) struct FactRelay {
    /// The facts read last; `None` while no keeper asks for them.
    fresh: Option<RelayReport>,
    reading: Reading,
}

/// The last read of nodes, which may be under way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reading {
    /// The generation that was published when the read began.
    generation: Option<Generation>,
    nodes: BTreeSet<NodeAddr>,
}

impl FactRelay {
    /// The nodes to read now, with the published generation: the nodes `asked` for, and not read since.
    pub(super) fn begin(
        &mut self,
        generation: Option<Generation>,
        asked: BTreeSet<NodeAddr>,
    ) -> Option<(Generation, BTreeSet<NodeAddr>)> {
        if asked.is_empty() {
            self.fresh = None;
        }
        let reading = Reading {
            generation,
            nodes: asked.clone(),
        };
        if self.reading == reading {
            return None;
        }
        self.reading = reading;
        let generation = generation.filter(|_| !asked.is_empty())?;
        Some((generation, asked))
    }

    /// Takes in what was read of the nodes.
    pub(super) fn read(
        &mut self,
        generation: Generation,
        observations: &[(NodeAddr, NodeObservation)],
    ) {
        if self.reading.generation == Some(generation) && !self.reading.nodes.is_empty() {
            let answered = |(addr, observation): &(NodeAddr, NodeObservation)| {
                let facts = observation.named()?;
                Some((addr.clone(), facts.clone()))
            };
            let nodes: BTreeMap<_, _> = observations.iter().filter_map(answered).collect();
            // A node that did not answer in time is read again: by now it may answer.
            self.reading.nodes.retain(|node| nodes.contains_key(node));
            self.fresh = Some(RelayReport { generation, nodes });
        }
    }

    /// Updates the relayed facts of a node when a probe has found other facts.
    pub(super) fn node_observed(&mut self, node: &NodeAddr, observation: &NodeObservation) {
        let Some(fresh) = &mut self.fresh else { return };
        let Some(told) = fresh.nodes.get_mut(node) else {
            return;
        };
        if let Some(facts) = observation.named() {
            told.clone_from(facts);
        } else {
            fresh.nodes.remove(node);
            // The node is read again as soon as it answers.
            self.reading.nodes.remove(node);
        }
    }

    /// The facts to relay, if there are any.
    pub(super) fn report(&self) -> Option<RelayReport> {
        self.fresh.clone().filter(|fresh| !fresh.nodes.is_empty())
    }
}

/// The nodes that other keepers ask for, and from which `me` has an answer.
pub(super) fn requested_nodes(
    observed: &Observed,
    reports: &BTreeMap<KeeperId, KeeperReport>,
    me: &KeeperId,
) -> BTreeSet<NodeAddr> {
    let others = reports.iter().filter(|(keeper, _)| *keeper != me);
    let asked = others.flat_map(|(_, report)| &report.asks);
    let answering = |addr: &&NodeAddr| {
        let node = observed.nodes.get(*addr);
        node.is_some_and(|node| node.observation.named().is_some())
    };
    asked.filter(answering).cloned().collect()
}

/// The nodes that this keeper has probed without an answer.
pub(super) fn unanswered(observed: &Observed) -> BTreeSet<NodeAddr> {
    let nodes = observed.nodes.iter();
    let unanswered =
        nodes.filter(|(_, node)| node.observation.probed && !node.observation.answering);
    unanswered.map(|(addr, _)| addr.clone()).collect()
}

/// The facts of `node` as relayed by one keeper, read since `generation` was published.
///
/// Of several keepers the one with the greatest offset is chosen. A keeper through which a command to the node has
/// failed comes last.
pub(super) fn relayed(
    node: &NodeAddr,
    generation: Option<Generation>,
    reports: &BTreeMap<KeeperId, KeeperReport>,
    tried: Option<&BTreeSet<KeeperId>>,
) -> Option<Box<RelayedFacts>> {
    let generation = generation?;
    let told = reports.iter().filter_map(|(keeper, report)| {
        let fresh = report.fresh.as_ref()?;
        let facts = fresh.nodes.get(node)?;
        (fresh.generation == generation).then_some((keeper, facts))
    });
    let untried = |keeper| tried.is_none_or(|tried| !tried.contains(keeper));
    let (keeper, facts) = told.max_by_key(|(keeper, facts)| (untried(*keeper), facts.offset))?;
    Some(Box::new(RelayedFacts {
        keeper: keeper.clone(),
        facts: facts.clone(),
    }))
}

/// The observations of the other keepers online, each since its start.
pub(super) fn witnesses(shared: &SharedState, me: &KeeperId) -> BTreeMap<KeeperId, Witness> {
    let others = shared
        .reports
        .iter()
        .filter(|(keeper, _)| *keeper != me && shared.keepers.contains(*keeper));
    others
        .filter_map(|(keeper, report)| Some((keeper.clone(), report.witness.clone()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::NodeFacts;
    use crate::domain::info::Info;
    use crate::domain::node::Moment;

    const PUBLISHED: Generation = Generation(3);
    const WITHDRAWN: Generation = Generation(4);

    fn a() -> NodeAddr {
        NodeAddr::new("a", 6379)
    }

    fn observations(offset: u64) -> Vec<(NodeAddr, NodeObservation)> {
        let text = include_str!("../../domain/info/samples/redis-7.0-primary.txt");
        let facts = NodeFacts::of(&Info::parse(text)).map(|facts| NodeFacts { offset, ..facts });
        let observation = NodeObservation {
            facts,
            answering: true,
            ..NodeObservation::unknown(Moment::default())
        };
        vec![(a(), observation)]
    }

    fn told(fact_relay: &FactRelay) -> Option<(Generation, u64)> {
        let fresh = fact_relay.report()?;
        Some((fresh.generation, fresh.nodes[&a()].offset))
    }

    #[test]
    fn what_is_asked_for_is_read_once_for_each_generation_and_told_until_nobody_asks() {
        let mut fact_relay = FactRelay::default();
        assert_eq!(fact_relay.begin(Some(PUBLISHED), BTreeSet::new()), None);
        let reading = Some((PUBLISHED, BTreeSet::from([a()])));
        assert_eq!(fact_relay.begin(Some(PUBLISHED), [a()].into()), reading);
        assert_eq!(fact_relay.begin(Some(PUBLISHED), [a()].into()), None);
        assert_eq!(told(&fact_relay), None);
        fact_relay.read(PUBLISHED, &observations(10));
        assert_eq!(told(&fact_relay), Some((PUBLISHED, 10)));

        let again = Some((WITHDRAWN, BTreeSet::from([a()])));
        assert_eq!(fact_relay.begin(Some(WITHDRAWN), [a()].into()), again);
        assert_eq!(
            told(&fact_relay),
            Some((PUBLISHED, 10)),
            "it says of what time"
        );
        fact_relay.read(PUBLISHED, &observations(20));
        assert_eq!(
            told(&fact_relay),
            Some((PUBLISHED, 10)),
            "begun before the withdrawal"
        );
        fact_relay.read(WITHDRAWN, &observations(30));
        assert_eq!(told(&fact_relay), Some((WITHDRAWN, 30)));

        fact_relay.begin(Some(WITHDRAWN), BTreeSet::new());
        assert_eq!(told(&fact_relay), None);
    }

    #[test]
    fn what_could_not_be_read_in_time_is_read_again() {
        let mut fact_relay = FactRelay::default();
        let reading = Some((WITHDRAWN, BTreeSet::from([a()])));
        assert_eq!(fact_relay.begin(Some(WITHDRAWN), [a()].into()), reading);
        let (node, mut silent) = observations(10).remove(0);
        silent.answering = false;
        for read in [vec![], vec![(node, silent)]] {
            fact_relay.read(WITHDRAWN, &read);
            assert_eq!(told(&fact_relay), None);
            assert_eq!(fact_relay.begin(Some(WITHDRAWN), [a()].into()), reading);
        }
        fact_relay.read(WITHDRAWN, &observations(10));
        assert_eq!(told(&fact_relay), Some((WITHDRAWN, 10)));
        assert_eq!(fact_relay.begin(Some(WITHDRAWN), [a()].into()), None);
    }

    #[test]
    fn what_is_told_follows_what_is_seen() {
        let mut fact_relay = FactRelay::default();
        fact_relay.begin(Some(PUBLISHED), [a()].into());
        fact_relay.read(PUBLISHED, &observations(10));
        let (node, mut observation) = observations(20).remove(0);
        fact_relay.node_observed(&node, &observation);
        assert_eq!(told(&fact_relay), Some((PUBLISHED, 20)));
        observation.answering = false;
        fact_relay.node_observed(&node, &observation);
        assert_eq!(told(&fact_relay), None);
        let again = Some((PUBLISHED, BTreeSet::from([a()])));
        assert_eq!(fact_relay.begin(Some(PUBLISHED), [a()].into()), again);
    }
}
