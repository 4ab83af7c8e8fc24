//! Everything that a `ClusterActor` holds in memory, and what changes it. The module `answers` answers questions from
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::names::Foreign;
use super::fact_relay::{FactRelay, relayed, requested_nodes, witnesses};
use super::polled::Polled;
use super::proxies::Proxies;
use super::proxy_drain::{self, Acknowledged, Withdrawal, gathered, old_gone, withdrawn};
use super::rereads::Rereads;
use super::tasks::Tasks;
use crate::actors::messages::SharedState;
use crate::domain::command_history::CommandHistory;
use crate::domain::confirmation::Confirmation;
use crate::domain::group::OtherGroup;
use crate::domain::last_failover::LastFailover;
use crate::domain::liveness::Limits;
use crate::domain::looks::Looks;
use crate::domain::node::{ClusterName, Epoch, Generation, KeeperId, Moment, NodeAddr};
use crate::domain::observation::NodeObservation;
use crate::domain::observed::{
    ClustersSeen, GroupsSeen, Observed, ObservedNode, OutsideSeen, WithdrawalProgress, Witnesses,
};
use crate::domain::outside::OutsideChanges;
use crate::domain::plan::{Plan, plan};
use crate::domain::policy::{Policy, WriteSafety};
use crate::domain::sentinels::SentinelWatch;
use crate::domain::task::{Task, TaskId};
use crate::domain::verdict::Verdict;

mod answers;
mod names;
mod outside;
mod rivals;
mod summary;

/// The identity of a cluster, and its rules.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// The cluster's name.
    pub name: ClusterName,
    /// The id of this keeper.
    pub keeper: KeeperId,
    /// The rules by which the leader decides.
    pub policy: Arc<Policy>,
    /// How long answers to `is-readable` outlive the lease (`read-lease-seconds`).
    pub read_lease: std::time::Duration,
    /// The times that votes depend on.
    pub limits: Limits,
}

/// The knowledge of a cluster actor.
pub(super) struct State {
    pub(super) settings: ClusterSettings,
    /// The state that the session shares; `None` before its first message.
    pub(super) shared: Option<Arc<SharedState>>,
    /// The names in that state which this keeper's file does not have.
    foreign: Foreign,
    /// The input of the next decision.
    pub(super) observed: Observed,
    /// The questions of other keepers about the published primary, and this keeper's answers.
    pub(super) polled: Polled,
    /// This keeper's facts about nodes that the leader does not reach.
    fact_relay: FactRelay,
    /// The tasks that keepers carry out for each other, where the leader reaches no node.
    pub(super) tasks: Tasks,
    /// Other groups of keepers that this one has met (RK-12).
    met: Vec<OtherGroup>,
    /// Changes of the primary that were made from outside.
    outside: OutsideChanges,
    /// HAProxies that ask whether nodes are writable.
    pub(super) proxies: Proxies,
    /// Since when no keeper calls the withdrawn primary writable.
    acknowledged: Option<Acknowledged>,
    /// The nodes that were read once more, besides the probes.
    pub(super) rereads: Rereads,
    /// The plan as of the last change. The plan serves display, and tells whether the leader has something to do.
    plan: Plan,
}

impl State {
    pub(super) fn new(
        settings: ClusterSettings,
        nodes: impl IntoIterator<Item = NodeAddr>,
        now: Moment,
    ) -> Self {
        let verdict = Verdict {
            unreachable: 0,
            loading: 0,
            refused: 0,
            keepers: 0,
            min_votes: settings.policy.min_votes,
        };
        let unknown = |addr| {
            (
                addr,
                ObservedNode {
                    observation: Box::new(NodeObservation::unknown(now)),
                    verdict,
                    relayed: None,
                },
            )
        };
        let observed = Observed {
            nodes: nodes.into_iter().map(unknown).collect(),
            unlisted: BTreeMap::new(),
            published: None,
            epoch: Epoch::default(),
            commands: CommandHistory::default(),
            published_at: None,
            withdrawal: WithdrawalProgress::default(),
            requested: None,
            confirmation: Confirmation::default(),
            brake: None,
            limits: settings.limits,
            last_failover: None,
            sentinels: SentinelWatch::default(),
            witnesses: Witnesses::default(),
            groups: GroupsSeen::default(),
            clusters: ClustersSeen::default(),
            outside: OutsideSeen::default(),
        };
        Self {
            settings,
            shared: None,
            foreign: Foreign::default(),
            observed,
            polled: Polled::default(),
            fact_relay: FactRelay::default(),
            tasks: Tasks::default(),
            met: Vec::new(),
            outside: OutsideChanges::default(),
            proxies: Proxies::default(),
            acknowledged: None,
            rereads: Rereads::default(),
            plan: Plan::default(),
        }
    }

