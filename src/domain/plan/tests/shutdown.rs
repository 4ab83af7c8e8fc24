//! A primary that is shutting down, and waits for replicas that lag.

use std::time::Duration;

use super::builder::{Cluster, NOW, addr, cluster};
use crate::domain::election::Ineligibility;
use crate::domain::node::Moment;
use crate::domain::plan::{Hold, StateChange};

const LEFT: Duration = Duration::from_secs(9);

fn trio() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    cluster.published("a")
}

impl Cluster {
    fn ending(self, name: &str) -> Self {
        self.with(name, |facts| facts.shutting_down = Some(LEFT))
    }
}

fn held(cluster: &Cluster) -> String {
    let plan = cluster.plan();
    assert_eq!(plan.action, None, "{plan}");
    let hold = plan.holds.first().expect("a hold");
    assert!(matches!(hold, Hold::ShuttingDown { .. }), "{plan}");
    assert!(hold.blocks());
    hold.to_string()
}

#[test]
fn whoever_has_everything_takes_over_at_once_by_a_switchover() {
    let ahead = trio()
        .with("a", |a| a.offset += 1)
        .with("c", |c| c.offset += 1);
    let (change, state) = ahead.ending("a").plan().into_write();
    let intent = state.intent.expect("an intent");
    assert_eq!(change, StateChange::Withdraw);
    assert_eq!(intent.switchover, Some(addr("c")));
    assert_eq!(
        intent.reason,
        "switchover to c:6379: a:6379 is shutting down"
    );
    trio().assert_settled();
    trio().ending("b").assert_settled();
}

/// Otherwise a restart would become a switchover whenever a probe comes at the right moment.
#[test]
fn replicas_that_keep_up_are_given_a_moment_to_catch_up() {
    let ending = |milliseconds| {
        let left = Duration::from_millis(milliseconds);
        trio().with("a", |facts| facts.shutting_down = Some(left))
    };
    let begun = ending(9_990);
    assert!(held(&begun).contains("about to catch up"));
    let again = begun.plan().again.expect("another look");
    assert_eq!(again, NOW.after(Duration::from_millis(290)));
    ending(9_700).plan().into_write();
}

#[test]
fn if_nobody_may_take_over_that_is_told_with_the_end_of_the_wait() {
    let unlinked = trio().unlinked("b").unlinked("c").ending("a");
    let words = held(&unlinked);
    for told in [
        "a:6379 is shutting down",
        "another 9.0 s",
        "ABORT",
        "no link",
    ] {
        assert!(words.contains(told), "{told}: {words}");
    }
    let alone = trio().ending("a").ending("b").ending("c");
    assert!(held(&alone).contains("b:6379 is shutting down"));
}

#[test]
fn after_a_publication_the_next_attempt_is_made_a_moment_later() {
    let mut just = trio().ending("a");
    just.observed.published_at = Some(NOW);
    held(&just);
    let again = just.plan().again.expect("another look");
    assert_eq!(again, NOW.after(Duration::from_secs(2)));
    just.observed.published_at = Some(Moment(NOW.0.saturating_sub(Duration::from_secs(2))));
    just.plan().into_write();
}

#[test]
fn a_node_that_is_shutting_down_takes_over_from_nobody() {
    let down = trio().ending("b").with("b", |b| b.offset += 1).down("a");
    let told = crate::domain::explain::explain(&down.observed, &down.policy, NOW);
    assert_eq!(told.next, Some(addr("c")));
    assert_eq!(
        told.refused.get(&addr("b")),
        Some(&Ineligibility::ShuttingDown)
    );
}

#[test]
fn the_time_that_is_left_makes_no_other_reason_of_it() {
    let hold = |left| Hold::ShuttingDown {
        node: addr("a"),
        until: NOW.after(Duration::from_secs(left)),
        why: String::new(),
    };
    assert!(hold(9).same_as(&hold(8)));
}
