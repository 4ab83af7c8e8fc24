//! Servers that live and answer errors of their own: told, and a primary that refuses every write is switched over.
//!
//! - A primary that cannot write its disk lives, and has all of its data: it is never voted down. A replica that is well takes
//!   over in a switchover, which loses nothing.
//! - A primary that is busy with a script is voted down after `busy-seconds`, if that is set (RK-1). The plan only tells it.

use std::time::Duration;

use super::super::election::elect;
use super::super::facts::NodeFacts;
use super::super::hindrance::HindranceKind;
use super::super::node::{Moment, NodeAddr};
use super::super::observed::{Observed, Requested};
use super::super::published::Published;
use super::{Case, Hold, Plan, switchover};

/// After a switchover that failed, another one is not tried for so long.
const REST: Duration = Duration::from_mins(1);

/// What follows from a hindrance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// The node is no published primary: nothing, as long as it stays so.
    Nothing,
    /// A switchover to this node, if it lasts for so long yet. Passes by itself: see [`Hold::same_as`].
    Switchover(NodeAddr, Duration),
    /// No switchover, and why.
    NoSwitchover(String),
    /// The primary is replaced once it has lasted for so long in all (`busy-seconds`); never without a span.
    Replaced(Option<Duration>),
}

/// Tells of all servers that are hindered; of a primary that refuses every write only where [`see_to`] had no say.
pub(super) fn tell(observed: &Observed, plan: &mut Plan) {
    let published = observed.published.as_ref();
    let primary = published.and_then(|published| published.primary.as_ref());
    let told = |addr: &NodeAddr| {
        let of_it = |hold: &Hold| matches!(hold, Hold::Hindered { node, .. } if node == addr);
        plan.holds.iter().any(of_it)
    };
    let mut holds = Vec::new();
    for (addr, node) in &observed.nodes {
        let hindrance = node.sighting.hindrance.as_ref();
        let Some(hindrance) = hindrance.filter(|_| node.sighting.answering && !told(addr)) else {
            continue;
        };
        let then = match hindrance.kind {
            _ if primary != Some(addr) => Then::Nothing,
            HindranceKind::Busy => Then::Replaced(observed.limits.busy),
            HindranceKind::Misconf if plan.action.is_some() => continue,
            HindranceKind::Misconf => Then::NoSwitchover("something else comes first".to_owned()),
        };
        holds.push(hold(addr, hindrance.kind, &hindrance.said, then));
    }
    plan.holds.append(&mut holds);
}

fn hold(node: &NodeAddr, kind: HindranceKind, said: &str, then: Then) -> Hold {
    Hold::Hindered {
        node: node.clone(),
        kind,
        said: said.to_owned(),
        then,
    }
}

/// What there is to do about a primary that is well in all else, for which `settled` is the plan: it may refuse every write.
pub(super) fn see_to(
    case: &Case<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
    mut settled: Plan,
) -> Plan {
    let node = case.observed.nodes.get(primary);
    let hindrance = node.and_then(|node| node.sighting.hindered(HindranceKind::Misconf));
    let Some(hindrance) = hindrance else {
        return settled;
    };
    let due = due(case, hindrance.since);
    // As for a switchover that an operator asks for: an empty replica has caught up before it takes over.
    let reason = format!("{primary} refuses every write ({})", hindrance.said);
    let requested = Requested { to: None, reason };
    let asked = Observed {
        requested: Some(requested.clone()),
        ..case.observed.clone()
    };
    let case = Case {
        observed: &asked,
        ..*case
    };
    let then = match successor(&case, published, primary, facts) {
        Ok(to) if case.now < due => {
            settled.again = settled.again.into_iter().chain([due]).min();
            Then::Switchover(to, due.since(case.now))
        }
        // What is being corrected comes first.
        Ok(to) if settled.action.is_some() => Then::Switchover(to, Duration::ZERO),
        Ok(to) => {
            let reason = &requested.reason;
            return switchover::to_successor(&case, published, primary, to, reason);
        }
        Err((why, until)) => {
            settled.again = settled.again.into_iter().chain(until).min();
            Then::NoSwitchover(why)
        }
    };
    let hold = hold(primary, hindrance.kind, &hindrance.said, then);
    settled.holds.insert(0, hold);
    settled
}

/// When the primary, which has been seen so `since`, is switched over:
/// - once that has lasted for the mark-down time, and the primary has been published for as long;
/// - not within `failover-cooldown-seconds` after the last change, so that nothing goes round in circles;
/// - not soon after a switchover that failed.
fn due(case: &Case<'_>, since: Moment) -> Moment {
    let (observed, mark_down) = (case.observed, case.policy.mark_down);
    let rest = mark_down.max(case.policy.failover_cooldown);
    let changed = observed.published_at.map(|at| at.after(rest));
    let failed = observed.switch_failed.as_ref();
    let failed = failed.map(|(at, _)| at.after(REST));
    let due = [Some(since.after(mark_down)), changed, failed];
    due.into_iter().flatten().max().unwrap_or(since)
}

/// The best replica that may take over by a switchover and would take writes; or why there is none, and until when if that
/// passes by itself.
fn successor(
    case: &Case<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Result<NodeAddr, (String, Option<Moment>)> {
    if let Some((hold, until)) = case.silent_keepers(false) {
        return Err((hold.to_string(), Some(until)));
    }
    let lineage = &published.lineage;
    let election = elect(case.observed, case.policy, lineage, Some(primary), case.now);
    let refusals = election.refusals.iter();
    let refusals = refusals.filter(|(addr, _)| *addr != primary);
    let mut reasons: Vec<_> = refusals.map(|(addr, it)| format!("{addr} {it}")).collect();
    for addr in &election.ranking {
        let facts_of = |addr| case.observed.online(addr);
        if facts_of(addr).is_some_and(NodeFacts::refuses_for_its_disk) {
            reasons.push(format!("{addr} refuses every write, too"));
            continue;
        }
        match switchover::successor(case, published, primary, facts, Some(addr)) {
            Ok(to) => return Ok(to),
            Err(why) => reasons.push(why),
        }
    }
    if reasons.is_empty() {
        reasons.push("there is no other node".to_owned());
    }
    Err((reasons.join("; "), None))
}
