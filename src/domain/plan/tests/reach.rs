//! Nodes that the leader does not reach: another keeper sees and commands them.

use super::builder::{Cluster, NOW, addr, addrs, cluster, history};
use crate::domain::election::Ineligibility;
use crate::domain::facts::Role;
use crate::domain::node::{KeeperId, Moment};
use crate::domain::plan::{Action, Hold, Plan, StateChange};
use crate::domain::published::Step;

fn trio() -> Cluster {
    cluster()
        .primary("a")
        .replica("b", "a")
        .replica("c", "a")
        .published("a")
}

fn lost() -> Cluster {
    trio().down("a").withdrawn("a")
}

/// The node to promote, and the keeper that sends the command.
fn promotion(plan: Plan) -> (String, Option<String>) {
    match plan.action {
        Some(Action::Promote { node, through, .. }) => (
            node.host().to_owned(),
            through.map(|keeper| keeper.to_string()),
        ),
        other => panic!("a promotion was expected: {other:?}, {:?}", plan.holds),
    }
}

fn by(keeper: &str) -> String {
    keeper.to_owned()
}

#[test]
fn the_greatest_offset_wins_wherever_it_is() {
    let far = lost()
        .with("c", |c| c.offset += 1)
        .seen_through("c", "keeper-2");
    assert_eq!(
        promotion(far.plan()),
        ("c".to_owned(), Some(by("keeper-2")))
    );
    let near = lost()
        .with("b", |b| b.offset += 1)
        .seen_through("c", "keeper-2");
    assert_eq!(promotion(near.plan()), ("b".to_owned(), None));
}

#[test]
fn a_replica_that_nobody_but_another_keeper_sees_is_enough_to_withdraw_and_to_promote() {
    let cluster = cluster()
        .primary("a")
        .replica("b", "a")
        .published("a")
        .down("a")
        .seen_through("b", "keeper-3");
    let withdrawn = cluster.written(StateChange::Withdraw);
    assert_eq!(
        promotion(withdrawn.plan()),
        ("b".to_owned(), Some(by("keeper-3")))
    );
}

#[test]
fn what_another_keeper_sees_is_measured_as_what_the_leader_sees() {
    let behind = lost()
        .policy(|policy| policy.max_lag_bytes = Some(100))
        .with("c", |c| c.offset += 1_000)
        .seen_through("c", "keeper-2")
        .failed("c", 0);
    let cases = [
        lost().with("c", |c| c.keys = 0).restarted_keeper(),
        lost().with("c", |c| c.loading = true),
        lost().upstream("c", |upstream| upstream.priority = 0),
    ];
    for case in cases {
        let alone = case.seen_through("c", "keeper-2").down("b");
        let plan = alone.plan();
        assert!(
            !matches!(plan.refusal("c"), Ineligibility::NotAnswering(_)),
            "{plan}"
        );
    }
    // The failed attempt was the leader's own. Through another keeper it is a new attempt.
    assert_eq!(
        promotion(behind.plan()),
        ("c".to_owned(), Some(by("keeper-2")))
    );
}

#[test]
fn a_node_that_only_a_minority_sees_is_not_promoted_though_somebody_reaches_it() {
    let few = lost()
        .down("b")
        .seen_through("c", "keeper-2")
        .votes("c", 2, 0);
    assert_eq!(few.plan().refusal("c"), Ineligibility::Down);
}

#[test]
fn what_failed_through_one_keeper_is_tried_through_another_at_once_and_left_alone_after_that() {
    let failed = |through: &[&str]| {
        let mut cluster = lost()
            .down("b")
            .failed("c", 0)
            .seen_through("c", "keeper-3");
        let failure = cluster.observed.commands.roles.get_mut(&addr("c")).unwrap();
        failure.through = through
            .iter()
            .map(|keeper| KeeperId::new(*keeper))
            .collect();
        cluster
    };
    let again = failed(&["keeper-2"]).plan();
    assert_eq!(promotion(again), ("c".to_owned(), Some(by("keeper-3"))));
    let tried = failed(&["keeper-2", "keeper-3"]).plan();
    assert!(
        matches!(tried.refusal("c"), Ineligibility::FailedLately(_)),
        "{tried}"
    );
}

#[test]
fn a_candidate_that_another_keeper_sees_promoted_is_published() {
    let promoted = lost()
        .promoting("a", "c")
        .promoted("c")
        .seen_through("c", "keeper-2");
    let (change, state) = promoted.plan().into_write();
    assert_eq!(change, StateChange::Publish);
    assert_eq!(state.primary, Some(addr("c")));
    assert_eq!(state.lineage[0], history("c"));
}

