//! Another published cluster of this group has nodes of this one, because keepers' files name or split clusters differently.
//!
//! - A cluster that is not published is not published, nor anything commanded in it, while another one has a node of it.
//! - Where more keepers have the cluster that is not published, it takes over what the other one is published with, as it is.
//! - A published cluster leaves nodes to the other one that only the other one is published with.
//! - Where both are published with the same nodes, and the primary of either is among them, one of the two is managed. The other
//!   one is held: no command, no change, not even the end of one.

use super::super::claims::Part;
use super::super::node::ClusterName;
use super::super::observed::Observed;
use super::{Action, Hold, Plan};

/// Whether the cluster is held.
pub(super) fn held(observed: &Observed) -> bool {
    let mut parts = observed.overlaps.iter().map(|it| observed.part(it));
    parts.any(|part| matches!(part, Part::Unpublished | Part::Held))
}

/// What a cluster that is not published takes over, if it does.
pub(super) fn take_over(observed: &Observed) -> Option<Plan> {
    let mut others = observed.overlaps.iter();
    let other = others.find(|it| observed.part(it) == Part::Heir)?;
    Some(Plan::act(Action::TakeOver(other.cluster.clone())))
}

/// What is left of `plan` where the cluster is held.
pub(super) fn nothing_of(observed: &Observed, mut plan: Plan, overlaps: Vec<Hold>) -> Plan {
    plan.action = None;
    let others = std::mem::replace(&mut plan.holds, overlaps);
    if observed.requested.is_some() {
        plan = plan.refusing_a_switchover();
    }
    plan.holds.extend(others);
    plan
}

/// What is told of it.
pub(super) fn holds(observed: &Observed) -> Vec<Hold> {
    let overlaps = observed.overlaps.iter().map(|overlap| Hold::Overlaps {
        cluster: overlap.cluster.clone(),
        nodes: overlap.nodes.clone(),
        part: observed.part(overlap),
    });
    let known = |cluster: &ClusterName| observed.overlaps.iter().any(|it| it.cluster == *cluster);
    let contenders = observed.contenders.iter();
    let contenders = contenders.filter(|it| !known(&it.cluster));
    let contended = contenders.map(|contender| Hold::Contended {
        cluster: contender.cluster.clone(),
        keepers: contender.keepers.clone(),
    });
    overlaps.chain(contended).collect()
}
