//! The primary came back as another process, with less of the cluster's data than its replicas hold (RK-7).

use super::super::election::elect;
use super::super::facts::NodeFacts;
use super::super::lineage::{generation_of, held, lost_against};
use super::super::node::NodeAddr;
use super::super::published::Published;
use super::{Case, Hold, Plan};

/// A node that may take over and holds data that the primary lost when it was restarted.
pub(super) fn holder_of_more(
    case: &Case<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Option<NodeAddr> {
    let (lineage, process) = (&published.lineage, published.process());
    let election = elect(case.observed, case.policy, lineage, Some(primary), case.now);
    election.ranking.into_iter().find(|addr| {
        let other = case.observed.online(addr);
        other.is_some_and(|other| lost_against(facts, other, lineage, process))
    })
}

/// The hold while such a node does not answer, and is not voted down either. Nobody notes the primary's new history
/// meanwhile: nothing would tell any more that the primary has lost data.
pub(super) fn awaiting_holder(
    case: &Case<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Option<Plan> {
    let (lineage, process) = (&published.lineage, published.process());
    if process.is_none_or(|process| process == facts.run_id) {
        return None;
    }
    let election = elect(case.observed, case.policy, lineage, Some(primary), case.now);
    let mut waits = election
        .refusals
        .iter()
        .filter(|(_, refusal)| refusal.may_pass());
    // What it had last may be older than what the primary was read to have.
    let lost = has_lost_data(case, published, facts);
    let (holder, _) = waits.find(|(addr, _)| {
        let last = case
            .observed
            .nodes
            .get(*addr)
            .and_then(|it| it.last_known());
        last.is_some_and(|last| {
            lost && generation_of(last, lineage) == Some(0)
                || lost_against(facts, last, lineage, process)
        })
    })?;
    Some(Plan::hold(Hold::CameBackBehind {
        node: primary.clone(),
        holder: holder.clone(),
    }))
}

/// Whether the primary is another process than the published one, and has less than that one had: than it was last read to
/// have, or nothing where there was data.
pub(super) fn has_lost_data(case: &Case<'_>, published: &Published, facts: &NodeFacts) -> bool {
    let another = published.process().is_some_and(|it| it != facts.run_id);
    let behind = match (held(facts, &published.lineage), case.observed.last_read()) {
        (Some((0, extent)), Some(read)) => extent < read,
        (Some(_), read) => read.is_some(),
        (None, _) => false,
    };
    another && (behind || facts.keys == 0 && published.has_data)
}
