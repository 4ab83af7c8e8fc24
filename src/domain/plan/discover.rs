//! Before the first publication the leader finds out which primary is there, and changes as little as possible.

use std::cmp::Reverse;

use super::super::election::{Ineligibility, Ranking, merit};
use super::super::facts::NodeFacts;
use super::super::node::NodeAddr;
use super::super::published::Published;
use super::{Hold, Plan, Situation, StateChange, publishing, withdrawing};

pub(super) fn discover(situation: &Situation<'_>, before: &Published) -> Plan {
    let nodes = &situation.observed.nodes;
    let undecided: Vec<_> = nodes
        .iter()
        .filter(|(_, node)| node.undecided())
        .map(|(addr, node)| node.why_undecided(addr))
        .collect();
    if !undecided.is_empty() {
        return Plan::hold(Hold::Undecided(undecided));
    }
    let mut primaries: Vec<_> = situation
        .members()
        .filter(|(_, facts)| facts.is_primary())
        .collect();
    primaries.sort_by_cached_key(|(addr, facts)| {
        let followers = situation.topology.followers(addr);
        (
            Reverse(followers),
            facts.keys == 0,
            by_data(situation, before, addr, facts),
        )
    });
    let Some(kept) = primaries.first() else {
        return only_replicas(situation, before);
    };
    let rival = situation
        .members()
        .filter(|(addr, _)| *addr != kept.0)
        .find(|other| rivals(situation, *kept, *other));
    match rival {
        // An empty server that happens to be up does not prove that the primary which is down had no data.
        Some(_) if kept.1.keys == 0 => only_replicas(situation, before),
        Some((other, _)) if !situation.policy.settle_unrelated => Plan::hold(Hold::Unrelated {
            kept: kept.0.clone(),
            other: other.clone(),
        }),
        // No majority finds yet that the node serves, so it would be withdrawn again at once.
        _ if nodes[kept.0].verdict.unfit_as_primary() => {
            let unfit = (kept.0.clone(), Ineligibility::Unfit.to_string());
            Plan::hold(Hold::Undecided(vec![unfit]))
        }
        _ => Plan::write(StateChange::Publish, publishing(situation, before, kept.0)),
    }
}

/// The sort key of a node: the one with more of the data sorts first. No node died here, so no data are lost for a
/// preference.
fn by_data<'a>(
    situation: &Situation<'_>,
    before: &Published,
    addr: &'a NodeAddr,
    facts: &NodeFacts,
) -> impl Ord + use<'a> {
    let node = (addr, facts);
    merit(
        situation.observed,
        node,
        &before.lineage,
        situation.policy,
        Ranking::by_data(),
    )
}

/// Whether publishing `kept`, the foremost primary, would be a guess, because of `other`. Both of these hold then:
/// - `other` has data, and shares no history with `kept`.
/// - These data are as likely the cluster's: `other` is a primary with as many followers, and `kept` has data, too.
///   Or `kept` has no followers, and `other` is a replica whose own primary is down.
fn rivals(
    situation: &Situation<'_>,
    kept: (&NodeAddr, &NodeFacts),
    other: (&NodeAddr, &NodeFacts),
) -> bool {
    let followers = situation.topology.followers(kept.0);
    let as_likely = if other.1.is_primary() {
        kept.1.keys > 0 && situation.topology.followers(other.0) == followers
    } else {
        let upstream = situation.topology.upstream_of(other.0);
        followers == 0 && upstream.is_some_and(|of| situation.observed.online(of).is_none())
    };
    as_likely && other.1.keys > 0 && !kept.1.shares_history(other.1)
}

/// No primary is up. If replicas follow a configured node that is down, that node is replaced. Replicas of any other
/// server are left alone.
fn only_replicas(situation: &Situation<'_>, before: &Published) -> Plan {
    let observed = situation.observed;
    let mut members: Vec<_> = situation.members().collect();
    let outside = |(addr, facts): &(&NodeAddr, &NodeFacts)| {
        let upstream = facts
            .upstream()
            .filter(|_| situation.topology.upstream_of(addr).is_none())?;
        Some(((*addr).clone(), upstream.primary.clone()))
    };
    if let Some((node, primary)) = members.iter().find_map(outside) {
        return Plan::hold(Hold::ReplicatesFromOutside { node, primary });
    }
    members.sort_by_cached_key(|(addr, facts)| by_data(situation, before, addr, facts));
    let synced = members
        .iter()
        .find(|(_, facts)| ever_synced(facts))
        .or(members.first());
    let Some((addr, facts)) = synced else {
        return Plan::hold(Hold::NoNodeUp);
    };
    // A replica in a chain may follow another replica that is up. No node is replaced then: the other replica may
    // succeed, too.
    let old = situation
        .topology
        .upstream_of(addr)
        .filter(|old| observed.online(old).is_none());
    let mut state = withdrawing(situation, before, old, "no primary is up".to_owned());
    state.extend_lineage(facts.histories());
    let election = situation.elect(&state.lineage, old);
    if election.ranking.is_empty() {
        let replaced = old.cloned();
        return Plan::hold(Hold::NoneEligible {
            replaced,
            refusals: election.refusals,
        });
    }
    Plan::write(StateChange::Withdraw, state)
}

fn ever_synced(facts: &NodeFacts) -> bool {
    facts.keys > 0
        || facts
            .upstream()
            .is_some_and(|upstream| upstream.link.ever_up())
}
