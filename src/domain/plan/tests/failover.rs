//! The published primary is to be replaced, or is being replaced.

use std::time::Duration;

use super::builder::{Cluster, NOW, addr, cluster, history};
use crate::domain::election::Ineligibility;
use crate::domain::explain::explain;
use crate::domain::node::{Epoch, Moment};
use crate::domain::plan::{Hold, StateChange};
use crate::domain::published::Step;
use crate::domain::unproven::Unproven;

pub(super) fn trio() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    cluster.published("a")
}

/// `c` left the history of `a` at offset 100, and was written to since: somebody promoted it, or it came back from an
/// old dump.
fn left_behind(at_b: u64) -> Cluster {
    let cluster = cluster()
        .primary("a")
        .replica("b", "a")
        .primary("c")
        .published("a")
        .with("a", |a| a.offset = at_b)
        .with("b", |b| b.offset = at_b)
        .with("c", |c| {
            c.previous_replication_id = Some(history("a"));
            (c.previous_offset, c.offset) = (Some(100), 9_000);
        });
    cluster.down("a")
}

#[test]
fn what_a_node_wrote_after_it_left_the_history_counts_for_nothing() {
    let ranking = |cluster: &Cluster| {
        let why = explain(&cluster.observed, &cluster.policy, NOW);
        let ranked = why.ranking.into_iter().map(|it| it.node);
        ranked.collect::<Vec<_>>()
    };
    let mut cluster = left_behind(120);
    cluster.policy.max_lag_bytes = Some(50);
    assert_eq!(ranking(&cluster), [addr("b"), addr("c")]);
    // Both hold as much of that history. The node that was written to since lacks nothing.
    assert_eq!(ranking(&left_behind(100)), [addr("c"), addr("b")]);
}

#[test]
fn a_dead_primary_is_withdrawn_replaced_and_followed_no_more() {
    let cluster = trio().down("a").unlinked("b").unlinked("c");
    let cluster = cluster.with("c", |c| c.offset = 1_001);

    let cluster = cluster.written(StateChange::Withdraw);
    let intent = cluster.state().intent.clone().unwrap();
    assert_eq!(
        (cluster.state().primary.clone(), intent.old),
        (None, Some(addr("a")))
    );
    assert_eq!(intent.old_run_id.as_deref(), Some("process of a"));
    assert_eq!((intent.candidate, intent.step), (None, Step::Withdrawn));
    assert!(intent.reason.contains("a:6379"), "{}", intent.reason);

    let cluster = cluster.chosen();
    cluster.plan().assert_promotes("c");

    let cluster = cluster.promoted("c").written(StateChange::Publish);
    assert_eq!(cluster.state().primary, Some(addr("c")));
    assert_eq!(cluster.state().intent, None);
    assert_eq!(cluster.state().lineage, [history("c"), history("a")]);

    cluster.plan().assert_follows(["b"], "c");
    let cluster = cluster.replica("b", "c").written(StateChange::Note);
    cluster.assert_settled();

    let cluster = cluster.primary("a").restarted("a", 10, 900);
    cluster.plan().assert_follows(["a"], "c");
}

#[test]
fn a_primary_that_loads_for_too_long_is_replaced() {
    let plan = trio()
        .with("a", |a| a.loading = true)
        .votes("a", 0, 2)
        .plan();
    plan.assert_writes(StateChange::Withdraw, None);
}

#[test]
fn a_primary_without_an_eligible_successor_stays_published() {
    let cluster = cluster().primary("a").published("a").down("a");
    assert_eq!(cluster.plan().refusal("a"), Ineligibility::Replaced);
    let plan = trio().down("a").down("b").down("c").plan();
    assert_eq!(plan.refusal("b"), Ineligibility::Down);
}

#[test]
fn half_of_the_keepers_replace_no_primary() {
    let mut cluster = trio().silent("a").votes("a", 2, 0);
    for node in cluster.observed.nodes.values_mut() {
        node.verdict.keepers = 4;
    }
    assert_eq!(cluster.plan().action, None);
    cluster
        .votes("a", 3, 0)
        .plan()
        .assert_writes(StateChange::Withdraw, None);
}

#[test]
fn the_old_primary_back_whole_before_any_promotion_is_published_again() {
    let plan = trio().withdrawn("a").plan();
    plan.assert_writes(StateChange::Publish, Some("a"));
}

