//! The `min-replicas-to-write` that a server has, whoever set it. A primary with fewer replicas refuses every write.
//!
//! Holds report such a primary, and a successor that would become one. They leave nothing undone.

use super::super::election::left_behind;
use super::super::node::NodeAddr;
use super::super::observed::Observed;
use super::{Hold, Situation, write_safety};

/// The holds about the published primary and about its successor.
pub(super) fn holds(situation: &Situation<'_>) -> Vec<Hold> {
    let observed = situation.observed;
    let published = observed.published.as_ref();
    let primary = published.and_then(|published| published.primary.as_ref());
    let Some(primary) = primary else {
        return Vec::new();
    };
    let refuses = refuses(observed, primary);
    let would_refuse = would_refuse(situation, primary);
    refuses.into_iter().chain(would_refuse).collect()
}

/// The hold if the primary refuses writes. The setting may be older than the probe. But each probe reads whether the
/// primary demands replicas, and how many are in touch.
fn refuses(observed: &Observed, primary: &NodeAddr) -> Option<Hold> {
    let facts = observed.online(primary)?;
    let in_touch = facts.writes.replicas_in_touch?;
    let to_write = demanded(observed, primary)?;
    let few = usize::try_from(to_write).is_ok_and(|to_write| in_touch < to_write);
    (facts.is_primary() && few).then(|| Hold::RefusesForReplicas {
        node: primary.clone(),
        to_write,
        in_touch,
    })
}

/// The hold if the successor of `primary` would refuse writes, because too few other nodes could follow it.
fn would_refuse(situation: &Situation<'_>, primary: &NodeAddr) -> Option<Hold> {
    let observed = situation.observed;
    let demands = |addr: &NodeAddr| demanded(observed, addr).is_some_and(|it| it > 0);
    // Where no node demands replicas, the plan saves the election.
    if !observed
        .nodes
        .keys()
        .any(|addr| addr != primary && demands(addr))
    {
        return None;
    }
    let lineage = &observed.published.as_ref()?.lineage;
    let election = situation.elect(lineage, Some(primary));
    let node = election.ranking.into_iter().next()?;
    let own = demanded(observed, &node)?;
    // A keeper lowers the setting to the managed value as soon as the node is the primary (RK-9).
    let managed = write_safety::demanded(situation.topology, situation.policy);
    let to_write = managed.map_or(own, |managed| own.min(managed.demanded()));
    let stranded = left_behind(observed, &node, observed.online(&node)?);
    let follows =
        |addr: &NodeAddr| *addr != node && addr != primary && !stranded.contains_key(addr);
    let replicas = situation
        .members()
        .filter(|(addr, _)| follows(addr))
        .count();
    let few = usize::try_from(to_write).is_ok_and(|to_write| replicas < to_write);
    few.then(|| Hold::WouldRefuseForReplicas {
        primary: primary.clone(),
        node,
        to_write,
        replicas,
    })
}

/// How many replicas the node demands, if it was read.
fn demanded(observed: &Observed, addr: &NodeAddr) -> Option<u32> {
    let node = observed.nodes.get(addr)?;
    let told = node.observation.min_replicas.as_ref()?.as_ref();
    told.ok().map(|told| told.demanded())
}
