//! Nodes at which this keeper's commands would not be carried out. The holds name them before a failover needs them.

use std::collections::BTreeMap;
use std::fmt;

use super::super::node::NodeAddr;
use super::super::observed::Observed;
use super::Hold;

/// A hold for each reason, with all nodes that give this reason.
pub(super) fn not_commandable(observed: &Observed) -> Vec<Hold> {
    let mut reasons = BTreeMap::<&str, Vec<NodeAddr>>::new();
    for (addr, node) in &observed.nodes {
        if let Some(why) = node.observation.not_commandable() {
            reasons.entry(why).or_default().push(addr.clone());
        }
    }
    let told = reasons
        .into_iter()
        .map(|(why, nodes)| Hold::NotCommandable {
            all: nodes.len() == observed.nodes.len(),
            why: why.to_owned(),
            nodes,
        });
    told.collect()
}

/// Writes the hold in words.
pub(super) fn tell(f: &mut fmt::Formatter<'_>, hold: &Hold) -> fmt::Result {
    let Hold::NotCommandable { nodes, why, all } = hold else {
        return Ok(());
    };
    let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
    let nodes = nodes.join(", ");
    if *all {
        write!(
            f,
            "no failover is possible: this keeper cannot command any node of the cluster ({nodes}): {why}"
        )
    } else {
        write!(
            f,
            "this keeper cannot command {nodes}: neither promoted nor repointed: {why}"
        )
    }
}
