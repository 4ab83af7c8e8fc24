//! Nothing is published yet.

use std::net::IpAddr;

use super::builder::{addr, cluster, history};
use crate::domain::election::Ineligibility;
use crate::domain::facts::{Link, Mode};
use crate::domain::plan::{Hold, StateChange};
use crate::domain::policy::ChainedReplicas;

#[test]
fn a_healthy_topology_is_published_and_nothing_else_is_done() {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "a");
    let cluster = cluster.written(StateChange::Publish);
    let state = cluster.state();
    assert_eq!(state.primary, Some(addr("a")));
    assert_eq!(state.replicas, [addr("b"), addr("c")].into());
    assert_eq!(state.known, [addr("a"), addr("b"), addr("c")].into());
    assert_eq!(state.lineage, [history("a")]);
    cluster.assert_settled();
}

#[test]
fn one_node_up_of_three_becomes_the_primary() {
    let cluster = cluster().primary("a").unknown("b").unknown("c");
    let cluster = cluster.down("b").down("c").written(StateChange::Publish);
    assert_eq!(cluster.state().primary, Some(addr("a")));
    cluster.assert_settled();
}

#[test]
fn nothing_is_decided_before_every_node_is_known_to_be_up_or_down() {
    let plan = cluster().primary("a").unknown("b").plan();
    let reason = "it has not answered yet".to_owned();
    plan.assert_holds(&Hold::Undecided(vec![(addr("b"), reason)]));
    let plan = cluster().primary("a").replica("b", "a").silent("b").plan();
    let reason = "connection refused".to_owned();
    plan.assert_holds(&Hold::Undecided(vec![(addr("b"), reason)]));
}

#[test]
fn a_node_that_refuses_the_password_may_be_the_primary_so_nothing_is_decided() {
    let plan = cluster().primary("a").noauth("b").plan();
    let reason = "NOAUTH Authentication required.".to_owned();
    plan.assert_holds(&Hold::Undecided(vec![(addr("b"), reason)]));
}

#[test]
fn a_loading_node_is_waited_for_until_the_keepers_give_it_up() {
    let cluster = cluster()
        .primary("a")
        .primary("b")
        .with("b", |b| b.loading = true);
    let reason = "it is loading its data set".to_owned();
    let undecided = Hold::Undecided(vec![(addr("b"), reason)]);
    cluster.plan().assert_holds(&undecided);
    let plan = cluster.votes("b", 0, 2).plan();
    plan.assert_writes(StateChange::Publish, Some("a"));
}

#[test]
fn a_primary_that_a_majority_takes_for_loading_is_not_published_to_be_withdrawn() {
    let cluster = cluster().primary("a").replica("b", "a").votes("a", 1, 1);
    let unfit = (addr("a"), Ineligibility::Unfit.to_string());
    cluster.plan().assert_holds(&Hold::Undecided(vec![unfit]));
    cluster.votes("a", 1, 0).written(StateChange::Publish);
}

#[test]
fn no_node_up_is_said() {
    let plan = cluster().unknown("a").down("a").plan();
    plan.assert_holds(&Hold::NoNodeUp);
}

#[test]
fn of_several_primaries_the_one_with_most_replicas_stays() {
    let cluster = cluster()
        .primary("a")
        .primary("b")
        .with("a", |a| a.offset = 9_000);
    let plan = cluster.replica("c", "b").plan();
    plan.assert_writes(StateChange::Publish, Some("b"));
}

#[test]
fn replicas_behind_a_replica_count_for_the_primary() {
    let cluster = cluster().primary("a").primary("d").replica("e", "d");
    let plan = cluster.replica("b", "a").replica("c", "b").plan();
    plan.assert_writes(StateChange::Publish, Some("a"));
}

#[test]
fn of_primaries_with_as_many_replicas_the_one_with_data_stays() {
    let cluster = cluster().primary("a").primary("b").with("a", |a| {
        (a.keys, a.offset) = (0, 5_000);
    });
    let cluster = cluster.written(StateChange::Publish);
    assert_eq!(cluster.state().primary, Some(addr("b")));
    cluster.plan().assert_follows(["a"], "b");
}

#[test]
fn of_related_primaries_the_election_order_decides() {
    let cluster = cluster().primary("a").replica("b", "a").promoted("b");
    let plan = cluster.with("b", |b| b.offset = 1_001).plan();
    plan.assert_writes(StateChange::Publish, Some("b"));
}

