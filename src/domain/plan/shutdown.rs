//! The primary is shutting down and waits for replicas that lag (Redis 7.0 and later, `shutdown-timeout`).
//!
//! It takes no writes meanwhile, so nothing more is acknowledged, and it answers: whoever has all of its data takes over by a
//! switchover, which loses nothing (RK-2, RK-10). What calls that off leaves the primary as it is, and the operator may call
//! the shutdown off (`SHUTDOWN ABORT`) at any moment: the primary then follows its successor, or goes on.

use std::time::Duration;

use super::super::facts::NodeFacts;
use super::super::node::NodeAddr;
use super::super::observed::Requested;
use super::super::published::Published;
use super::{Case, Hold, Plan, switchover};

/// From one publication to the next attempt: one that is called off publishes the primary again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Replicas that keep up have caught up by then, and the primary ends: that is a restart like any other.
const CAUGHT_UP_WITHIN: Duration = Duration::from_millis(300);

/// What is to be done about `primary`, which is published and well, if it is shutting down.
pub(super) fn turn(
    case: &Case<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Option<Plan> {
    let left = facts.shutting_down?;
    let held = |why: String| Hold::ShuttingDown {
        node: primary.clone(),
        left,
        why,
    };
    let until = case
        .observed
        .published_at
        .unwrap_or_default()
        .after(AGAIN_AFTER);
    if case.now < until {
        return Some(Plan {
            again: Some(until),
            ..Plan::hold(held("a primary was published a moment ago".to_owned()))
        });
    }
    let seen = case.observed.nodes.get(primary)?.sighting.at;
    let waited = waited(left.saturating_sub(case.now.since(seen)));
    if waited < CAUGHT_UP_WITHIN {
        return Some(Plan {
            again: Some(case.now.after(CAUGHT_UP_WITHIN.saturating_sub(waited))),
            ..Plan::hold(held("its replicas may be about to catch up".to_owned()))
        });
    }
    let requested = Requested {
        to: None,
        reason: format!("{primary} is shutting down"),
    };
    let mut plan = switchover::begin(case, published, primary, facts, &requested);
    for hold in &mut plan.holds {
        if let Hold::NoSwitchover(why) = hold {
            *hold = held(std::mem::take(why));
        }
    }
    Some(plan)
}

/// How long it has waited, but for whole seconds: `shutdown-timeout` is given in these.
fn waited(left: Duration) -> Duration {
    Duration::from_secs(left.as_secs() + 1).saturating_sub(left)
}
