//! Answers about the primary when two groups of keepers manage the cluster (RK-12).

use super::Reason;
use crate::domain::group::OtherGroup;
use crate::domain::node::NodeAddr;
use crate::domain::observed::{Observed, Topology};

/// The other group with which this answer could make two nodes writable, or deny the one that is. No group does so in
/// these cases:
/// - The answer is yes, and the other group publishes the same node, or none, or a node that says that it is a
///   replica. The other group can see that, too.
/// - The answer is no, and the other group does not publish the node, or the node says that it is a replica.
pub(super) fn disagreement<'a>(
    observed: &'a Observed,
    addr: &NodeAddr,
    reason: &Reason,
) -> Option<&'a OtherGroup> {
    if observed.groups.managing.is_empty() {
        return None;
    }
    let topology = Topology::of(observed);
    let server = |addr: &'a NodeAddr| topology.stands_for(addr);
    let nodes = &observed.nodes;
    let own = nodes.get_key_value(addr).map(|(addr, _)| server(addr));
    let replica = |addr: &NodeAddr| {
        let facts = observed.online(addr);
        facts.is_some_and(|facts| !facts.is_primary())
    };
    observed.groups.managing.iter().find(|other| {
        let Some(theirs) = &other.primary else {
            return false;
        };
        let same = Some(server(theirs)) == own;
        let may_be = !replica(theirs);
        match reason {
            Reason::Primary => !same && may_be,
            Reason::NotPrimary(_) | Reason::NoPrimary => same && may_be,
            _ => false,
        }
    })
}
