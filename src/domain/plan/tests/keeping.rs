//! A primary is published and well.

use std::time::Duration;

use super::builder::{Cluster, NOW, addr, addrs, cluster, history};
use crate::domain::explain::explain;
use crate::domain::facts::Mode;
use crate::domain::observed::Unlisted;
use crate::domain::plan::{Hold, StateChange};
use crate::domain::policy::ChainedReplicas;

fn trio() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    cluster.published("a")
}

#[test]
fn a_settled_cluster_is_left_alone() {
    trio().assert_settled();
}

#[test]
fn a_replica_going_and_coming_is_noted_without_a_new_generation() {
    let cluster = trio().down("b").written(StateChange::Note);
    assert_eq!(cluster.state().replicas, [addr("c")].into());
    assert!(cluster.state().known.contains(&addr("b")));
    assert!(!StateChange::Note.raises_generation());
    assert!(StateChange::Withdraw.raises_generation() && StateChange::Publish.raises_generation());
    cluster.assert_settled();
}

#[test]
fn a_new_replication_id_of_the_primary_is_noted_before_the_old_one() {
    let cluster = trio().with("a", |a| a.replication_id = "new".to_owned());
    let cluster = cluster.written(StateChange::Note);
    assert_eq!(cluster.state().lineage, ["new".to_owned(), history("a")]);
    cluster.assert_settled();
}

#[test]
fn a_node_promoted_by_hand_beside_a_healthy_primary_is_made_its_replica_again() {
    let mut cluster = trio().promoted("b");
    cluster.observed.published.as_mut().unwrap().known = [addr("a")].into();
    cluster.plan().assert_follows(["b"], "a");
}

#[test]
fn an_empty_newcomer_joins_as_a_replica() {
    let plan = trio().primary("d").with("d", |d| d.keys = 0).plan();
    plan.assert_follows(["d"], "a");
}

#[test]
fn an_unrelated_newcomer_with_data_is_left_alone_until_told() {
    let cluster = trio().primary("d");
    cluster.plan().assert_holds(&Hold::Unrelated {
        kept: addr("a"),
        other: addr("d"),
    });
    let cluster = cluster.policy(|policy| policy.settle_unrelated = true);
    cluster.plan().assert_follows(["d"], "a");
}

#[test]
fn an_unrelated_newcomer_does_not_keep_others_from_being_corrected() {
    let plan = trio().primary("d").replica("c", "d").plan();
    plan.assert_follows(["c"], "a");
    let kept = addr("a");
    assert_eq!(
        plan.holds,
        [Hold::Unrelated {
            kept,
            other: addr("d")
        }]
    );
}

#[test]
fn replicas_of_the_wrong_node_or_of_an_outsider_are_corrected() {
    trio().replica("b", "x").plan().assert_follows(["b"], "a");
    let chained = trio().replica("b", "c");
    chained.plan().assert_follows(["b"], "a");
}

#[test]
fn a_chain_through_a_dead_replica_is_corrected_even_where_chains_are_accepted() {
    let cluster = trio().replica("c", "b").down("b").unlinked("c");
    let cluster = cluster.policy(|policy| policy.chained_replicas = ChainedReplicas::Accept);
    cluster.plan().assert_follows(["c"], "a");
}

#[test]
fn a_replica_that_follows_but_never_links_is_told_and_not_commanded_again() {
    let cluster = trio().unlinked("b").written(StateChange::Note);
    cluster.plan().assert_holds(&Hold::NotLinked(addr("b")));
}

#[test]
fn replicas_are_repointed_at_most_parallel_syncs_at_once() {
    let astray = || trio().replica("b", "x").replica("c", "x");
    astray().plan().assert_follows(["b"], "a");
    let both = astray().policy(|policy| policy.parallel_syncs = 2);
    both.plan().assert_follows(["b", "c"], "a");
}

#[test]
fn a_replica_in_full_sync_takes_a_turn() {
    let cluster = trio().unlinked("b").upstream("b", |up| up.syncing = true);
    let cluster = cluster.replica("c", "x").written(StateChange::Note);
    cluster
        .plan()
        .assert_holds(&Hold::ReplicasWaiting(addrs(["c"])));
}

#[test]
fn a_replica_stuck_in_the_full_sync_of_a_lost_primary_takes_no_turn() {
    let cluster = trio().down("a").primary("b").unlinked("c");
    let cluster = cluster.upstream("c", |up| up.syncing = true);
    cluster.published("b").plan().assert_follows(["c"], "b");
}

#[test]
fn a_node_that_failed_a_command_is_tried_again_later() {
    let cluster = trio().written_without("b").promoted("b").failed("b", 0);
    let why = "no answer".to_owned();
    let node = addr("b");
    cluster
        .plan()
        .assert_holds(&Hold::FailedLately { node, why });
    cluster.failed("b", 1).plan().assert_follows(["b"], "a");
}

#[test]
fn one_node_that_fails_does_not_hold_up_the_next() {
    let cluster = trio().promoted("b").promoted("c").failed("b", 0);
    cluster.plan().assert_follows(["c"], "a");
}

