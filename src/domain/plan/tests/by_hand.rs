//! Somebody has promoted a replica by hand.

use super::builder::{Cluster, NOW, addr, cluster, history};
use super::failover::trio;
use crate::domain::election::Ineligibility;
use crate::domain::explain::explain;
use crate::domain::facts::{Link, ServerFailover};
use crate::domain::plan::{Hold, StateChange};

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
    assert_eq!(plan.refusal("b"), Ineligibility::HistoryUnknown);
    assert!(plan.to_string().contains("REPLICAOF NO ONE"), "{plan}");
}

#[test]
fn it_is_adopted_once_somebody_has_promoted_it() {
    let cluster = without_history()
        .promoted("b")
        .written(StateChange::Withdraw);
    let cluster = cluster.written(StateChange::Publish);
    assert_eq!(cluster.state().primary, Some(addr("b")));
    assert_eq!(cluster.state().lineage[0], history("b"));
}

#[test]
fn it_ranks_behind_whoever_can_show_the_clusters_history() {
    let cluster = without_history()
        .promoted("b")
        .replica("c", "a")
        .unlinked("c");
    let cluster = cluster.votes("c", 0, 0).written(StateChange::Withdraw);
    cluster.plan().assert_promotes("c");
}

#[test]
fn a_primary_that_no_keeper_has_seen_as_a_replica_is_nobodys_choice() {
    let stranger = without_history()
        .restarted_keeper()
        .promoted("b")
        .looked_at();
    assert_eq!(stranger.plan().refusal("b"), Ineligibility::OtherData);
    let told = without_history().told_by("keeper-2").restarted_keeper();
    told.promoted("b")
        .plan()
        .assert_writes(StateChange::Withdraw, None);
}

#[test]
fn priority_0_keeps_a_node_from_being_chosen_not_from_being_promoted_by_hand() {
    let cluster = cluster().primary("a").replica("b", "a").published("a");
    let cluster = cluster.policy(|policy| {
        policy.priorities.insert(addr("b"), 0);
    });
    let cluster = cluster.down("a");
    assert_eq!(cluster.plan().refusal("b"), Ineligibility::NeverByPriority);
    let cluster = cluster.promoted("b").written(StateChange::Withdraw);
    cluster
        .plan()
        .assert_writes(StateChange::Publish, Some("b"));
}

/// `a` dies, and no state can be written meanwhile. By hand `b` is promoted, and `c` follows it. Then `c` is
/// promoted, and `b` follows it. Then `c` is written to.
fn moved_twice() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    let cluster = cluster.published("a").looked_at().down("a");
    let once = cluster.promoted("b").looked_at();
    let twice = once
        .followed("c", "b")
        .looked_at()
        .promoted("c")
        .looked_at();
    let written_to = twice.with("c", |c| c.offset += 500);
    written_to.followed("b", "c").looked_at()
}

impl Cluster {
    /// `name` follows `primary`, with all its data and histories.
    fn followed(self, name: &str, primary: &str) -> Self {
        let of = self.observed.online(&addr(primary)).unwrap().clone();
        let priority = |cluster: Self| cluster.replica(name, primary);
        priority(self).with(name, |facts| {
            facts.replication_id = of.replication_id;
            facts.previous_replication_id = of.previous_replication_id;
            (facts.previous_offset, facts.offset) = (of.previous_offset, of.offset);
        })
    }
}

#[test]
fn a_primary_moved_twice_by_hand_while_nobody_led_is_adopted_by_those_who_saw_it() {
    let cluster = moved_twice().written(StateChange::Withdraw);
    let cluster = cluster.written(StateChange::Publish);
    assert_eq!(cluster.state().primary, Some(addr("c")));
    assert_eq!(cluster.state().lineage[0], history("c"));
}

/// From seed 50875 of the simulation: the leader ended before it knew the outcome of the promotion.
#[test]
fn a_node_that_keepers_began_to_promote_was_not_promoted_by_hand() {
    let began = trio().promoting("a", "b").down("b").down("c").primary("a");
    let again = began.written(StateChange::Publish);
    assert_eq!(again.state().primary, Some(addr("a")));
    let restarted = again.restarted("a", 10, 1_000).primary("b").with("b", |b| {
        let id = "history by the promotion".to_owned();
        b.previous_replication_id = Some(std::mem::replace(&mut b.replication_id, id));
        (b.previous_offset, b.offset) = (Some(1_000), 1_050);
    });
    restarted
        .written(StateChange::Note)
        .plan()
        .assert_follows(["b"], "a");
}

