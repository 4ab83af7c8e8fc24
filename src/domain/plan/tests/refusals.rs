//! Each reason why a node is not promoted, and the order among the eligible nodes (RK-6).

use std::time::Duration;

use super::builder::{Cluster, KEEPERS, NOW, addr, cluster, history};
use crate::domain::election::Ineligibility;
use crate::domain::facts::{Link, Mode};
use crate::domain::node::Moment;
use crate::domain::plan::{Hold, StateChange};

/// A dead primary with data and one replica, which `change` makes unfit.
fn refused(change: impl FnOnce(Cluster) -> Cluster) -> Ineligibility {
    let cluster = cluster().primary("a").replica("b", "a").published("a");
    change(cluster.down("a").unlinked("b")).plan().refusal("b")
}

#[test]
fn a_node_that_is_down_or_not_seen_by_a_majority_is_refused() {
    assert_eq!(refused(|it| it.down("b")), Ineligibility::Down);
    let even = |mut it: Cluster| {
        it.observed
            .nodes
            .get_mut(&addr("b"))
            .unwrap()
            .verdict
            .keepers = 4;
        it.votes("b", 2, 0)
    };
    assert_eq!(refused(even), Ineligibility::NotSeenByMajority);
}

#[test]
fn a_node_that_does_not_answer_the_leader_is_refused() {
    let why = "connection refused".to_owned();
    assert_eq!(
        refused(|it| it.silent("b")),
        Ineligibility::NotAnswering(why)
    );
    let why = "NOAUTH Authentication required.".to_owned();
    assert_eq!(
        refused(|it| it.noauth("b")),
        Ineligibility::NotAnswering(why)
    );
}

#[test]
fn a_node_that_the_leader_cannot_command_is_refused_and_named_before_it_is_needed() {
    let why = || "NOPERM".to_owned();
    let barred = |it: Cluster| it.observation("b", |b| b.commandable = Some(Err(why())));
    assert_eq!(refused(barred), Ineligibility::NotCommandable(why()));
    let tried = |it: Cluster| it.observation("b", |b| b.commandable = Some(Ok(())));
    let untried = cluster().primary("a").replica("b", "a").published("a");
    assert!(
        tried(untried.down("a").unlinked("b"))
            .plan()
            .action
            .is_some()
    );

    let healthy = cluster().primary("a").replica("b", "a").published("a");
    let plan = barred(healthy).plan();
    plan.assert_holds(&Hold::NotCommandable {
        nodes: vec![addr("b")],
        why: why(),
        all: false,
    });
    let all = cluster().primary("a").replica("b", "a").published("a");
    let all = barred(all).observation("a", |a| a.commandable = Some(Err(why())));
    let said = all.plan().to_string();
    assert!(
        said.contains("no failover is possible: this keeper cannot command any node"),
        "{said}"
    );
}

#[test]
fn a_redis_cluster_node_is_refused() {
    let cluster_mode = |it: Cluster| it.with("b", |b| b.mode = Mode::Cluster);
    assert_eq!(refused(cluster_mode), Ineligibility::WrongMode);
}

#[test]
fn a_second_name_is_refused_in_favour_of_the_first() {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    let cluster = cluster.published("a").down("a").with("b", |b| b.keys = 0);
    let cluster = cluster.with("c", |c| {
        (c.run_id, c.keys) = ("process of b".to_owned(), 0);
    });
    let cluster = cluster.restarted_keeper();
    let plan = cluster.plan();
    assert_eq!(plan.refusal("b"), Ineligibility::Empty);
    assert_eq!(plan.refusal("c"), Ineligibility::AliasOf(addr("b")));
}

#[test]
fn a_loading_node_is_refused() {
    assert_eq!(
        refused(|it| it.with("b", |b| b.loading = true)),
        Ineligibility::Loading
    );
}

#[test]
fn a_node_that_would_be_withdrawn_again_is_refused_a_primary_too() {
    let unfit = |it: Cluster| it.votes("b", 1, 1);
    assert_eq!(refused(unfit), Ineligibility::Unfit);
    let promoted = |it: Cluster| unfit(it).promoted("b");
    assert_eq!(refused(promoted), Ineligibility::Unfit);
    let by_us = |it: Cluster| promoted(it.promoting("a", "b"));
    assert_eq!(refused(by_us), Ineligibility::Unfit);
}