    // === changes ===

    /// Takes in an observation of a monitor. Two kinds are ignored:
    /// - the observation of a node that is not configured (any more);
    /// - an observation older than the known one: an answer and an unasked report may overtake each other.
    pub(super) fn node_observed(&mut self, node: &NodeAddr, observation: NodeObservation) {
        if let Some(known) = self.observed.nodes.get_mut(node)
            && observation.order >= known.observation.order
        {
            let moved = known.observation.addresses != observation.addresses;
            *known.observation = observation;
            self.fact_relay.node_observed(node, &known.observation);
            self.watch_role(node);
            if moved {
                self.names_may_have_changed();
            }
        }
    }

    /// Takes in observations of several monitors.
    pub(super) fn nodes_observed(&mut self, observations: Vec<(NodeAddr, NodeObservation)>) {
        for (node, observation) in observations {
            self.node_observed(&node, observation);
        }
    }

    /// Takes in figures that move by themselves, for display. No decision follows from them: a monitor reports
    /// changes in substance unasked.
    pub(super) fn measured(&mut self, node: &NodeAddr, observation: NodeObservation) {
        if let Some(known) = self.observed.nodes.get_mut(node)
            && observation.order >= known.observation.order
            && observation.same_matter(&known.observation)
        {
            *known.observation = observation;
        }
    }

    /// Takes in what the session shares. A new leadership forgets the commands of the one before.
    pub(super) fn shared(&mut self, shared: &Arc<SharedState>, now: Moment) {
        let shared = self.received(shared);
        if self.leading() != shared.leading.as_ref() {
            self.observed.commands.forget_leadership();
            self.observed.confirmation = Confirmation::default();
            self.outside.forget();
            self.observed.groups.looks = shared.leading.as_ref().map(|_| Looks::since(now));
            self.tasks.take_all_back();
        }
        self.tasks.take_outcomes(&shared.reports, &shared.keepers);
        self.observed.last_failover = LastFailover::seen(
            self.observed.last_failover.take(),
            self.observed.published.as_ref(),
            shared.published.as_ref(),
            now,
        );
        let generation = shared.published.as_ref().map(|it| it.generation);
        if generation != self.generation() {
            self.observed.published_at = Some(now);
            // The requested switchover was begun, or something else came first.
            self.observed.requested = None;
            self.confirmation_after(shared.published.as_ref(), now);
        }
        self.observed.published.clone_from(&shared.published);
        self.watch_breaker(now);
        self.observed.epoch = shared
            .leading
            .as_ref()
            .map(|leading| leading.epoch)
            .unwrap_or_default();
        self.observed
            .withdrawal
            .unacknowledged
            .clone_from(&shared.unacknowledged);
        let by_all = shared.leading.is_some() && shared.unacknowledged.is_empty();
        self.acknowledged =
            withdrawn(&self.observed).and_then(|Withdrawal { generation, .. }| {
                let known = self.acknowledged;
                let known = known.filter(|known| known.generation == generation);
                known.or_else(|| {
                    by_all.then_some(Acknowledged {
                        generation,
                        since: now,
                    })
                })
            });
        self.observed.witnesses.told = witnesses(&shared, &self.settings.keeper);
        self.shared = Some(shared);
        self.note_unlisted();
    }

