//! Another manager or a person changes the primary again and again (RK-12).

use std::time::Duration;

use super::builder::{Cluster, NOW, addr, cluster};
use crate::domain::node::Moment;
use crate::domain::observed::Requested;
use crate::domain::outside::TOO_MANY;
use crate::domain::plan::{Hold, StateChange};
use crate::domain::timing::managers::BREAKER_HELD_FOR;

fn trio() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    cluster.published("a")
}

trait Tripped {
    /// The breaker is tripped, and this keeper saw it so many seconds ago.
    fn tripped(self, seconds_ago: u64) -> Self;
}

impl Tripped for Cluster {
    fn tripped(mut self, seconds_ago: u64) -> Self {
        self.observed.published.as_mut().unwrap().breaker = true;
        let ago = Duration::from_secs(seconds_ago);
        self.observed.outside.breaker_since = Some(Moment(NOW.0.saturating_sub(ago)));
        self
    }
}

fn hold(seconds: u64) -> Hold {
    Hold::ChangedFromOutside {
        until: NOW.after(Duration::from_secs(seconds)),
    }
}

#[test]
fn three_changes_from_outside_within_a_minute_trip_the_breaker_before_the_third_is_undone() {
    let mut cluster = trio().promoted("b").replica("a", "b");
    cluster.observed.outside.changes = TOO_MANY - 1;
    cluster.plan().assert_writes(StateChange::Withdraw, None);
    cluster.observed.outside.changes = TOO_MANY;
    let (change, state) = cluster.plan().into_write();
    assert_eq!(
        (change, state.primary),
        (StateChange::Note, Some(addr("a")))
    );
    assert!(state.breaker);
}

#[test]
fn while_it_is_tripped_nothing_is_undone_and_it_is_said_for_how_long() {
    let plan = trio().promoted("b").tripped(60).plan();
    plan.assert_holds(&hold(540));
    assert_eq!(plan.again, Some(NOW.after(Duration::from_mins(9))));
    let mut requested = trio().tripped(0);
    let reason = String::new();
    requested.observed.requested = Some(Requested { to: None, reason });
    let plan = requested.plan();
    let refused =
        |hold: &Hold| matches!(hold, Hold::NoSwitchover(why) if why.contains("from outside"));
    assert!(
        plan.action.is_none() && plan.holds.iter().any(refused),
        "{plan}"
    );
}

#[test]
fn a_primary_that_was_made_a_replica_is_given_up_once_nothing_has_changed_for_ten_seconds() {
    let ago = |seconds| Moment(NOW.0.saturating_sub(Duration::from_secs(seconds)));
    let mut demoted = trio().promoted("b").replica("a", "b").tripped(60);
    demoted.observed.outside.last = Some(ago(4));
    let plan = demoted.plan();
    plan.assert_holds(&hold(540));
    assert_eq!(plan.again, Some(NOW.after(Duration::from_secs(6))));
    demoted.observed.outside.last = Some(ago(10));
    demoted.plan().assert_writes(StateChange::Withdraw, None);
    // The present leader has seen no change.
    demoted.observed.outside.last = None;
    demoted.plan().assert_writes(StateChange::Withdraw, None);
    let plan = demoted.tripped(9).plan();
    assert_eq!(plan.again, Some(NOW.after(Duration::from_secs(1))));
}

#[test]
fn a_dead_primary_is_still_replaced_and_its_replicas_follow_the_next() {
    let dead = trio().down("a").unlinked("b").unlinked("c").tripped(60);
    let cluster = dead.written(StateChange::Withdraw).chosen();
    let cluster = cluster.promoted("b").written(StateChange::Publish);
    assert!(cluster.state().breaker);
    cluster.plan().assert_follows(["c"], "b");
}

#[test]
fn it_is_closed_after_ten_minutes_or_by_an_operators_word() {
    let closed = |cluster: &Cluster| {
        let (change, state) = cluster.plan().into_write();
        assert_eq!(change, StateChange::Note);
        assert!(!state.breaker);
    };
    closed(&trio().promoted("b").tripped(BREAKER_HELD_FOR.as_secs()));
    let mut acknowledged = trio().promoted("b").tripped(1);
    acknowledged.observed.outside.acknowledged = true;
    closed(&acknowledged);
}
