//! A keeper meets a cluster: it reads the state of the servers, and changes as little as possible.

use std::time::Duration;

use keeper_site::calls::Calls;
use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, Role};
use keeper_site::sentinel::Sentinel;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;

#[tokio::test]
async fn the_one_node_that_is_up_becomes_the_primary_and_whoever_starts_later_its_replica() {
    let net = Net::new();
    let [first, second, third] = lone_servers(&net).await;
    second.kill();
    third.kill();
    first.write_keys("kept", 100).await;
    let settings = Settings::new().cluster("cache", [&first, &second, &third]);

    let keeper = Keeper::alone(&net, &settings).await;
    keeper.wait_topology("cache", &first, &[]).await;
    for down in [&second, &third] {
        let view = keeper.node("cache", down).await;
        assert_eq!(view["verdict"]["down"], true, "{view}");
        assert_eq!(view["online"], false, "{view}");
    }
    assert_eq!(first.calls("replicaof").await, 0);

    second.revive().await;
    keeper.wait_topology("cache", &first, &[&second]).await;
    second.wait_in_step_with(&first).await;
    assert_eq!(second.key_count().await, 100);
}

#[tokio::test]
async fn of_two_primaries_the_one_with_more_replicas_stays() {
    let net = Net::new();
    let lonely = Redis::start(&net).await;
    let [popular, first, second] = Redis::trio(&net).await;
    popular.write_keys("kept", 100).await;
    let settings = Settings::new().cluster("cache", [&lonely, &popular, &first, &second]);

    let keeper = Keeper::alone(&net, &settings).await;
    keeper
        .wait_topology("cache", &popular, &[&lonely, &first, &second])
        .await;
    lonely.wait_in_step_with(&popular).await;
    assert_eq!(lonely.key_count().await, 100);
    assert_eq!(lonely.calls("replicaof").await, 1);
    assert_eq!(popular.calls("replicaof").await, 0);
    assert_eq!(first.calls("replicaof").await, 0);
}

#[tokio::test]
async fn of_two_primaries_without_replicas_the_one_with_data_stays() {
    let net = Net::new();
    let [empty, full, late] = lone_servers(&net).await;
    full.write_keys("kept", 100).await;
    let settings = Settings::new().cluster("cache", [&empty, &full, &late]);

    let keeper = Keeper::alone(&net, &settings).await;
    keeper.wait_topology("cache", &full, &[&empty, &late]).await;
    empty.wait_in_step_with(&full).await;
    assert_eq!(empty.key_count().await, 100);
}

#[tokio::test]
async fn keepers_leave_a_healthy_topology_alone_even_when_their_leader_dies() {
    let net = Net::fleet().await;
    let [primary, first, second] = Redis::trio(&net).await;
    primary.write_keys("kept", 100).await;
    primary.wait_followed_by(&[&first, &second]).await;
    let nodes = [&primary, &first, &second];
    let calls = Calls::since_now(&nodes).await;
    let prefix = ZooKeeper::shared().await.prefix("healthy_topology");
    let settings = Settings::new().set("failover-tick-seconds", 0.5);

    let keepers = Keepers::start_for(3, &net, &prefix, settings, &nodes).await;
    let generation = keepers[0].generation("cache").await;
    for keeper in keepers.iter() {
        keeper.wait_plan("cache", &["nothing to do"]).await;
        keeper.wait_probes("cache", &primary, 10).await;
    }

    let leader = leader(&keepers).await;
    keepers[leader].process().kill();
    let rest: Vec<_> = (0..3).filter(|index| *index != leader).collect();
    let heir = eventually(SOON, "another leader", async || {
        match leading(&keepers[rest[0]]).await? {
            name if name != keepers[leader].id() => Ok(name),
            name => Err(name),
        }
    })
    .await;
    assert!(rest.iter().any(|index| keepers[*index].id() == heir));
    for index in rest {
        keepers[index].wait_probes("cache", &primary, 10).await;
        keepers[index]
            .wait_topology("cache", &primary, &[&first, &second])
            .await;
        assert_eq!(keepers[index].generation("cache").await, generation);
    }
    calls.assert_harmless().await;
}

