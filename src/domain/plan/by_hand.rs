//! Somebody promoted a node by hand while the primary was away, and the primary is back before anything was
//! published.
//!
//! Each of the two may have writes that the other lacks. No keeper knows which writes may be lost.

use super::super::facts::NodeFacts;
use super::super::lineage::promotions_back;
use super::super::node::NodeAddr;
use super::super::published::Published;
use super::{Hold, Plan, Situation};

/// The hold while both of these are true:
/// - The primary is another process than the published one.
/// - Another node is a primary that went on from the cluster's newest history, and was written to after its
///   promotion.
///
/// The new process is not noted in the published state meanwhile. Otherwise nothing would show any more that the
/// primary was away.
///
/// A former primary that keepers have replaced, and that comes back, is not such a node.
pub(super) fn both_went_on(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Option<Plan> {
    if published.process().is_none_or(|it| it == facts.run_id) {
        return None;
    }
    let went_on = |facts: &NodeFacts| {
        let written_to = facts.previous_offset.is_some_and(|end| facts.offset > end);
        facts.is_primary() && written_to && promotions_back(facts, &published.lineage) == Some(0)
    };
    let mut members = situation.members();
    let (other, _) = members.find(|(addr, facts)| {
        *addr != primary && !published.deposed.contains_key(*addr) && went_on(facts)
    })?;
    Some(Plan::hold(Hold::BothWentOn {
        primary: primary.clone(),
        other: other.clone(),
    }))
}
