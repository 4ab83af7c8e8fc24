//! A primary is published: replace it when it is down, else keep the others following it.

use super::super::election::elect;
use super::super::facts::NodeFacts;
use super::super::node::NodeAddr;
use super::super::policy::ChainedReplicas;
use super::super::published::Published;
use super::{Action, Case, Change, Hold, Plan, publishing, withdrawing};

pub(super) fn keep(case: &Case<'_>, published: &Published, primary: &NodeAddr) -> Plan {
    let observed = case.observed;
    let Some(node) = observed.nodes.get(primary) else {
        return replace(case, published, primary, "it is no longer configured");
    };
    if node.verdict.unfit_as_primary() {
        return replace(
            case,
            published,
            primary,
            "a majority of the keepers holds it down",
        );
    }
    let Some(facts) = node.live() else {
        return Plan::hold(Hold::Undecided(vec![node.doubt(primary)]));
    };
    if facts.loading {
        return Plan::hold(Hold::PrimaryLoading(primary.clone()));
    }
    if let Some(upstream) = facts.upstream() {
        return match observed.upstream_of(primary) {
            Some(other) => {
                let reason = format!("it was made a replica of {other} from outside");
                replace(case, published, primary, &reason)
            }
            None => Plan::hold(Hold::ReplicatesFromOutside {
                node: primary.clone(),
                primary: upstream.primary.clone(),
            }),
        };
    }
    settle(case, published, primary, facts)
}

/// Withdraws the primary if somebody can take over; else it stays published, so that it serves again once it is back.
fn replace(case: &Case<'_>, published: &Published, primary: &NodeAddr, why: &str) -> Plan {
    let observed = case.observed;
    let state = withdrawing(
        observed,
        published,
        Some(primary),
        format!("{primary}: {why}"),
    );
    let promoted_already = case.members().any(|(addr, facts)| {
        addr != primary && facts.is_primary() && belongs(facts, &state.lineage)
    });
    let election = elect(
        observed,
        case.policy,
        &state.lineage,
        Some(primary),
        case.now,
    );
    // A node that is up but was demoted from outside may be chosen again.
    let may_return = observed
        .online(primary)
        .is_some_and(|facts| !facts.is_primary());
    if promoted_already || may_return || !election.ranking.is_empty() {
        Plan::write(Change::Withdraw, state)
    } else {
        Plan::hold(Hold::NoneEligible {
            replaced: Some(primary.clone()),
            refusals: election.refusals,
        })
    }
}

/// The primary is well: correct every node that does not follow it, then keep the books.
fn settle(case: &Case<'_>, published: &Published, primary: &NodeAddr, facts: &NodeFacts) -> Plan {
    let mut holds = Vec::new();
    let mut astray = Vec::new();
    let mut syncing = 0;
    for (addr, other) in case.members().filter(|(addr, _)| *addr != primary) {
        syncing += usize::from(other.upstream().is_some_and(|upstream| upstream.syncing));
        if in_place(case, addr, primary) {
            continue;
        }
        let related = !other.is_primary()
            || other.keys == 0
            || published.known.contains(addr)
            || belongs(other, &published.lineage)
            || share_history(facts, other)
            || case.policy.settle_unrelated;
        if !related {
            holds.push(Hold::Unrelated {
                kept: primary.clone(),
                other: addr.clone(),
            });
            continue;
        }
        match case.observed.failures.get(addr) {
            Some(failure) if case.now < failure.retry_at() => {
                holds.push(Hold::FailedLately {
                    node: addr.clone(),
                    why: failure.why.clone(),
                });
            }
            _ => astray.push(addr.clone()),
        }
    }
    let waiting = astray.split_off(
        astray
            .len()
            .min(case.policy.parallel_syncs.saturating_sub(syncing)),
    );
    if !waiting.is_empty() && astray.is_empty() {
        holds.push(Hold::ReplicasWaiting(waiting));
    }
    let action = if astray.is_empty() {
        let state = publishing(case, published, primary);
        (state != *published).then_some(Action::Write {
            state,
            change: Change::Note,
        })
    } else {
        Some(Action::Follow {
            nodes: astray,
            primary: primary.clone(),
        })
    };
    Plan { action, holds }
}

/// Whether the replica is where it should be.
fn in_place(case: &Case<'_>, addr: &NodeAddr, primary: &NodeAddr) -> bool {
    let directly = case.observed.follows(addr, primary);
    let through_another = || case.observed.root_of(addr) == Some(primary);
    directly || (case.policy.chained_replicas == ChainedReplicas::Accept && through_another())
}

/// Whether the node's data comes from the cluster's history.
pub(super) fn belongs(facts: &NodeFacts, lineage: &[String]) -> bool {
    lineage
        .iter()
        .any(|id| *id == facts.replication_id || Some(id) == facts.previous_replication_id.as_ref())
}

/// Whether two data sets have a replication id in common.
pub(super) fn share_history(one: &NodeFacts, other: &NodeFacts) -> bool {
    let ids: Vec<_> = [
        Some(&one.replication_id),
        one.previous_replication_id.as_ref(),
    ]
    .into_iter()
    .flatten()
    .cloned()
    .collect();
    belongs(other, &ids)
}
