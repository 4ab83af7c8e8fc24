//! A primary that cannot write its disk is switched over. A primary that is busy gets a hold.

use std::time::Duration;

use super::builder::{Cluster, NOW, addr, cluster};
use crate::domain::facts::MinReplicas;
use crate::domain::hindrance::{Hindrance, HindranceKind};
use crate::domain::node::Moment;
use crate::domain::plan::{Action, HindranceAction, Hold, StateChange};

const FULL: &str = "MISCONF Errors writing to the AOF file: No space left on device";

fn ago(seconds: u64) -> Moment {
    Moment(NOW.0.saturating_sub(Duration::from_secs(seconds)))
}

trait Hindered {
    fn hindered(self, name: &str, kind: HindranceKind, seconds_ago: u64) -> Self;
}

impl Hindered for Cluster {
    fn hindered(self, name: &str, kind: HindranceKind, seconds_ago: u64) -> Self {
        let cluster = self.observation(name, |observation| {
            observation.hindrance = Some(Hindrance {
                kind,
                since: ago(seconds_ago),
                said: FULL.to_owned(),
            });
        });
        let misconf = kind == HindranceKind::Misconf;
        cluster.with(name, |facts| facts.writes.misconf = misconf)
    }
}

/// `a` has refused every write for this many seconds. `b` and `c` follow it.
fn full(seconds: u64) -> Cluster {
    let trio = cluster()
        .primary("a")
        .replica("b", "a")
        .replica("c", "a")
        .published("a");
    trio.hindered("a", HindranceKind::Misconf, seconds)
}

fn then(cluster: &Cluster) -> HindranceAction {
    let plan = cluster.plan();
    let told = plan.holds.iter().find_map(|hold| match hold {
        Hold::Hindered { node, then, .. } if *node == addr("a") => Some(then.clone()),
        _ => None,
    });
    told.unwrap_or_else(|| panic!("{plan}"))
}

#[test]
fn a_primary_that_refuses_every_write_is_switched_over_once_that_has_lasted() {
    let soon = full(3);
    assert_eq!(
        then(&soon),
        HindranceAction::Switchover(addr("b"), NOW.after(Duration::from_secs(2)))
    );
    let plan = soon.plan();
    assert_eq!(
        (plan.action, plan.again),
        (None, Some(NOW.after(Duration::from_secs(2))))
    );

    let (change, state) = full(5).plan().into_write();
    assert_eq!(change, StateChange::Withdraw);
    let intent = state.intent.expect("it is begun");
    assert_eq!(intent.switchover, Some(addr("b")));
    let reason = format!("switchover to b:6379: a:6379 refuses every write ({FULL})");
    assert_eq!(intent.reason, reason);
}

#[test]
fn it_does_not_go_round_in_circles_soon_after_a_change_or_a_failed_switchover() {
    let mut lately = full(60);
    lately.policy.failover_cooldown = Duration::from_secs(10);
    lately.observed.published_at = Some(ago(4));
    let due = NOW.after(Duration::from_secs(6));
    assert_eq!(then(&lately), HindranceAction::Switchover(addr("b"), due));
    // Without a cool-down the leader waits for the mark-down time instead.
    lately.policy.failover_cooldown = Duration::ZERO;
    let due = NOW.after(Duration::from_secs(1));
    assert_eq!(then(&lately), HindranceAction::Switchover(addr("b"), due));

    let mut failed = full(600);
    failed.observed.commands.switch_failed = Some((ago(20), "b did not catch up".to_owned()));
    let due = NOW.after(Duration::from_secs(40));
    assert_eq!(then(&failed), HindranceAction::Switchover(addr("b"), due));
}

#[test]
fn a_replica_that_would_refuse_them_too_is_passed_over_and_named() {
    let misconf = HindranceKind::Misconf;
    let other = full(5).hindered("b", misconf, 1);
    let (_, state) = other.plan().into_write();
    assert_eq!(state.intent.expect("begun").switchover, Some(addr("c")));

    let nobody = full(5).hindered("b", misconf, 1).hindered("c", misconf, 1);
    assert_eq!(nobody.plan().action, None);
    let HindranceAction::NoSwitchover(why) = then(&nobody) else {
        panic!("{}", nobody.plan())
    };
    assert!(why.contains("b:6379 refuses every write, too"), "{why}");
    // A replica without a link is not chosen either, because no write may be lost.
    let unlinked = full(5).hindered("b", misconf, 1).unlinked("c");
    let HindranceAction::NoSwitchover(why) = then(&unlinked) else {
        panic!("{}", unlinked.plan())
    };
    assert!(why.contains("c:6379 has no link to a:6379"), "{why}");
}

