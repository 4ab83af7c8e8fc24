//! The primary came back as another process, with less of the cluster's data than its replicas hold (RK-7).

use super::super::election::Ineligibility;
use super::super::facts::NodeFacts;
use super::super::lineage::{held, lost_against, promotions_back};
use super::super::node::{Moment, NodeAddr};
use super::super::observation::NodeObservation;
use super::super::observed::ObservedNode;
use super::super::published::Published;
use super::{Hold, Plan, Situation};

/// A node that may take over, and holds data that the primary lost at its restart.
pub(super) fn holder_of_more(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Option<NodeAddr> {
    let (lineage, process) = (&published.lineage, published.process());
    let election = situation.elect(lineage, Some(primary));
    election.ranking.into_iter().find(|addr| {
        let other = situation.observed.online(addr);
        other.is_some_and(|other| lost_against(facts, other, lineage, process))
    })
}

/// The hold while a node that may hold such data does not answer, and is not voted down either. The primary's new
/// history is not noted in the published state meanwhile. Otherwise nothing would show any more that the primary has
/// lost data.
///
/// The last facts of a node may be older than the new process. After these facts, the node may have got more from the
/// former process. So even if the primary has everything that those facts show, the leader waits for the node to be
/// read again. The wait ends once the new process is as old as the mark-down time. So does the wait for a node that
/// answers with errors only. A busy node is another matter: if its last facts show more, the leader waits for the end of
/// its script.
pub(super) fn awaiting_holder(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Option<Plan> {
    let observed = situation.observed;
    let (lineage, process) = (&published.lineage, published.process());
    if process.is_none_or(|process| process == facts.run_id) {
        return None;
    }
    let lost = has_lost_data(situation, published, facts);
    let node_observed = observed.nodes.get(primary)?.observation.at;
    let started = Moment(node_observed.0.saturating_sub(facts.uptime));
    let until = started.after(observed.limits.mark_down);
    let election = situation.elect(lineage, Some(primary));
    let may_hold = |addr: &&NodeAddr, node: &ObservedNode, last: &NodeFacts| {
        let refusal = election.refusals.get(*addr);
        let may_pass = refusal.is_some_and(Ineligibility::may_pass);
        let silent = may_pass && (!errors_alone(&node.observation) || situation.now < until);
        let unread = silent || refusal.is_none() && node.observation.at < started;
        let missed = unread && promotions_back(last, lineage) == Some(0);
        let busy = may_pass && node.holds().is_some();
        (silent || busy) && lost_against(facts, last, lineage, process)
            || missed && (lost || situation.now < until)
    };
    let mut others = observed.nodes.iter().filter(|(addr, _)| *addr != primary);
    let (holder, read) = others.find_map(|(addr, node)| {
        let read = node.last_known()?;
        may_hold(&addr, node, read).then_some((addr, read))
    })?;
    let behind = lost || lost_against(facts, read, lineage, process);
    let (node, holder) = (primary.clone(), holder.clone());
    let hold = if behind {
        Hold::CameBackBehind { node, holder }
    } else {
        Hold::CameBack { node, holder }
    };
    Some(Plan {
        again: (situation.now < until).then_some(until),
        ..Plan::hold(hold)
    })
}

/// Whether the node answers with errors only, such as NOAUTH. No majority ever votes such a node down, and waiting for it
/// would have no end.
fn errors_alone(observation: &NodeObservation) -> bool {
    observation.unproven.is_some() || observation.answering && observation.outdated.is_some()
}

/// Whether the primary is another process than the published one, and has less data. Either of these shows a loss:
/// - The primary is behind the greatest offset that was read of the published process.
/// - The primary is empty, and the cluster had data.
pub(super) fn has_lost_data(
    situation: &Situation<'_>,
    published: &Published,
    facts: &NodeFacts,
) -> bool {
    let another = published.process().is_some_and(|it| it != facts.run_id);
    let behind = match (
        held(facts, &published.lineage),
        situation.observed.last_read(),
    ) {
        (Some((0, extent)), Some(read)) => extent < read,
        (Some(_), read) => read.is_some(),
        (None, _) => false,
    };
    another && (behind || facts.keys == 0 && published.has_data)
}