#[test]
fn unrelated_primaries_with_data_are_held_and_named() {
    let cluster = cluster().primary("a").primary("b");
    cluster.plan().assert_holds(&Hold::Unrelated {
        kept: addr("a"),
        other: addr("b"),
    });
    let cluster = cluster.policy(|policy| policy.settle_unrelated = true);
    let cluster = cluster.written(StateChange::Publish);
    cluster.plan().assert_follows(["b"], "a");
}

#[test]
fn an_unrelated_primary_beside_a_cluster_does_not_keep_it_from_being_published() {
    let cluster = cluster().primary("a").replica("b", "a").primary("c");
    let cluster = cluster.written(StateChange::Publish);
    cluster.plan().assert_holds(&Hold::Unrelated {
        kept: addr("a"),
        other: addr("c"),
    });
}

#[test]
fn replicas_of_a_dead_primary_are_failed_over_at_first_sight() {
    let cluster = cluster()
        .unknown("a")
        .down("a")
        .replica("b", "a")
        .replica("c", "a");
    let cluster = cluster
        .unlinked("b")
        .unlinked("c")
        .with("c", |c| c.offset = 1_001);
    let cluster = cluster.written(StateChange::Withdraw);
    let intent = cluster.state().intent.clone().unwrap();
    assert_eq!((intent.old, intent.candidate), (Some(addr("a")), None));
    assert_eq!(cluster.state().lineage, [history("a")]);
    cluster.plan().assert_promotes("c");
}

#[test]
fn a_chained_replica_of_a_dead_primary_does_not_rule_out_the_one_it_follows() {
    let cluster = cluster()
        .unknown("a")
        .down("a")
        .replica("b", "a")
        .replica("c", "b");
    let cluster = cluster.with("c", |c| {
        (c.replication_id, c.offset) = (history("a"), 1_001);
    });
    let never = |policy: &mut crate::domain::policy::Policy| {
        policy.priorities.insert(addr("c"), 0);
    };
    let cluster = cluster.policy(never).written(StateChange::Withdraw);
    cluster.plan().assert_promotes("b");
}

#[test]
fn replicas_that_have_nothing_yet_still_get_a_primary() {
    let cluster = cluster()
        .unknown("a")
        .down("a")
        .replica("b", "a")
        .with("b", |b| {
            (b.keys, b.offset, b.replication_id) = (0, 0, history("b"));
        });
    let cluster = cluster.upstream("b", |up| up.link = Link::Down { since: None });
    cluster
        .written(StateChange::Withdraw)
        .plan()
        .assert_promotes("b");
}

#[test]
fn a_replica_with_data_is_preferred_to_one_that_never_synced() {
    let cluster = cluster()
        .unknown("a")
        .down("a")
        .replica("b", "a")
        .replica("c", "a");
    let cluster = cluster.unlinked("c").with("b", |b| {
        (b.keys, b.offset, b.replication_id) = (0, 7_000, history("b"));
    });
    let cluster = cluster.upstream("b", |up| up.link = Link::Down { since: None });
    cluster
        .written(StateChange::Withdraw)
        .plan()
        .assert_promotes("c");
}

#[test]
fn an_empty_primary_does_not_take_the_place_of_one_that_is_down_and_has_replicas_with_data() {
    let cluster = cluster().unknown("a").down("a").replica("b", "a");
    let cluster = cluster.primary("d").with("d", |d| d.keys = 0);
    let cluster = cluster.unlinked("b").written(StateChange::Withdraw);
    cluster.plan().assert_promotes("b");
}

#[test]
fn an_unrelated_primary_does_not_take_the_place_of_one_that_is_down_and_has_replicas_with_data() {
    let cluster = cluster().unknown("a").down("a").replica("b", "a");
    let cluster = cluster.unlinked("b").primary("d");
    cluster.plan().assert_holds(&Hold::Unrelated {
        kept: addr("d"),
        other: addr("b"),
    });
    let cluster = cluster.policy(|policy| policy.settle_unrelated = true);
    cluster
        .plan()
        .assert_writes(StateChange::Publish, Some("d"));
}

#[test]
fn no_eligible_replica_of_a_dead_primary_is_said_and_nothing_is_written() {
    let cluster = cluster().unknown("a").down("a").replica("b", "a");
    let plan = cluster.upstream("b", |up| up.priority = 0).plan();
    assert_eq!(plan.refusal("b").to_string(), "has priority 0");
    assert_eq!(
        plan.holds[0].to_string(),
        "no node may take over from a:6379: a:6379 is the primary to be replaced; b:6379 has priority 0"
    );
}

#[test]
fn replicas_of_a_server_that_is_not_configured_are_left_alone() {
    let plan = cluster().replica("b", "x").replica("c", "b").plan();
    plan.assert_holds(&Hold::ReplicatesFromOutside {
        node: addr("b"),
        primary: addr("x"),
    });
}