#[test]
fn nobody_is_promoted_while_a_keeper_may_answer_from_before_the_withdrawal() {
    let cluster = trio().down("a").withdrawn("a").unacknowledged("keeper-2");
    let keepers = cluster.observed.withdrawal.unacknowledged.clone();
    let plan = cluster.plan();
    plan.assert_holds(&Hold::Unacknowledged(keepers.clone()));
    assert!(plan.to_string().contains("keeper-2"), "{plan}");
    let promoted = trio().down("a").promoting("a", "c").promoted("c");
    let plan = promoted.unacknowledged("keeper-2").plan();
    plan.assert_holds(&Hold::Unacknowledged(keepers));
}

#[test]
fn no_primary_is_withdrawn_into_a_wait_for_a_silent_keeper_that_can_be_foreseen() {
    let foreseen = trio().down("a").going_on("keeper-3", 3_540);
    let plan = foreseen.plan();
    assert_eq!(plan.action, None);
    assert_eq!(plan.again, Some(NOW.after(Duration::from_mins(59))));
    let told = plan.to_string();
    let expected = "a failover now would wait for keeper-3 for another 3540.0 s";
    assert!(told.contains(expected), "{told}");
    let over = trio().down("a").going_on("keeper-3", 0).plan();
    over.assert_writes(StateChange::Withdraw, None);
    trio().going_on("keeper-3", 3_540).assert_settled();

    let withdrawn = trio().down("a").withdrawn("a").unacknowledged("keeper-3");
    let told = withdrawn.going_on("keeper-3", 3_540).plan().to_string();
    let expected = "; waiting for keeper-3 for another 3540.0 s";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn the_old_primary_is_published_again_without_waiting_for_anyone() {
    let plan = trio().withdrawn("a").unacknowledged("keeper-2").plan();
    plan.assert_writes(StateChange::Publish, Some("a"));
}

#[test]
fn the_old_primary_back_whole_after_a_choice_was_persisted_is_too_late() {
    let plan = trio().promoting("a", "b").plan();
    plan.assert_promotes("b");
}

#[test]
fn the_old_primary_back_as_another_process_is_not_published_again() {
    let plan = trio().reborn("a", 10, 1_000).withdrawn("a").plan();
    plan.assert_promotes("b");
}

#[test]
fn the_old_primary_that_its_withdrawer_never_saw_is_known_by_the_published_history() {
    let unseen = |cluster: Cluster| {
        cluster.withdrawn("a").observing(|observed| {
            let state = observed.published.as_mut().unwrap();
            state.intent.as_mut().unwrap().old_run_id = None;
        })
    };
    let plan = unseen(trio()).plan();
    plan.assert_writes(StateChange::Publish, Some("a"));
    let plan = unseen(trio().reborn("a", 10, 1_000)).plan();
    plan.assert_promotes("b");
}

#[test]
fn the_old_primary_back_as_another_process_serves_when_nobody_else_can() {
    let cluster = trio()
        .down("b")
        .down("c")
        .withdrawn("a")
        .reborn("a", 10, 900);
    cluster
        .plan()
        .assert_writes(StateChange::Publish, Some("a"));
}

#[test]
fn the_old_primary_back_empty_does_not_serve_while_somebody_had_data() {
    let cluster = trio().down("b").down("c").withdrawn("a").reborn("a", 0, 0);
    assert_eq!(cluster.plan().refusal("a"), Ineligibility::Replaced);
}

/// `a` was withdrawn because it lost its data. Then its replicas copied the loss, before one of them was promoted.
#[test]
fn the_old_primary_back_empty_serves_once_every_node_answers_and_none_holds_anything() {
    let lost = || {
        let cluster = trio().withdrawn("a").reborn("a", 0, 0);
        ["b", "c"].into_iter().fold(cluster, |cluster, name| {
            cluster.with(name, |replica| {
                replica.replication_id = "second history of a".to_owned();
                (replica.keys, replica.offset) = (0, 0);
            })
        })
    };
    lost().plan().assert_writes(StateChange::Publish, Some("a"));
    lost().written(StateChange::Publish).assert_settled();
    // A node that is down may still have the data.
    assert_eq!(lost().down("c").plan().refusal("c"), Ineligibility::Down);
    let held = lost().with("c", |c| c.keys = 1);
    assert_eq!(held.plan().refusal("c"), Ineligibility::OtherData);
}

#[test]
fn a_new_leader_persists_the_choice_again_before_it_commands() {
    let cluster = trio().down("a").promoting("a", "c").epoch(8);
    let cluster = cluster.chosen();
    let intent = cluster.state().intent.clone().unwrap();
    assert_eq!(intent.epoch, Epoch(8));
    assert_eq!(intent.candidate, Some(addr("c")), "the choice is kept");
    cluster.plan().assert_promotes("c");
}

#[test]
fn a_new_leader_publishes_a_candidate_that_is_a_primary_already() {
    let cluster = trio().down("a").promoting("a", "c").promoted("c").epoch(8);
    cluster
        .plan()
        .assert_writes(StateChange::Publish, Some("c"));
}

#[test]
fn a_candidate_that_failed_or_died_is_replaced_by_the_next() {
    let cluster = || trio().down("a").promoting("a", "b");
    cluster().failed("b", 0).plan().assert_promotes("c");
    cluster().down("b").plan().assert_promotes("c");
}

#[test]
fn a_candidate_that_came_back_empty_is_not_published() {
    let cluster = trio().down("a").promoting("a", "b").promoted("b");
    let cluster = cluster
        .reborn("b", 0, 0)
        .with("b", |b| b.previous_replication_id = None);
    cluster.plan().assert_promotes("c");
}

#[test]
fn when_every_candidate_failed_lately_it_is_said_and_tried_again() {
    let cluster = || trio().down("a").down("c").promoting("a", "b");
    let plan = cluster().failed("b", 0).plan();
    assert_eq!(
        plan.refusal("b"),
        Ineligibility::FailedLately("no answer".to_owned())
    );
    assert_eq!(plan.again, Some(NOW.after(Duration::from_secs(1))));
    let plan = cluster().failed("b", 1).plan();
    plan.assert_promotes("b");
}

#[test]
fn when_the_promoted_node_dies_before_the_others_follow_the_next_takes_over() {
    let cluster = trio().down("a").promoting("a", "b").promoted("b");
    let cluster = cluster
        .written(StateChange::Publish)
        .down("b")
        .unlinked("c");
    let cluster = cluster.written(StateChange::Withdraw);
    cluster.plan().assert_promotes("c");
}

#[test]
fn a_replica_of_the_newest_history_is_preferred_to_an_offset_of_an_older_one() {
    let cluster = trio().down("a").promoting("a", "b").promoted("b");
    let cluster = cluster
        .written(StateChange::Publish)
        .replica("c", "b")
        .primary("a");
    let cluster = cluster.with("a", |a| a.offset = 9_000).down("b");
    cluster
        .written(StateChange::Withdraw)
        .plan()
        .assert_promotes("c");
}

#[test]
fn a_node_promoted_by_hand_is_taken_when_the_primary_is_down() {
    let cluster = trio()
        .down("a")
        .promoted("c")
        .written(StateChange::Withdraw);
    cluster
        .plan()
        .assert_writes(StateChange::Publish, Some("c"));
}

#[test]
fn a_node_promoted_by_hand_that_lacks_data_is_not_taken() {
    let cluster = trio().down("a").promoted("c").with("c", |c| c.offset = 10);
    let cluster = cluster.written(StateChange::Withdraw);
    cluster.plan().assert_promotes("b");
}

#[test]
fn a_primary_made_a_replica_by_hand_gives_way_to_the_one_it_follows() {
    let cluster = trio().promoted("b").replica("a", "b");
    let cluster = cluster.with("a", |a| a.previous_replication_id = Some(history("a")));
    let cluster = cluster.written(StateChange::Withdraw);
    let reason = cluster.state().intent.clone().unwrap().reason;
    assert!(reason.contains("replica of b:6379"), "{reason}");
    cluster
        .plan()
        .assert_writes(StateChange::Publish, Some("b"));
}

#[test]
fn a_primary_made_a_replica_by_hand_is_chosen_again_if_it_is_the_best() {
    let cluster = cluster().primary("a").replica("b", "a").published("a");
    let cluster = cluster.replica("a", "b").with("b", |b| b.offset = 10);
    let cluster = cluster.written(StateChange::Withdraw);
    cluster.plan().assert_promotes("a");
}

#[test]
fn a_dead_primary_is_held_not_replaced_by_an_unrelated_one() {
    let cluster = cluster().primary("a").published("a").down("a").primary("d");
    let plan = cluster.plan();
    assert_eq!(plan.refusal("d"), Ineligibility::OtherData);
    assert!(matches!(plan.holds[0], Hold::NoneEligible { .. }));
}

#[test]
fn a_node_that_confirmed_its_promotion_is_waited_for_while_it_does_not_answer() {
    let mut cluster = trio().down("a").promoting("a", "b").silent("b");
    cluster.observed.commands.promoted = Some((addr("b"), NOW));
    let plan = cluster.plan();
    assert!(matches!(plan.holds[..], [Hold::Undecided(_)]), "{plan}");
    assert_eq!(plan.again, Some(NOW.after(Duration::from_secs(1))));
    cluster.observed.commands.promoted = Some((
        addr("b"),
        Moment(NOW.0.saturating_sub(Duration::from_secs(1))),
    ));
    cluster.plan().assert_promotes("c");
    let mut cluster = trio().down("a").promoting("a", "b").down("b");
    cluster.observed.commands.promoted = Some((addr("b"), NOW));
    cluster.plan().assert_promotes("c");
}

#[test]
fn a_primary_reborn_without_data_does_not_serve_while_a_replica_is_merely_silent() {
    let cluster = trio()
        .down("c")
        .withdrawn("a")
        .reborn("a", 3, 0)
        .silent("b");
    assert!(matches!(
        cluster.plan().refusal("b"),
        Ineligibility::NotAnswering(_)
    ));
    cluster
        .down("b")
        .plan()
        .assert_writes(StateChange::Publish, Some("a"));
}

/// The name of `a` also has the address of `b`, and leads to `b` once `a` is dead.
#[test]
fn a_primary_whose_name_leads_to_another_member_is_replaced_by_that_one_under_its_own_name() {
    let places = |places: &[&str]| places.iter().map(|it| it.parse().unwrap()).collect();
    let cluster = cluster().primary("a").replica("b", "a").published("a");
    let there = cluster.observed.nodes[&addr("b")].observation.facts.clone();
    let cluster = cluster
        .observation("a", |a| {
            a.facts = there;
            a.addresses = places(&["10.0.0.1", "10.0.0.2"]);
        })
        .observation("b", |b| b.addresses = places(&["10.0.0.2"]));
    let (change, state) = cluster.plan().into_write();
    assert_eq!(change, StateChange::Withdraw);
    let reason = state.intent.expect("begun").reason;
    assert!(reason.contains("its name leads to b"), "{reason}");
    let cluster = cluster
        .written(StateChange::Withdraw)
        .chosen()
        .promoted("b");
    assert_eq!(
        cluster.written(StateChange::Publish).state().primary,
        Some(addr("b"))
    );
}

/// `a` is dead and withdrawn; `b` answers, and `c` was last read with more than `b` has.
fn ahead_and_silent() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    let mut cluster = cluster.published("a").down("a").withdrawn("a");
    cluster.observed.published_at = Some(Moment(NOW.0.saturating_sub(Duration::from_millis(100))));
    let cluster = cluster.with("b", |b| b.offset -= 300).silent("c");
    cluster.votes("c", 0, 0)
}

