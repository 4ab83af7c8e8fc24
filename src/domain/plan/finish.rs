//! A change of primary is under way: finish it from whatever is seen (RK-5).

use super::super::election::{elect, generation_of};
use super::super::facts::NodeFacts;
use super::super::node::NodeAddr;
use super::super::published::{Intent, Published, Step};
use super::{Action, Case, Change, Hold, Plan, publishing};

pub(super) fn finish(case: &Case<'_>, published: &Published, intent: &Intent) -> Plan {
    if let Some(old) = returned_whole(case, intent) {
        return Plan::write(Change::Publish, publishing(case, published, old));
    }
    let unacknowledged = &case.observed.unacknowledged;
    if !unacknowledged.is_empty() {
        return Plan::hold(Hold::Unacknowledged(unacknowledged.clone()));
    }
    if let Some(promoted) = promoted(case, published, intent) {
        return Plan::write(Change::Publish, publishing(case, published, promoted));
    }
    let replaced = intent.old.as_ref().filter(|old| !case.demoted(old));
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
        (Some(candidate), _) | (None, Some(candidate)) => {
            let facts = case.observed.online(candidate);
            if facts.is_some_and(NodeFacts::is_primary) {
                // Somebody else promoted it: it takes no command.
                return Plan::write(Change::Publish, publishing(case, published, candidate));
            }
            Plan::act(Action::Promote {
                node: candidate.clone(),
                state: choosing(case, published, candidate),
            })
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

/// The candidate, once it is a primary with the cluster's data: by our command, or somebody else's before it.
fn promoted<'a>(
    case: &Case<'_>,
    published: &Published,
    intent: &'a Intent,
) -> Option<&'a NodeAddr> {
    let candidate = intent.candidate.as_ref()?;
    let facts = case.observed.online(candidate)?;
    let whole = facts.is_primary() && generation_of(facts, &published.lineage).is_some();
    whole.then_some(candidate)
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
