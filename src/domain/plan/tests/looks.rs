//! The leader changes nothing before it has looked for other groups of keepers (RK-12).

use std::time::Duration;

use super::builder::{Cluster, NOW, addr, cluster};
use crate::domain::group::{GroupToken, OtherGroup};
use crate::domain::looks::Looks;
use crate::domain::node::{ClusterName, KeeperId, Moment, NodeAddr};
use crate::domain::plan::{Action, StateChange};
use crate::domain::timing::groups::COUNTS_FOR;

fn trio() -> Cluster {
    cluster()
        .primary("a")
        .replica("b", "a")
        .replica("c", "a")
        .published("a")
}

/// The leader looked at `nodes` this long ago.
fn looked(mut cluster: Cluster, nodes: &[&str], ago: Duration) -> Cluster {
    let at = Moment(NOW.0.saturating_sub(ago));
    let mut looks = Looks::since(at);
    looks.looked(nodes.iter().map(|it| addr(it)).collect(), at);
    cluster.observed.groups.looks = Some(looks);
    cluster
}

/// The nodes at which the leader is to look.
fn looks(cluster: &Cluster) -> Vec<NodeAddr> {
    match cluster.plan().action {
        Some(Action::LookFirst(nodes)) => nodes.into_iter().collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_primary_is_withdrawn_and_replaced_only_after_a_look_at_all_that_answer() {
    let dead = || trio().down("a");
    let never = looked(dead(), &[], Duration::ZERO);
    assert_eq!(looks(&never), [addr("b"), addr("c")]);
    let half = looked(dead(), &["b"], Duration::ZERO);
    assert_eq!(looks(&half), [addr("c")]);
    let long_ago = looked(dead(), &["b", "c"], COUNTS_FOR);
    assert_eq!(looks(&long_ago), [addr("b"), addr("c")]);
    let lately = looked(dead(), &["b", "c"], COUNTS_FOR / 2);
    lately.plan().assert_writes(StateChange::Withdraw, None);
    let withdrawn = looked(lately.written(StateChange::Withdraw), &[], Duration::ZERO);
    assert_eq!(looks(&withdrawn), [addr("b"), addr("c")]);
}

#[test]
fn what_somebody_else_changed_is_undone_only_after_a_look() {
    let changed = || trio().promoted("b");
    let never = looked(changed(), &[], Duration::ZERO);
    assert_eq!(looks(&never), [addr("a"), addr("b"), addr("c")]);
    let lately = looked(changed(), &["a", "b", "c"], Duration::ZERO);
    lately.plan().assert_follows(["b"], "a");
}

#[test]
fn a_first_publication_waits_for_a_look_and_the_end_of_a_change_does_not() {
    let mut fresh = cluster().primary("a").replica("b", "a");
    fresh.observed.groups.looks = Some(Looks::default());
    assert_eq!(looks(&fresh), [addr("a"), addr("b")]);
    let mut promoted = trio().promoting("a", "b").down("a").promoted("b");
    promoted.observed.groups.looks = Some(Looks::default());
    promoted
        .plan()
        .assert_writes(StateChange::Publish, Some("b"));
}

#[test]
fn where_another_group_is_known_it_is_not_looked_for() {
    let mut held = looked(trio().down("a"), &[], Duration::ZERO);
    held.observed.groups.managing = vec![OtherGroup {
        group: GroupToken::drawn(2),
        keeper: KeeperId::new("x"),
        rest: addr("x"),
        place: "elsewhere".to_owned(),
        cluster: ClusterName::new("theirs"),
        primary: None,
    }];
    assert_eq!(held.plan().action, None);
}

#[test]
fn a_node_that_only_another_keeper_reaches_is_not_looked_at() {
    let cluster = trio().down("a").seen_through("c", "k2");
    assert_eq!(looks(&looked(cluster, &[], Duration::ZERO)), [addr("b")]);
}
