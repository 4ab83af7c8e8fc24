//! No keeper reaches the published primary, and clients do.

use keeper_site::insistence::Insistence;
use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::site::{RECOMMENDED, Site};
use keeper_site::wait::{SOON, eventually};
use keeper_site::writer::Writer;
use keeper_site::zookeeper::ZooKeeper;

const CLUSTER: &str = "cluster-1";
const KEEPERS: [&str; 3] = ["keeper-1", "keeper-2", "keeper-3"];

/// Enough writes for several checks of every server.
const WRITES: usize = 500;

#[tokio::test]
async fn a_cut_between_keepers_and_servers_costs_no_client_of_the_primary_its_session() {
    let net = Net::fleet().await;
    let trio = Redis::trio_behind_links(&net).await;
    // No replica may take over, so the silence of others changes nothing.
    for replica in &trio[1..] {
        replica.run::<()>("CONFIG SET replica-priority 0").await;
    }
    // HAProxy sends clients past the links.
    let way = |redis: &Redis| {
        let node = redis.node();
        let server = |at: String| format!("server {node} {at}");
        (
            server(node.to_string()),
            server(redis.plain_address().to_string()),
        )
    };
    let ways = trio.each_ref().map(way);
    let ways = ways
        .each_ref()
        .map(|(from, to)| (from.as_str(), to.as_str()));
    let prefix = ZooKeeper::shared().await.prefix("out_of_sight");
    let settings = Settings::patient().cluster(CLUSTER, &trio);
    let keepers = Keepers::start(3, &net, &prefix, &settings).await;
    let site = Site::open_for(net, (trio, keepers), RECOMMENDED, &ways).await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    for keeper in site.keepers.iter() {
        let what = format!("{} to know the priorities", keeper.id());
        eventually(SOON, what, async || {
            let path = format!("clusters/{CLUSTER}/explain");
            let told = keeper.admin(&path).await.to_string();
            let nobody = told.contains("nobody would take over");
            nobody.then_some(()).ok_or(told)
        })
        .await;
    }
    let generation = site.keepers[0].generation(CLUSTER).await;
    let falls = site.falls().await;
    let insistence = Insistence::start(&site.keepers, &[(CLUSTER, primary)]);
    let writer = Writer::start(site.writes());
    writer.wait_writes(WRITES).await;

    // Only the primary falls silent: HAProxy marks no server DOWN.
    primary.link().silence();
    for keeper in site.keepers.iter() {
        keeper.wait_votes(CLUSTER, primary, &KEEPERS).await;
    }
    writer.wait_writes(WRITES).await;
    assert_eq!(site.falls().await, falls);

    // All servers fall silent: no replica is readable any more.
    for replica in [first, second] {
        replica.link().silence();
    }
    for keeper in site.keepers.iter() {
        for replica in [first, second] {
            keeper.wait_votes(CLUSTER, replica, &KEEPERS).await;
        }
    }
    site.wait_routes(primary, &[]).await;
    writer.wait_writes(WRITES).await;
    for redis in [second, first, primary] {
        redis.link().restore().await;
    }
    site.wait_routes(primary, &[first, second]).await;
    writer.wait_writes(WRITES).await;

    let mut now = site.falls().await;
    for replica in [first, second].map(|it| it.node().to_string()) {
        let fallen = now[1].insert(replica.clone(), falls[1][&replica]);
        assert!(fallen > Some(falls[1][&replica]), "{replica} was silent");
    }
    assert_eq!(now, falls, "nothing else fell");
    insistence.assert_always_yes();
    let diary = writer.stop();
    let lost = (diary.cut_sessions, diary.failed_connects, &diary.refusals);
    assert_eq!(lost, (0, 0, &Vec::new()), "what clients noticed");
    for keeper in site.keepers.iter() {
        assert_eq!(keeper.generation(CLUSTER).await, generation);
    }
}
