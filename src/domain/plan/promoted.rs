//! The candidate after its promotion was commanded.

use std::time::Duration;

use super::super::lineage::promotions_back;
use super::super::node::NodeAddr;
use super::super::published::{Intent, Published};
use super::{Hold, Plan, Situation};

/// How long a node that confirmed its promotion may take to answer a probe, unless it is voted down before.
const PROMOTED_SHOWS_WITHIN: Duration = Duration::from_secs(1);

/// The candidate, once it is a primary with the cluster's data, by the leader's command or somebody else's before.
pub(super) fn promoted<'a>(
    situation: &Situation<'_>,
    published: &Published,
    intent: &'a Intent,
) -> Option<&'a NodeAddr> {
    let candidate = intent.candidate.as_ref()?;
    let node = situation.observed.nodes.get(candidate)?;
    let facts = node.online()?;
    let whole = facts.is_primary() && promotions_back(facts, &published.lineage).is_some();
    (whole && !node.verdict.unfit_as_primary()).then_some(candidate)
}

/// The hold while a node has confirmed its promotion and does not answer yet. A promotion cuts off the node's
/// clients, probes included. Promoting another node now would make two primaries.
pub(super) fn shows_soon(situation: &Situation<'_>, intent: &Intent) -> Option<Plan> {
    let (node, at) = situation.observed.commands.promoted.as_ref()?;
    let seen = situation.observed.nodes.get(node)?;
    let until = at.after(PROMOTED_SHOWS_WITHIN);
    let hidden = seen.live().is_none() && !seen.verdict.down();
    (intent.candidate.as_ref() == Some(node) && hidden && situation.now < until).then(|| Plan {
        again: Some(until),
        ..Plan::hold(Hold::Undecided(vec![seen.why_undecided(node)]))
    })
}
