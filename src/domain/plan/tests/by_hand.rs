//! Somebody has promoted a replica, past the keepers.

use super::builder::{Cluster, addr, cluster, history};
use crate::domain::election::Refusal;
use crate::domain::facts::Link;
use crate::domain::plan::Change;

/// `a` and `c` are dead, and `b` was restarted meanwhile from its append-only file.
fn without_history() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    let cluster = cluster
        .published("a")
        .down("a")
        .down("c")
        .reborn("b", 10, 0);
    cluster
        .upstream("b", |up| up.link = Link::Down { since: None })
        .with("b", |b| b.append_only = true)
        .looked_at()
}

#[test]
fn a_replica_that_started_without_history_is_not_chosen_and_what_is_not_known_is_said() {
    let plan = without_history().plan();
    assert_eq!(plan.refusal("b"), Refusal::HistoryUnknown);
    assert!(plan.to_string().contains("REPLICAOF NO ONE"), "{plan}");
}

#[test]
fn it_is_adopted_once_somebody_has_promoted_it() {
    let cluster = without_history().promoted("b").written(Change::Withdraw);
    let cluster = cluster.written(Change::Publish);
    assert_eq!(cluster.state().primary, Some(addr("b")));
    assert_eq!(cluster.state().lineage[0], history("b"));
}

#[test]
fn it_ranks_behind_whoever_can_show_the_clusters_history() {
    let cluster = without_history()
        .promoted("b")
        .replica("c", "a")
        .unlinked("c");
    let cluster = cluster.votes("c", 0, 0).written(Change::Withdraw);
    cluster.plan().assert_promotes("c");
}

#[test]
fn a_primary_that_no_keeper_has_seen_as_a_replica_is_nobodys_choice() {
    let stranger = without_history()
        .restarted_keeper()
        .promoted("b")
        .looked_at();
    assert_eq!(stranger.plan().refusal("b"), Refusal::OtherData);
    let told = without_history().told_by("keeper-2").restarted_keeper();
    told.promoted("b")
        .plan()
        .assert_writes(Change::Withdraw, None);
}

#[test]
fn priority_0_keeps_a_node_from_being_chosen_not_from_being_promoted_by_hand() {
    let cluster = cluster().primary("a").replica("b", "a").published("a");
    let cluster = cluster.policy(|policy| {
        policy.priorities.insert(addr("b"), 0);
    });
    let cluster = cluster.down("a");
    assert_eq!(cluster.plan().refusal("b"), Refusal::NeverByPriority);
    let cluster = cluster.promoted("b").written(Change::Withdraw);
    cluster.plan().assert_writes(Change::Publish, Some("b"));
}
