//! A change of primary is under way: the leader finishes it from whatever it observes (RK-5).

use std::time::Duration;

use super::super::drain;
use super::super::election::{Election, Refusal, elect};
use super::super::facts::NodeFacts;
use super::super::lineage::generation_of;
use super::super::node::NodeAddr;
use super::super::published::{Intent, Published, Step};
use super::sentinel::followed_by_all;
use super::{Action, Case, Change, Hold, Plan, awaited, publishing, switchover, write_safety};

/// How long a node that confirmed its promotion may take to answer a probe, unless it is voted down before.
const PROMOTED_SHOWS_WITHIN: Duration = Duration::from_secs(1);

/// How long after a withdrawal the other keepers may take to report about nodes that the leader does not reach.
const TOLD_WITHIN: Duration = Duration::from_millis(50);

pub(super) fn finish(case: &Case<'_>, published: &Published, intent: &Intent) -> Plan {
    let chosen = intent.candidate.as_ref();
    let elsewhere = |addr| case.left_to_others(addr);
    if let Some(hold) = elsewhere(intent.old.as_ref()).or_else(|| elsewhere(chosen)) {
        // A keeper that probes both nodes is about to lead, and sees whether the old primary is well, or the
        // candidate promoted.
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
    // Somebody else promoted the node, and all others follow it. A follower may seem ahead because it was read later.
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
                // Somebody else promoted the node, so no command is needed.
                return Plan::write(Change::Publish, publishing(case, published, candidate));
            }
            if let Some(plan) = write_safety::put_back(case, published, candidate) {
                return plan;
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

/// The old primary, if the same process serves again before any promotion began.
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

/// Whether the old primary stays withdrawn even if it is well: it flapped, so its successor was named with the
/// withdrawal. A node must still be able to take over.
fn withdrawn_for_good(case: &Case<'_>, published: &Published, intent: &Intent) -> bool {
    intent.candidate.is_some() && !election(case, published, intent).ranking.is_empty()
}

fn election(case: &Case<'_>, published: &Published, intent: &Intent) -> Election {
    let replaced = intent.old.as_ref().filter(|old| !case.demoted(old));
    let lineage = &published.lineage;
    elect(case.observed, case.policy, lineage, replaced, case.now)
}

/// The candidate, once it is a primary with the cluster's data, by the leader's command or somebody else's before.
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

/// The hold while a node has confirmed its promotion and does not answer yet. A promotion cuts off the node's
/// clients, probes included. Promoting another node now would make two primaries.
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

/// The hold while the leader has no answer from a replica, and other keepers may be about to report it.
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

/// The hold while the old primary may still take writes, and HAProxies may still send clients to it (RK-10).
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

/// The old primary, published again because no other node can take over, now or soon. Usually this is another process
/// than before. The leader publishes nothing in two cases:
/// - A replica that may hold data is only silent at the moment.
/// - The old primary is empty, and the cluster had data: it would spread the loss. The exception is a complete loss:
///   every node answers, and all are empty.
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

/// The state that names the candidate, written before its promotion.
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
