//! `redis-keeper check --live` judges the servers of a cluster together.

use keeper_site::look::{Look, cluster, look_live};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, Role};
use serde_json::{Value, json};

/// The exit code and the report of `check --live` for these clusters.
async fn look(clusters: &[(&str, &[&Redis])]) -> (Option<i32>, String) {
    let clusters = clusters.iter();
    let clusters = clusters.map(|(name, nodes)| cluster(name, nodes));
    let config = json!({
        "keeper-id": "checker",
        "coordination": "embedded",
        "redis": { "password": "s3cret" },
        "clusters": clusters.collect::<Value>(),
    });
    let Look { code, report, .. } = look_live(&config).await;
    (code, report)
}

/// Asserts that the report of these clusters is a failure and contains all these texts.
async fn assert_problem(clusters: &[(&str, &[&Redis])], wanted: &[&str]) {
    let (code, report) = look(clusters).await;
    assert_eq!(code, Some(1), "{report}");
    for text in wanted {
        assert!(report.contains(text), "{text:?} is missing in:\n{report}");
    }
}

#[tokio::test]
async fn a_primary_that_is_not_listed_is_a_problem_and_the_remedy_is_to_list_it() {
    let net = Net::new();
    let [primary, first, second] = &Redis::trio(&net).await;
    let (code, report) = look(&[("cache", &[primary, first, second])]).await;
    assert_eq!(code, Some(0), "{report}");
    let well = format!(
        "ok       cache replication\n         {} is the primary; followed by {}, {}",
        primary.at(),
        first.at(),
        second.at()
    );
    assert!(report.contains(&well), "{report}");

    let told = format!(
        "problem: no listed node is a primary: {}, {} replicate from {}, which is not listed",
        first.at(),
        second.at(),
        primary.at()
    );
    let wanted = [told.as_str(), "add it to nodes in the files of all keepers"];
    assert_problem(&[("cache", &[first, second])], &wanted).await;
}

#[tokio::test]
async fn nodes_that_follow_another_cluster_a_stranger_or_a_replica_are_told_as_such() {
    let net = Net::new();
    let [primary, first, second] = &Redis::trio(&net).await;
    let (other, stranger) = (Redis::start(&net).await, Redis::start(&net).await);
    let cache: (&str, &[&Redis]) = ("cache", &[primary, first, second]);

    second.follow(&other).await;
    second.wait_in_step_with(&other).await;
    let from_other = format!(
        "{} replicates from {}, a node of cluster orders",
        second.at(),
        other.at()
    );
    assert_problem(&[cache, ("orders", &[&other])], &[&from_other]).await;

    second.follow(&stranger).await;
    second.wait_in_step_with(&stranger).await;
    let from_stranger = format!(
        "{} replicates from {}, which is not listed and says that it is a primary",
        second.at(),
        stranger.at()
    );
    assert_problem(&[cache], &[&from_stranger]).await;

    second.follow(first).await;
    second.wait_in_step_with(first).await;
    let (_, report) = look(&[cache]).await;
    let chained = format!(
        "warning: {} follows {}, which is a replica itself",
        second.at(),
        first.at()
    );
    assert!(report.contains(&chained), "{report}");
}

#[tokio::test]
async fn two_primaries_a_broken_link_and_priority_0_everywhere_are_problems() {
    let net = Net::new();
    let [primary, first, second] = &Redis::trio(&net).await;
    let cache: [(&str, &[&Redis]); 1] = [("cache", &[primary, first, second])];

    for replica in [first, second] {
        replica.run::<()>("CONFIG SET replica-priority 0").await;
    }
    let wanted = ["problem: no failover is possible: every replica that answers has priority 0"];
    assert_problem(&cache, &wanted).await;
    for replica in [first, second] {
        replica.run::<()>("CONFIG SET replica-priority 100").await;
    }

    second.run::<()>("REPLICAOF NO ONE").await;
    second.wait_role(Role::Primary).await;
    let wanted = ["problem: 2 nodes say that they are primaries"];
    assert_problem(&cache, &wanted).await;

    // The primary now wants a password, and the replica has none.
    second.follow(primary).await;
    second.wait_in_step_with(primary).await;
    for redis in [first, primary] {
        redis.run::<()>("CONFIG SET requirepass s3cret").await;
    }
    let mut session = primary.connect().await.expect("a connection");
    let auth = redis::cmd("AUTH").arg("s3cret").to_owned();
    auth.query_async::<()>(&mut session).await.expect("a login");
    let kill = redis::cmd("CLIENT")
        .arg("KILL")
        .arg("TYPE")
        .arg("replica")
        .to_owned();
    kill.query_async::<i64>(&mut session).await.expect("killed");
    let broken = format!(
        "{} follows {} and has had no link to it",
        second.at(),
        primary.at()
    );
    assert_problem(&cache, &[&broken, "master_link_status:down", "masterauth"]).await;
}

#[tokio::test]
async fn a_replica_that_gets_nothing_more_is_a_problem_though_it_says_that_its_link_is_up() {
    let net = Net::new();
    let [primary, first, second] = &Redis::trio_behind_links(&net).await;
    let cache: [(&str, &[&Redis]); 1] = [("cache", &[primary, first, second])];
    primary.link().mute_flows();
    let big = "x".repeat(3_000_000);
    primary.run::<()>(&format!("SET key {big}")).await;
    let behind = format!("problem: {} is 30000", first.at());
    let wanted = [behind.as_str(), "it does not go on at all"];
    assert_problem(&cache, &wanted).await;
}