#[test]
fn in_a_failover_such_a_node_ranks_behind_and_is_not_refused() {
    let dead = |cluster: Cluster| cluster.published("a").down("a").withdrawn("a").plan();
    let trio = cluster().primary("a").replica("b", "a").replica("c", "a");
    let behind =
        trio.with("b", |facts| facts.offset = 2_000)
            .hindered("b", HindranceKind::Misconf, 1);
    let (node, _) = dead(behind).into_promotion();
    assert_eq!(node, addr("c"));
    let pair = cluster().primary("a").replica("b", "a");
    let only = pair.hindered("b", HindranceKind::Misconf, 1);
    let (node, _) = dead(only).into_promotion();
    assert_eq!(node, addr("b"));
}

#[test]
fn before_7_0_a_replica_tells_it_in_info_alone() {
    let trio = |major| {
        let trio = cluster().primary("a").replica("b", "a").replica("c", "a");
        let trio = trio.with("b", |facts| {
            facts.version.major = major;
            facts.writes.disk_failed = true;
        });
        trio.published("a").down("a").withdrawn("a").plan()
    };
    assert_eq!(trio(6).into_promotion().0, addr("c"));
    // The dumps of `b` fail, and it takes writes all the same, since it is configured so.
    assert_eq!(trio(7).into_promotion().0, addr("b"));
}

#[test]
fn a_busy_primary_is_told_and_a_busy_replica_does_not_take_over() {
    let trio = || {
        let trio = cluster().primary("a").replica("b", "a").replica("c", "a");
        trio.published("a")
    };
    let mut busy = trio().hindered("a", HindranceKind::Busy, 60);
    assert_eq!(then(&busy), HindranceAction::Replaced(None));
    assert_eq!(busy.plan().action, None);
    let span = Some(Duration::from_secs(90));
    busy.observed.limits.busy = span;
    assert_eq!(then(&busy), HindranceAction::Replaced(span));

    let other = trio().hindered("b", HindranceKind::Busy, 1);
    let (node, _) = other.down("a").withdrawn("a").plan().into_promotion();
    assert_eq!(node, addr("c"));
}

#[test]
fn a_deposed_primary_that_is_busy_is_commanded_as_soon_as_its_script_ends_and_not_before() {
    let moved = || {
        let pair = cluster().primary("a").replica("b", "a").published("a");
        pair.promoted("b").published("b")
    };
    let busy = moved().hindered("a", HindranceKind::Busy, 60);
    assert_eq!(busy.plan().action, None);
    let follow = moved().plan().action;
    assert!(matches!(follow, Some(Action::Follow { .. })), "{follow:?}");
}

// === min-replicas-to-write ===

fn demanding(cluster: Cluster, names: &[&str], to_write: u32) -> Cluster {
    names.iter().fold(cluster, |cluster, name| {
        cluster.observation(name, |observation| {
            observation.min_replicas = Some(Ok(MinReplicas {
                to_write,
                max_lag: 10,
            }));
        })
    })
}

#[test]
fn a_successor_that_would_refuse_every_write_for_want_of_replicas_is_told_before() {
    let pair = cluster().primary("a").replica("b", "a").published("a");
    let told = demanding(pair, &["b"], 1).plan();
    let expected = Hold::WouldRefuseForReplicas {
        primary: addr("a"),
        node: addr("b"),
        to_write: 1,
        replicas: 0,
    };
    assert_eq!((told.action, told.holds), (None, vec![expected]));

    let trio = || {
        let trio = cluster().primary("a").replica("b", "a").replica("c", "a");
        trio.published("a")
    };
    demanding(trio(), &["b", "c"], 1).assert_settled();
    assert_eq!(demanding(trio(), &["b", "c"], 2).plan().holds.len(), 1);
    // Without a readable setting there is no hold.
    let unread = trio().observation("b", |it| it.min_replicas = Some(Err("NOPERM".to_owned())));
    unread.assert_settled();
}

#[test]
fn a_primary_with_too_few_replicas_in_touch_is_told_as_long_as_it_demands_them() {
    let pair = || {
        let pair = cluster().primary("a").replica("b", "a").published("a");
        demanding(pair, &["a"], 1)
    };
    let in_touch = |replicas| pair().with("a", |facts| facts.writes.replicas_in_touch = replicas);
    let told = in_touch(Some(0)).plan().holds;
    assert!(
        matches!(
            told[..],
            [Hold::RefusesForReplicas {
                to_write: 1,
                in_touch: 0,
                ..
            }]
        ),
        "{told:?}"
    );
    in_touch(Some(1)).assert_settled();
    // The operator has lowered the setting since it was read.
    in_touch(None).assert_settled();
}
