//! Servers of other deployments at the cluster's addresses (RK-7).

use super::builder::{Cluster, addr, addrs, cluster, history};
use crate::domain::confirmation::Confirmation;
use crate::domain::election::Ineligibility;
use crate::domain::facts::Mode;
use crate::domain::plan::{Action, Hold, StateChange};

fn trio() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    cluster.published("a")
}

/// A server of another deployment is a primary at this address, with more data than any node of the cluster.
fn foreign(cluster: Cluster, name: &str) -> Cluster {
    cluster.primary(name).reborn(name, 1_000, 9_000)
}

#[test]
fn a_foreign_server_at_the_primarys_address_is_replaced_at_once_whatever_its_offset() {
    let cluster = foreign(trio(), "a").written(StateChange::Withdraw);
    let intent = cluster.state().intent.clone().unwrap();
    assert!(intent.reason.contains("another process"), "{intent:?}");
    assert_eq!(intent.old_run_id.as_deref(), Some("process of a"));
    assert_eq!(cluster.state().lineage, [history("a")]);
    let cluster = cluster.chosen().promoted("b").written(StateChange::Publish);
    assert_eq!(cluster.state().primary, Some(addr("b")));
    // The data of the foreign server belong to somebody, so it is not made a replica.
    cluster.plan().assert_follows(["c"], "b");
    let settled = cluster.replica("c", "b").written(StateChange::Note);
    settled.plan().assert_holds(&Hold::Unrelated {
        kept: addr("b"),
        other: addr("a"),
    });
}

/// A server of any other kind at the published address is no primary of this cluster.
#[test]
fn another_process_at_the_primarys_address_that_is_no_primary_is_replaced_too() {
    let of_outsider = |cluster: Cluster| {
        let follower = cluster.replica("a", "outside").reborn("a", 1_000, 9_000);
        follower.with("a", |a| a.run_id = "second process of a".to_owned())
    };
    let clustered = |cluster: Cluster| foreign(cluster, "a").with("a", |a| a.mode = Mode::Cluster);
    for (other, told) in [
        (of_outsider(trio()), "a replica of outside:6379"),
        (clustered(trio()), "no plain Redis server"),
    ] {
        let cluster = other.written(StateChange::Withdraw);
        let reason = cluster.state().intent.clone().unwrap().reason;
        assert!(reason.contains("another process"), "{reason}");
        assert!(reason.contains(told), "{reason}");
    }
    // No node may take over, and the server is not accepted either.
    let lone = || cluster().primary("a").published("a");
    for other in [of_outsider(lone()), clustered(lone())] {
        assert_eq!(other.plan().action, None, "{}", other.plan());
    }
}

/// The server belongs to another cluster, and answers at a replica's address.
#[test]
fn a_foreign_replica_is_not_overwritten_and_one_of_this_cluster_is_brought_back() {
    let outside = |cluster: Cluster| {
        let cluster = cluster.upstream("c", |it| it.primary = addr("outside"));
        cluster.with("c", |c| c.replication_id = history("outside"))
    };
    let led_away = outside(trio());
    led_away.plan().assert_follows(["c"], "a");
    let foreign = outside(trio()).with("c", |c| {
        (c.keys, c.run_id) = (1_000, "somebody's process".to_owned());
    });
    let foreign = foreign.written(StateChange::Note);
    assert_eq!(foreign.state().replicas, [addr("b")].into());
    let plan = foreign.plan();
    plan.assert_holds(&Hold::Unrelated {
        kept: addr("a"),
        other: addr("c"),
    });
    assert_eq!(plan.action, None, "{plan}");
    let empty = foreign.with("c", |c| c.keys = 0);
    empty.plan().assert_follows(["c"], "a");
}

#[test]
fn the_replica_that_has_not_copied_the_foreign_server_takes_over() {
    let copied = |cluster: Cluster, name: &str| {
        cluster.with(name, |replica| {
            replica.replication_id = "second history of a".to_owned();
            replica.offset = 9_000;
        })
    };
    let cluster = copied(foreign(trio(), "a"), "b").written(StateChange::Withdraw);
    assert_eq!(cluster.state().lineage, [history("a")]);
    cluster.plan().assert_promotes("c");
}

