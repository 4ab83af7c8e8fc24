//! The steps of `docs/from-sentinel.md`, on a site that Sentinels manage.

use std::time::Duration;

use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::sentinel::Sentinel;
use keeper_site::site::{RECOMMENDED, Site};
use keeper_site::wait::{SOON, eventually};
use keeper_site::writer::{Diary, Writer};
use keeper_site::zookeeper::{Prefix, ZooKeeper};

/// Longer than a busy machine freezes, as Sentinel's default of 30 s is.
const DOWN_AFTER: Duration = Duration::from_secs(10);

/// The first number of the writer that moves to HAProxy.
const MOVED: u64 = 1_000_000;

/// Three Sentinels with a quorum of two. Returns once they know each other and the replicas.
async fn sentinels(net: &Net, primary: &Redis) -> [Sentinel; 3] {
    let launch = || Sentinel::launch(net.host(), primary.at(), 2, DOWN_AFTER);
    let sentinels = [launch(), launch(), launch()];
    for sentinel in &sentinels {
        sentinel.wait_knowing(2, 3).await;
    }
    sentinels
}

/// Three keepers that have noticed the Sentinels.
async fn keepers_beside(net: &Net, prefix: &Prefix<'_>, redis: &[Redis; 3]) -> Keepers {
    let settings = Settings::new()
        .set("admin-operations", true)
        .cluster("cluster-1", redis);
    let keepers = Keepers::start(3, net, prefix, &settings).await;
    let [primary, first, second] = redis;
    keepers
        .wait_topology("cluster-1", primary, &[first, second])
        .await;
    let leader = keepers.wait_leader().await;
    keepers[leader]
        .wait_plan("cluster-1", &["Sentinel is at work"])
        .await;
    keepers
}

/// Asserts that no write was refused, no session was cut, and no write waited longer than a new connection may take.
fn assert_undisturbed(diary: &Diary, until: &str) {
    let cuts = (diary.cut_sessions, diary.failed_connects, &diary.refusals);
    assert_eq!(cuts, (0, 0, &Vec::new()), "{until}");
    assert!(
        diary.longest_gap < Duration::from_secs(2),
        "{until}: {diary:?}"
    );
}

#[tokio::test]
async fn a_site_moves_from_sentinels_to_keepers_without_a_gap_or_a_lost_write() {
    let net = Net::fleet().await;
    let prefix = ZooKeeper::shared().await.prefix("from_sentinel");
    let redis = Redis::trio(&net).await;
    let sentinels = sentinels(&net, &redis[0]).await;
    let told = sentinels[0].primary().await;
    assert_eq!(told, redis[0].at());
    let before = Writer::start(told);
    before.wait_writes(50).await;

    // The keepers start beside the Sentinels: they publish the primary, and command nothing.
    let keepers = keepers_beside(&net, &prefix, &redis).await;
    let leader = keepers.wait_leader().await;

    // Then HAProxy starts, and then the clients move, one after another.
    let site = Site::open_for(net, (redis, keepers), RECOMMENDED, &[]).await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    let after = Writer::start_with(site.writes(), MOVED);
    after.wait_writes(50).await;
    before.wait_writes(50).await;
    let before = before.stop();
    assert_undisturbed(&before, "the client moves");

    // The Sentinels leave: each says that it has no such primary. A client that still asked one would stop here.
    for sentinel in &sentinels {
        sentinel.remove().await;
    }
    eventually(SOON, "the keepers to be alone", async || {
        let view = site.keepers[leader].admin("clusters/cluster-1").await;
        let plan = view["plan"].to_string();
        (!plan.contains("Sentinel")).then_some(()).ok_or(plan)
    })
    .await;
    for sentinel in &sentinels {
        sentinel.stop().await;
    }
    after.wait_writes(50).await;
    assert_undisturbed(&after.diary(), "the Sentinels leave");
    let roles = (
        primary.is_primary().await,
        first.is_primary().await,
        second.is_primary().await,
    );
    assert_eq!(roles, (true, false, false), "nobody was commanded");

    // The keepers' first change of the primary is a switchover, and loses nothing.
    first.wait_data().await;
    site.switch_over(first).await;
    site.wait_routes(first, &[primary, second]).await;
    after.wait_writes(50).await;
    let after = after.stop();
    assert!(
        after.longest_gap < Duration::from_secs(5),
        "{:?}",
        after.longest_gap
    );
    for diary in [before, after] {
        assert_eq!(diary.lost_at(first).await, Vec::<u64>::new());
    }

    // The second change is a failover.
    first.kill();
    let asked: Vec<_> = site.keepers.iter().collect();
    site.wait_failover(&asked, first).await;
}

#[tokio::test]
async fn while_a_site_moves_its_sentinels_replace_a_dead_primary_and_haproxy_follows_them() {
    let net = Net::fleet().await;
    let prefix = ZooKeeper::shared().await.prefix("amid_a_move");
    let redis = Redis::trio(&net).await;
    let sentinels = sentinels(&net, &redis[0]).await;
    let keepers = keepers_beside(&net, &prefix, &redis).await;
    let site = Site::open_for(net, (redis, keepers), RECOMMENDED, &[]).await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    let writer = Writer::start(site.writes());
    writer.wait_writes(50).await;

    let elected = site.fail_over(primary).await;
    writer.wait_writes(50).await;
    eventually(SOON, "the Sentinels to name it, too", async || {
        let named = sentinels[0].primary().await;
        (named == elected.at()).then_some(()).ok_or(named)
    })
    .await;
    let commanded = site
        .keepers
        .deeds()
        .into_iter()
        .find(|deed| deed.what == "promoted" || deed.what == "made to follow the primary");
    assert!(commanded.is_none(), "the Sentinels did it: {commanded:?}");
}
