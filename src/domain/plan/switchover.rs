//! A planned change of primary: no acknowledged write is lost, and without success everything returns to how it was.
//!
//! The primary keeps all of its data until its successor has them, too. The steps:
//! 1. The leader withdraws the primary, and pauses its writes.
//! 2. The successor catches up.
//! 3. The leader promotes the successor.
//!
//! Up to step 3 the primary can be published again at any moment without a loss. Any leader does so at any doubt.

use super::super::facts::{Link, NodeFacts, Upstream};
use super::super::node::{Moment, NodeAddr};
use super::super::observed::{ObservedNode, Requested};
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

/// A switchover that was begun, with the old primary.
struct Begun<'a> {
    situation: &'a Situation<'a>,
    published: &'a Published,
    intent: &'a Intent,
    old: (&'a NodeAddr, &'a ObservedNode),
    to: &'a NodeAddr,
}

/// How a switchover that was begun goes on.
enum Decision {
    /// The switchover ends like any other change of primary.
    Ends,
    /// The old primary is published again, for this reason.
    CalledOff(String),
    /// The leader waits.
    Waits(Box<Plan>),
}

/// The next step of a switchover that was begun. `None` if the switchover ends like any other change of primary: the
/// successor is promoted, or the old primary is not what it was.
pub(super) fn proceed(
    situation: &Situation<'_>,
    published: &Published,
    intent: &Intent,
    to: &NodeAddr,
) -> Option<Plan> {
    let old = intent.old.as_ref()?;
    let begun = Begun {
        situation,
        published,
        intent,
        old: (old, situation.observed.nodes.get(old)?),
        to,
    };
    match Begun::CHECKS.iter().find_map(|check| check(&begun)) {
        Some(Decision::Ends) => None,
        Some(Decision::CalledOff(why)) => Some(begun.back(why)),
        Some(Decision::Waits(plan)) => Some(*plan),
        None => Some(Plan::act(Action::Switch {
            from: old.clone(),
            to: to.clone(),
            state: choosing(situation, published, to),
            drain: situation.policy.drain,
        })),
    }
}

impl Begun<'_> {
    /// The checks before the switch; each gives `None` if nothing is wrong. The first one that finds something decides.
    const CHECKS: [fn(&Self) -> Option<Decision>; 9] = [
        Self::old_may_be_down,
        Self::old_is_not_what_it_was,
        Self::successor_was_promoted,
        Self::another_leader_began_it,
        Self::switch_failed,
        Self::successor_is_refused,
        Self::a_node_is_out_of_reach,
        Self::unacknowledged,
        Self::interrupted,
    ];

    fn old_may_be_down(&self) -> Option<Decision> {
        let (old, node) = self.old;
        let undecided = || Hold::Undecided(vec![node.why_undecided(old)]);
        node.undecided()
            .then(|| Decision::Waits(Plan::hold(undecided()).into()))
    }

    fn old_is_not_what_it_was(&self) -> Option<Decision> {
        let (_, node) = self.old;
        let process = self.intent.old_run_id.as_ref();
        let whole = node
            .online()
            .is_some_and(|facts| facts.is_primary() && process == Some(&facts.run_id));
        (!whole || node.verdict.unfit_as_primary()).then_some(Decision::Ends)
    }

    fn successor_was_promoted(&self) -> Option<Decision> {
        let Self { situation, to, .. } = *self;
        let (node, at) = situation.observed.commands.promoted.as_ref()?;
        if node != to || *at < self.since() {
            return None;
        }
        let serves = promoted(situation, self.published, self.intent).is_some();
        if serves || shows_soon(situation, self.intent).is_some() {
            Some(Decision::Ends)
        } else {
            let why = format!("{to} was promoted, and does not serve");
            Some(Decision::CalledOff(why))
        }
    }

    fn another_leader_began_it(&self) -> Option<Decision> {
        let another = self.intent.epoch != self.situation.observed.epoch;
        another.then(|| Decision::CalledOff("another keeper leads now".to_owned()))
    }

    fn switch_failed(&self) -> Option<Decision> {
        let failed = self.situation.observed.commands.switch_failed.as_ref();
        let (_, why) = failed.filter(|(at, _)| *at >= self.since())?;
        Some(Decision::CalledOff(why.clone()))
    }

    fn successor_is_refused(&self) -> Option<Decision> {
        let Self { to, .. } = *self;
        let lineage = &self.published.lineage;
        let election = self.situation.elect(lineage, Some(self.old.0));
        let refusal = election.refusals.get(to)?;
        Some(Decision::CalledOff(format!("{to} {refusal}")))
    }

    fn a_node_is_out_of_reach(&self) -> Option<Decision> {
        let mut nodes = [self.old.0, self.to].into_iter();
        let why = nodes.find_map(|addr| out_of_reach(self.situation, addr))?;
        Some(Decision::CalledOff(why))
    }

    fn unacknowledged(&self) -> Option<Decision> {
        let late = &self.situation.observed.withdrawal.unacknowledged;
        if late.is_empty() {
            return None;
        }
        let until = self.since().after(ACKNOWLEDGED_WITHIN);
        if self.situation.now >= until {
            let why = format!("the withdrawal was not acknowledged in time by: {late}");
            return Some(Decision::CalledOff(why));
        }
        let plan = Plan {
            again: Some(until),
            ..Plan::hold(Hold::Unacknowledged(late.clone()))
        };
        Some(Decision::Waits(plan.into()))
    }

    fn interrupted(&self) -> Option<Decision> {
        let chosen = self.intent.candidate.is_some();
        chosen.then(|| Decision::CalledOff("it was interrupted".to_owned()))
    }

    /// When this keeper learned of the withdrawal.
    fn since(&self) -> Moment {
        self.situation.observed.published_at.unwrap_or_default()
    }

    /// The old primary is published again, and no switchover follows, for this reason.
    fn back(&self, why: String) -> Plan {
        let state = publishing(self.situation, self.published, self.old.0);
        let change = match self.intent.step {
            Step::Withdrawn => StateChange::Publish,
            Step::Promoting => StateChange::Resume,
        };
        Plan {
            holds: vec![Hold::NoSwitchover(why)],
            ..Plan::write(change, state)
        }
    }
}
