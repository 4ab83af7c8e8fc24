//! Another published cluster of this group has nodes of this one: the keepers' files name or split the clusters
//! differently.
//!
//! - An unpublished cluster is not published or commanded while another published cluster has one of its nodes.
//! - If more keepers have the unpublished cluster in their files, it takes over the published state of the other one.
//! - A published cluster leaves to the other one every node that only the other one is published with.
//! - Two published clusters may share nodes, the primary of either among them. Then one of the two is managed, and
//!   the other is held: no command, and no change, not even the end of one.

use super::super::claims::OverlapRole;
use super::super::node::{ClusterName, Moment};
use super::super::observed::{ClustersSeen, Observed};
use super::{Action, Hold, Plan};

/// Whether the cluster is held.
pub(super) fn held(observed: &Observed) -> bool {
    let overlaps = observed.clusters.overlaps.iter();
    let mut parts = overlaps.map(|it| observed.part(it));
    parts.any(|part| matches!(part, OverlapRole::Unpublished | OverlapRole::Held))
}

/// The plan to take over another cluster's state, if this unpublished cluster is to do so.
pub(super) fn take_over(observed: &Observed) -> Option<Plan> {
    let mut others = observed.clusters.overlaps.iter();
    let other = others.find(|it| observed.part(it) == OverlapRole::Heir)?;
    Some(Plan::act(Action::TakeOver(other.cluster.clone())))
}

/// The rest of `plan` if the cluster is held: no action.
pub(super) fn nothing_of(
    observed: &Observed,
    mut plan: Plan,
    overlaps: Vec<Hold>,
    now: Moment,
) -> Plan {
    plan.action = None;
    let others = std::mem::replace(&mut plan.holds, overlaps);
    if observed.requested.is_some() {
        plan = plan.refusing_a_switchover(now);
    }
    plan.holds.extend(others);
    plan
}

/// The holds about such clusters.
pub(super) fn holds(observed: &Observed) -> Vec<Hold> {
    let ClustersSeen {
        overlaps,
        contenders,
    } = &observed.clusters;
    let known = |cluster: &ClusterName| overlaps.iter().any(|it| it.cluster == *cluster);
    let overlaps = overlaps.iter().map(|overlap| Hold::Overlaps {
        cluster: overlap.cluster.clone(),
        nodes: overlap.nodes.clone(),
        part: observed.part(overlap),
    });
    let contenders = contenders.iter();
    let contenders = contenders.filter(|it| !known(&it.cluster));
    let contended = contenders.map(|contender| Hold::Contended {
        cluster: contender.cluster.clone(),
        keepers: contender.keepers.clone(),
    });
    overlaps.chain(contended).collect()
}