#[test]
fn the_same_process_is_no_stranger_whatever_its_history() {
    let cluster = trio().with("a", |a| a.replication_id = "begun anew".to_owned());
    cluster.written(StateChange::Note).assert_settled();
}

#[test]
fn where_nobody_holds_the_newest_data_another_process_is_accepted_and_noted_before_it_is_copied() {
    // After a power cut, with append-only files everywhere: all nodes have begun anew, and follow no configured node
    // yet.
    let cluster = trio()
        .reborn("a", 10, 0)
        .replica("b", "x")
        .replica("c", "x");
    let cluster = ["b", "c"].into_iter().fold(cluster, |cluster, name| {
        cluster.reborn(name, 10, 0).unlinked(name)
    });
    let plan = cluster.plan();
    assert!(
        plan.to_string().contains("accept another process"),
        "{plan}"
    );
    let cluster = cluster.written(StateChange::Accept);
    assert_eq!(cluster.state().primary, Some(addr("a")));
    assert_eq!(cluster.state().lineage[0], "second history of a");
    cluster.plan().assert_follows(["b"], "a");
}

#[test]
fn a_lone_primary_that_starts_without_history_is_accepted() {
    let cluster = cluster().primary("a").published("a").reborn("a", 10, 0);
    cluster.written(StateChange::Accept).assert_settled();
}

#[test]
fn nobody_is_accepted_while_a_node_that_may_hold_the_newest_data_is_merely_silent() {
    let cluster = foreign(trio().down("c").silent("b"), "a");
    let plan = cluster.plan();
    plan.assert_holds(&Hold::Stranger { node: addr("a") });
    assert!(plan.to_string().contains("b:6379"), "{plan}");
    let plan = cluster.down("b").plan();
    plan.assert_writes(StateChange::Accept, Some("a"));
}

#[test]
fn a_foreign_server_at_a_members_address_is_named_and_not_overwritten() {
    for name in ["b", "c"] {
        let cluster = foreign(trio(), name).written(StateChange::Note);
        cluster.plan().assert_holds(&Hold::Unrelated {
            kept: addr("a"),
            other: addr(name),
        });
        let told = cluster.policy(|policy| policy.settle_unrelated = true);
        told.plan().assert_follows([name], "a");
    }
}

/// `b` has taken over from `a`, which was down.
fn taken_over() -> Cluster {
    let cluster = trio().down("a").written(StateChange::Withdraw).chosen();
    let cluster = cluster.promoted("b").written(StateChange::Publish);
    cluster.replica("c", "b").written(StateChange::Note)
}

#[test]
fn a_replaced_primary_is_a_replica_again_as_the_same_process_or_with_the_clusters_history() {
    let hour_alone = |cluster: Cluster| {
        let back = cluster.primary("a");
        back.with("a", |a| a.replication_id = "begun anew alone".to_owned())
    };
    hour_alone(taken_over()).plan().assert_follows(["a"], "b");
    let restarted = taken_over().primary("a").restarted("a", 10, 900);
    restarted.plan().assert_follows(["a"], "b");
    let again = restarted.replica("a", "b").written(StateChange::Note);
    assert_eq!(again.state().deposed, [].into());
}

#[test]
fn a_replaced_primary_that_cannot_show_its_history_comes_back_once() {
    let append_only = |cluster: Cluster| {
        let back = cluster.primary("a").reborn("a", 10, 0);
        back.with("a", |a| a.append_only = true)
    };
    let cluster = append_only(taken_over());
    cluster.plan().assert_follows(["a"], "b");
    let cluster = append_only(cluster.replica("a", "b").written(StateChange::Note));
    let cluster = cluster.written(StateChange::Note);
    cluster.plan().assert_holds(&Hold::Unrelated {
        kept: addr("b"),
        other: addr("a"),
    });
}

