//! How often commands to a node have failed in a row.

use std::collections::BTreeMap;

use crate::domain::node::{KeeperId, Moment, NodeAddr};
use crate::domain::observed::Failure;

/// Notes how a command to `node` ended, which was sent by this keeper or `through` another.
pub(super) fn note_failure(
    failures: &mut BTreeMap<NodeAddr, Failure>,
    node: NodeAddr,
    through: Option<KeeperId>,
    failure: Option<String>,
    now: Moment,
) {
    let Some(why) = failure else {
        failures.remove(&node);
        return;
    };
    let before = failures.remove(&node);
    let times = before.as_ref().map_or(0, |failure| failure.times) + 1;
    let before = before.map(|failure| failure.through).unwrap_or_default();
    let failure = Failure {
        at: now,
        times,
        why,
        through: before.into_iter().chain(through).collect(),
    };
    failures.insert(node, failure);
}
