//! Keepers whose configuration files differ.

use keeper_site::checks::Checks;
use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::site::{RECOMMENDED, Site};
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use keeper_site::writer::Writer;
use keeper_site::zookeeper::ZooKeeper;

/// Removes the server from the file.
fn take_out(config: &mut serde_json::Value, redis: &Redis) {
    let ip = redis.at().ip().to_string();
    let nodes = config["clusters"][0]["nodes"].as_array_mut();
    nodes.expect("nodes").retain(|node| node["host"] != *ip);
}

/// Waits until all `keepers` answer this code to whether `node` is writable.
async fn wait_answer(keepers: &[Keeper], cluster: &str, node: &Redis, code: u16) {
    for keeper in keepers {
        let what = format!("{code} from {}", keeper.id());
        eventually(SOON, what, async || {
            let says = keeper.is_writable(cluster, node).await;
            let says = says.map_err(|error| error.to_string())?;
            let expected = (says.code == code).then_some(());
            expected.ok_or_else(|| format!("{says:?}"))
        })
        .await;
    }
}

#[tokio::test]
async fn a_keeper_whose_file_lacks_the_primary_cuts_no_writer_when_it_leads() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("files_differ");
    let site = Site::open(net, &prefix, RECOMMENDED, &[]).await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    let falls = site.falls().await;
    let before = site.keepers[0].admin("clusters/cluster-1").await;
    let generation = before["published"]["generation"].clone();
    let writer = Writer::start(site.writes());

    let leader = site.keepers.wait_leader().await;
    let [odd, other] = [(leader + 1) % 3, (leader + 2) % 3].map(|at| &site.keepers[at]);
    odd.reconfigure(|config| take_out(config, primary)).await;
    odd.wait_ready().await;
    for keeper in site.keepers.iter() {
        let told = format!("{} named by {}", odd.id(), keeper.id());
        eventually(SOON, told, async || {
            let lack = keeper.admin("keepers").await["files-lack"].clone();
            let node = format!("{} of cluster cluster-1", primary.node());
            (lack == serde_json::json!({ odd.id(): [node] }))
                .then_some(())
                .ok_or(lack)
        })
        .await;
    }
    let says = odd
        .is_writable("cluster-1", primary)
        .await
        .expect("an answer");
    assert_eq!(says.code, 500, "{says:?}");
    let by_path = format!("/cluster/cluster-1/is-writable/{}", primary.node());
    assert_eq!(odd.get(&by_path).await.expect("an answer").code, 500);
    let firm = odd
        .is_writable("cluster-1", first)
        .await
        .expect("an answer");
    assert_eq!(firm.code, 503, "another server, by its address: {firm:?}");

    writer.wait_writes(50).await;
    let diary = writer.stop();
    let cuts = (diary.cut_sessions, diary.failed_connects, diary.refusals);
    assert_eq!(cuts, (0, 0, Vec::new()));
    assert_eq!(site.falls().await, falls, "one keeper alone is not felt");

    // The other keepers queue up behind this keeper in the latch, so it leads until it steps down for one of them.
    // Meanwhile two keepers at once cannot answer, and checks may notice.
    for keeper in [other, &site.keepers[leader]] {
        keeper.process().terminate();
        keeper.process().wait_exit().await;
        keeper.process().restart();
        keeper.wait_ready().await;
    }
    eventually(SOON, "another leader", async || {
        let leader = other.admin("keepers").await["leader"].clone();
        let moved = leader != *odd.id() && !leader.is_null();
        moved.then_some(()).ok_or(leader)
    })
    .await;
    let log = odd.process().log();
    assert!(log.contains("stepping down for a keeper"), "it led: {log}");
    assert!(
        log.contains("the keepers' files differ"),
        "it says so: {log}"
    );

    let after = other.admin("clusters/cluster-1").await;
    assert_eq!(after["published"]["generation"], generation);
}

