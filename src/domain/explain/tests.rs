//! Explanations of a cluster whose primary lives.

use std::time::Duration;

use super::{Explanation, explain};
use crate::domain::brake::Brake;
use crate::domain::election::Ineligibility;
use crate::domain::last_failover::LastFailover;
use crate::domain::node::{Generation, Moment, NodeAddr};
use crate::domain::observation::NodeObservation;
use crate::domain::plan::StateChange;
use crate::domain::plan::tests::builder::{Cluster, NOW, addr, cluster, history};
use crate::domain::policy::{Criterion, ElectionOrder};

fn trio() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    cluster.published("a").upstream("c", |up| up.priority = 0)
}

fn explained(cluster: &Cluster) -> Explanation {
    explain(&cluster.observed, &cluster.policy, NOW)
}

fn ranked(explanation: &Explanation) -> Vec<NodeAddr> {
    let nodes = explanation.ranking.iter();
    nodes.map(|successor| successor.node.clone()).collect()
}

#[test]
fn of_a_healthy_cluster_it_tells_who_would_take_over_and_why_the_others_not() {
    let told = explained(&trio());
    assert_eq!(told.primary, Some(addr("a")));
    assert_eq!(told.next, Some(addr("b")));
    assert_eq!(ranked(&told), [addr("b")]);
    let best = &told.ranking[0];
    assert_eq!(
        (best.offset, best.priority, best.uptime),
        (1_000, 100, Duration::from_mins(1))
    );
    assert_eq!(
        (best.history.clone(), best.promotions_back),
        (history("a"), 0)
    );
    assert_eq!(
        told.refused,
        [(addr("c"), Ineligibility::NeverByPriority)].into(),
        "the primary itself is left out"
    );
    assert_eq!(
        told.sentence,
        "b:6379 would take over; c:6379 not, because it has priority 0"
    );
    assert_eq!(told.held_by, [""; 0]);
    assert!(told.would_fail_over());
    assert_eq!(told.now, "nothing to do");
}

#[test]
fn a_node_of_which_nothing_is_known_is_named_where_there_is_nothing_to_do() {
    let mut cluster = trio();
    let node = cluster.observed.nodes.get_mut(&addr("c")).expect("c");
    *node.observation = NodeObservation::unknown(NOW);
    assert_eq!(
        explained(&cluster).now,
        "nothing to do, as far as is known; not known: c:6379 (it has not answered yet)"
    );
}

#[test]
fn what_it_foretells_is_what_happens() {
    for order in [Criterion::Offset, Criterion::Priority] {
        let cluster = trio()
            .upstream("c", |up| up.priority = 200)
            .with("c", |c| c.offset += 1);
        let cluster = cluster.policy(|policy| {
            policy.election_order = ElectionOrder::beginning_with(&[order]);
        });
        let told = explained(&cluster);
        let cluster = cluster.down("a").written(StateChange::Withdraw);
        assert_eq!(told.next, explained(&cluster).next);
        let cluster = cluster.chosen();
        let candidate = cluster.state().intent.clone().unwrap().candidate;
        assert_eq!(told.next, candidate, "{order:?}");
        assert_eq!(ranked(&told).first(), candidate.as_ref());
        assert_eq!(ranked(&told).len(), 2);
        assert_eq!(explained(&cluster).next, candidate);
    }
}

#[test]
fn where_nobody_may_take_over_each_reason_is_told() {
    let told = explained(&trio().down("b"));
    assert_eq!(told.next, None);
    assert!(!told.would_fail_over());
    assert_eq!(
        told.sentence,
        "nobody would take over; b:6379 not, because it is held down by a majority of the keepers; \
         c:6379 not, because it has priority 0"
    );
    assert!(
        told.held_by[0].contains("no node may take over"),
        "{told:?}"
    );
}

#[test]
fn a_sentinel_at_work_holds_it_back_even_if_it_is_seen_at_the_primary_alone() {
    for at in ["a", "b"] {
        let told = explained(&trio().sentinel_at(at, "sentinel-1 10.0.0.9:5000"));
        assert_eq!(told.next, Some(addr("b")), "who it would be is told still");
        assert!(!told.would_fail_over());
        let [held] = &told.held_by[..] else {
            panic!("{told:?}")
        };
        assert!(held.contains("Sentinel is at work on"), "{held}");
        assert!(told.now.contains("Sentinel is at work on"), "{}", told.now);
        assert!(
            told.sentence
                .starts_with("b:6379 would be the one to take over, but it is held back: "),
            "{}",
            told.sentence
        );
    }
}