#[test]
fn the_old_primary_back_from_an_old_dump_is_not_taken_for_the_better_one() {
    let back = |extent: u64| {
        moved_twice().primary("a").with("a", |a| {
            a.run_id = "second process of a".to_owned();
            let id = "second history of a".to_owned();
            a.previous_replication_id = Some(std::mem::replace(&mut a.replication_id, id));
            (a.offset, a.previous_offset) = (extent, Some(extent));
        })
    };
    let cluster = back(400).written(StateChange::Withdraw);
    cluster
        .plan()
        .assert_writes(StateChange::Publish, Some("c"));
    // Even with everything that `a` ever had, it lacks the writes since then. No node is overwritten.
    let held = back(1_000).plan();
    held.assert_holds(&Hold::BothWentOn {
        primary: addr("a"),
        other: addr("c"),
    });
    assert_eq!(held.action, None);
}

#[test]
fn to_keepers_that_saw_nothing_a_published_primary_that_follows_another_shows_the_way() {
    let alive = || moved_twice().followed("a", "c").restarted_keeper();
    let cluster = alive().looked_at().written(StateChange::Withdraw);
    cluster
        .plan()
        .assert_writes(StateChange::Publish, Some("c"));
    // Another process at the address of `a` shows nothing.
    let another = alive().with("a", |a| a.run_id = "second process of a".to_owned());
    assert_eq!(another.looked_at().plan().action, None);
}

#[test]
fn to_keepers_that_saw_nothing_nobody_is_the_clusters_until_somebody_promotes_it_before_their_eyes()
{
    let unseen = moved_twice().restarted_keeper().looked_at();
    let plan = unseen.plan();
    assert_eq!(plan.refusal("b"), Ineligibility::OtherData);
    assert_eq!(plan.refusal("c"), Ineligibility::OtherData);
    let promoted = unseen.promoted("b").written(StateChange::Withdraw);
    promoted
        .plan()
        .assert_writes(StateChange::Publish, Some("b"));
}

#[test]
fn a_replica_of_an_unrelated_primary_keeps_what_it_has_unless_it_was_seen_as_the_clusters() {
    let back = |cluster: Cluster| {
        let back = cluster.primary("a");
        back.with("a", |a| a.run_id = "second process of a".to_owned())
    };
    let unseen = back(moved_twice().restarted_keeper()).written(StateChange::Note);
    let plan = unseen.plan();
    assert_eq!(plan.action, None);
    for other in ["b", "c"] {
        plan.assert_holds(&Hold::Unrelated {
            kept: addr("a"),
            other: addr(other),
        });
    }
}

#[test]
fn a_primary_that_is_back_overwrites_nobody_who_was_promoted_by_hand_and_written_to() {
    let promoted = || {
        let cluster = cluster().primary("a").replica("b", "a").published("a");
        cluster.looked_at().promoted("b")
    };
    let back =
        |cluster: Cluster| cluster.with("a", |a| a.run_id = "second process of a".to_owned());
    let written_to = |cluster: Cluster| cluster.with("b", |b| b.offset += 100);
    let held = Hold::BothWentOn {
        primary: addr("a"),
        other: addr("b"),
    };
    back(written_to(promoted())).plan().assert_holds(&held);
    // Nothing is lost, or the primary was there all the time.
    back(promoted())
        .written(StateChange::Note)
        .plan()
        .assert_follows(["b"], "a");
    written_to(promoted()).plan().assert_follows(["b"], "a");
}

#[test]
fn a_primary_that_is_told_to_fail_over_to_a_server_outside_is_left_to_failover_abort() {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    let mut cluster = cluster.published("a").replica("a", "outside");
    cluster = cluster.with("a", |a| {
        a.replication_id = history("a");
        a.failover = Some(ServerFailover::InProgress);
    });
    let plan = cluster.plan();
    let hold = Hold::FailingOver {
        node: addr("a"),
        state: ServerFailover::InProgress,
        outside: Some(addr("outside")),
    };
    assert!(plan.holds.contains(&hold), "{plan}");
    let said = plan.to_string();
    for part in [
        "failover-in-progress",
        "outside:6379, which is not configured",
        "FAILOVER ABORT",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains("REPLICAOF NO ONE"), "{said}");
    assert!(hold.blocks());
}

#[test]
fn a_failover_that_waits_for_a_node_that_hangs_is_told_and_holds_nothing() {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    let cluster = cluster.published("a");
    let cluster = cluster.with("a", |a| a.failover = Some(ServerFailover::WaitingForSync));
    let plan = cluster.plan();
    let hold = Hold::FailingOver {
        node: addr("a"),
        state: ServerFailover::WaitingForSync,
        outside: None,
    };
    assert_eq!((&plan.action, &plan.holds[..]), (&None, &[hold][..]));
    let said = plan.to_string();
    assert!(
        said.contains("waiting-for-sync") && said.contains("FAILOVER ABORT"),
        "{said}"
    );
    let told = explain(&cluster.observed, &cluster.policy, NOW);
    assert_eq!(told.held_by, [""; 0]);
    assert_eq!(told.next, Some(addr("b")));
}
