//! A change of primary is under way: finish it from whatever is seen (RK-5).

use std::time::Duration;

use super::super::drain;
use super::super::election::{Election, Refusal, elect};
use super::super::facts::NodeFacts;
use super::super::lineage::generation_of;
use super::super::node::NodeAddr;
use super::super::published::{Intent, Published, Step};
use super::sentinel::followed_by_all;
use super::{Action, Case, Change, Hold, Plan, awaited, publishing, switchover};

/// How long a node that confirmed its promotion is given to answer a probe, unless it is voted down before.
const PROMOTED_SHOWS_WITHIN: Duration = Duration::from_secs(1);

/// How long after a withdrawal the other keepers are given to tell what they see of nodes that the leader does not reach.
const TOLD_WITHIN: Duration = Duration::from_millis(50);

pub(super) fn finish(case: &Case<'_>, published: &Published, intent: &Intent) -> Plan {
    let chosen = intent.candidate.as_ref();
    let elsewhere = |addr| case.left_to_others(addr);
    if let Some(hold) = elsewhere(intent.old.as_ref()).or_else(|| elsewhere(chosen)) {
        // A keeper that sees both is about to lead, and knows whether the one is well or the other promoted.
        return Plan::hold(hold);
    }
    if let Some(to) = &intent.switchover
        && let Some(plan) = switchover::proceed(case, published, intent, to)
    {
        return plan;
    }
    if let Some(old) = returned_whole(case, published, intent)
        && !withdrawn_for_good(case, published, intent)
    {
        return Plan::write(Change::Publish, publishing(case, published, old));
    }
    let unacknowledged = &case.observed.unacknowledged;
    if !unacknowledged.is_empty() {
        let mut plan = Plan::hold(Hold::Unacknowledged(unacknowledged.clone()));
        plan.holds
            .extend(case.silent_keepers(true).map(|(hold, _)| hold));
        return plan;
    }
    if let Some(promoted) = promoted(case, published, intent) {
        return Plan::write(Change::Publish, publishing(case, published, promoted));
    }
    if let Some(plan) = shows_soon(case, intent) {
        return plan;
    }
    let election = election(case, published, intent);
    if let Some(plan) = told_soon(case, intent, &election) {
        return plan;
    }
    if let Some(plan) = awaited::may_hold_more(case, published, intent, &election) {
        return plan;
    }
    let chosen = intent
        .candidate
        .as_ref()
        .filter(|candidate| election.ranking.contains(candidate));
    // Somebody else promoted it and all follow it: a replica of it that seems ahead was read a moment later.
    let adopted = followed_by_all(case)
        .filter(|node| intent.candidate.is_none() && election.ranking.contains(node));
    let chosen = chosen.or(adopted);
    match (chosen, election.ranking.first()) {
        (Some(candidate), _) | (None, Some(candidate)) => {
            if let Some(plan) = draining(case, intent) {
                return plan;
            }
            let facts = case.observed.online(candidate);
            if facts.is_some_and(NodeFacts::is_primary) {
                // Somebody else promoted it: it takes no command.
                return Plan::write(Change::Publish, publishing(case, published, candidate));
            }
            Plan::act(Action::Promote {
                node: candidate.clone(),
                state: choosing(case, published, candidate),
                through: case.through(candidate).cloned(),
            })
        }
        (None, None) => match last_resort(case, intent, &election) {
            Some(old) => Plan::write(Change::Publish, publishing(case, published, old)),
            None => Plan::hold(Hold::NoneEligible {
                replaced: intent.old.clone(),
                refusals: election.refusals,
            }),
        },
    }
}

/// The old primary, if it proves alive and whole before any promotion began: the same process.
fn returned_whole<'a>(
    case: &Case<'_>,
    published: &Published,
    intent: &'a Intent,
) -> Option<&'a NodeAddr> {
    let old = intent.old.as_ref()?;
    let node = case.observed.nodes.get(old)?;
    let facts = node.online()?;
    let whole = facts.is_primary() && published.withdrew(facts) && !node.verdict.unfit_as_primary();
    (intent.step == Step::Withdrawn && whole).then_some(old)
}

/// The old primary flapped, so that its successor was named when it was withdrawn; and somebody may take over still.
fn withdrawn_for_good(case: &Case<'_>, published: &Published, intent: &Intent) -> bool {
    intent.candidate.is_some() && !election(case, published, intent).ranking.is_empty()
}