#[test]
fn a_second_primary_takes_no_turn_of_parallel_syncs() {
    let cluster = taken_over().primary("a").restarted("a", 10, 900);
    let cluster = cluster.unlinked("c").upstream("c", |up| up.syncing = true);
    let cluster = cluster.replica("d", "x");
    let plan = cluster.plan();
    plan.assert_follows(["a"], "b");
    let both = cluster.primary("d").with("d", |d| d.keys = 0);
    assert_eq!(addrs(["a", "d"]), both.plan().followers());
}

#[test]
fn a_stranger_that_was_replaced_is_not_published_again_while_another_may_take_over() {
    let cluster = foreign(trio().withdrawn("a"), "a");
    cluster.plan().assert_promotes("b");
    let last = foreign(trio().withdrawn("a"), "a").down("b").down("c");
    last.plan().assert_writes(StateChange::Publish, Some("a"));
    let waits = foreign(trio().withdrawn("a"), "a").down("b").silent("c");
    assert!(matches!(
        waits.plan().refusal("c"),
        Ineligibility::NotAnswering(_)
    ));
}

#[test]
fn a_replaced_primary_that_started_twice_is_recognised_if_it_was_seen_in_between() {
    let seen = taken_over().primary("a").restarted("a", 10, 900);
    let cannot_be_told = seen.failed("a", 0).written(StateChange::Note);
    let twice = cannot_be_told.with("a", |a| {
        let before = std::mem::replace(&mut a.replication_id, "third history of a".to_owned());
        a.previous_replication_id = Some(before);
        a.run_id = "third process of a".to_owned();
    });
    twice.failed("a", 60).plan().assert_follows(["a"], "b");
}

#[test]
fn a_primary_that_started_twice_while_nobody_led_is_known_to_a_keeper_that_saw_both() {
    let again = |cluster: Cluster, which: &str, extent: Option<u64>| {
        cluster.with("a", |a| {
            let before = std::mem::replace(&mut a.replication_id, format!("{which} history of a"));
            a.previous_replication_id = Some(before);
            a.run_id = format!("{which} process of a");
            a.offset = extent.unwrap_or(a.offset);
            a.previous_offset = Some(a.offset);
        })
    };
    let twice = |extent| {
        let once = again(trio(), "second", extent).looked_at();
        again(once.looked_at(), "third", extent).looked_at()
    };
    // With all of its data, the primary stays published.
    twice(None)
        .plan()
        .assert_writes(StateChange::Note, Some("a"));
    let unseen = twice(None).restarted_keeper();
    unseen.plan().assert_writes(StateChange::Withdraw, None);
    let cluster = twice(Some(1)).written(StateChange::Withdraw).chosen();
    let cluster = cluster.promoted("b").written(StateChange::Publish);
    cluster.plan().assert_follows(["a", "c"], "b");
    let unseen = cluster.restarted_keeper();
    unseen.plan().assert_follows(["a", "c"], "b");
}

/// This keeper's host leads the name of `a` to the process of `b`.
fn swapped() -> Cluster {
    let cluster = trio().replica("a", "c");
    cluster.with("a", |a| a.run_id = "process of b".to_owned())
}

#[test]
fn another_process_at_the_published_address_is_confirmed_by_a_majority_before_the_primary_is_withdrawn()
 {
    for cluster in [swapped(), foreign(trio(), "a")] {
        let mut cluster = cluster;
        cluster.observed.confirmation = Confirmation::default();
        let asks = cluster.plan().action;
        assert!(matches!(asks, Some(Action::Confirm(_))), "{asks:?}");
        cluster.observed.confirmation = Confirmation::granted();
        cluster.plan().assert_writes(StateChange::Withdraw, None);
    }
    // Somebody made the published process a replica. Every keeper sees that, so no confirmation is needed.
    let mut demoted = trio().replica("a", "c");
    demoted.observed.confirmation = Confirmation::default();
    demoted.plan().assert_writes(StateChange::Withdraw, None);
}
