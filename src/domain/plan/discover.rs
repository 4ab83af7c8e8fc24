//! Nothing is published: find out what is there, change as little as possible.

use std::cmp::Reverse;

use super::super::election::{elect, merit};
use super::super::facts::{Link, NodeFacts};
use super::super::node::NodeAddr;
use super::super::published::Published;
use super::{Case, Change, Hold, Plan, publishing, withdrawing};

pub(super) fn discover(case: &Case<'_>, before: &Published) -> Plan {
    let nodes = &case.observed.nodes;
    let undecided: Vec<_> = nodes
        .iter()
        .filter(|(_, node)| node.undecided())
        .map(|(addr, node)| node.doubt(addr))
        .collect();
    if !undecided.is_empty() {
        return Plan::hold(Hold::Undecided(undecided));
    }
    let mut primaries: Vec<_> = case
        .members()
        .filter(|(_, facts)| facts.is_primary())
        .collect();
    primaries.sort_by_key(|(addr, facts)| {
        let followers = case.followers(addr);
        (
            Reverse(followers),
            facts.keys == 0,
            merit(addr, facts, &before.lineage, case.policy),
        )
    });
    match primaries.split_first() {
        Some((kept, others)) => {
            let rival = others.iter().find(|other| rivals(case, *kept, **other));
            match rival {
                Some((other, _)) => Plan::hold(Hold::Unrelated {
                    kept: kept.0.clone(),
                    other: (*other).clone(),
                }),
                None => Plan::write(Change::Publish, publishing(case, before, kept.0)),
            }
        }
        None => only_replicas(case, before),
    }
}

/// Two primaries of which neither can be told to be the cluster's: each has data, none has more replicas, and their
/// histories share nothing. Publishing one would be a guess.
fn rivals(case: &Case<'_>, kept: (&NodeAddr, &NodeFacts), other: (&NodeAddr, &NodeFacts)) -> bool {
    let both_hold_data = kept.1.keys > 0 && other.1.keys > 0;
    both_hold_data
        && case.followers(kept.0) == case.followers(other.0)
        && !case.policy.settle_unrelated
        && !kept.1.shares_history(other.1)
}

/// No primary is up. Replicas of a configured node that is down: replace it. Replicas of something else: not ours.
fn only_replicas(case: &Case<'_>, before: &Published) -> Plan {
    let observed = case.observed;
    let mut members: Vec<_> = case.members().collect();
    let outside = |(addr, facts): &(&NodeAddr, &NodeFacts)| {
        let upstream = facts
            .upstream()
            .filter(|_| observed.upstream_of(addr).is_none())?;
        Some(((*addr).clone(), upstream.primary.clone()))
    };
    if let Some((node, primary)) = members.iter().find_map(outside) {
        return Plan::hold(Hold::ReplicatesFromOutside { node, primary });
    }
    members.sort_by_key(|(addr, facts)| merit(addr, facts, &before.lineage, case.policy));
    let synced = members
        .iter()
        .find(|(_, facts)| ever_synced(facts))
        .or(members.first());
    let Some((addr, facts)) = synced else {
        return Plan::hold(Hold::NoNodeUp);
    };
    // A replica that it follows in a chain is up, and as good a successor as others.
    let old = observed
        .upstream_of(addr)
        .filter(|old| observed.online(old).is_none());
    let mut state = withdrawing(case, before, old, "no primary is up".to_owned());
    state.extend_lineage(facts.histories());
    let election = elect(observed, case.policy, &state.lineage, old, case.now);
    if election.ranking.is_empty() {
        let replaced = old.cloned();
        return Plan::hold(Hold::NoneEligible {
            replaced,
            refusals: election.refusals,
        });
    }
    Plan::write(Change::Withdraw, state)
}

fn ever_synced(facts: &NodeFacts) -> bool {
    facts.keys > 0
        || facts.upstream().is_some_and(|upstream| {
            matches!(upstream.link, Link::Up | Link::Down { since: Some(_) })
        })
}
