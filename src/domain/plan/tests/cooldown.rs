//! The cool-down: after a completed failover the new primary is not replaced for a while for being down.

use std::time::Duration;

use super::builder::{Cluster, NOW, addr, cluster};
use crate::domain::last_failover::LastFailover;
use crate::domain::node::{Generation, Moment};
use crate::domain::plan::{Hold, StateChange};

const COOLDOWN: Duration = Duration::from_secs(10);

/// `b` took over from `a` so many seconds ago; `c` follows it.
fn took_over(seconds_ago: u64, followed: bool) -> Cluster {
    let mut cluster = cluster().down_primary("a").primary("b").replica("c", "b");
    cluster.observed.last_failover = Some(LastFailover {
        primary: addr("b"),
        replaced: Some(addr("a")),
        generation: Generation(4),
        at: Moment(NOW.0.saturating_sub(Duration::from_secs(seconds_ago))),
        followed,
    });
    cluster.published("b")
}

impl Cluster {
    fn down_primary(self, name: &str) -> Self {
        self.primary(name).down(name)
    }

    fn assert_withdraws(&self) {
        self.plan().assert_writes(StateChange::Withdraw, None);
    }
}

#[test]
fn a_primary_that_dies_again_soon_is_held_until_the_cool_down_ends() {
    let plan = took_over(3, true).down("b").plan();
    plan.assert_holds(&Hold::CoolingDown {
        node: addr("b"),
        replaced: Some(addr("a")),
        generation: Generation(4),
        until: NOW.after(Duration::from_secs(7)),
        cooldown: COOLDOWN,
    });
    assert_eq!(plan.again, Some(NOW.after(Duration::from_secs(7))));
    assert_eq!(
        plan.to_string(),
        "b:6379 is not replaced for another 7.0 s, should it be down (failover-cooldown-seconds 10): \
         it became the primary 3.0 s ago, in generation 4, in place of a:6379"
    );
    took_over(9, true).down("b").plan().again.unwrap();
    took_over(10, true).down("b").assert_withdraws();
}

#[test]
fn one_that_loads_for_too_long_is_held_too() {
    let cluster = took_over(3, true).with("b", |b| b.loading = true);
    assert!(cluster.votes("b", 0, 2).plan().again.is_some());
}

#[test]
fn zero_switches_it_off() {
    let cluster = took_over(0, true).down("b");
    let cluster = cluster.policy(|policy| policy.failover_cooldown = Duration::ZERO);
    cluster.assert_withdraws();
}

#[test]
fn a_keeper_that_saw_no_failover_does_not_cool_down() {
    let mut cluster = took_over(3, true).down("b");
    cluster.observed.last_failover = None;
    cluster.assert_withdraws();
}

#[test]
fn a_failover_to_another_primary_does_not_count() {
    let mut cluster = took_over(3, true).down("b");
    cluster.observed.last_failover.as_mut().unwrap().primary = addr("c");
    cluster.assert_withdraws();
}

#[test]
fn a_promoted_node_that_dies_before_anybody_followed_it_is_replaced_at_once() {
    took_over(3, false).down("b").assert_withdraws();
}

#[test]
fn an_interrupted_failover_is_finished() {
    let cluster = took_over(3, true).down("b").withdrawn("b");
    let cluster = cluster.chosen().promoted("c");
    cluster
        .plan()
        .assert_writes(StateChange::Publish, Some("c"));
}

#[test]
fn a_primary_that_lost_data_or_was_demoted_is_replaced_at_once() {
    took_over(3, true).reborn("b", 0, 0).assert_withdraws();
    let demoted = took_over(3, true).promoted("c").replica("b", "c");
    demoted.assert_withdraws();
    let demoted_and_dead = took_over(3, true).promoted("c").replica("b", "c").down("b");
    demoted_and_dead.assert_withdraws();
}

#[test]
fn when_nobody_may_take_over_that_is_said_instead() {
    let plan = took_over(3, true).down("b").down("c").plan();
    assert_eq!(plan.again, None);
    assert!(matches!(plan.holds[0], Hold::NoneEligible { .. }));
}

#[test]
fn a_primary_that_is_well_is_kept_without_a_word() {
    let cluster = took_over(3, true).primary("a").replica("a", "b");
    cluster.written(StateChange::Note).assert_settled();
}

#[test]
fn another_failover_makes_another_reason_of_it() {
    let hold = |cluster: Cluster| cluster.down("b").plan().holds.remove(0);
    let first = hold(took_over(3, true));
    assert!(first.same_as(&first));
    let mut other = took_over(3, true);
    other.observed.last_failover.as_mut().unwrap().generation = Generation(6);
    assert!(!first.same_as(&hold(other)));
}

#[test]
fn an_operator_who_promotes_another_by_hand_is_not_kept_waiting() {
    let cluster = took_over(3, true).down("b").promoted("c");
    cluster.assert_withdraws();
}