fn election(case: &Case<'_>, published: &Published, intent: &Intent) -> Election {
    let replaced = intent.old.as_ref().filter(|old| !case.demoted(old));
    let lineage = &published.lineage;
    elect(case.observed, case.policy, lineage, replaced, case.now)
}

/// The candidate, once it is a primary with the cluster's data: by our command, or somebody else's before it.
pub(super) fn promoted<'a>(
    case: &Case<'_>,
    published: &Published,
    intent: &'a Intent,
) -> Option<&'a NodeAddr> {
    let candidate = intent.candidate.as_ref()?;
    let node = case.observed.nodes.get(candidate)?;
    let facts = node.online()?;
    let whole = facts.is_primary() && generation_of(facts, &published.lineage).is_some();
    (whole && !node.verdict.unfit_as_primary()).then_some(candidate)
}

/// A promotion was confirmed, and the node does not answer yet: a promotion cuts its clients off, probes included. Another
/// one promoted now would be one too many.
pub(super) fn shows_soon(case: &Case<'_>, intent: &Intent) -> Option<Plan> {
    let (node, at) = case.observed.promoted.as_ref()?;
    let seen = case.observed.nodes.get(node)?;
    let until = at.after(PROMOTED_SHOWS_WITHIN);
    let hidden = seen.live().is_none() && !seen.verdict.down();
    (intent.candidate.as_ref() == Some(node) && hidden && case.now < until).then(|| Plan {
        again: Some(until),
        ..Plan::hold(Hold::Undecided(vec![seen.doubt(node)]))
    })
}

/// A replica does not answer the leader, and others may just be about to tell what they see of it.
fn told_soon(case: &Case<'_>, intent: &Intent, election: &Election) -> Option<Plan> {
    let until = case.observed.published_at?.after(TOLD_WITHIN);
    let awaited: Vec<_> = election
        .refusals
        .iter()
        .filter(|(_, refusal)| matches!(refusal, Refusal::NotAnswering(_)))
        .filter_map(|(addr, _)| Some((addr, case.observed.nodes.get(addr)?)))
        .filter(|(_, node)| node.verdict.keepers > 1)
        .map(|(addr, node)| node.doubt(addr))
        .collect();
    let waits = intent.step == Step::Withdrawn && case.now < until && !awaited.is_empty();
    waits.then(|| Plan {
        again: Some(until),
        ..Plan::hold(Hold::Undecided(awaited))
    })
}

/// The old primary may still take writes, and HAProxies may not have noticed yet that it is the primary no more (RK-10).
fn draining(case: &Case<'_>, intent: &Intent) -> Option<Plan> {
    let (drain, node) = (case.observed.drain.as_ref()?, intent.old.clone()?);
    let span = case.policy.drain;
    let until = drain.until(span)?;
    let waits = drain::wanted(case.observed, case.policy) && case.now < until;
    waits.then(|| Plan {
        again: Some(until),
        ..Plan::hold(Hold::Draining {
            node,
            up: drain.up.clone(),
            untold: drain.untold.clone(),
            left: until.since(case.now),
            drain: span,
        })
    })
}

/// The old primary back as another process, when nobody else can serve, nor soon. Empty where there was data, it would
/// only spread the loss, unless the loss is complete: every node answers, and none holds anything. And what it holds is not
/// worth that of a replica that is merely silent at the moment.
fn last_resort<'a>(
    case: &Case<'_>,
    intent: &'a Intent,
    election: &Election,
) -> Option<&'a NodeAddr> {
    if election.has_data && election.refusals.values().any(Refusal::may_pass) {
        return None;
    }
    let old = intent.old.as_ref()?;
    let node = case.observed.nodes.get(old)?;
    let mut nodes = case.observed.nodes.values();
    let all_lost = nodes.all(|node| node.online().is_some_and(|facts| facts.keys == 0));
    let serves = |facts: &&NodeFacts| {
        facts.is_primary() && (facts.keys > 0 || !election.has_data || all_lost)
    };
    let serving = node.online().filter(serves);
    serving
        .filter(|_| !node.verdict.unfit_as_primary())
        .map(|_| old)
}

/// The state that names the candidate.
pub(super) fn choosing(case: &Case<'_>, published: &Published, candidate: &NodeAddr) -> Published {
    let mut state = published.clone();
    if let Some(intent) = &mut state.intent {
        intent.epoch = case.observed.epoch;
        intent.candidate = Some(candidate.clone());
        intent.step = Step::Promoting;
    }
    state.recognise(case.observed);
    state
}