#[test]
fn a_loop_of_replicas_is_broken() {
    let cluster = cluster().replica("a", "b").replica("b", "a");
    let cluster = cluster.with("a", |a| a.offset = 1_001).with("b", |b| {
        b.replication_id = history("b");
    });
    cluster
        .written(StateChange::Withdraw)
        .plan()
        .assert_promotes("a");
}

#[test]
fn a_replica_is_recognised_by_the_address_its_primary_resolves_to() {
    let ip: IpAddr = "10.0.0.1".parse().unwrap();
    let cluster = cluster().primary("a").replica("b", "10.0.0.1");
    let cluster = cluster.observation("a", |a| a.addresses = [ip].into());
    let cluster = cluster.observation("b", |b| b.upstream_addresses = [ip].into());
    let cluster = cluster.unlinked("b").written(StateChange::Publish);
    cluster.plan().assert_holds(&Hold::NotLinked(addr("b")));
}

#[test]
fn a_replica_is_recognised_by_the_history_it_streams() {
    let cluster = cluster().primary("a").replica("b", "10.0.0.1");
    let cluster = cluster.with("b", |b| b.replication_id = history("a"));
    let cluster = cluster.written(StateChange::Publish);
    assert_eq!(cluster.state().replicas, [addr("b")].into());
    cluster.assert_settled();
}

#[test]
fn a_replica_at_the_same_host_but_another_port_is_another_server() {
    let ip: IpAddr = "10.0.0.1".parse().unwrap();
    let cluster = cluster().primary("a").replica("b", "10.0.0.1");
    let cluster = cluster.observation("a", |a| a.addresses = [ip].into());
    let cluster = cluster.observation("b", |b| b.upstream_addresses = [ip].into());
    let cluster = cluster.upstream("b", |up| {
        up.primary = crate::domain::node::NodeAddr::new("10.0.0.1", 6380);
    });
    let cluster = cluster.unlinked("b").written(StateChange::Publish);
    cluster.plan().assert_follows(["b"], "a");
}

#[test]
fn one_server_under_two_names_is_one_server_and_said() {
    let cluster = cluster().primary("a").primary("b").replica("c", "b");
    let cluster = cluster.with("b", |b| {
        b.run_id = "process of a".to_owned();
        b.replication_id = history("a");
    });
    let cluster = cluster.with("c", |c| c.replication_id = history("a"));
    let cluster = cluster.written(StateChange::Publish);
    assert_eq!(cluster.state().primary, Some(addr("a")));
    assert_eq!(cluster.state().replicas, [addr("c")].into());
    let plan = cluster.plan();
    plan.assert_holds(&Hold::SameServer(addr("b"), addr("a")));
}

#[test]
fn redis_cluster_nodes_and_sentinels_are_refused_and_said() {
    for mode in [Mode::Cluster, Mode::Sentinel] {
        let cluster = cluster()
            .primary("a")
            .primary("b")
            .with("b", |b| b.mode = mode);
        let cluster = cluster.written(StateChange::Publish);
        let plan = cluster.plan();
        plan.assert_holds(&Hold::WrongMode(addr("b"), mode));
    }
}

#[test]
fn chained_replicas_are_left_or_corrected_as_configured() {
    let cluster = cluster().primary("a").replica("b", "a").replica("c", "b");
    let cluster = cluster.written(StateChange::Publish);
    cluster.plan().assert_follows(["c"], "a");
    let accept = |policy: &mut crate::domain::policy::Policy| {
        policy.chained_replicas = ChainedReplicas::Accept;
    };
    cluster.policy(accept).assert_settled();
}

#[test]
fn what_names_resolve_to_is_noted_once_for_keepers_whose_resolver_fails() {
    let ip = |last: u8| IpAddr::from([10, 0, 0, last]);
    let cluster = cluster().primary("a").replica("b", "a").published("a");
    let named = cluster.observation("b", |b| b.addresses = [ip(2), ip(3)].into());
    let noted = named.written(StateChange::Note);
    let expected = [("b".to_owned(), [ip(2), ip(3)].into())].into();
    assert_eq!(noted.state().addresses, expected);
    // The resolver gives the addresses in turns, or none.
    let noted = noted.observation("b", |b| b.addresses = [ip(3)].into());
    noted.assert_settled();
    let noted = noted.observation("b", |b| b.addresses.clear());
    noted.assert_settled();
    let moved = noted.observation("b", |b| b.addresses = [ip(9)].into());
    let expected = [("b".to_owned(), [ip(9)].into())].into();
    assert_eq!(moved.written(StateChange::Note).state().addresses, expected);
}
