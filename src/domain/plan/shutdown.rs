//! The primary is shutting down, and waits for replicas that lag (Redis 7.0 and later, `shutdown-timeout`).
//!
//! Meanwhile the primary answers and takes no writes, so no further write is acknowledged. A replica that has all of
//! its data takes over by a switchover, which loses nothing (RK-2, RK-10). If the switchover is called off, the
//! primary stays as it is. An operator may call the shutdown off at any moment (`SHUTDOWN ABORT`). Then the primary
//! goes on, or follows its successor if there is one.

use std::time::Duration;

use super::super::facts::NodeFacts;
use super::super::node::NodeAddr;
use super::super::observed::Requested;
use super::super::published::Published;
use super::{Hold, Plan, Situation, switchover};

/// How long the leader waits after a publication before it tries again. A switchover that is called off publishes the
/// primary again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// By then replicas that keep up have caught up, and the primary ends, as in any restart.
const CAUGHT_UP_WITHIN: Duration = Duration::from_millis(300);

/// The plan for `primary`, which is published and well, if it is shutting down.
pub(super) fn turn(
    situation: &Situation<'_>,
    published: &Published,
    primary: &NodeAddr,
    facts: &NodeFacts,
) -> Option<Plan> {
    let left = facts.shutting_down?;
    let seen = situation.observed.nodes.get(primary)?.observation.at;
    let held = |why: String| Hold::ShuttingDown {
        node: primary.clone(),
        until: seen.after(left),
        why,
    };
    let until = situation
        .observed
        .published_at
        .unwrap_or_default()
        .after(AGAIN_AFTER);
    if situation.now < until {
        return Some(Plan {
            again: Some(until),
            ..Plan::hold(held("a primary was published a moment ago".to_owned()))
        });
    }
    let waited = waited(left.saturating_sub(situation.now.since(seen)));
    if waited < CAUGHT_UP_WITHIN {
        return Some(Plan {
            again: Some(situation.now.after(CAUGHT_UP_WITHIN.saturating_sub(waited))),
            ..Plan::hold(held("its replicas may be about to catch up".to_owned()))
        });
    }
    let requested = Requested {
        to: None,
        reason: format!("{primary} is shutting down"),
    };
    let mut plan = switchover::begin(situation, published, primary, facts, &requested);
    for hold in &mut plan.holds {
        if let Hold::NoSwitchover(why) = hold {
            *hold = held(std::mem::take(why));
        }
    }
    Some(plan)
}

/// How long the shutdown has lasted, without its whole seconds: `shutdown-timeout` is a number of seconds.
fn waited(left: Duration) -> Duration {
    Duration::from_secs(left.as_secs() + 1).saturating_sub(left)
}
