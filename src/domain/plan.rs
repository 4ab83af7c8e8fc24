//! The heart of the keeper: from the observed cluster to the one next action.
//!
//! [`plan`] is pure and level-triggered. The leader executes ONE action, observes again and plans again. The leader
//! keeps no undo log, and no memory of earlier plans. Each leader continues a half-done change from its observations
//! and from the persisted [`Intent`](super::published::Intent) (RK-5).
//!
//! Each situation has its file:
//! - `discover`: nothing is published yet;
//! - `keep`: a primary is published;
//! - `finish`: a change of primary is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use self::hindrance::HindranceAction;
pub use self::hold::Hold;
pub use self::hold_kind::HoldKind;
pub use self::words::At;
use super::confirmation::Inquiry;
use super::election::{Election, elect};
use super::facts::{MinReplicas, NodeFacts};
use super::node::{ClusterName, KeeperId, Moment, NodeAddr};
use super::observed::{Observed, Topology};
use super::policy::Policy;
use super::published::Published;
use foreigners::{foreigners, sentinels};
use states::{publishing, withdrawing};

mod awaited;
mod breaker;
mod by_hand;
mod commandable;
mod confirmation;
mod discover;
mod finish;
mod foreigners;
mod hindrance;
mod hold;
mod hold_kind;
mod keep;
mod looks;
mod min_replicas;
mod overlap;
mod promoted;
mod rebirth;
mod sentinel;
mod sharing;
mod shutdown;
mod states;
mod stranger;
mod summary;
mod switchover;
mod words;
mod write_safety;

/// The next action, and everything that is left undone, with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The next action; `None` when there is nothing to do, or nothing that may be done.
    pub action: Option<Action>,
    /// Why something is not done: the answer to "why did it not fail over?".
    pub holds: Vec<Hold>,
    /// When to plan again even if nothing happens meanwhile: a hold ends by time alone.
    pub again: Option<Moment>,
}

/// An action of the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write this state, guarded (RK-4).
    Write {
        /// The state. The writer fills in epoch and generation.
        state: Published,
        /// The meaning of the write.
        change: StateChange,
    },
    /// Publish this cluster in the state in which another cluster of the group is published. Fewer keepers have the
    /// other cluster in their files. The guarded write (RK-4) also checks that the other cluster's state has not
    /// changed.
    TakeOver(ClusterName),
    /// Before any change, look which clients are connected to these nodes, and ask the keepers of other groups found
    /// there (RK-12).
    LookFirst(BTreeSet<NodeAddr>),
    /// Ask a primary that is voted down once more, before it is withdrawn (RK-2).
    Confirm(Inquiry),
    /// Have the other keepers ask this primary, too.
    AskVoters(NodeAddr),
    /// Make this node a primary, in these steps:
    /// 1. Open a connection to the node, and fence off older leaders.
    /// 2. Write the state, which names the node as the candidate. The write is guarded (RK-4), and comes before the
    ///    command (RK-5).
    /// 3. Send the command.
    Promote {
        /// The candidate.
        node: NodeAddr,
        /// The state. The writer fills in epoch and generation.
        state: Published,
        /// The keeper that sends the command, where the leader does not reach the node.
        through: Option<KeeperId>,
    },
    /// Switch from `from`, which has all of the cluster's data, to `to`, in these steps:
    /// 1. Open connections to both, and fence off older leaders.
    /// 2. Write the state, which names the candidate.
    /// 3. Pause the writes of `from`.
    /// 4. Wait until `to` has all of the data, and promote `to`.
    ///
    /// The pause lasts until `from` follows `to`, or is published again.
    Switch {
        /// The primary withdrawn.
        from: NodeAddr,
        /// Its successor.
        to: NodeAddr,
        /// The state. The writer fills in epoch and generation.
        state: Published,
        /// How long HAProxies may take to follow the withdrawal (`drain-seconds`). The pause has to last longer.
        drain: Duration,
    },
    /// Make these nodes follow the primary, all at the same time, each behind a guard of its own (RK-4).
    Follow {
        /// The nodes: every other primary, and replicas as far as `parallel-syncs` allows.
        nodes: Vec<NodeAddr>,
        /// The node to follow.
        primary: NodeAddr,
        /// The keeper that sends the command, for each node that the leader does not reach.
        through: BTreeMap<NodeAddr, KeeperId>,
    },
    /// Give this node these `min-replicas` settings, behind a guard (RK-4). The former settings are persisted (RK-9).
    SetMinReplicas {
        /// The node.
        node: NodeAddr,
        /// The settings.
        values: MinReplicas,
    },
}

/// The meaning of a write of the published state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateChange {
    /// No primary is published any more (RK-2).
    Withdraw,
    /// A primary is published.
    Publish,
    /// The old primary is published again, and its writes may be paused: a switchover was called off or left
    /// unfinished.
    Resume,
    /// Another process at the published address is accepted as the primary, though it has lost data, or cannot show
    /// that its data are the cluster's. No node that holds the cluster's data may take over (RK-7).
    Accept,
    /// Only notes change: the replicas, process, replication ids and so on of the published primary.
    Note,
}

