//! HAProxy in front of the keepers: with the former configuration, and with the recommended one.

use std::time::Duration;

use keeper_site::net::Net;
use keeper_site::raw_session::RawSession;
use keeper_site::redis::Redis;
use keeper_site::site::{CLASSIC, RECOMMENDED, Site, WRITES};
use keeper_site::wait::{SOON, eventually};
use keeper_site::writer::Writer;
use keeper_site::zookeeper::{Prefix, ZooKeeper};
use tokio::time::sleep;

/// Longer than the lease and the ZooKeeper session: by then a missing keeper has had every effect that it can have.
const LONG: Duration = Duration::from_secs(3);
/// Long enough for several checks of every server.
const SHORT: Duration = Duration::from_secs(1);

fn ip(redis: &Redis) -> String {
    redis.at().ip().to_string()
}

fn ips(redis: &[&Redis]) -> Vec<String> {
    let mut ips: Vec<_> = redis.iter().map(|it| ip(it)).collect();
    ips.sort();
    ips
}

/// A site with the recommended configuration, which sends writes to the first server.
async fn recommended(prefix: &Prefix<'_>) -> Site {
    let net = Net::fleet().await;
    let site = Site::open(net, prefix, RECOMMENDED, &[]).await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    site
}

#[tokio::test]
async fn the_classic_configuration_routes_writes_and_reads_also_after_a_failover() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::shared().await;
    let prefix = zookeeper.prefix("classic");
    let site = Site::open(net, &prefix, CLASSIC, &[("inter 10s", "inter 200ms")]).await;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    assert_eq!(site.readers().await, ips(&[primary, first, second]));
    let writer = Writer::start(site.writes());
    writer.wait_writes(50).await;
    primary.wait_followed_by(&[first, second]).await;

    let elected = site.fail_over(primary).await;
    let other = site.third(primary, elected);
    writer.wait_writes(50).await;
    assert_eq!(site.readers().await, ips(&[elected, other]));

    primary.revive().await;
    primary.wait_in_step_with(elected).await;
    site.wait_routes(elected, &[primary, other]).await;
    writer.wait_writes(50).await;
    let diary = writer.stop();
    assert_eq!(
        diary.cut_sessions, 1,
        "that of the killed primary: {diary:?}"
    );
    let readonly: Vec<_> = diary
        .refusals
        .iter()
        .filter(|it| it.contains("READONLY"))
        .collect();
    assert!(
        readonly.is_empty(),
        "no write went to a replica: {readonly:?}"
    );
}

#[tokio::test]
async fn no_client_notices_a_keeper_killed_frozen_restarted_or_cut_from_zookeeper() {
    let prefix = ZooKeeper::shared().await.prefix("one_keeper_away");
    let site = recommended(&prefix).await;
    // After its start, HAProxy takes every server for UP until its first check.
    let falls = site.falls().await;
    let writer = Writer::start(site.writes());
    let mut idle = RawSession::open(site.reads()).await;
    let undisturbed = async |what: String, span: Duration| {
        sleep(span).await;
        writer.wait_writes(50).await;
        let diary = writer.diary();
        let cuts = (diary.cut_sessions, diary.failed_connects, diary.refusals);
        assert_eq!(cuts, (0, 0, Vec::new()), "{what}");
        assert_eq!(site.falls().await, falls, "{what}");
    };
    for turn in 0..2 {
        // The keeper is the leader in the first turn, and another one in the second.
        let keeper = &site.keepers[(site.keepers.wait_leader().await + turn) % 3];
        let back = async |from: &str| {
            keeper.wait_ready().await;
            undisturbed(format!("{} back from {from}", keeper.id()), SHORT).await;
        };
        let away = async |how: &str| undisturbed(format!("{} {how}", keeper.id()), LONG).await;

        keeper.process().kill();
        away("killed").await;
        keeper.process().restart();
        back("death").await;

        keeper.process().pause();
        away("frozen").await;
        keeper.process().resume();
        back("the freeze").await;

        keeper.process().terminate();
        keeper.process().wait_exit().await;
        keeper.process().restart();
        back("a restart").await;

        keeper.cut_from_zookeeper().await;
        away("cut off").await;
        keeper.restore_zookeeper().await;
        back("the cut").await;

        keeper.silence_zookeeper();
        away("in silence").await;
        keeper.restore_zookeeper().await;
        back("silence").await;
    }
    idle.ping().await;
}

#[tokio::test]
async fn a_switchover_under_load_loses_no_write_acknowledged_through_haproxy() {
    let prefix = ZooKeeper::shared().await.prefix("switched_behind_a_proxy");
    let site = recommended(&prefix).await;
    let [primary, first, second] = &site.redis;
    let writer = Writer::start(site.writes());
    writer.wait_writes(50).await;
    primary.wait_followed_by(&[first, second]).await;

    for (from, to, other) in [(primary, first, second), (first, primary, second)] {
        site.switch_over(to).await;
        site.wait_routes(to, &[from, other]).await;
        writer.wait_writes(50).await;
    }
    let diary = writer.stop();
    assert_eq!(diary.lost_at(primary).await, Vec::<u64>::new());
}

#[tokio::test]
async fn a_stale_keeper_of_three_keeps_no_old_primary_up_and_old_sessions_are_shut() {
    let prefix = ZooKeeper::shared().await.prefix("stale_keeper");
    let site = recommended(&prefix).await;
    let primary = &site.redis[0];
    let mut session = RawSession::open(site.writes()).await;

    // A keeper that does not lead hears nothing of the following changes.
    let leader = site.keepers.wait_leader().await;
    let stale = &site.keepers[(leader + 1) % 3];
    let others: Vec<_> = site
        .keepers
        .iter()
        .filter(|it| it.id() != stale.id())
        .collect();
    stale.silence_zookeeper();
    primary.pause();
    let elected = site.wait_failover(&others, primary).await;

    site.proxy
        .wait_up(WRITES, &[&elected.node().to_string()])
        .await;
    session.wait_shut().await;
    primary.resume();
    primary.wait_in_step_with(elected).await;
    site.wait_routes(elected, &[primary, site.third(primary, elected)])
        .await;
    let says = stale
        .is_writable("cluster-1", primary)
        .await
        .expect("an answer");
    assert_ne!(says.code, 200, "{says:?}");
    let writer = Writer::start(site.writes());
    writer.wait_writes(50).await;
    assert_eq!(writer.stop().refusals, Vec::<String>::new());
    eventually(SOON, "it back in touch", async || {
        stale.restore_zookeeper().await;
        stale.status("cluster-1").await.and_then(|status| {
            (status.primary == Some(elected.node()))
                .then_some(())
                .ok_or_else(|| format!("{status:?}"))
        })
    })
    .await;
}
