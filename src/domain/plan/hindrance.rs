//! Servers that live, and answer with errors instead of serving.
//!
//! - A primary that cannot write its disk refuses every write, but lives and has all of its data. Keepers never vote
//!   it down. The leader switches over to a replica that is well, which loses nothing.
//! - A primary that is busy with a script is voted down after `busy-seconds`, if set (RK-1). The plan only reports
//!   it.

use std::time::Duration;

use super::super::facts::NodeFacts;
use super::super::hindrance::HindranceKind;
use super::super::node::{Moment, NodeAddr};
use super::super::observed::{Observed, Requested, Topology};
use super::super::published::Published;
use super::{Hold, Plan, Situation, switchover};

/// How long the leader waits after a failed switchover before it tries another one.
const REST: Duration = Duration::from_mins(1);

/// The consequence of a hindrance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HindranceAction {
    /// Nothing, as long as the node is not the published primary.
    Nothing,
    /// A switchover to this node, if the hindrance lasts until this moment. [`Hold::same_as`] ignores the time.
    Switchover(NodeAddr, Moment),
    /// No switchover, for this reason.
    NoSwitchover(String),
    /// The primary is replaced once the hindrance has lasted for this time in all (`busy-seconds`); never if `None`.
    Replaced(Option<Duration>),
}

/// Adds a hold for each server that is hindered. A primary that refuses every write gets its hold from [`see_to`], if
/// that was called.
pub(super) fn tell(observed: &Observed, plan: &mut Plan) {
    let published = observed.published.as_ref();
    let primary = published.and_then(|published| published.primary.as_ref());
    let told = |addr: &NodeAddr| {
        let of_it = |hold: &Hold| matches!(hold, Hold::Hindered { node, .. } if node == addr);
        plan.holds.iter().any(of_it)
    };
    let mut holds = Vec::new();
    for (addr, node) in &observed.nodes {
        let hindrance = node.observation.hindrance.as_ref();
        let Some(hindrance) = hindrance.filter(|_| node.observation.answering && !told(addr))
        else {
            continue;
        };
        let then = match hindrance.kind {
            _ if primary != Some(addr) => HindranceAction::Nothing,
            HindranceKind::Busy => HindranceAction::Replaced(observed.limits.busy),
            HindranceKind::Misconf if plan.action.is_some() => continue,
            HindranceKind::Misconf => {
                HindranceAction::NoSwitchover("something else comes first".to_owned())
            }
        };
        holds.push(hold(addr, hindrance.kind, &hindrance.said, then));
    }
    plan.holds.append(&mut holds);
}

fn hold(node: &NodeAddr, kind: HindranceKind, said: &str, then: HindranceAction) -> Hold {
    Hold::Hindered {
        node: node.clone(),
        kind,
        said: said.to_owned(),
        then,
    }
}

/// The plan for a primary that is well but may refuse every write. Without that, the plan is `settled`.
pub(super) fn see_to(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
    mut settled: Plan,
) -> Plan {
    let node = situation.observed.nodes.get(primary);
    let hindrance = node.and_then(|node| node.observation.hindered(HindranceKind::Misconf));
    let Some(hindrance) = hindrance else {
        return settled;
    };
    let due = due(situation, hindrance.since);
    // As in a switchover for an operator, an empty replica catches up before it takes over.
    let reason = format!("{primary} refuses every write ({})", hindrance.said);
    let requested = Requested { to: None, reason };
    let asked = Observed {
        requested: Some(requested.clone()),
        ..situation.observed.clone()
    };
    let situation = Situation {
        observed: &asked,
        topology: &Topology::of(&asked),
        ..*situation
    };
    let then = match successor(&situation, published, primary, facts) {
        Ok(to) if situation.now < due => {
            settled.again = settled.again.into_iter().chain([due]).min();
            HindranceAction::Switchover(to, due)
        }
        // Corrections of other nodes come before the switchover.
        Ok(to) if settled.action.is_some() => HindranceAction::Switchover(to, due),
        Ok(to) => {
            let reason = &requested.reason;
            return switchover::to_successor(&situation, published, primary, to, reason);
        }
        Err((why, until)) => {
            settled.again = settled.again.into_iter().chain(until).min();
            HindranceAction::NoSwitchover(why)
        }
    };
    let hold = hold(primary, hindrance.kind, &hindrance.said, then);
    settled.holds.insert(0, hold);
    settled
}

/// When a primary that has refused every write `since` then is switched over, at the earliest:
/// - once the refusal has lasted for the mark-down time, and the primary has been published for as long;
/// - not within `failover-cooldown-seconds` after the last change, so that no two nodes take turns;
/// - not within a minute after a failed switchover.
fn due(situation: &Situation<'_>, since: Moment) -> Moment {
    let (observed, mark_down) = (situation.observed, situation.policy.mark_down);
    let rest = mark_down.max(situation.policy.failover_cooldown);
    let changed = observed.published_at.map(|at| at.after(rest));
    let failed = observed.commands.switch_failed.as_ref();
    let failed = failed.map(|(at, _)| at.after(REST));
    let due = [Some(since.after(mark_down)), changed, failed];
    due.into_iter().flatten().max().unwrap_or(since)
}

/// The best replica that may take over by a switchover, and would take writes. If there is none: the reason, and when
/// that ends if it ends by itself.
fn successor(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Result<NodeAddr, (String, Option<Moment>)> {
    if let Some((hold, until)) = situation.silent_keepers(false) {
        return Err((hold.at(situation.now).to_string(), Some(until)));
    }
    let lineage = &published.lineage;
    let election = situation.elect(lineage, Some(primary));
    let refusals = election.refusals.iter();
    let refusals = refusals.filter(|(addr, _)| *addr != primary);
    let mut reasons: Vec<_> = refusals.map(|(addr, it)| format!("{addr} {it}")).collect();
    for addr in &election.ranking {
        let facts_of = |addr| situation.observed.online(addr);
        if facts_of(addr).is_some_and(NodeFacts::refuses_for_its_disk) {
            reasons.push(format!("{addr} refuses every write, too"));
            continue;
        }
        match switchover::successor(situation, published, primary, facts, Some(addr)) {
            Ok(to) => return Ok(to),
            Err(why) => reasons.push(why),
        }
    }
    if reasons.is_empty() {
        reasons.push("there is no other node".to_owned());
    }
    Err((reasons.join("; "), None))
}
