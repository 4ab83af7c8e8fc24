//! A change of primary is under way: the leader finishes it from whatever it observes (RK-5).

use std::time::Duration;

use super::super::election::{Election, Ineligibility};
use super::super::facts::NodeFacts;
use super::super::node::NodeAddr;
use super::super::published::{Intent, Published, Step};
use super::promoted::{promoted, shows_soon};
use super::sentinel::followed_by_all;
use super::states::choosing;
use super::{
    Action, Hold, Plan, Situation, StateChange, awaited, publishing, switchover, write_safety,
};

/// How long after a withdrawal the other keepers may take to report about nodes that the leader does not reach.
const RELAY_TIMEOUT: Duration = Duration::from_millis(50);

pub(super) fn finish(situation: &Situation<'_>, published: &Published, intent: &Intent) -> Plan {
    let chosen = intent.candidate.as_ref();
    let elsewhere = |addr| situation.left_to_others(addr);
    if let Some(hold) = elsewhere(intent.old.as_ref()).or_else(|| elsewhere(chosen)) {
        // A keeper that probes both nodes is about to lead, and sees whether the old primary is well, or the
        // candidate promoted.
        return Plan::hold(hold);
    }
    if let Some(to) = &intent.switchover
        && let Some(plan) = switchover::proceed(situation, published, intent, to)
    {
        return plan;
    }
    if let Some(old) = returned_whole(situation, published, intent)
        && !withdrawn_for_good(situation, published, intent)
    {
        return Plan::write(StateChange::Publish, publishing(situation, published, old));
    }
    let unacknowledged = &situation.observed.withdrawal.unacknowledged;
    if !unacknowledged.is_empty() {
        let mut plan = Plan::hold(Hold::Unacknowledged(unacknowledged.clone()));
        plan.holds
            .extend(situation.silent_keepers(true).map(|(hold, _)| hold));
        return plan;
    }
    if let Some(promoted) = promoted(situation, published, intent) {
        return Plan::write(
            StateChange::Publish,
            publishing(situation, published, promoted),
        );
    }
    if let Some(plan) = shows_soon(situation, intent) {
        return plan;
    }
    let election = election(situation, published, intent);
    if let Some(plan) = told_soon(situation, intent, &election) {
        return plan;
    }
    if let Some(plan) = awaited::may_hold_more(situation, published, intent, &election) {
        return plan;
    }
    let chosen = intent
        .candidate
        .as_ref()
        .filter(|candidate| election.ranking.contains(candidate));
    // Somebody else promoted the node, and all others follow it. A follower may seem ahead because it was read later.
    let adopted = followed_by_all(situation)
        .filter(|node| intent.candidate.is_none() && election.ranking.contains(node));
    let chosen = chosen.or(adopted);
    match (chosen, election.ranking.first()) {
        (Some(candidate), _) | (None, Some(candidate)) => {
            if let Some(plan) = draining(situation, intent) {
                return plan;
            }
            let facts = situation.observed.online(candidate);
            if facts.is_some_and(NodeFacts::is_primary) {
                // Somebody else promoted the node, so no command is needed.
                return Plan::write(
                    StateChange::Publish,
                    publishing(situation, published, candidate),
                );
            }
            if let Some(plan) = write_safety::put_back(situation, published, candidate) {
                return plan;
            }
            Plan::act(Action::Promote {
                node: candidate.clone(),
                state: choosing(situation, published, candidate),
                through: situation.through(candidate).cloned(),
            })
        }
        (None, None) => match last_resort(situation, intent, &election) {
            Some(old) => Plan::write(StateChange::Publish, publishing(situation, published, old)),
            None => Plan::hold(Hold::NoneEligible {
                replaced: intent.old.clone(),
                refusals: election.refusals,
            }),
        },
    }
}

/// The old primary, if the same process serves again before any promotion began.
fn returned_whole<'a>(
    situation: &Situation<'_>,
    published: &Published,
    intent: &'a Intent,
) -> Option<&'a NodeAddr> {
    let old = intent.old.as_ref()?;
    let node = situation.observed.nodes.get(old)?;
    let facts = node.online()?;
    let whole = facts.is_primary() && published.withdrew(facts) && !node.verdict.unfit_as_primary();
    (intent.step == Step::Withdrawn && whole).then_some(old)
}

/// Whether the old primary stays withdrawn even if it is well: it flapped, so its successor was named with the
/// withdrawal. A node must still be able to take over.
fn withdrawn_for_good(situation: &Situation<'_>, published: &Published, intent: &Intent) -> bool {
    intent.candidate.is_some() && !election(situation, published, intent).ranking.is_empty()
}

fn election(situation: &Situation<'_>, published: &Published, intent: &Intent) -> Election {
    let replaced = intent.old.as_ref().filter(|old| !situation.demoted(old));
    let lineage = &published.lineage;
    situation.elect(lineage, replaced)
}

/// The hold while the leader has no answer from a replica, and other keepers may be about to report it.
fn told_soon(situation: &Situation<'_>, intent: &Intent, election: &Election) -> Option<Plan> {
    let until = situation.observed.published_at?.after(RELAY_TIMEOUT);
    let awaited: Vec<_> = election
        .refusals
        .iter()
        .filter(|(_, refusal)| matches!(refusal, Ineligibility::NotAnswering(_)))
        .filter_map(|(addr, _)| Some((addr, situation.observed.nodes.get(addr)?)))
        .filter(|(_, node)| node.verdict.keepers > 1)
        .map(|(addr, node)| node.why_undecided(addr))
        .collect();
    let waits = intent.step == Step::Withdrawn && situation.now < until && !awaited.is_empty();
    waits.then(|| Plan {
        again: Some(until),
        ..Plan::hold(Hold::Undecided(awaited))
    })
}

/// The hold while the old primary may still take writes, and HAProxies may still send clients to it (RK-10).
fn draining(situation: &Situation<'_>, intent: &Intent) -> Option<Plan> {
    let (drain, node) = (
        situation.observed.withdrawal.drain.as_ref()?,
        intent.old.clone()?,
    );
    let span = situation.policy.drain;
    let until = drain.until(span)?;
    let waits = situation.observed.awaits_proxies(situation.policy) && situation.now < until;
    waits.then(|| Plan {
        again: Some(until),
        ..Plan::hold(Hold::Draining {
            node,
            up: drain.up.clone(),
            untold: drain.untold.clone(),
            until,
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
    situation: &Situation<'_>,
    intent: &'a Intent,
    election: &Election,
) -> Option<&'a NodeAddr> {
    if election.has_data && election.refusals.values().any(Ineligibility::may_pass) {
        return None;
    }
    let old = intent.old.as_ref()?;
    let node = situation.observed.nodes.get(old)?;
    let mut nodes = situation.observed.nodes.values();
    let all_lost = nodes.all(|node| node.online().is_some_and(|facts| facts.keys == 0));
    let serves = |facts: &&NodeFacts| {
        facts.is_primary() && (facts.keys > 0 || !election.has_data || all_lost)
    };
    let serving = node.online().filter(serves);
    serving
        .filter(|_| !node.verdict.unfit_as_primary())
        .map(|_| old)
}