#[test]
fn a_silent_replica_that_was_last_read_with_more_is_waited_for_until_it_answers_or_is_held_down() {
    let waits = ahead_and_silent().plan();
    waits.assert_holds(&Hold::MayHoldMore {
        node: addr("c"),
        why_undecided: "connection refused".to_owned(),
        best: addr("b"),
        bytes: Some(300),
    });
    assert!(waits.action.is_none() && waits.again.is_some(), "{waits}");
    ahead_and_silent()
        .replica("c", "a")
        .plan()
        .assert_promotes("c");
    ahead_and_silent().down("c").plan().assert_promotes("b");
    // `c` answers NOAUTH on a new connection: its password was changed, or another server answers there.
    let nameless = ahead_and_silent().observation("c", |c| {
        c.unproven = Some(Unproven {
            since: NOW,
            known: true,
            refused: None,
            foreign: false,
        });
    });
    assert!(nameless.plan().to_string().contains("300 bytes more"));
    // `c` stood still when it was to be promoted.
    let failed = ahead_and_silent().replica("c", "a").failed("c", 0).plan();
    assert!(failed.action.is_none(), "{failed}");
    assert!(failed.to_string().contains("300 bytes more"), "{failed}");
}

#[test]
fn a_silent_replica_is_not_waited_for_where_it_would_not_be_chosen_or_longer_than_the_mark_down_time()
 {
    let equal = ahead_and_silent().with("b", |b| b.offset += 300);
    equal.plan().assert_promotes("b");
    let never = ahead_and_silent().policy(|policy| {
        policy.priorities.insert(addr("c"), 0);
    });
    never.plan().assert_promotes("b");
    let mut late = ahead_and_silent();
    let mark_down = late.observed.limits.mark_down;
    late.observed.published_at = Some(Moment(NOW.0.saturating_sub(mark_down)));
    late.plan().assert_promotes("b");
}
