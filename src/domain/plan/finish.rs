//! A change of primary is under way: finish it from whatever is seen (RK-5).

use super::super::election::elect;
use super::super::facts::NodeFacts;
use super::super::node::NodeAddr;
use super::super::published::{Intent, Published, Step};
use super::keep::belongs;
use super::{Action, Case, Change, Hold, Plan, publishing};

pub(super) fn finish(case: &Case<'_>, published: &Published, intent: &Intent) -> Plan {
    if let Some(old) = returned_whole(case, intent) {
        return Plan::write(Change::Publish, publishing(case, published, old));
    }
    if let Some(promoted) = promoted(case, published, intent) {
        return Plan::write(Change::Publish, publishing(case, published, promoted));
    }
    let demoted = |old: &&NodeAddr| {
        case.observed
            .online(old)
            .is_some_and(|facts| !facts.is_primary())
    };
    let replaced = intent.old.as_ref().filter(|old| !demoted(old));
    let election = elect(
        case.observed,
        case.policy,
        &published.lineage,
        replaced,
        case.now,
    );
    let chosen = intent
        .candidate
        .as_ref()
        .filter(|candidate| election.ranking.contains(candidate));
    match (chosen, election.ranking.first()) {
        (Some(candidate), _)
            if intent.step == Step::Promoting && intent.epoch == case.observed.epoch =>
        {
            Plan::act(Action::Promote(candidate.clone()))
        }
        (Some(candidate), _) | (None, Some(candidate)) => {
            Plan::write(Change::Choose, choosing(case, published, candidate))
        }
        (None, None) => match last_resort(case, intent, election.has_data) {
            Some(old) => Plan::write(Change::Publish, publishing(case, published, old)),
            None => Plan::hold(Hold::NoneEligible {
                replaced: intent.old.clone(),
                refusals: election.refusals,
            }),
        },
    }
}

/// The old primary, if it proves alive and whole before any promotion began.
fn returned_whole<'a>(case: &Case<'_>, intent: &'a Intent) -> Option<&'a NodeAddr> {
    let old = intent.old.as_ref()?;
    let node = case.observed.nodes.get(old)?;
    let facts = node.online()?;
    let same_process = intent.old_run_id.as_ref() == Some(&facts.run_id);
    let whole = facts.is_primary() && same_process && !node.verdict.unfit_as_primary();
    (intent.step == Step::Withdrawn && whole).then_some(old)
}

/// A node that is a primary already: the candidate, or one that somebody else promoted out of the cluster's history.
fn promoted<'a>(
    case: &'a Case<'_>,
    published: &Published,
    intent: &'a Intent,
) -> Option<&'a NodeAddr> {
    let is_primary = |addr: &&NodeAddr| {
        case.observed
            .online(addr)
            .is_some_and(NodeFacts::is_primary)
    };
    let by_us = intent.candidate.as_ref().filter(is_primary);
    let by_others = || {
        let related = |(addr, facts): &(&NodeAddr, &NodeFacts)| {
            Some(*addr) != intent.old.as_ref()
                && facts.is_primary()
                && belongs(facts, &published.lineage)
        };
        case.members()
            .filter(related)
            .max_by_key(|(addr, _)| case.followers(addr))
            .map(|(addr, _)| addr)
    };
    by_us.or_else(by_others)
}

/// The old primary back as another process, when nobody else can serve. Empty where there was data, it would only
/// spread the loss.
fn last_resort<'a>(case: &Case<'_>, intent: &'a Intent, has_data: bool) -> Option<&'a NodeAddr> {
    let old = intent.old.as_ref()?;
    let node = case.observed.nodes.get(old)?;
    let serves = |facts: &&NodeFacts| facts.is_primary() && (facts.keys > 0 || !has_data);
    let serving = node.online().filter(serves);
    serving
        .filter(|_| !node.verdict.unfit_as_primary())
        .map(|_| old)
}

fn choosing(case: &Case<'_>, published: &Published, candidate: &NodeAddr) -> Published {
    let mut state = published.clone();
    if let Some(intent) = &mut state.intent {
        intent.epoch = case.observed.epoch;
        intent.candidate = Some(candidate.clone());
        intent.step = Step::Promoting;
    }
    state
}