#[test]
fn priority_0_is_refused_the_configured_one_overriding_the_nodes_own() {
    let own = |it: Cluster| it.upstream("b", |up| up.priority = 0);
    assert_eq!(refused(own), Ineligibility::NeverByPriority);
    let configured = |it: Cluster| {
        it.policy(|policy| {
            policy.priorities.insert(addr("b"), 0);
        })
    };
    assert_eq!(refused(configured), Ineligibility::NeverByPriority);
    let cluster = cluster()
        .primary("a")
        .replica("b", "a")
        .published("a")
        .down("a");
    let cluster = cluster
        .upstream("b", |up| up.priority = 0)
        .policy(|policy| {
            policy.priorities.insert(addr("b"), 1);
        });
    cluster.plan().assert_writes(StateChange::Withdraw, None);
}

#[test]
fn a_node_in_its_first_sync_or_before_it_is_refused() {
    let syncing = |it: Cluster| {
        let it = it.upstream("b", |up| up.syncing = true);
        it.with("b", |b| b.replication_id = history("b"))
    };
    assert_eq!(refused(syncing), Ineligibility::NeverSynced);
    let fresh = |it: Cluster| {
        let it = it.upstream("b", |up| up.link = Link::Down { since: None });
        it.with("b", |b| (b.keys, b.replication_id) = (0, history("b")))
    };
    assert_eq!(refused(fresh), Ineligibility::NeverSynced);
}

#[test]
fn a_node_whose_older_history_is_being_overwritten_is_refused() {
    let mut cluster = cluster().primary("a").replica("b", "a").published("a");
    let newest = "newer".to_owned();
    cluster.observed.published.as_mut().unwrap().lineage = vec![newest.clone(), history("a")];
    let cluster = cluster.with("a", |a| a.replication_id = newest);
    let cluster = cluster.down("a").upstream("b", |up| up.syncing = true);
    assert_eq!(cluster.plan().refusal("b"), Ineligibility::NeverSynced);
}

#[test]
fn a_node_with_other_data_is_refused() {
    let other = |it: Cluster| {
        it.with("b", |b| b.replication_id = history("b"))
            .upstream("b", |up| up.link = Link::Down { since: None })
    };
    assert_eq!(refused(other), Ineligibility::OtherData);
}

#[test]
fn an_empty_node_is_refused_only_where_there_was_data() {
    let reborn = |it: Cluster| {
        it.with("b", |b| {
            (b.run_id, b.keys) = ("second process of b".to_owned(), 0);
        })
    };
    assert_eq!(refused(reborn), Ineligibility::Empty);
    let empty = cluster()
        .primary("a")
        .replica("b", "a")
        .with("a", |a| a.keys = 0)
        .with("b", |b| b.keys = 0);
    let cluster = empty.published("a").down("a");
    cluster.plan().assert_writes(StateChange::Withdraw, None);
}

#[test]
fn an_empty_node_is_refused_after_a_blackout_that_only_the_published_state_remembers() {
    let cluster = cluster()
        .primary("a")
        .replica("b", "a")
        .published("a")
        .with("b", |b| b.keys = 0)
        .down("a")
        .observation("a", |a| a.facts = None)
        .restarted_keeper();
    assert_eq!(cluster.plan().refusal("b"), Ineligibility::Empty);
}

#[test]
fn what_a_replica_streamed_from_the_dead_primary_is_its_history_even_if_the_primary_never_told_it()
{
    let cluster = cluster()
        .primary("a")
        .replica("b", "a")
        .published("a")
        .with("b", |b| b.replication_id = "taken as b attached".to_owned())
        .down("a");
    let (change, state) = cluster.plan().into_write();
    assert_eq!(change, StateChange::Withdraw);
    assert_eq!(state.lineage.last().unwrap(), "taken as b attached");
}

#[test]
fn a_node_beyond_max_lag_is_refused_the_dead_primary_counting() {
    let lagging = |offset: u64| {
        move |it: Cluster| {
            let it = it.policy(|policy| policy.max_lag_bytes = Some(100));
            it.with("b", |b| b.offset = offset)
        }
    };
    let refusal = Ineligibility::TooFarBehind {
        behind: 101,
        limit: 100,
    };
    assert_eq!(refused(lagging(899)), refusal);
    let cluster = cluster()
        .primary("a")
        .replica("b", "a")
        .published("a")
        .down("a");
    lagging(900)(cluster)
        .plan()
        .assert_writes(StateChange::Withdraw, None);
}

#[test]
fn an_offset_of_an_older_history_makes_nobody_lag() {
    let mut cluster = cluster()
        .primary("a")
        .replica("b", "a")
        .primary("z")
        .published("a");
    cluster
        .observed
        .published
        .as_mut()
        .unwrap()
        .lineage
        .push(history("z"));
    let cluster = cluster.with("z", |z| z.offset = 9_000).down("a");
    let cluster = cluster.policy(|policy| policy.max_lag_bytes = Some(100));
    cluster
        .written(StateChange::Withdraw)
        .plan()
        .assert_promotes("b");
}

