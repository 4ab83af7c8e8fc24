//! "Why did it not fail over, and would it?": the plan and the election for the case that the primary dies now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::brake::Brake;
use super::confirmation::Confirmation;
use super::election::{Election, Ineligibility, elect, left_behind, priority};
use super::facts::Lag;
use super::lease::Unacknowledged;
use super::lineage::promotions_back;
use super::node::{Moment, NodeAddr};
use super::observed::{Observed, Topology, not_considered_in_words};
use super::plan::{Action, Hold, Plan, StateChange, plan};
use super::policy::Policy;
use super::published::Published;
use super::sentinels::SentinelWatch;

/// The keepers' present action, and their action if the primary died now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The published primary, or the primary that is being replaced.
    pub primary: Option<NodeAddr>,
    /// The consequence of the primary's death, in words.
    pub sentence: String,
    /// Published nodes that could not be considered, since this keeper's file lacks them.
    pub not_considered: BTreeSet<NodeAddr>,
    /// The node that would take over, holds aside; `None` if no node may.
    pub next: Option<NodeAddr>,
    /// All nodes that may take over, the best first.
    pub ranking: Vec<Successor>,
    /// All nodes that may not take over, each with the reason.
    pub refused: BTreeMap<NodeAddr, Ineligibility>,
    /// Nodes that could not follow the successor, each with its version.
    pub left_behind: BTreeMap<NodeAddr, String>,
    /// Nodes that this keeper cannot read or command, each with the reason in words.
    pub troubles: BTreeMap<NodeAddr, String>,
    /// The reasons that would hold the failover, in words.
    pub held_by: Vec<String>,
    /// The present action, or the reason why nothing is done, in words.
    pub now: String,
}

impl Explanation {
    /// Whether a failover would follow at once: a node may take over, and nothing holds the failover.
    pub fn would_fail_over(&self) -> bool {
        self.next.is_some() && self.held_by.is_empty()
    }
}

/// A node that may take over, with the figures by which it is ranked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Successor {
    /// The node.
    pub node: NodeAddr,
    /// The node's newest replication id that is in the cluster's lineage.
    pub history: String,
    /// How many promotions ago that history was the newest one: 0 is the present history.
    pub promotions_back: usize,
    /// How many bytes of the replication stream the node has.
    pub offset: u64,
    /// How far the node is behind the primary, by the primary's own answer; `None` if not known.
    pub lag: Option<Lag>,
    /// How long ago these facts were read; `None` if another keeper reported them.
    pub age: Option<Duration>,
    /// The configured priority, or else the node's own.
    pub priority: u32,
    /// How long ago the node's process started.
    pub uptime: Duration,
}

