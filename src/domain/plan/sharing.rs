//! Another group of keepers manages the same servers (RK-12).

use super::super::node::Moment;
use super::super::observed::Observed;
use super::{Action, Hold, Plan, StateChange};

/// The rest of `plan` while another group of keepers manages the same servers: no command, and no new change. Two
/// publications stay allowed:
/// - the publication that ends a change under way: it commands nothing, and gives the cluster a primary again;
/// - a first publication of the primary that all other groups publish, as when keepers move to another prefix.
pub(super) fn left_of(observed: &Observed, mut plan: Plan, now: Moment) -> Plan {
    let begun = observed
        .published
        .as_ref()
        .is_some_and(|published| published.intent.is_some());
    let publishes = matches!(
        &plan.action,
        Some(Action::Write {
            change: StateChange::Publish | StateChange::Resume,
            ..
        })
    );
    if !(publishes && (begun || as_others_do(observed, &plan))) {
        plan.action = None;
    }
    let others = observed.groups.managing.iter().cloned().map(Box::new);
    let before = std::mem::take(&mut plan.holds);
    plan.holds = others.map(Hold::OtherGroup).collect();
    if observed.requested.is_some() && plan.action.is_none() {
        plan = plan.refusing_a_switchover(now);
    }
    plan.holds.extend(before);
    plan
}

/// Whether the plan publishes the primary that all other groups publish.
fn as_others_do(observed: &Observed, plan: &Plan) -> bool {
    let Some(Action::Write { state, .. }) = &plan.action else {
        return false;
    };
    let mut others = observed.groups.managing.iter();
    state.primary.is_some() && others.all(|other| other.primary == state.primary)
}
