//! Another manager or a person changes the primary again and again: the keepers undo nothing for a while (RK-12).
//!
//! Meanwhile:
//! - A primary that is dead, or came back with less data, is replaced as usual.
//! - A replica whose own primary is not up follows the published primary.
//! - A published primary that was made a replica is withdrawn once nothing has changed for a while. Until then
//!   clients have no primary.

use super::super::node::{Moment, NodeAddr};
use super::super::outside::TOO_MANY;
use super::super::published::Published;
use super::super::timing::managers::{BREAKER_HELD_FOR, BREAKER_SETTLED_AFTER};
use super::{Action, Hold, Plan, Situation, StateChange};

/// Trips the breaker, or closes it again, if one of the two is due.
pub(super) fn turn(situation: &Situation<'_>, published: &Published) -> Option<Plan> {
    let observed = situation.observed;
    let over = |since: Moment| {
        situation.now >= since.after(BREAKER_HELD_FOR) || observed.outside.acknowledged
    };
    let breaker = match observed.outside.breaker_since.filter(|_| published.breaker) {
        Some(since) if over(since) => false,
        None if observed.outside.changes >= TOO_MANY => true,
        _ => return None,
    };
    let mut state = published.clone();
    state.breaker = breaker;
    Some(Plan::write(StateChange::Note, state))
}

/// The hold while the breaker is tripped.
pub(super) fn hold(situation: &Situation<'_>, published: &Published) -> Option<Plan> {
    let since = situation.observed.outside.breaker_since;
    let since = since.filter(|_| published.breaker)?;
    let until = since.after(BREAKER_HELD_FOR);
    Some(Plan {
        again: Some(until),
        ..Plan::hold(Hold::ChangedFromOutside { until })
    })
}

/// The same hold for a published primary that was made a replica. The hold ends once nothing has changed for a while:
/// before that, more changes from outside may follow.
pub(super) fn hold_of_demoted(situation: &Situation<'_>, held: Plan) -> Option<Plan> {
    let observed = situation.observed;
    let last = observed.outside.breaker_since.max(observed.outside.last)?;
    let settled = last.after(BREAKER_SETTLED_AFTER);
    (situation.now < settled).then(|| Plan {
        again: held.again.into_iter().chain([settled]).min(),
        ..held
    })
}

/// The rest of `plan`, which settles the replicas of a primary that is well. Only replicas whose own primary is not
/// up are repointed.
pub(super) fn left_of(situation: &Situation<'_>, plan: Plan, held: Plan) -> Plan {
    let observed = situation.observed;
    let gone = |addr: &&NodeAddr| {
        let upstream = situation.topology.upstream_of(addr);
        let replica = observed
            .online(addr)
            .is_some_and(|facts| !facts.is_primary());
        replica && upstream.is_some_and(|upstream| observed.online(upstream).is_none())
    };
    let action = match plan.action {
        Some(Action::Follow {
            nodes,
            primary,
            through,
        }) => {
            let nodes: Vec<_> = nodes.iter().filter(gone).cloned().collect();
            let through = through.into_iter().filter(|(node, _)| nodes.contains(node));
            let through = through.collect();
            (!nodes.is_empty()).then_some(Action::Follow {
                nodes,
                primary,
                through,
            })
        }
        action => action,
    };
    let again = plan.again.into_iter().chain(held.again).min();
    let holds = held.holds.into_iter().chain(plan.holds).collect();
    Plan {
        action,
        holds,
        again,
    }
}