    /// Listens to HAProxies if a leader asks for it. If this keeper leads, gathers what all keepers heard (RK-10).
    fn drain(&mut self, now: Moment) {
        let me = &self.settings.keeper;
        let awaits = self.awaits_proxies();
        let asked = match awaits {
            Some(_) => withdrawn(&self.observed),
            None => self
                .shared
                .as_ref()
                .and_then(|shared| proxy_drain::requested_withdrawal(&self.observed, shared, me)),
        };
        self.proxies.listen(asked, self.settings.policy.drain, now);
        let leading = awaits.zip(self.shared.as_ref());
        self.observed.withdrawal.drain = leading.map(|(acknowledged, shared)| {
            gathered(acknowledged, shared, me, self.proxies.report())
        });
    }

    /// The withdrawal after which this keeper, as the leader, has to wait for HAProxies.
    fn awaits_proxies(&self) -> Option<Acknowledged> {
        self.acknowledged.filter(|_| {
            self.leading().is_some() && self.observed.awaits_proxies(&self.settings.policy)
        })
    }

    pub(super) fn generation(&self) -> Option<Generation> {
        self.observed
            .published
            .as_ref()
            .map(|published| published.generation)
    }

    /// The nodes about which another keeper, the leader, asks now, and the published generation. Each combination is
    /// returned once.
    pub(super) fn begin_reading(&mut self) -> Option<(Generation, BTreeSet<NodeAddr>)> {
        let shared = self.shared.as_ref()?;
        let asked = requested_nodes(&self.observed, &shared.reports, &self.settings.keeper);
        self.fact_relay.begin(self.generation(), asked)
    }

    /// The tasks that were given to this keeper and are not yet begun.
    pub(super) fn due_tasks(&mut self) -> Vec<(TaskId, Task)> {
        let Some(shared) = &self.shared else {
            return Vec::new();
        };
        let newest = self.observed.published.as_ref().map(|it| it.epoch);
        let me = &self.settings.keeper;
        self.tasks
            .due(&shared.reports, me, newest.unwrap_or_default())
    }

    /// Takes in what was read for the leader while this generation was published.
    pub(super) fn read(
        &mut self,
        generation: Generation,
        observations: Vec<(NodeAddr, NodeObservation)>,
    ) {
        self.fact_relay.read(generation, &observations);
        self.nodes_observed(observations);
    }

    /// Whether a decision depends on the settings of the nodes (RK-9).
    pub(super) fn settings_matter(&self) -> bool {
        let published = self.observed.published.as_ref();
        self.settings.policy.write_safety != WriteSafety::None
            || published.is_some_and(|published| !published.former_min_replicas.is_empty())
    }

    /// Counts the votes and plans anew. Returns the nodes whose verdict changed.
    /// - This keeper's own vote counts once the other keepers can read it, too.
    /// - While it is not known who is online, the verdicts stay as they are.
    pub(super) fn reconsider(&mut self, now: Moment) -> Vec<(NodeAddr, Verdict)> {
        let mut witness = std::mem::take(&mut self.observed.witnesses.own);
        witness.look(&self.observed);
        self.observed.witnesses.own = witness;
        let generation = self.generation();
        let nothing = Arc::default();
        let SharedState {
            keepers,
            reports,
            relisting,
            ..
        } = &**self.shared.as_ref().unwrap_or(&nothing);
        let mut turned = Vec::new();
        for (addr, node) in &mut self.observed.nodes {
            let verdict = if *relisting {
                node.verdict
            } else {
                Verdict::of(addr, keepers, reports, self.settings.policy.min_votes)
            };
            if verdict.unfit_as_primary() != node.verdict.unfit_as_primary() {
                turned.push((addr.clone(), verdict));
            }
            node.verdict = verdict;
            node.relayed = if node.observation.answering {
                None
            } else {
                let tried = self.observed.commands.tried_through(addr);
                relayed(addr, generation, reports, tried)
            };
        }
        self.observed.withdrawal.old_gone = self
            .shared
            .as_ref()
            .is_some_and(|shared| old_gone(&self.observed, shared, &self.settings.keeper));
        self.drain(now);
        self.observed.watch_sentinels(now);
        self.confirm(now);
        self.observed.outside.changes = self.outside.lately(now);
        self.observed.outside.last = self.outside.last();
        self.plan = if self.shared.is_some() {
            plan(&self.observed, &self.settings.policy, now)
        } else {
            Plan::default()
        };
        turned
    }
}

#[cfg(test)]
mod tests;