#[tokio::test]
async fn a_server_is_known_by_its_run_id_and_history_whatever_it_is_called() {
    let net = Net::new();
    let (name, alias, hidden) = (net.host(), net.host(), net.host());
    let everywhere = format!("{name} {alias} {hidden}");
    let primary = Redis::start_at(name, &[("bind", &everywhere)]).await;
    let follow = format!("{hidden} {}", primary.at().port());
    // The replica follows the primary by an address that no keeper's file has.
    let replica = Redis::start_with(&net, &[("replicaof", &follow)]).await;
    primary.write_keys("kept", 10).await;
    let settings = Settings::new().cluster_with(serde_json::json!({"name": "cache", "nodes": [
        {"host": name, "port": primary.at().port()},
        {"host": alias, "port": primary.at().port()},
        {"host": replica.at().ip(), "port": replica.at().port()},
    ]}));
    replica.wait_key_count(10).await;
    let calls = Calls::since_now(&[&primary, &replica]).await;

    let keeper = Keeper::alone(&net, &settings).await;
    keeper.wait_topology("cache", &primary, &[&replica]).await;
    let same = format!(
        "{alias}:{} and {} are one server",
        primary.at().port(),
        primary.at()
    );
    keeper.wait_plan("cache", &[&same]).await;
    keeper.wait_probes("cache", &replica, 10).await;
    calls.assert_harmless().await;

    let by_address = format!(
        "UP 1/1; address={name}; port={}; name=be/some-name",
        primary.at().port()
    );
    eventually(SOON, "a yes", async || {
        let path = "/cluster/cache/is-writable";
        let answer = keeper.get_with_state(path, by_address.as_bytes()).await;
        let answer = answer.map_err(|error| error.to_string())?;
        (answer.code == 200)
            .then_some(())
            .ok_or_else(|| format!("{answer:?}"))
    })
    .await;
}

#[tokio::test]
async fn of_two_unrelated_data_sets_none_is_lost_until_the_operator_says_so() {
    let net = Net::new();
    let [one, other, empty] = lone_servers(&net).await;
    one.write_keys("one", 100).await;
    other.write_keys("other", 50).await;
    let settings = Settings::new().cluster("cache", [&one, &other, &empty]);
    let calls = Calls::since_now(&[&one, &other, &empty]).await;

    let keeper = Keeper::alone(&net, &settings).await;
    let (one_name, other_name) = (one.node().to_string(), other.node().to_string());
    keeper
        .wait_plan("cache", &[&one_name, &other_name, "settle-unrelated"])
        .await;
    keeper.wait_probes("cache", &one, 10).await;
    calls.assert_harmless().await;
    let answer = keeper.is_writable("cache", &one).await.expect("an answer");
    assert_ne!(answer.code, 200, "{answer:?}");
    drop(keeper);

    let keeper = Keeper::alone(&net, &settings.set("settle-unrelated", true)).await;
    keeper
        .wait_status("cache", "a primary", |status| status.primary.is_some())
        .await;
    let (kept, settled) = if one.calls("replicaof").await == 0 {
        (&one, &other)
    } else {
        (&other, &one)
    };
    keeper
        .wait_topology("cache", kept, &[settled, &empty])
        .await;
    settled.wait_in_step_with(kept).await;
    assert_eq!(settled.key_count().await, kept.key_count().await);
}

#[tokio::test]
async fn a_stranger_with_data_is_not_overwritten_by_a_cluster_that_is_well() {
    let net = Net::new();
    let [primary, replica, _] = Redis::trio(&net).await;
    let stranger = Redis::start(&net).await;
    primary.write_keys("kept", 10).await;
    stranger.write_keys("precious", 100).await;
    let settings = Settings::new().cluster("cache", [&primary, &replica, &stranger]);

    let keeper = Keeper::alone(&net, &settings).await;
    keeper.wait_topology("cache", &primary, &[&replica]).await;
    let (primary_name, stranger_name) = (primary.node().to_string(), stranger.node().to_string());
    keeper
        .wait_plan(
            "cache",
            &[&primary_name, &stranger_name, "settle-unrelated"],
        )
        .await;
    keeper.wait_probes("cache", &stranger, 10).await;
    assert_eq!(stranger.calls("replicaof").await, 0);
    assert_eq!(stranger.key_count().await, 100);
    assert!(!keeper.calls_writable("cache", &stranger).await);

    // Once its owner has emptied the server of another deployment, the keeper takes that server into the cluster.
    stranger.run::<()>("FLUSHALL").await;
    keeper
        .wait_topology("cache", &primary, &[&replica, &stranger])
        .await;
    stranger.wait_in_step_with(&primary).await;
    assert_eq!(stranger.key_count().await, 10);
}

