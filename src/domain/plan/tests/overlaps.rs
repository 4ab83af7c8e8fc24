//! Another published cluster of this group has nodes of this one.

use super::builder::{Cluster, NOW, addr, cluster};
use crate::domain::claims::{Contender, Overlap, OverlapRole};
use crate::domain::explain::explain;
use crate::domain::node::{ClusterName, KeeperId};
use crate::domain::plan::{Action, Hold, StateChange};
use crate::domain::serving::{Reason, Ruling, Serving};

fn healthy() -> Cluster {
    cluster().primary("a").replica("b", "a").replica("c", "a")
}

trait Overlapping {
    /// Another cluster, published with this primary, has these nodes, too. The other cluster is newer and managed if
    /// `instead` is true.
    fn overlapped(self, nodes: &[&str], primary: Option<&str>, instead: bool) -> Self;
}

impl Overlapping for Cluster {
    fn overlapped(mut self, nodes: &[&str], primary: Option<&str>, instead: bool) -> Self {
        self.observed.clusters.overlaps = vec![Overlap {
            cluster: ClusterName::new("other"),
            nodes: nodes.iter().map(|node| addr(node)).collect(),
            primary: primary.map(addr),
            newer: instead,
            managed: instead,
        }];
        self
    }
}

fn hold(nodes: &[&str], part: OverlapRole) -> Hold {
    Hold::Overlaps {
        cluster: ClusterName::new("other"),
        nodes: nodes.iter().map(|node| addr(node)).collect(),
        part,
    }
}

fn writable(cluster: &Cluster, node: &str) -> Reason {
    let serving = Serving {
        observed: &cluster.observed,
        policy: &cluster.policy,
        votes_current: true,
        now: NOW,
    };
    serving.writable(&addr(node), &cluster.observed.nodes[&addr(node)])
}

#[test]
fn a_cluster_is_not_published_while_a_published_one_has_a_node_of_it() {
    let all = ["a", "b", "c"];
    for nodes in [&all[..], &["c"]] {
        let held = healthy().overlapped(nodes, Some("a"), true);
        let plan = held.plan();
        assert_eq!(plan.action, None);
        assert_eq!(plan.holds, [hold(nodes, OverlapRole::Unpublished)]);
        let why = explain(&held.observed, &held.policy, NOW);
        assert!(why.held_by.iter().any(|it| it.contains("other")), "{why:?}");
        assert_eq!(writable(&held, "a").ruling(), Ruling::Unknown);
    }
    let dead = healthy().down("a").overlapped(&["b"], Some("a"), true);
    assert_eq!(dead.plan().action, None, "nor is anything adopted");
    healthy().written(StateChange::Publish);
}

#[test]
fn a_cluster_that_more_keepers_have_takes_over_what_the_other_one_is_published_with() {
    let take_over = Some(Action::TakeOver(ClusterName::new("other")));
    for found in [healthy(), healthy().down("a")] {
        let heir = found.overlapped(&["a", "b"], Some("a"), false);
        let plan = heir.plan();
        assert_eq!(plan.action, take_over, "whatever its primary is like");
        assert_eq!(plan.holds, [hold(&["a", "b"], OverlapRole::Heir)]);
        assert_eq!(writable(&heir, "a").ruling(), Ruling::Unknown, "not yet");
    }
    let elsewhere = healthy().overlapped(&["b"], None, false);
    assert_eq!(elsewhere.plan().action, None, "its primary is none of ours");
}

#[test]
fn a_published_cluster_leaves_to_the_other_what_only_that_one_is_published_with() {
    // By mistake the file names a server of another cluster, a replica of that cluster's primary.
    let mistaken = cluster().primary("a").replica("b", "a").published("a");
    let mistaken = mistaken
        .replica("x", "y")
        .overlapped(&["x"], Some("y"), false);
    let plan = mistaken.plan();
    assert_eq!(plan.action, None, "it is not made a replica of this one's");
    assert_eq!(plan.holds, [hold(&["x"], OverlapRole::Without)]);
    let (change, state) = mistaken.down("a").plan().into_write();
    assert_eq!(change, StateChange::Withdraw, "its own failover goes on");
    assert!(!state.known.contains(&addr("x")));
}

#[test]
fn of_two_published_clusters_one_is_managed_and_the_other_held() {
    let all = ["a", "b", "c"];
    let published = healthy().published("a");
    let managed = published.overlapped(&all, Some("a"), false);
    assert_eq!(managed.plan().holds, [hold(&all, OverlapRole::Managed)]);
    let managed = managed.down("a").written(StateChange::Withdraw);
    managed.plan().assert_promotes("b");

    let held = healthy().published("a").overlapped(&all, Some("a"), true);
    assert_eq!(held.plan().holds[0], hold(&all, OverlapRole::Held));
    let held = held.down("a");
    assert_eq!(held.plan().action, None);
    let why = explain(&held.observed, &held.policy, NOW);
    assert!(!why.held_by.is_empty());

    let begun = healthy().promoted("b").promoting("a", "b");
    begun.written(StateChange::Publish);
    let begun = healthy().promoted("b").promoting("a", "b");
    let begun = begun.overlapped(&all, Some("a"), true);
    assert_eq!(begun.plan().action, None, "nor is a change finished");
}

#[test]
fn the_older_of_two_answers_yes_only_for_the_primary_of_the_newer() {
    let all = ["a", "b", "c"];
    let second = |primary| healthy().published("a").overlapped(&all, primary, true);
    assert_eq!(writable(&second(Some("a")), "a"), Reason::Primary);
    for primary in [Some("b"), None] {
        let reason = writable(&second(primary), "a");
        assert_eq!(reason.ruling(), Ruling::Unknown, "{reason}");
    }
    for primary in [Some("b"), None] {
        let first = healthy().published("a").overlapped(&all, primary, false);
        assert_eq!(writable(&first, "a"), Reason::Primary);
    }
    // The other cluster has only nodes that are replicas here.
    let apart = |primary| healthy().published("a").overlapped(&["b"], primary, true);
    assert_eq!(writable(&apart(Some("b")), "a"), Reason::Primary);
    let split = apart(Some("b")).promoted("b");
    assert_eq!(writable(&split, "a").ruling(), Ruling::Unknown);
}

#[test]
fn keepers_that_have_the_nodes_in_a_held_cluster_are_named_and_hold_nothing() {
    let mut contended = healthy().published("a");
    contended.observed.clusters.contenders = vec![Contender {
        cluster: ClusterName::new("c2"),
        keepers: [KeeperId::new("k3")].into(),
    }];
    let words = contended.plan().to_string();
    assert!(words.contains("k3") && words.contains("c2"), "{words}");
    let why = explain(&contended.observed, &contended.policy, NOW);
    assert_eq!(why.held_by, Vec::<String>::new());
    contended.down("a").written(StateChange::Withdraw);
}