#[tokio::test]
async fn a_keeper_with_another_cluster_name_calls_nothing_writable_and_delays_nothing() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("called_otherwise");
    let redis = Redis::trio(&net).await;
    let [primary, first, second] = &redis;
    let settings = Settings::new().cluster("cluster-1", &redis);
    let keepers = Keepers::start(3, &net, &prefix, &settings).await;
    keepers
        .wait_topology("cluster-1", primary, &[first, second])
        .await;

    let leader = keepers.wait_leader().await;
    let [odd, other] = [(leader + 1) % 3, (leader + 2) % 3].map(|at| &keepers[at]);
    let leader = &keepers[leader];
    odd.reconfigure(|config| config["clusters"][0]["name"] = "cluster-2".into())
        .await;
    odd.wait_ready().await;
    let nodes = [primary, first, second];
    let otherwise = Checks::start(std::slice::from_ref(odd), "cluster-2", &nodes);
    for keeper in keepers.iter() {
        let told = format!("{} named by {}", odd.id(), keeper.id());
        eventually(SOON, told, async || {
            let overlaps = keeper.admin("keepers").await["overlaps"].clone();
            let named = overlaps[odd.id()]
                .as_array()
                .is_some_and(|it| it.len() == 3);
            named.then_some(()).ok_or(overlaps)
        })
        .await;
    }
    let held = odd.admin("clusters/cluster-2/explain").await["if-the-primary-died-now"].clone();
    assert!(held.to_string().contains("cluster-1"), "{held}");
    eventually(SOON, "the odd one named in the plan", async || {
        let plan = leader.admin("clusters/cluster-1").await["plan"].clone();
        let named = plan.as_str().is_some_and(|it| it.contains(odd.id()));
        named.then_some(()).ok_or(plan)
    })
    .await;

    // The keeper with the odd file leads alone when the primary dies.
    for keeper in [leader, other] {
        keeper.process().terminate();
        keeper.process().wait_exit().await;
    }
    eventually(SOON, "the odd one leads", async || {
        let leader = odd.admin("keepers").await["leader"].clone();
        (leader == *odd.id()).then_some(()).ok_or(leader)
    })
    .await;
    primary.kill();
    for keeper in [leader, other] {
        keeper.process().restart();
    }
    other.wait_replaced("cluster-1", primary).await;
    leader.wait_replaced("cluster-1", primary).await;
    otherwise.assert_none();
    let published = odd.admin("clusters/cluster-2").await["published"].clone();
    assert!(published["primary"].is_null(), "{published}");
}

/// Two of three files then have another name for the cluster. Either the cluster was renamed, or the first file was
/// wrong.
#[tokio::test]
async fn a_name_that_was_used_first_gives_way_to_the_one_that_more_keepers_have() {
    let trio = Trio::start("name_used_first", 3, Settings::new()).await;
    let ([primary, first, second], keepers) = (&trio.redis, &trio.keepers);
    let (odd, others) = (&keepers[0], &keepers[1..]);
    let before = odd.admin("clusters/cache").await["published"].clone();
    let nodes = [primary, first, second];
    let otherwise = Checks::start(std::slice::from_ref(odd), "cache", &nodes);
    for keeper in others {
        keeper
            .reconfigure(|config| config["clusters"][0]["name"] = "renamed".into())
            .await;
        keeper.wait_ready().await;
    }
    wait_answer(others, "renamed", primary, 200).await;
    let taken = others[0].admin("clusters/renamed").await["published"].clone();
    for what in ["primary", "replicas"] {
        assert_eq!(taken[what], before[what], "{what}");
    }
    let left = odd.admin("clusters/cache").await["published"].clone();
    assert_eq!(left["generation"], before["generation"], "{left}");
    otherwise.assert_only(primary);

    primary.kill();
    others[0].wait_replaced("renamed", primary).await;
    let says = odd.is_writable("cache", primary).await;
    assert_ne!(says.expect("an answer").code, 200);
}

#[tokio::test]
async fn a_primary_that_only_a_dead_keepers_file_had_is_writable_to_the_others() {
    let trio = Trio::start("dead_keeper_had_it", 3, Settings::new()).await;
    let ([primary, first, _], keepers) = (&trio.redis, &trio.keepers);
    let (has, lack) = (&keepers[0], &keepers[1..]);
    for keeper in lack {
        keeper.reconfigure(|config| take_out(config, primary)).await;
        keeper.wait_ready().await;
    }
    wait_answer(lack, "cache", primary, 500).await;
    has.process().kill();
    wait_answer(lack, "cache", primary, 200).await;
    let replica = lack[0].is_writable("cache", first).await;
    assert_eq!(replica.expect("an answer").code, 503);
    has.process().restart();
    wait_answer(lack, "cache", primary, 500).await;
}

/// A keeper's file has a replica of a replica that is not published. The leader's file lacks the node.
#[tokio::test]
async fn a_node_that_only_one_file_has_is_looked_after_by_the_keeper_that_has_it() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("one_file_has_it");
    let [primary, first] = [Redis::start(&net).await, Redis::start(&net).await];
    first.follow(&primary).await;
    let chained = Redis::replica_of(&net, &first, &[]).await;
    let settings = Settings::new().cluster("cluster-1", [&primary, &first]);
    let keepers = Keepers::start(2, &net, &prefix, &settings).await;
    keepers
        .wait_topology("cluster-1", &primary, &[&first])
        .await;

    let leader = keepers.wait_leader().await;
    let [lacking, other] = [leader, 1 - leader].map(|at| &keepers[at]);
    other
        .reconfigure(|config| {
            let nodes = config["clusters"][0]["nodes"]
                .as_array_mut()
                .expect("nodes");
            let mut added = nodes[0].clone();
            added["host"] = chained.at().ip().to_string().into();
            nodes.push(added);
        })
        .await;
    other.wait_ready().await;
    other
        .wait_topology("cluster-1", &primary, &[&first, &chained])
        .await;
    chained.wait_in_step_with(&primary).await;
    let lack = other.admin("keepers").await["files-lack"].clone();
    let node = format!("{} of cluster cluster-1", chained.node());
    assert_eq!(lack, serde_json::json!({ lacking.id(): [node] }));
    let log = lacking.process().log();
    assert!(
        log.contains("stepping down for a keeper whose file has more nodes"),
        "{log}"
    );
}