#[test]
fn a_node_that_failed_a_command_lately_is_refused() {
    let refusal = Ineligibility::FailedLately("no answer".to_owned());
    assert_eq!(refused(|it| it.failed("b", 0)), refusal);
}

#[test]
fn every_refusal_reads_as_the_end_of_a_sentence_about_the_node() {
    let refusals = [
        Ineligibility::Replaced,
        Ineligibility::Down,
        Ineligibility::NotSeenByMajority,
        Ineligibility::Unfit,
        Ineligibility::NotAnswering("x".to_owned()),
        Ineligibility::WrongMode,
        Ineligibility::AliasOf(addr("a")),
        Ineligibility::Loading,
        Ineligibility::NeverByPriority,
        Ineligibility::NeverSynced,
        Ineligibility::OtherData,
        Ineligibility::HistoryUnknown,
        Ineligibility::Empty,
        Ineligibility::TooFarBehind {
            behind: 2,
            limit: 1,
        },
        Ineligibility::FailedLately("x".to_owned()),
    ];
    for refusal in refusals {
        let words = refusal.to_string();
        let verbs = ["is ", "has ", "holds ", "does ", "failed "];
        assert!(verbs.iter().any(|verb| words.starts_with(verb)), "{words}");
    }
}

#[test]
fn offset_then_priority_then_uptime_then_name_decide() {
    let best = |change: fn(Cluster) -> Cluster| {
        let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
        let cluster = change(cluster.published("a").down("a"));
        let cluster = cluster.written(StateChange::Withdraw).chosen();
        cluster.state().intent.clone().unwrap().candidate.unwrap()
    };
    let prefer_b = |it: Cluster| it.upstream("c", |up| up.priority = 200);
    assert_eq!(best(|it| it), addr("b"));
    assert_eq!(
        best(|it| it.with("c", |c| c.uptime = Duration::from_secs(61))),
        addr("c")
    );
    assert_eq!(
        best(|it| it.upstream("b", |up| up.priority = 101)),
        addr("c")
    );
    assert_eq!(best(prefer_b), addr("b"));
    let ahead = |it: Cluster| {
        it.upstream("c", |up| up.priority = 200)
            .with("c", |c| c.offset += 1)
    };
    assert_eq!(best(ahead), addr("c"));
}

#[test]
fn of_equals_the_one_takes_over_that_all_others_can_follow() {
    let best = |change: fn(Cluster) -> Cluster| {
        let newer = |it: Cluster| it.with("b", |b| b.version.major = 8);
        let cluster = change(newer(two_heirs()))
            .written(StateChange::Withdraw)
            .chosen();
        cluster.state().intent.clone().unwrap().candidate.unwrap()
    };
    assert_eq!(best(|it| it), addr("c"));
    let longer = |it: Cluster| it.with("b", |b| b.uptime = Duration::from_hours(9));
    assert_eq!(best(longer), addr("c"));
    assert_eq!(best(|it| it.with("b", |b| b.offset += 1)), addr("b"));
    assert_eq!(best(|it| it.upstream("b", |up| up.priority = 1)), addr("b"));
    let all = |it: Cluster| {
        ["a", "c"]
            .iter()
            .fold(it, |it, name| it.with(name, |c| c.version.major = 8))
    };
    assert_eq!(best(all), addr("b"));
}

/// A dead primary and two replicas that may take over.
fn two_heirs() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    cluster.published("a").down("a")
}

#[test]
fn others_are_given_a_moment_to_tell_of_a_replica_that_does_not_answer_the_leader() {
    let withdrawn = |keepers: usize, at: Moment| {
        let mut cluster = two_heirs().silent("c").withdrawn("a");
        for node in cluster.observed.nodes.values_mut() {
            node.verdict.keepers = keepers;
            node.verdict.unreachable = node.verdict.unreachable.min(keepers);
        }
        cluster.observed.published_at = Some(at);
        cluster
    };
    let waiting = withdrawn(KEEPERS, NOW).plan();
    assert_eq!(waiting.action, None);
    assert!(waiting.to_string().contains("c:6379"), "{waiting}");
    assert_eq!(waiting.again, Some(NOW.after(Duration::from_millis(50))));
    withdrawn(KEEPERS, Moment::default())
        .plan()
        .assert_promotes("b");
    // A keeper that is alone waits for no other keeper.
    withdrawn(1, NOW).plan().assert_promotes("b");
}
