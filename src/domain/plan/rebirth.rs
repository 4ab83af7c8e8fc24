//! The primary came back as another process, with less of the cluster's data than its replicas hold (RK-7).

use super::super::election::{Refusal, elect};
use super::super::facts::NodeFacts;
use super::super::lineage::{generation_of, held, lost_against};
use super::super::node::{Moment, NodeAddr};
use super::super::observed::ObservedNode;
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

/// The hold while a node that may hold such data does not answer, and is not voted down either. Nobody notes the primary's new
/// history meanwhile: nothing would tell any more that the primary has lost data.
///
/// What is known of a node may be older than the new process, and so than what the node had from the former one. Where the
/// primary has all that it was last read to have, a node that has not been read since is waited for until the process is as
/// old as the mark-down time.
pub(super) fn awaiting_holder(
    case: &Case<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Option<Plan> {
    let observed = case.observed;
    let (lineage, process) = (&published.lineage, published.process());
    if process.is_none_or(|process| process == facts.run_id) {
        return None;
    }
    let lost = has_lost_data(case, published, facts);
    let sighted = observed.nodes.get(primary)?.sighting.at;
    let started = Moment(sighted.0.saturating_sub(facts.uptime));
    let until = started.after(observed.limits.mark_down);
    let election = elect(observed, case.policy, lineage, Some(primary), case.now);
    let may_hold = |addr: &&NodeAddr, node: &ObservedNode, last: &NodeFacts| {
        let refusal = election.refusals.get(*addr);
        // One that answers with errors alone is never voted down: it is not waited for.
        let sighting = &node.sighting;
        let errors_alone =
            sighting.unproven.is_some() || sighting.answering && sighting.outdated.is_some();
        let silent = refusal.is_some_and(Refusal::may_pass) && !errors_alone;
        let unread = silent || refusal.is_none() && node.sighting.at < started;
        let missed = unread && generation_of(last, lineage) == Some(0);
        silent && lost_against(facts, last, lineage, process)
            || missed && (lost || case.now < until)
    };
    let mut others = observed.nodes.iter().filter(|(addr, _)| *addr != primary);
    let (holder, read) = others.find_map(|(addr, node)| {
        let read = node.last_known()?;
        may_hold(&addr, node, read).then_some((addr, read))
    })?;
    let (node, holder) = (primary.clone(), holder.clone());
    if lost || lost_against(facts, read, lineage, process) {
        return Some(Plan::hold(Hold::CameBackBehind { node, holder }));
    }
    Some(Plan {
        again: Some(until),
        ..Plan::hold(Hold::CameBack { node, holder })
    })
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