#[tokio::test]
async fn a_redis_cluster_node_is_refused_and_said_so() {
    let net = Net::new();
    let [primary, replica, _] = Redis::trio(&net).await;
    let foreign = Redis::start_with(&net, &[("cluster-enabled", "yes")]).await;
    let settings = Settings::new().cluster("cache", [&primary, &replica, &foreign]);
    let calls = Calls::since_now(&[&foreign]).await;

    let keeper = Keeper::alone(&net, &settings).await;
    keeper.wait_topology("cache", &primary, &[&replica]).await;
    let name = foreign.node().to_string();
    keeper.wait_plan("cache", &[&name, "Redis Cluster"]).await;
    keeper.wait_probes("cache", &foreign, 10).await;
    calls.assert_harmless().await;
    assert!(!keeper.calls_writable("cache", &foreign).await);
    assert!(!keeper.calls_readable("cache", &foreign).await);
}

#[tokio::test]
async fn a_primary_that_replicates_from_outside_is_left_alone() {
    let net = Net::new();
    let outside = Redis::start(&net).await;
    outside.write_keys("migrating", 100).await;
    let head = Redis::replica_of(&net, &outside, &[]).await;
    let replica = Redis::replica_of(&net, &head, &[]).await;
    let settings = Settings::new().cluster("cache", [&head, &replica]);
    let calls = Calls::since_now(&[&head, &replica]).await;

    let keeper = Keeper::alone(&net, &settings).await;
    let (head_name, outside_name) = (head.node().to_string(), outside.node().to_string());
    keeper
        .wait_plan("cache", &[&head_name, &outside_name, "not configured"])
        .await;
    keeper.wait_probes("cache", &head, 10).await;
    calls.assert_harmless().await;

    // The operator ends the migration.
    head.run::<()>("REPLICAOF NO ONE").await;
    keeper.wait_topology("cache", &head, &[&replica]).await;
    replica.wait_role(Role::Replica).await;
}

#[tokio::test]
async fn a_cluster_that_a_sentinel_looks_after_is_held_and_the_sentinel_named() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    let _sentinel = Sentinel::start(&net, &primary).await;
    let settings = Settings::new().cluster("cache", [&primary, &first, &second]);

    let keeper = Keeper::alone(&net, &settings).await;
    let plan = keeper.wait_plan("cache", &["Sentinel is at work"]).await;
    assert!(plan.contains("sentinel-"), "{plan}");
    primary.kill();
    keeper.wait_votes("cache", &primary, &["keeper"]).await;
    keeper.wait_probes("cache", &first, 10).await;
    keeper.wait_plan("cache", &["Sentinel is at work"]).await;
    assert_eq!(first.calls("replicaof").await, 0);
    assert_eq!(second.calls("replicaof").await, 0);
}

/// A real Sentinel works beside the keepers. The keepers command nothing, and publish Sentinel's result.
#[tokio::test]
async fn a_node_that_a_sentinel_has_promoted_is_published_while_sentinels_work() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    // Sentinel asks once a second. With a shorter time, a busy machine makes it replace healthy primaries.
    let down_after = Duration::from_secs(5);
    let sentinel = Sentinel::launch(net.host(), primary.at(), 1, down_after);
    sentinel.wait_knowing(2, 1).await;
    let settings = Settings::new().cluster("cache", [&primary, &first, &second]);
    let keeper = Keeper::alone(&net, &settings).await;
    keeper.wait_plan("cache", &["Sentinel is at work"]).await;
    keeper
        .wait_topology("cache", &primary, &[&first, &second])
        .await;

    primary.kill();
    keeper.wait_replaced("cache", &primary).await;
    let [successor, other] = keeper.elected("cache", [&first, &second]).await;
    primary.revive().await;
    keeper
        .wait_topology("cache", successor, &[&primary, other])
        .await;
    let answer = keeper.is_writable("cache", successor).await;
    assert_eq!(answer.expect("an answer").code, 200);
    keeper.wait_plan("cache", &["Sentinel is at work"]).await;
    let deeds = keeper.deeds();
    let commands = ["promoted", "made to follow the primary"];
    let commanded = deeds.iter().any(|deed| commands.contains(&deed.what));
    assert!(!commanded, "{deeds:#?}");
}

async fn lone_servers(net: &Net) -> [Redis; 3] {
    [
        Redis::start(net).await,
        Redis::start(net).await,
        Redis::start(net).await,
    ]
}

/// The id of the leader, as `keeper` sees it.
async fn leading(keeper: &Keeper) -> Result<String, String> {
    let session = keeper.admin("keepers").await;
    let leader = session["leader"].as_str().map(str::to_owned);
    leader.ok_or_else(|| session.to_string())
}

/// The index of the leader.
async fn leader(keepers: &Keepers) -> usize {
    eventually(SOON, "a leader", async || {
        let leader = leading(&keepers[0]).await?;
        let index = keepers.iter().position(|keeper| keeper.id() == leader);
        index.ok_or(leader)
    })
    .await
}