/// Explains one cluster for the case that its primary is down and silent. If a change is under way, this is the
/// primary that is being replaced.
pub fn explain(observed: &Observed, policy: &Policy, now: Moment) -> Explanation {
    let observed = &*observed.through_others();
    let present = plan(observed, policy, now);
    let published = observed
        .published
        .as_ref()
        .filter(|published| published.primary.is_some() || published.intent.is_some());
    let Some(published) = published else {
        let mut held_by = vec!["no published primary is known".to_owned()];
        held_by.extend(present.holds.iter().map(|hold| hold.at(now).to_string()));
        return Explanation {
            primary: None,
            sentence: format!("no failover: {}", held_by.join("; ")),
            not_considered: BTreeSet::new(),
            next: None,
            ranking: Vec::new(),
            refused: BTreeMap::new(),
            left_behind: BTreeMap::new(),
            troubles: troubles(observed),
            held_by,
            now: present.summary(observed, now),
        };
    };
    let replaced = || published.intent.as_ref()?.old.clone();
    let primary = published.primary.clone().or_else(replaced);
    let topology = Topology::of(observed);
    let (case, voteless) = without(&topology, primary.as_ref());
    let (next, election, lineage) = successors(&case, policy, published, primary.as_ref(), now);

    let mut holds = blocking(plan(&case, policy, now));
    // A Sentinel that is seen at the primary alone does not go away when the primary does.
    let sentinel = |hold: &&Hold| matches!(hold, Hold::SentinelAtWork { .. });
    if !holds.iter().any(|hold| sentinel(&hold)) {
        holds.extend(present.holds.iter().filter(sentinel).cloned());
    }
    let mut held_by: Vec<String> = voteless.into_iter().collect();
    held_by.extend(braked(observed, primary.as_ref()));
    for hold in &holds {
        let words = hold.at(now).to_string();
        if !held_by.contains(&words) {
            held_by.push(words);
        }
    }

    let ranking = election.ranking.iter().filter_map(|addr| {
        let facts = case.online(addr)?;
        let promotions_back = promotions_back(facts, &lineage)?;
        Some(Successor {
            node: addr.clone(),
            history: lineage[promotions_back].clone(),
            promotions_back,
            offset: facts.offset,
            lag: topology.lag(addr),
            age: age(observed, addr, now),
            priority: priority(addr, facts, policy),
            uptime: facts.uptime,
        })
    });
    let ranking = ranking.collect();
    let mut refused = election.refusals;
    refused.retain(|_, refusal| *refusal != Ineligibility::Replaced);
    let left_behind: BTreeMap<_, _> = next
        .as_ref()
        .and_then(|next| Some(left_behind(&case, next, case.online(next)?)))
        .unwrap_or_default()
        .into_iter()
        .map(|(node, (family, version))| (node, format!("{family} {version}")))
        .collect();
    let not_considered = observed.not_considered(primary.as_ref());
    Explanation {
        sentence: sentence(next.as_ref(), &refused, &left_behind, &held_by)
            + &marred(next.as_ref(), &present, now)
            + &not_considered_in_words(&not_considered),
        not_considered,
        primary,
        next,
        ranking,
        refused,
        left_behind,
        troubles: troubles(observed),
        held_by,
        now: present.summary(observed, now),
    }
}

impl Explanation {
    /// The same explanation with one more reason, put first: `why` no keeper acts.
    #[must_use]
    pub(super) fn held_back(mut self, why: String) -> Self {
        self.held_by.insert(0, why);
        self.sentence = sentence(
            self.next.as_ref(),
            &self.refused,
            &self.left_behind,
            &self.held_by,
        ) + &not_considered_in_words(&self.not_considered);
        self
    }
}

fn age(observed: &Observed, addr: &NodeAddr, now: Moment) -> Option<Duration> {
    let node = observed.nodes.get(addr)?;
    let own = node.through().is_none();
    own.then(|| now.since(node.observation.at))
}

/// Why this keeper cannot read or command nodes.
fn troubles(observed: &Observed) -> BTreeMap<NodeAddr, String> {
    let nodes = observed.nodes.iter();
    nodes
        .filter_map(|(addr, node)| Some((addr.clone(), node.observation.obstacle()?)))
        .collect()
}

/// A copy of the cluster in which `primary`, under all its names, is down and silent. With the copy comes the reason
/// why the keepers could not vote the primary down, if there is one.
fn without(topology: &Topology<'_>, primary: Option<&NodeAddr>) -> (Observed, Option<String>) {
    let mut case = topology.observed().clone();
    case.confirmation = Confirmation::granted();
    case.groups.looks = None;
    let Some(primary) = primary else {
        return (case, None);
    };
    let aliases = topology.aliases().iter();
    let mut names: BTreeSet<&NodeAddr> = aliases
        .filter(|(_, stands)| **stands == primary)
        .map(|(alias, _)| *alias)
        .collect();
    names.insert(primary);
    let mut voteless = None;
    for name in names {
        let Some(node) = case.nodes.get_mut(name) else {
            continue;
        };
        node.relayed = None;
        node.observation.answering = false;
        node.observation.trouble = Some("taken as dead".to_owned());
        let verdict = &mut node.verdict;
        (verdict.unreachable, verdict.loading) = (verdict.keepers, 0);
        if let Some(why) = verdict.out_of_reach() {
            voteless = Some(format!("{primary} {why}"));
            verdict.keepers = verdict.min_votes.max(1);
            verdict.unreachable = verdict.keepers;
        }
    }
    (case, voteless)
}

