//! A planned change of primary: no acknowledged write is lost, and without success everything returns to how it was.
//!
//! The primary keeps all of its data until its successor has them, too. The steps:
//! 1. The leader withdraws the primary, and pauses its writes.
//! 2. The successor catches up.
//! 3. The leader promotes the successor.
//!
//! Up to step 3 the primary can be published again at any moment without a loss. Any leader does so at any doubt.

use super::super::facts::{Link, NodeFacts, Upstream};
use super::super::node::NodeAddr;
use super::super::observed::Requested;
use super::super::published::{Intent, Published, Step};
use super::super::timing::switchover::ACKNOWLEDGED_WITHIN;
use super::promoted::{promoted, shows_soon};
use super::states::choosing;
use super::{Action, Hold, Plan, Situation, StateChange, publishing, withdrawing};

/// How many bytes of replication stream the successor may be behind, at most: it catches up within the pause of
/// writes.
const BEHIND_AT_MOST: u64 = 16 << 20;

/// The first step of a switchover that was asked for, while `primary` is published and well.
pub(super) fn begin(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
    requested: &Requested,
) -> Plan {
    let to = match successor(situation, published, primary, facts, requested.to.as_ref()) {
        Ok(to) => to,
        Err(why) => return Plan::hold(Hold::NoSwitchover(why)),
    };
    if let Some((hold, _)) = situation.silent_keepers(false) {
        return Plan::hold(Hold::NoSwitchover(hold.at(situation.now).to_string()));
    }
    to_successor(situation, published, primary, to, &requested.reason)
}

/// The withdrawal of `primary` in favour of `to`.
pub(super) fn to_successor(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
    to: NodeAddr,
    reason: &str,
) -> Plan {
    let reason = format!("switchover to {to}: {reason}");
    let mut state = withdrawing(situation, published, Some(primary), reason);
    if let Some(intent) = &mut state.intent {
        intent.switchover = Some(to);
    }
    Plan::write(StateChange::Withdraw, state)
}

/// The node to switch to, or why there is none.
pub(super) fn successor(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
    to: Option<&NodeAddr>,
) -> Result<NodeAddr, String> {
    let observed = situation.observed;
    let lineage = &published.lineage;
    let election = situation.elect(lineage, Some(primary));
    let to = match to {
        Some(to) if to == primary => return Err(format!("{to} is the primary already")),
        Some(to) if !observed.nodes.contains_key(to) => {
            return Err(format!("{to} is no node of this cluster"));
        }
        Some(to) => match election.refusals.get(to) {
            Some(refusal) => return Err(format!("{to} {refusal}")),
            None => to,
        },
        None => election.ranking.first().ok_or_else(|| {
            let refusals = election.refusals.iter();
            let others = refusals.filter(|(addr, _)| *addr != primary);
            let told: Vec<_> = others.map(|(addr, why)| format!("{addr} {why}")).collect();
            format!("no node may take over: {}", told.join("; "))
        })?,
    };
    if let Some(why) = [primary, to]
        .iter()
        .find_map(|addr| out_of_reach(situation, addr))
    {
        return Err(why);
    }
    let candidate = observed.online(to);
    let linked = |upstream: &Upstream| upstream.link == Link::Up;
    if !situation.topology.follows(to, primary)
        || !candidate.and_then(NodeFacts::upstream).is_some_and(linked)
    {
        return Err(format!(
            "{to} has no link to {primary}: what it lacks would be lost"
        ));
    }
    let behind = candidate.map_or(0, |candidate| facts.offset.saturating_sub(candidate.offset));
    if behind > BEHIND_AT_MOST {
        return Err(format!(
            "{to} is {behind} bytes behind {primary}: try again once it has caught up"
        ));
    }
    Ok(to.clone())
}

/// Why the leader cannot command the node itself, if so. In a switchover both servers get their commands within
/// milliseconds, so no other keeper can send them.
fn out_of_reach(situation: &Situation<'_>, addr: &NodeAddr) -> Option<String> {
    let keeper = situation.through(addr)?;
    Some(format!(
        "{addr} is out of the leader's reach, only {keeper} sees it"
    ))
}

/// The next step of a switchover that was begun. `None` if the switchover ends like any other change of primary: the
/// successor is promoted, or the old primary is not what it was.
pub(super) fn proceed(
    situation: &Situation<'_>,
    published: &Published,
    intent: &Intent,
    to: &NodeAddr,
) -> Option<Plan> {
    let observed = situation.observed;
    let old = intent.old.as_ref()?;
    let node = observed.nodes.get(old)?;
    if node.undecided() {
        return Some(Plan::hold(Hold::Undecided(vec![node.why_undecided(old)])));
    }
    let facts = node.online()?;
    let whole = facts.is_primary() && intent.old_run_id.as_ref() == Some(&facts.run_id);
    if !whole || node.verdict.unfit_as_primary() {
        return None;
    }
    let back = |why: String| {
        let state = publishing(situation, published, old);
        let change = match intent.step {
            Step::Withdrawn => StateChange::Publish,
            Step::Promoting => StateChange::Resume,
        };
        Some(Plan {
            holds: vec![Hold::NoSwitchover(why)],
            ..Plan::write(change, state)
        })
    };
    let since = observed.published_at.unwrap_or_default();
    let confirmed = observed.commands.promoted.as_ref();
    if confirmed.is_some_and(|(node, at)| node == to && *at >= since) {
        let serves = promoted(situation, published, intent).is_some();
        return if serves || shows_soon(situation, intent).is_some() {
            None
        } else {
            back(format!("{to} was promoted, and does not serve"))
        };
    }
    if intent.epoch != observed.epoch {
        return back("another keeper leads now".to_owned());
    }
    if let Some((_, why)) = observed
        .commands
        .switch_failed
        .as_ref()
        .filter(|(at, _)| *at >= since)
    {
        return back(why.clone());
    }
    let election = situation.elect(&published.lineage, Some(old));
    if let Some(refusal) = election.refusals.get(to) {
        return back(format!("{to} {refusal}"));
    }
    if let Some(why) = [old, to]
        .iter()
        .find_map(|addr| out_of_reach(situation, addr))
    {
        return back(why);
    }
    let late = &observed.unacknowledged;
    if !late.is_empty() {
        let until = since.after(ACKNOWLEDGED_WITHIN);
        if situation.now >= until {
            return back(format!(
                "the withdrawal was not acknowledged in time by: {late}"
            ));
        }
        return Some(Plan {
            again: Some(until),
            ..Plan::hold(Hold::Unacknowledged(late.clone()))
        });
    }
    if intent.candidate.is_some() {
        return back("it was interrupted".to_owned());
    }
    Some(Plan::act(Action::Switch {
        from: old.clone(),
        to: to.clone(),
        state: choosing(situation, published, to),
        drain: situation.policy.drain,
    }))
}
