//! The primary is voted down: is its withdrawal confirmed, or what comes first (RK-2, RK-11)?

use super::super::confirmation::{Inquiry, Next};
use super::super::node::NodeAddr;
use super::{Action, Hold, Plan, Situation};

/// The step before `primary` may be withdrawn in favour of `successor`; `None` once the withdrawal is confirmed.
pub(super) fn unconfirmed(
    situation: &Situation<'_>,
    primary: &NodeAddr,
    successor: &NodeAddr,
) -> Option<Plan> {
    let (observed, limits) = (situation.observed, situation.observed.limits);
    match observed
        .confirmation
        .next(observed.brake, limits, situation.now)
    {
        Next::Withdraw => None,
        Next::Ask => Some(Plan::act(Action::Confirm(Inquiry {
            primary: primary.clone(),
            successor: successor.clone(),
            through: situation.through(successor).cloned(),
        }))),
        Next::AskVoters => Some(Plan::act(Action::AskVoters(primary.clone()))),
        Next::Wait(reason, until) => Some(Plan {
            again: Some(until),
            ..Plan::hold(Hold::Unconfirmed(primary.clone(), reason))
        }),
    }
}

/// Adds the hold of a primary that flaps, if it does.
pub(super) fn note_flapping(situation: &Situation<'_>, primary: &NodeAddr, mut plan: Plan) -> Plan {
    let observed = situation.observed;
    if let Some(flapping) = observed
        .confirmation
        .flapping(observed.limits, situation.now)
    {
        plan.again = plan.again.into_iter().chain([flapping.until]).min();
        plan.holds.push(Hold::Flapping(primary.clone(), flapping));
    }
    plan
}
