//! A Redis Sentinel manages the same cluster: the keepers command nothing, and publish the Sentinel's changes (RK-7).

use super::super::lineage::generation_of;
use super::super::node::NodeAddr;
use super::{Action, Case, Change, Hold, Plan};

/// The rest of `plan` while a Sentinel is at work: no command. These actions stay allowed:
/// - a change of notes;
/// - once all nodes follow a new primary: the withdrawal of the old one, and the looks and questions before it;
/// - the publication of that new primary, as the next step.
pub(super) fn left_of(case: &Case<'_>, mut plan: Plan, hold: Hold) -> Plan {
    let allowed = match &plan.action {
        Some(Action::Write { state, change }) => match change {
            Change::Withdraw => followed_by_all(case).is_some(),
            Change::Publish => followed_by_all(case) == state.primary.as_ref(),
            Change::Note => true,
            Change::Resume | Change::Accept => false,
        },
        Some(action) => action.changes_nothing() && followed_by_all(case).is_some(),
        None => false,
    };
    if !allowed {
        plan.action = None;
    }
    plan.holds.insert(0, hold);
    if case.observed.requested.is_some() && plan.action.is_none() {
        plan = plan.refusing_a_switchover();
    }
    plan
}

/// The node that all others follow, directly or through another, and that holds the cluster's data.
pub(super) fn followed_by_all<'a>(case: &'a Case<'_>) -> Option<&'a NodeAddr> {
    let published = case.observed.published.as_ref();
    let mut primaries = case.members().filter(|(_, facts)| facts.is_primary());
    let (addr, facts) = primaries.next()?;
    let ours = published.is_none_or(|published| {
        generation_of(facts, &published.lineage).is_some()
            || case.observed.promoted_by_hand(addr, facts)
    });
    let fit = !case.observed.nodes.get(addr)?.verdict.unfit_as_primary();
    let all = case.members().count();
    let alone = primaries.next().is_none();
    (alone && ours && fit && case.followers(addr) + 1 == all).then_some(addr)
}
