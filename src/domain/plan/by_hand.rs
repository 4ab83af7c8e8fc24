//! Somebody promoted a node by hand while the primary was away, and the primary is back before anything was published.
//!
//! Both may have writes that the other lacks. Which of them are to be lost, no keeper knows.

use super::super::facts::NodeFacts;
use super::super::lineage::generation_of;
use super::super::node::NodeAddr;
use super::super::published::Published;
use super::{Case, Hold, Plan};

/// The hold while the primary is another process than the published one, and another node has left the cluster's newest
/// history as a primary and has been written to since. The new process is not noted meanwhile: nothing would tell any more that
/// the primary was away.
///
/// A primary that was replaced by keepers and comes back is none of these.
pub(super) fn both_went_on(
    case: &Case<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Option<Plan> {
    if published.process().is_none_or(|it| it == facts.run_id) {
        return None;
    }
    let went_on = |facts: &NodeFacts| {
        let written_to = facts.previous_offset.is_some_and(|end| facts.offset > end);
        facts.is_primary() && written_to && generation_of(facts, &published.lineage) == Some(0)
    };
    let mut members = case.members();
    let (other, _) = members.find(|(addr, facts)| {
        *addr != primary && !published.deposed.contains_key(*addr) && went_on(facts)
    })?;
    Some(Plan::hold(Hold::BothWentOn {
        primary: primary.clone(),
        other: other.clone(),
    }))
}