#[test]
fn a_cool_down_holds_it_back() {
    let mut cluster = trio();
    cluster.observed.last_failover = Some(LastFailover {
        primary: addr("a"),
        replaced: Some(addr("b")),
        generation: Generation(4),
        at: Moment(NOW.0.saturating_sub(Duration::from_secs(1))),
        followed: true,
    });
    let told = explained(&cluster);
    assert_eq!(told.next, Some(addr("b")));
    assert!(told.held_by[0].contains("another 9.0 s"), "{told:?}");
    assert!(!told.would_fail_over(), "not now");
    assert_eq!(told.now, "nothing to do");
}

#[test]
fn too_few_keepers_for_min_votes_hold_it_back() {
    let mut cluster = trio();
    for node in cluster.observed.nodes.values_mut() {
        node.verdict.min_votes = 4;
    }
    let told = explained(&cluster);
    assert_eq!(
        told.held_by,
        ["a:6379 can not be held down: keepers online 3, votes needed at least 4 (min-votes)"]
    );
    assert_eq!(told.next, Some(addr("b")));
}

#[test]
fn while_many_primaries_are_silent_at_once_a_majority_has_to_confirm() {
    let mut cluster = trio().down("a");
    cluster.observed.brake = Some(Brake {
        silent: 5,
        published: 12,
    });
    let told = explained(&cluster);
    let [held] = &told.held_by[..] else {
        panic!("{told:?}")
    };
    let expected = "5 of 12 primaries are silent at once: a majority of the keepers has to confirm that a:6379 is";
    assert!(held.contains(expected), "{held}");
    assert!(told.sentence.contains(expected), "{}", told.sentence);
    assert_eq!(told.next, Some(addr("b")), "who it would be is told still");

    cluster.observed.brake = None;
    assert_eq!(explained(&cluster).held_by, [""; 0]);
}

#[test]
fn before_anything_is_published_that_is_said() {
    let told = explained(&cluster().primary("a").unknown("b"));
    assert_eq!((told.primary.clone(), told.next.clone()), (None, None));
    assert_eq!(told.held_by[0], "no published primary is known");
    assert!(
        told.held_by[1].contains("waiting until it is known"),
        "{told:?}"
    );
}

#[test]
fn during_a_failover_it_tells_how_that_ends_and_what_is_done_now() {
    let told = explained(&trio().down("a").promoting("a", "b"));
    assert_eq!(
        (told.primary.clone(), told.next.clone()),
        (Some(addr("a")), Some(addr("b")))
    );
    assert_eq!(told.now, "promote b:6379");
    let told = explained(&trio().down("a").promoting("a", "b").promoted("b"));
    assert_eq!(told.next, Some(addr("b")));
    assert_eq!(told.now, "publish b:6379 as the primary");
}

#[test]
fn a_withdrawal_that_is_not_acknowledged_yet_holds_it_back() {
    let told = explained(&trio().down("a").withdrawn("a").unacknowledged("keeper-2"));
    assert_eq!(told.next, Some(addr("b")));
    assert!(told.held_by[0].contains("keeper-2"), "{told:?}");
}

#[test]
fn a_silent_keeper_that_a_failover_would_wait_for_holds_it_back_before_there_is_one() {
    let told = explained(&trio().going_on("keeper-3", 60));
    assert_eq!(told.next, Some(addr("b")));
    assert_eq!(told.now, "nothing to do");
    let expected = "a failover now would wait for keeper-3 for another 60.0 s";
    assert!(told.held_by[0].contains(expected), "{told:?}");
}

#[test]
fn another_name_of_the_primary_dies_with_it() {
    let cluster = trio().primary("z").with("z", |z| {
        (z.run_id, z.replication_id) = ("process of a".to_owned(), history("a"));
    });
    let told = explained(&cluster);
    assert_eq!(ranked(&told), [addr("b")]);
    assert_eq!(told.refused[&addr("z")], Ineligibility::Down);
}
