//! The alarms of an operator show in the metrics: red while no client can write, green again when clients can.

use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::scrape::assert_well_formed;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;

const WRITABLE: &str = r#"redis_keeper_cluster_writable{cluster="cache"} 1"#;
const NOT_WRITABLE: &str = r#"redis_keeper_cluster_writable{cluster="cache"} 0"#;
const POSSIBLE: &str = r#"redis_keeper_cluster_failover_possible{cluster="cache"} 1"#;
const IMPOSSIBLE: &str = r#"redis_keeper_cluster_failover_possible{cluster="cache"} 0"#;
const NOT_HELD: &str = r#"redis_keeper_cluster_held{cluster="cache" absent"#;

fn held(reason: &str) -> String {
    format!(r#"redis_keeper_cluster_held{{cluster="cache",reason="{reason}"}} 1"#)
}

fn of(node: &Redis, name: &str, value: &str) -> String {
    let at = node.node();
    format!(r#"redis_keeper_node_{name}{{cluster="cache",node="{at}"}} {value}"#)
}

fn role(node: &Redis, role: &str, value: &str) -> String {
    let at = node.node();
    format!(r#"redis_keeper_node_role{{cluster="cache",node="{at}",role="{role}"}} {value}"#)
}

async fn set_priority(replicas: [&Redis; 2], priority: u32) {
    for replica in replicas {
        let set = format!("CONFIG SET replica-priority {priority}");
        replica.run::<()>(&set).await;
    }
}

#[tokio::test]
async fn a_dead_primary_whose_replicas_have_priority_0_turns_the_metrics_red() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    let nodes = [&primary, &first, &second];
    let keeper = Keeper::alone_for(&net, Settings::new(), &nodes).await;
    let up = of(&primary, "up", "1");
    let well = ["redis_keeper_ready 1", WRITABLE, POSSIBLE, NOT_HELD, &up];
    keeper.wait_samples(&well).await;
    keeper
        .wait_samples(&[
            &role(&primary, "primary", "1"),
            &role(&first, "primary", "0"),
            &role(&first, "replica", "1"),
            &of(&first, "votes", "0"),
        ])
        .await;
    assert_well_formed(&keeper.scrape().await.expect("the metrics"));

    set_priority([&first, &second], 0).await;
    keeper.wait_samples(&[WRITABLE, IMPOSSIBLE]).await;

    primary.kill();
    keeper
        .wait_samples(&[
            NOT_WRITABLE,
            IMPOSSIBLE,
            &held("none-eligible"),
            &of(&primary, "up", "0"),
            &of(&primary, "votes", "1"),
        ])
        .await;
    let page = keeper.scrape().await.expect("the metrics");
    assert_well_formed(&page);

    set_priority([&first, &second], 100).await;
    keeper.wait_samples(&[WRITABLE, POSSIBLE]).await;
    primary.revive().await;
    keeper.wait_samples(&well).await;
}

#[tokio::test]
async fn a_primary_that_was_made_a_replica_of_a_stranger_turns_the_metrics_red() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    let stranger = Redis::start(&net).await;
    let nodes = [&primary, &first, &second];
    let keeper = Keeper::alone_for(&net, Settings::new(), &nodes).await;
    keeper.wait_samples(&[WRITABLE, POSSIBLE, NOT_HELD]).await;

    // The server of another deployment refuses the synchronisation, so that the primary keeps its data.
    stranger.run::<()>("CONFIG SET requirepass other").await;
    primary.follow(&stranger).await;
    keeper
        .wait_samples(&[NOT_WRITABLE, &held("replicates-from-outside")])
        .await;

    primary.run::<()>("REPLICAOF NO ONE").await;
    keeper.wait_samples(&[WRITABLE, POSSIBLE, NOT_HELD]).await;
}

#[tokio::test]
async fn keepers_without_zookeeper_and_without_all_others_turn_the_metrics_red() {
    let net = Net::fleet().await;
    let redis = Redis::trio(&net).await;
    let zookeeper = ZooKeeper::ensemble(&net, 1).await;
    let prefix = zookeeper.prefix("alarms");
    let nodes = redis.each_ref();
    let keepers = Keepers::start_for(3, &net, &prefix, Settings::patient(), &nodes).await;
    let well = [
        WRITABLE,
        POSSIBLE,
        "redis_keeper_ready 1",
        "redis_keeper_session_connected 1",
        "redis_keeper_session_keepers_online 3",
        "redis_keeper_failsafe 0",
    ];
    for keeper in keepers.iter() {
        keeper.wait_samples(&well).await;
    }
    wait_one_leader(&keepers).await;

    keepers[2].process().kill();
    let [server] = zookeeper.servers() else {
        panic!("one server")
    };
    server.process().kill();
    for keeper in &keepers[..2] {
        keeper
            .wait_samples(&[
                NOT_WRITABLE,
                IMPOSSIBLE,
                NOT_HELD,
                "redis_keeper_ready 0",
                "redis_keeper_session_connected 0",
                "redis_keeper_session_leader 0",
            ])
            .await;
        let at = keeper.zookeeper_links().next().expect("a link").at();
        wait_cause(keeper, &format!("{at}: it closes the connection")).await;
        keeper.cut_from_zookeeper().await;
        wait_cause(keeper, &format!("{at}: connection refused")).await;
        keeper.restore_zookeeper().await;
    }

    server.revive().await;
    keepers[2].process().restart();
    for keeper in keepers.iter() {
        keeper.wait_samples(&well).await;
    }
    wait_one_leader(&keepers).await;
}

/// Waits until the keeper gives `cause` wherever it cannot answer: since when ZooKeeper is away, and what a server
/// did.
async fn wait_cause(keeper: &Keeper, cause: &str) {
    let paths = ["/ready", "/cluster/cache/status"];
    for path in paths {
        eventually(SOON, format!("{path} to say {cause}"), async || {
            let answer = keeper.get(path).await;
            let told = answer.map_err(|error| error.to_string())?.body;
            let error = told["error"].as_str().unwrap_or_default();
            let named = error.contains("ZooKeeper away for ") && error.contains(cause);
            named.then_some(()).ok_or_else(|| told.to_string())
        })
        .await;
    }
    let log = keeper.process().log();
    assert!(log.contains("ZooKeeper is out of reach"), "{log}");
}

async fn wait_one_leader(keepers: &Keepers) {
    eventually(SOON, "one keeper to lead", async || {
        let mut leaders = 0;
        for keeper in keepers.iter() {
            let page = keeper.scrape().await?;
            leaders += usize::from(page.contains("\nredis_keeper_session_leader 1\n"));
        }
        (leaders == 1).then_some(()).ok_or(leaders.to_string())
    })
    .await;
}

/// Besides the alarm, the log has a line for operators without Prometheus. Both come before the primary dies.
#[tokio::test]
async fn a_failover_that_could_not_follow_is_logged_before_it_is_needed() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    let nodes = [&primary, &first, &second];
    set_priority([&first, &second], 0).await;
    let keeper = Keeper::alone_for(&net, Settings::new(), &nodes).await;
    let logged = async |line: &str| {
        // The keeper waits a minute before it reports an obstacle that may pass by itself.
        eventually(3 * SOON, format!("the log to say {line}"), async || {
            let log = keeper.process().log();
            log.contains(line).then_some(()).ok_or(log)
        })
        .await;
    };
    logged("no failover would follow if the primary died now").await;
    let log = keeper.process().log();
    assert!(log.contains("priority 0"), "{log}");
    set_priority([&first, &second], 100).await;
    logged("a failover would follow again if the primary died").await;
}

/// A node that is frozen for less than the mark-down time is never voted down; its silences are counted.
#[tokio::test]
async fn silences_that_are_no_votes_are_counted() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    let keeper = Keeper::alone_for(
        &net,
        Settings::new().set("seconds-mark-down", 20),
        &[&primary, &first, &second],
    )
    .await;
    for count in ["1", "2"] {
        keeper
            .wait_samples(&[&of(&first, "up", "1"), &of(&second, "silences_total", "0")])
            .await;
        first.pause();
        keeper
            .wait_samples(&[
                &of(&first, "silences_total", count),
                &of(&first, "votes", "0"),
            ])
            .await;
        first.resume();
    }
}