impl Action {
    /// Whether the action only looks or asks. The answer decides the next action.
    pub fn changes_nothing(&self) -> bool {
        matches!(
            self,
            Self::LookFirst(_) | Self::Confirm(_) | Self::AskVoters(_)
        )
    }
}

impl StateChange {
    /// Whether the published primary changes, so that the generation is raised (RK-2).
    pub fn raises_generation(self) -> bool {
        matches!(self, Self::Withdraw | Self::Publish | Self::Resume)
    }
}

impl Plan {
    fn act(action: Action) -> Self {
        Self {
            action: Some(action),
            ..Self::default()
        }
    }

    fn hold(hold: Hold) -> Self {
        Self {
            holds: vec![hold],
            ..Self::default()
        }
    }

    /// The same plan, and the reason why a switchover that an operator asks for is not begun.
    fn refusing_a_switchover(mut self, now: Moment) -> Self {
        let why = self.holds.first().map(|hold| hold.at(now).to_string());
        self.holds.push(Hold::NoSwitchover(why.unwrap_or_default()));
        self
    }

    fn write(change: StateChange, state: Published) -> Self {
        Self::act(Action::Write { state, change })
    }
}

/// Decides the next action for one cluster.
pub fn plan(observed: &Observed, policy: &Policy, now: Moment) -> Plan {
    let overlaps = overlap::holds(observed);
    let overlapped = overlap::held(observed);
    if overlapped && !observed.is_published() {
        return overlap::nothing_of(observed, Plan::default(), overlaps, now);
    }
    let observed = &*observed.through_others();
    let (sentinel, again) = sentinels(observed);
    let topology = &Topology::of(observed);
    let foreign = foreigners(topology);
    let situation = Situation {
        observed,
        topology,
        policy,
        now,
    };
    let unpublished = |before: &Published| {
        overlap::take_over(observed).unwrap_or_else(|| discover::discover(&situation, before))
    };
    let mut plan = match &observed.published {
        Some(published) => match (&published.intent, &published.primary) {
            (Some(intent), _) => finish::finish(&situation, published, intent),
            (None, Some(primary)) => keep::keep(&situation, published, primary),
            (None, None) => unpublished(published),
        },
        None => unpublished(&Published::default()),
    };
    plan.holds.extend(foreign);
    plan.holds.extend(commandable::not_commandable(observed));
    hindrance::tell(observed, &mut plan);
    plan.holds.extend(min_replicas::holds(&situation));
    match sentinel {
        Some(hold @ Hold::SentinelAtWork { .. }) => {
            plan = sentinel::left_of(&situation, plan, hold);
            plan.again = plan.again.into_iter().chain(again).min();
        }
        passed_over => plan.holds.extend(passed_over),
    }
    plan = if observed.groups.managing.is_empty() {
        looks::first(&situation, plan)
    } else {
        sharing::left_of(observed, plan, now)
    };
    if overlapped {
        plan = overlap::nothing_of(observed, plan, overlaps, now);
    } else {
        plan.holds.extend(overlaps);
    }
    foreigners::note_server_failovers(observed, &mut plan.holds, now);
    plan.holds.extend(foreigners::astray(observed));
    if plan.action.is_none() {
        // A command that failed may be tried again later. No event says when, so the plan does.
        let urgent = observed.has_no_primary();
        let retries = observed
            .commands
            .roles
            .values()
            .map(|it| it.retry_at(urgent));
        let later = retries.filter(|at| *at > now);
        plan.again = plan.again.into_iter().chain(later).min();
    }
    plan
}

/// The input of every situation.
struct Situation<'a> {
    observed: &'a Observed,
    topology: &'a Topology<'a>,
    policy: &'a Policy,
    now: Moment,
}

impl<'a> Situation<'a> {
    /// Judges every node but `replaced` as a successor for the data history `lineage`.
    fn elect(&self, lineage: &[String], replaced: Option<&NodeAddr>) -> Election {
        elect(self.topology, self.policy, lineage, replaced, self.now)
    }

    /// Nodes that may be commanded: see [`Topology::members`].
    fn members(&self) -> impl Iterator<Item = (&'a NodeAddr, &'a NodeFacts)> {
        self.topology.members()
    }

    /// The keeper through which the node is commanded, if the leader does not reach it.
    fn through(&self, addr: &NodeAddr) -> Option<&KeeperId> {
        self.observed.nodes.get(addr)?.through()
    }

    /// The hold, if the node is not in this keeper's file and other keepers probe it: one of those keepers is to
    /// lead.
    fn left_to_others(&self, addr: Option<&NodeAddr>) -> Option<Hold> {
        let addr = addr?;
        let unlisted = self.observed.unlisted.get(addr)?;
        (unlisted.voters > 0).then(|| Hold::NotInFile {
            node: addr.clone(),
            voters: unlisted.voters,
        })
    }

    /// Whether the node is up, but is not a primary any more.
    fn demoted(&self, addr: &NodeAddr) -> bool {
        let facts = self.observed.online(addr);
        facts.is_some_and(|facts| !facts.is_primary())
    }
}

#[cfg(test)]
pub(in crate::domain) mod tests;
