//! The holds, the report and the decision that follow from the state of a `ClusterActor`.

use std::collections::BTreeSet;

use super::State;
use crate::actors::cluster::fact_relay::unanswered;
use crate::actors::cluster::proxy_drain::{refused_early, refused_since};
use crate::actors::messages::{Decision, Leadership};
use crate::domain::addresses::known_addresses;
use crate::domain::node::{Moment, NodeAddr};
use crate::domain::observed::{ObservedNode, Requested};
use crate::domain::plan::{Hold, Plan};
use crate::domain::published::Published;
use crate::domain::report::KeeperReport;

impl State {
    /// The reasons for everything that is left undone, if this keeper leads.
    pub(in crate::actors::cluster) fn held(&self) -> &[Hold] {
        if self.leading().is_some() {
            &self.plan.holds
        } else {
            &[]
        }
    }

    /// When to plan again even if nothing happens. This keeper's vote for what the replicas say may be due earlier
    /// than the plan.
    pub(in crate::actors::cluster) fn again(&self, now: Moment) -> Option<Moment> {
        let vote_due = self.observed.impostor_from().filter(|due| *due > now);
        self.plan.again.into_iter().chain(vote_due).min()
    }

    /// This keeper's report:
    /// - its own votes;
    /// - what it asks for, if it leads;
    /// - what it tells the leader.
    pub(in crate::actors::cluster) fn report(&self, now: Moment) -> KeeperReport {
        let (recent_proxies, overflowed) = self.proxies.lately(now);
        let awaits_proxies = self.awaits_proxies();
        let vote = |addr: &NodeAddr| Some((addr.clone(), self.observed.vote(addr, now)?));
        KeeperReport {
            votes: self.observed.nodes.keys().filter_map(vote).collect(),
            asks: match self.leading() {
                Some(_) => unanswered(&self.observed),
                None => BTreeSet::new(),
            },
            fresh: self.fact_relay.report(),
            tasks: self.tasks.listed(),
            outcomes: self.tasks.outcomes(),
            witness: self.observed.testimony(),
            refused: refused_early(&self.observed, self.shared.as_deref()),
            unprobed: self.lacking(),
            unpublished: self.unpublished(),
            unread: self.unread(),
            absent: false,
            ended: refused_since(&self.observed),
            recent_proxies,
            overflowed,
            drains: awaits_proxies.map(|withdrawal| withdrawal.generation),
            heard: self
                .proxies
                .report()
                .filter(|_| awaits_proxies.is_none())
                .cloned(),
            other_groups: self.met.clone(),
            overlaps: {
                let overlaps = self.observed.clusters.overlaps.iter();
                overlaps
                    .map(|it| (it.cluster.clone(), it.nodes.clone()))
                    .collect()
            },
        }
    }

    /// The nodes that this keeper cannot read or command, for any of these reasons:
    /// - the node answers, but not with its role, or refuses this keeper's login;
    /// - the last trial found that commands to the node would not be carried out;
    /// - the host name was probed, and has never resolved here.
    fn unread(&self) -> BTreeSet<NodeAddr> {
        let nodes = self.observed.nodes.iter();
        let unread = nodes.filter(|(addr, ObservedNode { observation, .. })| {
            let turned_away = observation.answering && observation.obstacle().is_some();
            let unknown =
                observation.probed && observation.facts.is_none() && observation.vote.is_none();
            let barred = observation.not_commandable().is_some();
            let nowhere = || known_addresses(addr.host(), &observation.addresses).is_empty();
            turned_away || barred || unknown && nowhere()
        });
        unread.map(|(addr, _)| addr.clone()).collect()
    }

    /// Puts an operator's request before the leader.
    pub(in crate::actors::cluster) fn request(&mut self, requested: Option<Requested>) {
        self.observed.requested = requested;
    }

    pub(in crate::actors::cluster) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(in crate::actors::cluster) fn published(&self) -> Option<&Published> {
        self.observed.published.as_ref()
    }

    pub(in crate::actors::cluster) fn leading(&self) -> Option<&Leadership> {
        self.shared
            .as_ref()
            .and_then(|shared| shared.leading.as_ref())
    }

    /// Whether this keeper leads, and has an action or a hold in its plan.
    pub(in crate::actors::cluster) fn needs_leader(&self) -> bool {
        self.leading().is_some() && (self.plan.action.is_some() || !self.plan.holds.is_empty())
    }

    /// The nodes to ask again before a decision: all but those that this keeper votes down.
    pub(in crate::actors::cluster) fn worth_asking(&self) -> BTreeSet<NodeAddr> {
        let asked = self
            .observed
            .nodes
            .iter()
            .filter(|(_, node)| node.observation.vote.is_none());
        asked.map(|(addr, _)| addr.clone()).collect()
    }

    /// The run id of the server process that answers at this node.
    pub(in crate::actors::cluster) fn run_id(&self, node: &NodeAddr) -> Option<String> {
        self.observed.run_ids().remove(node)
    }

    pub(in crate::actors::cluster) fn decision(&self) -> Decision {
        let shared = self.shared.as_ref();
        self.in_published_names(Decision {
            plan: self.plan.clone(),
            version: shared.and_then(|shared| shared.version),
            leading: self.leading().cloned(),
            run_ids: self.observed.run_ids(),
            choice: None,
        })
    }
}