/// The brake's demand, while the brake acts (RK-11).
fn braked(observed: &Observed, primary: Option<&NodeAddr>) -> Option<String> {
    let (Brake { silent, published }, primary) = (observed.brake?, primary?);
    let timeout = observed.limits.probe_timeout.as_secs_f64();
    Some(format!(
        "{silent} of {published} primaries are silent at once: a majority of the keepers has to confirm that {primary} is, \
         which holds it for {timeout:.1} s at most"
    ))
}

/// The node that would take over without any hold, the election that chose it, and the lineage for that election.
fn successors(
    case: &Observed,
    policy: &Policy,
    published: &Published,
    primary: Option<&NodeAddr>,
    now: Moment,
) -> (Option<NodeAddr>, Election, Vec<String>) {
    let (mut case, mut policy) = (case.clone(), policy.clone());
    (policy.failover_cooldown, policy.drain) = (Duration::ZERO, Duration::ZERO);
    case.groups.managing.clear();
    case.withdrawal.unacknowledged = Unacknowledged::default();
    case.sentinels = SentinelWatch::default();
    let action = plan(&case, &policy, now).action;
    let lineage = match &action {
        Some(Action::Write {
            state,
            change: StateChange::Withdraw,
        }) => state.lineage.clone(),
        _ => published.lineage.clone(),
    };
    let election = elect(&Topology::of(&case), &policy, &lineage, primary, now);
    let next = match action {
        // A change that was begun goes on.
        Some(Action::Promote { node, .. }) => Some(node),
        Some(Action::Write {
            state,
            change: StateChange::Publish | StateChange::Resume,
        }) => state.primary,
        _ => election.ranking.first().cloned(),
    };
    (next, election, lineage)
}

/// The holds that keep the plan from acting.
fn blocking(plan: Plan) -> Vec<Hold> {
    if plan.action.is_some() {
        return Vec::new();
    }
    let holds = plan.holds.into_iter();
    holds.filter(Hold::blocks).collect()
}

/// Why the successor would take no writes, if so.
fn marred(next: Option<&NodeAddr>, present: &Plan, now: Moment) -> String {
    let mars = |hold: &&Hold| next.is_some_and(|next| hold.mars(next));
    let told = present.holds.iter().filter(mars);
    let told: Vec<_> = told.map(|hold| format!("; {}", hold.at(now))).collect();
    told.concat()
}

fn sentence(
    next: Option<&NodeAddr>,
    refused: &BTreeMap<NodeAddr, Ineligibility>,
    left_behind: &BTreeMap<NodeAddr, String>,
    held_by: &[String],
) -> String {
    let refusals = refused
        .iter()
        .map(|(node, refusal)| format!("; {node} not, because it {refusal}"))
        .collect::<Vec<_>>()
        .concat();
    match (next, held_by) {
        (Some(next), []) => {
            let left = left_behind.iter().map(|(node, version)| {
                format!("; {node} ({version}) can not follow it, and loses its data if it tries")
            });
            let left: String = left.collect();
            format!("{next} would take over{refusals}{left}")
        }
        (Some(next), held) => format!(
            "{next} would be the one to take over, but it is held back: {}",
            held.join("; ")
        ),
        (None, _) if refused.is_empty() && !held_by.is_empty() => {
            format!("nobody would take over: {}", held_by.join("; "))
        }
        (None, _) => format!("nobody would take over{refusals}"),
    }
}

#[cfg(test)]
mod tests;
