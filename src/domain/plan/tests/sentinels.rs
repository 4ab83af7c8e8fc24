//! Redis Sentinels, and clients that look like them.

use std::time::Duration;

use super::builder::{Cluster, NOW, addr, cluster};
use crate::domain::plan::{Hold, StateChange};

const SENTINEL: &str = "sentinel-a1b2c3d4 at 10.0.0.9";

fn watched() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a");
    cluster.sentinel_at("b", SENTINEL)
}

fn at_work(left: Option<u64>) -> Hold {
    Hold::SentinelAtWork {
        node: addr("b"),
        sentinel: SENTINEL.to_owned(),
        until: left.map(|left| NOW.after(Duration::from_secs(left))),
    }
}

/// The same cluster after this keeper has seen the primary down for this many seconds.
fn down_for(cluster: Cluster, seconds: u64) -> Cluster {
    let mut cluster = cluster.down("a");
    let began = crate::domain::node::Moment(NOW.0.saturating_sub(Duration::from_secs(seconds)));
    cluster.observed.watch_sentinels(began);
    cluster.observed.watch_sentinels(NOW);
    cluster
}

#[test]
fn a_cluster_that_a_sentinel_works_on_is_held() {
    watched().published("a").plan().assert_holds(&at_work(None));
    // Without the Sentinel the plan would have a command.
    let astray = watched().replica("c", "b").published("a");
    astray.plan().assert_holds(&at_work(None));
    let rival = watched().published("a").promoted("b");
    rival.plan().assert_holds(&at_work(None));
}

/// The Sentinel has closed its connections after a failover, and has not opened new ones yet.
#[test]
fn a_sentinel_that_is_between_two_connections_holds_the_cluster_still() {
    let between = watched().with("b", |b| b.sentinels.clear());
    let mut astray = between.replica("c", "b").published("a");
    astray.observed.watch_sentinels(NOW);
    let plan = astray.plan();
    plan.assert_holds(&at_work(None));
    let until = NOW.after(Duration::from_secs(5));
    assert_eq!(plan.again, Some(until));
    astray.observed.watch_sentinels(until);
    assert_ne!(astray.plan().action, None);
}

#[test]
fn what_a_sentinel_has_done_is_published_and_commands_nothing() {
    // The Sentinel was there before the first publication.
    let plan = watched().plan();
    assert!(plan.holds.contains(&at_work(None)), "it is told: {plan}");
    plan.assert_writes(StateChange::Publish, Some("a"));

    let replaced = || {
        let cluster = watched().replica("c", "a").published("a");
        down_for(cluster, 2).promoted("b")
    };
    // Not all nodes follow `b` yet.
    let plan = replaced().plan();
    assert_eq!(plan.action, None, "{plan}");
    let follows = |name: &str| {
        let cluster = replaced().with("c", |c| c.replication_id = super::builder::history("b"));
        cluster.upstream("c", |it| it.primary = addr(name))
    };
    let plan = follows("b").plan();
    assert!(
        plan.holds.contains(&at_work(Some(58))),
        "it is told: {plan}"
    );
    let withdrawn = follows("b").written(StateChange::Withdraw);
    withdrawn
        .plan()
        .assert_writes(StateChange::Publish, Some("b"));

    // The primary was demoted while it was up.
    let cluster = watched().replica("c", "a").published("a").promoted("b");
    let moved = |cluster: Cluster, name: &str| {
        let cluster = cluster.with(name, |it| it.replication_id = super::builder::history("b"));
        cluster.upstream(name, |it| it.primary = addr("b"))
    };
    let demoted = cluster.with("a", |a| {
        let follower = super::builder::cluster().primary("b").replica("a", "b");
        let observation = &follower.observed.nodes[&addr("a")].observation;
        a.role = observation.facts.as_ref().unwrap().role.clone();
    });
    let demoted = moved(moved(demoted, "a"), "c");
    let withdrawn = demoted.written(StateChange::Withdraw);
    withdrawn
        .plan()
        .assert_writes(StateChange::Publish, Some("b"));
}

#[test]
fn a_primary_of_other_data_is_not_published_because_a_sentinel_is_there() {
    let cluster = cluster().primary("a").replica("c", "a").published("a");
    let cluster = cluster.primary("b").sentinel_at("b", SENTINEL);
    let cluster = down_for(cluster, 2).upstream("c", |it| it.primary = addr("b"));
    let plan = cluster.plan();
    assert_eq!(plan.action, None, "{plan}");
}

#[test]
fn a_sentinel_has_a_minute_to_replace_a_primary_that_is_down_then_the_keepers_do() {
    let plan = down_for(watched().published("a"), 59).plan();
    plan.assert_holds(&at_work(Some(1)));
    assert_eq!(plan.again, Some(NOW.after(Duration::from_secs(1))));
    let plan = down_for(watched().published("a"), 60).plan();
    let passed_over = Hold::SentinelPassedOver {
        node: addr("b"),
        sentinel: SENTINEL.to_owned(),
    };
    assert!(plan.holds.contains(&passed_over), "it is told: {plan}");
    plan.assert_writes(StateChange::Withdraw, None);
}

#[test]
fn what_was_begun_is_finished_though_a_sentinel_comes() {
    let promoting = watched().promoting("a", "b").down("a");
    promoting.plan().assert_promotes("b");
}

#[test]
fn clients_that_only_listen_where_sentinels_do_are_told_and_hold_nothing() {
    let cluster = cluster().primary("a").replica("b", "a").published("a");
    let cluster = cluster.with("b", |b| b.other_subscribers = 2);
    let told = Hold::SentinelChannel {
        node: addr("b"),
        clients: 2,
    };
    cluster.plan().assert_holds(&told);
    cluster
        .down("a")
        .plan()
        .assert_writes(StateChange::Withdraw, None);
}