#[test]
fn replicas_out_of_reach_are_repointed_through_whoever_reaches_them() {
    let cluster = cluster()
        .primary("a")
        .replica("b", "d")
        .replica("c", "d")
        .unknown("d")
        .published("a")
        .down("d")
        .policy(|policy| policy.parallel_syncs = 2)
        .seen_through("c", "keeper-2");
    let expected = Action::Follow {
        nodes: addrs(["b", "c"]),
        primary: addr("a"),
        through: [(addr("c"), KeeperId::new("keeper-2"))].into(),
    };
    let mut cluster = cluster;
    let lineage = vec![history("a"), history("d")];
    cluster.observed.published.as_mut().unwrap().lineage = lineage;
    let plan = cluster.plan();
    assert_eq!(plan.action, Some(expected));
    assert_eq!(
        plan.to_string(),
        "make b:6379, c:6379 follow a:6379, c:6379 through keeper-2"
    );
}

#[test]
fn a_primary_out_of_the_leaders_reach_is_kept_and_its_replicas_follow_it() {
    let well = trio().seen_through("a", "keeper-2");
    well.assert_settled();
    well.promoted("b").plan().assert_follows(["b"], "a");
}

#[test]
fn a_primary_that_another_keeper_tells_of_is_not_judged_by_offsets_read_at_other_times() {
    let reborn = trio()
        .reborn("a", 5, 500)
        .observation("a", |observation| observation.at = NOW);
    reborn.plan().assert_writes(StateChange::Withdraw, None);
    let told = trio().reborn("a", 5, 500).seen_through("a", "keeper-2");
    assert!(
        !matches!(
            told.plan().action,
            Some(Action::Write {
                change: StateChange::Withdraw,
                ..
            })
        ),
        "{}",
        told.plan()
    );
}

#[test]
fn a_withdrawn_primary_that_another_keeper_sees_alive_and_whole_is_published_again() {
    let back = trio()
        .withdrawn("a")
        .seen_through("a", "keeper-2")
        .votes("a", 1, 0);
    back.plan().assert_writes(StateChange::Publish, Some("a"));
}

#[test]
fn an_order_of_the_present_leadership_is_as_good_through_another() {
    let chosen = lost()
        .with("c", |c| c.offset += 1)
        .seen_through("c", "keeper-2")
        .chosen();
    let intent = chosen.state().intent.as_ref().unwrap();
    assert_eq!(
        (intent.candidate.as_ref(), intent.step),
        (Some(&addr("c")), Step::Promoting)
    );
}

#[test]
fn nobody_is_switched_over_to_or_from_out_of_the_leaders_reach() {
    for far in ["a", "b"] {
        let mut asked = trio().seen_through(far, "keeper-2");
        asked.observed.requested = Some(crate::domain::observed::Requested {
            to: Some(addr("b")),
            reason: "test".to_owned(),
        });
        let plan = asked.plan();
        assert_eq!(plan.action, None);
        let told =
            |hold: &Hold| matches!(hold, Hold::NoSwitchover(why) if why.contains("keeper-2"));
        assert!(plan.holds.iter().any(told), "{plan}");
    }
}

#[test]
fn what_was_read_before_counts_as_read_when_the_state_was_published() {
    let mut told = trio().seen_through("a", "keeper-2");
    let published_at = NOW;
    told.observed.published_at = Some(published_at);
    let node = told.observed.nodes.get_mut(&addr("a")).unwrap();
    node.observation.at = Moment::default();
    let facts = &mut node.relayed.as_mut().unwrap().facts;
    let replica = cluster().replica("a", "b").observed.nodes[&addr("a")]
        .observation
        .facts
        .clone()
        .unwrap();
    assert!(matches!(replica.role, Role::Replica(_)));
    *facts = replica;
    told.plan().assert_writes(StateChange::Withdraw, None);
}

#[test]
fn a_primary_reborn_empty_that_only_another_keeper_sees_is_neither_replaced_nor_noted() {
    let reborn = trio().reborn("a", 0, 0);
    let seen = reborn.seen_through("a", "keeper-2");
    let plan = seen.plan();
    assert_eq!(plan.action, None);
    assert!(
        matches!(plan.holds[..], [Hold::Undecided(_)]),
        "{:?}",
        plan.holds
    );
}
