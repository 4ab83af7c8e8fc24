//! Before any change, the leader looks whether another group of keepers is at the servers (RK-12).

use super::super::observed::ObservedNode;
use super::{Action, Plan, Situation, StateChange};

/// The plan itself, or the look that comes before it.
pub(super) fn first(situation: &Situation<'_>, plan: Plan) -> Plan {
    let Some(looks) = &situation.observed.groups.looks else {
        return plan;
    };
    if !plan
        .action
        .as_ref()
        .is_some_and(|it| changes(situation, it))
    {
        return plan;
    }
    let reached = |node: &ObservedNode| node.observation.answering && node.through().is_none();
    let nodes = situation.observed.nodes.iter();
    let reached = nodes.filter(|(_, node)| reached(node));
    let due = reached.filter(|(addr, _)| looks.is_due(addr, situation.now));
    let due: std::collections::BTreeSet<_> = due.map(|(addr, _)| addr.clone()).collect();
    if due.is_empty() {
        return plan;
    }
    Plan {
        action: Some(Action::LookFirst(due)),
        ..plan
    }
}

/// Whether the action may harm another group. A publication that ends a change commands nothing, and needs no look.
fn changes(situation: &Situation<'_>, action: &Action) -> bool {
    let published = situation.observed.published.as_ref();
    match action {
        Action::Write { change, .. } => match change {
            StateChange::Withdraw => true,
            StateChange::Publish => published.is_none_or(|it| it.intent.is_none()),
            StateChange::Resume | StateChange::Accept | StateChange::Note => false,
        },
        Action::TakeOver(_)
        | Action::Promote { .. }
        | Action::Switch { .. }
        | Action::Follow { .. }
        | Action::SetMinReplicas { .. } => true,
        Action::LookFirst(_) | Action::Confirm(_) | Action::AskVoters(_) => false,
    }
}