#[test]
fn a_loading_primary_is_waited_for() {
    let cluster = trio().with("a", |a| a.loading = true);
    let plan = cluster.plan();
    plan.assert_holds(&Hold::PrimaryLoading(addr("a")));
}

#[test]
fn a_primary_that_does_not_answer_but_is_not_down_is_waited_for() {
    let plan = trio().silent("a").votes("a", 1, 0).plan();
    let reason = "connection refused".to_owned();
    plan.assert_holds(&Hold::Undecided(vec![(addr("a"), reason)]));
}

#[test]
fn a_silent_primary_that_too_few_keepers_are_there_to_hold_down_says_so_with_both_figures() {
    let mut cluster = trio().silent("a").votes("a", 2, 0);
    let verdict = &mut cluster.observed.nodes.get_mut(&addr("a")).unwrap().verdict;
    (verdict.keepers, verdict.min_votes) = (2, 3);
    let why = "can not be held down: keepers online 2, votes needed at least 3 (min-votes)";
    let plan = cluster.plan();
    let reason = format!("connection refused; it {why}");
    plan.assert_holds(&Hold::Undecided(vec![(addr("a"), reason)]));
    let told = explain(&cluster.observed, &cluster.policy, NOW);
    assert_eq!(told.held_by[0], format!("a:6379 {why}"), "the same words");
}

#[test]
fn a_primary_restarted_in_cluster_mode_is_said() {
    let plan = trio().with("a", |a| a.mode = Mode::Cluster).plan();
    plan.assert_holds(&Hold::WrongMode(addr("a"), Mode::Cluster));
    let reason = "it is no plain Redis server".to_owned();
    plan.assert_holds(&Hold::Undecided(vec![(addr("a"), reason)]));
}

#[test]
fn what_the_primary_said_before_it_was_published_is_no_reason_to_withdraw_it() {
    // A new leader's knowledge of a promotion that the former leader made a moment ago.
    let mut known = cluster()
        .primary("a")
        .replica("b", "a")
        .replica("c", "a")
        .published("b");
    known.observed.published_at = Some(NOW.after(Duration::from_millis(1)));
    let plan = known.plan();
    assert_eq!(plan.action, None);
    assert!(
        plan.to_string()
            .contains("not answered since it was published"),
        "{plan}"
    );
    known.observed.published_at = Some(NOW);
    known.plan().assert_writes(StateChange::Withdraw, None);
}

#[test]
fn a_primary_made_a_replica_of_an_outsider_is_left_alone() {
    let plan = trio().replica("a", "x").plan();
    plan.assert_holds(&Hold::ReplicatesFromOutside {
        node: addr("a"),
        primary: addr("x"),
    });
}

#[test]
fn the_published_name_stands_for_a_server_with_two_names() {
    let cluster = cluster().primary("a").primary("b").replica("c", "a");
    let cluster = cluster.with("a", |a| a.run_id = "process of b".to_owned());
    let cluster = cluster.with("a", |a| a.replication_id = history("b"));
    let cluster = cluster.with("c", |c| c.replication_id = history("b"));
    let plan = cluster.published("b").plan();
    assert_eq!(plan.holds, [Hold::SameServer(addr("a"), addr("b"))]);
    assert!(!matches!(
        plan.action,
        Some(crate::domain::plan::Action::Follow { .. })
    ));
}

impl Cluster {
    /// The state without this replica, as if it had been noted as gone.
    fn written_without(mut self, name: &str) -> Self {
        let state = self.observed.published.as_mut().unwrap();
        state.replicas.remove(&addr(name));
        self
    }
}

#[test]
fn a_replica_that_is_silent_for_a_moment_is_not_noted_out_and_in_again() {
    let cluster = cluster().primary("a").replica("b", "a").published("a");
    cluster.silent("b").assert_settled();
}

/// `a` is published, and is not in this keeper's file. `voters` other keepers have it.
fn unlisted(voters: usize) -> Cluster {
    let mut cluster = cluster().primary("a").replica("b", "a").published("a");
    cluster.observed.nodes.remove(&addr("a"));
    let unlisted = Unlisted {
        voters,
        ..Unlisted::default()
    };
    cluster.observed.unlisted.insert(addr("a"), unlisted);
    cluster
}

#[test]
fn a_primary_that_the_leaders_file_lacks_is_left_to_a_keeper_that_has_it() {
    let hold = |voters| Hold::NotInFile {
        node: addr("a"),
        voters,
    };
    unlisted(2).plan().assert_holds(&hold(2));
    unlisted(0).plan().assert_holds(&hold(0));
    let words = unlisted(2).plan().to_string();
    assert!(
        words.contains("a:6379 is not in this keeper's file"),
        "{words}"
    );
}

#[test]
fn a_change_of_primary_is_left_to_a_keeper_that_sees_the_old_one_if_there_is_one() {
    let withdrawn = unlisted(1).withdrawn("a");
    withdrawn.plan().assert_holds(&Hold::NotInFile {
        node: addr("a"),
        voters: 1,
    });
    unlisted(0).withdrawn("a").plan().assert_promotes("b");
}
