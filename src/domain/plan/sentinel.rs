//! A Redis Sentinel manages the same cluster: the keepers command nothing, and publish the Sentinel's changes (RK-7).

use super::super::lineage::promotions_back;
use super::super::node::NodeAddr;
use super::{Action, Hold, Plan, Situation, StateChange};

/// The rest of `plan` while a Sentinel is at work: no command. These actions stay allowed:
/// - a change of notes;
/// - once all nodes follow a new primary: the withdrawal of the old one, and the looks and questions before it;
/// - the publication of that new primary, as the next step.
pub(super) fn left_of(situation: &Situation<'_>, mut plan: Plan, hold: Hold) -> Plan {
    let allowed = match &plan.action {
        Some(Action::Write { state, change }) => match change {
            StateChange::Withdraw => followed_by_all(situation).is_some(),
            StateChange::Publish => followed_by_all(situation) == state.primary.as_ref(),
            StateChange::Note => true,
            StateChange::Resume | StateChange::Accept => false,
        },
        Some(action) => action.changes_nothing() && followed_by_all(situation).is_some(),
        None => false,
    };
    if !allowed {
        plan.action = None;
    }
    plan.holds.insert(0, hold);
    if situation.observed.requested.is_some() && plan.action.is_none() {
        plan = plan.refusing_a_switchover(situation.now);
    }
    plan
}

/// The node that all others follow, directly or through another, and that holds the cluster's data.
pub(super) fn followed_by_all<'a>(situation: &'a Situation<'_>) -> Option<&'a NodeAddr> {
    let published = situation.observed.published.as_ref();
    let mut primaries = situation.members().filter(|(_, facts)| facts.is_primary());
    let (addr, facts) = primaries.next()?;
    let ours = published.is_none_or(|published| {
        promotions_back(facts, &published.lineage).is_some()
            || situation.observed.promoted_by_hand(addr, facts)
    });
    let fit = !situation
        .observed
        .nodes
        .get(addr)?
        .verdict
        .unfit_as_primary();
    let all = situation.members().count();
    let alone = primaries.next().is_none();
    (alone && ours && fit && situation.topology.followers(addr) + 1 == all).then_some(addr)
}
