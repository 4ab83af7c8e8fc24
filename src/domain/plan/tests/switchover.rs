//! A planned change of primary.

use std::time::Duration;

use super::builder::{Cluster, EPOCH, NOW, addr, cluster};
use crate::domain::facts::Link;
use crate::domain::node::Moment;
use crate::domain::observed::Requested;
use crate::domain::plan::{Action, Hold, Plan, StateChange};
use crate::domain::policy::Policy;
use crate::domain::published::Step;

fn trio() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    cluster.published("a")
}

impl Cluster {
    fn asked_for(mut self, to: Option<&str>) -> Self {
        let to = to.map(addr);
        let reason = "new kernel".to_owned();
        self.observed.requested = Some(Requested { to, reason });
        self
    }

    /// `a` was withdrawn just now for a switchover to `b`.
    fn switching(self) -> Self {
        let mut cluster = self.withdrawn("a");
        let state = cluster.observed.published.as_mut().unwrap();
        let intent = state.intent.as_mut().unwrap();
        (intent.switchover, intent.epoch) = (Some(addr("b")), EPOCH);
        cluster.observed.published_at = Some(NOW);
        cluster
    }

    /// The candidate was persisted.
    fn begun(mut self) -> Self {
        let state = self.observed.published.as_mut().unwrap();
        let intent = state.intent.as_mut().unwrap();
        (intent.candidate, intent.step) = (Some(addr("b")), Step::Promoting);
        self
    }
}

impl Plan {
    fn refused(&self) -> &str {
        match &self.holds[..] {
            [Hold::NoSwitchover(why)] => why,
            other => panic!("{other:?}"),
        }
    }

    /// The old primary is published again, for this reason.
    fn assert_called_off(self, why: &str) {
        self.assert_back(StateChange::Publish, why);
    }

    /// The old primary is published again, and its writes may be paused.
    fn assert_resumed(self, why: &str) {
        self.assert_back(StateChange::Resume, why);
    }

    fn assert_back(self, change: StateChange, why: &str) {
        assert!(self.refused().contains(why), "{self}");
        self.assert_writes(change, Some("a"));
    }
}

#[test]
fn the_one_asked_for_or_the_best_takes_over() {
    let ahead = trio().with("c", |c| c.offset += 1);
    let ahead = ahead.with("a", |a| a.offset += 1);
    let (change, state) = ahead.asked_for(None).plan().into_write();
    let intent = state.intent.unwrap();
    assert_eq!(
        (change, intent.switchover),
        (StateChange::Withdraw, Some(addr("c")))
    );
    assert_eq!(intent.reason, "switchover to c:6379: new kernel");

    let (_, state) = trio().asked_for(Some("b")).plan().into_write();
    assert_eq!(state.intent.unwrap().switchover, Some(addr("b")));
}

#[test]
fn what_would_lose_data_is_refused_and_said() {
    let refused = |cluster: Cluster, to: Option<&str>| {
        let plan = cluster.asked_for(to).plan();
        assert_eq!(plan.action, None);
        plan.refused().to_owned()
    };
    let unlinked = trio().upstream("b", |up| {
        up.link = Link::Down {
            since: Some(Duration::ZERO),
        }
    });
    let behind = trio().with("a", |a| a.offset += 100 << 20);
    for (cluster, to, why) in [
        (trio(), Some("a"), "is the primary already"),
        (trio(), Some("x"), "is no node of this cluster"),
        (
            trio().upstream("b", |up| up.priority = 0),
            Some("b"),
            "has priority 0",
        ),
        (trio().down("b"), Some("b"), "held down"),
        (unlinked, Some("b"), "has no link to a:6379"),
        (behind, Some("b"), "bytes behind"),
        (trio().down("b").down("c"), None, "no node may take over"),
    ] {
        let said = refused(cluster, to);
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn it_goes_on_once_all_have_acknowledged_and_is_called_off_when_one_is_late() {
    match trio().switching().plan().action {
        Some(Action::Switch {
            from,
            to,
            state,
            drain,
        }) => {
            assert_eq!(drain, Policy::default().drain);
            assert_eq!((from, to), (addr("a"), addr("b")));
            assert_eq!(state.intent.unwrap().candidate, Some(addr("b")));
        }
        other => panic!("{other:?}"),
    }
    let mut late = trio().switching().unacknowledged("keeper-2");
    let waiting = late.plan();
    assert_eq!(waiting.action, None);
    assert_eq!(waiting.again, Some(NOW.after(Duration::from_millis(500))));
    late.observed.published_at = Some(Moment::default());
    late.plan().assert_called_off("keeper-2");
}

#[test]
fn whatever_goes_wrong_while_the_old_primary_is_whole_brings_it_back() {
    let mut failed = trio().switching().begun();
    failed.observed.commands.switch_failed = Some((NOW, "it was still behind".to_owned()));
    failed.plan().assert_resumed("still behind");
    trio()
        .switching()
        .begun()
        .plan()
        .assert_resumed("interrupted");
    let heir = trio().switching().begun().epoch(EPOCH.0 + 1);
    heir.plan().assert_resumed("another keeper leads");
    let down = trio().switching().down("b");
    down.plan().assert_called_off("held down");

    // The promotion had an unknown outcome, and the old primary lacks nothing.
    let promoted = trio().switching().begun().promoted("b");
    promoted
        .epoch(EPOCH.0 + 1)
        .plan()
        .assert_resumed("another keeper leads");
}

#[test]
fn a_confirmed_successor_is_published_and_the_old_primary_follows_it() {
    confirmed(NOW)
        .plan()
        .assert_writes(StateChange::Publish, Some("b"));
}

/// The successor confirmed its promotion at this time.
fn confirmed(at: Moment) -> Cluster {
    let promoted = trio().switching().begun().promoted("b");
    promoted.observing(|observed| {
        observed.published_at = Some(at);
        observed.commands.promoted = Some((addr("b"), at));
    })
}

#[test]
fn a_successor_that_does_not_serve_once_promoted_brings_the_old_primary_back() {
    let why = "b:6379 was promoted, and does not serve";
    let loading = confirmed(NOW).with("b", |b| b.loading = true);
    loading.plan().assert_resumed(why);
    confirmed(NOW).votes("b", 1, 1).plan().assert_resumed(why);
    confirmed(NOW).down("b").plan().assert_resumed(why);

    // A promotion cuts off all clients, this keeper included.
    assert_eq!(confirmed(NOW).silent("b").plan().action, None);
    let hidden_for_long = confirmed(Moment::default()).silent("b");
    hidden_for_long.plan().assert_resumed(why);
}

#[test]
fn a_primary_that_dies_meanwhile_is_failed_over_and_one_that_is_silent_waited_for() {
    let silent = trio().switching().silent("a");
    let plan = silent.plan();
    assert!(matches!(plan.holds[..], [Hold::Undecided(_)]), "{plan}");
    let mut down = trio().switching().down("a");
    down.observed.published_at = Some(Moment::default());
    down.plan().assert_promotes("b");
}
