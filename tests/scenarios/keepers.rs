//! Keepers that join, leave, and are taken for others.

use std::collections::BTreeSet;

use futures::future::select_all;
use keeper_site::checks::Checks;
use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::leadership::{BEGUN, Deed};
use keeper_site::link::{Catch, PROMOTION};
use keeper_site::net::Net;
use keeper_site::process::Process;
use keeper_site::redis::{Redis, Role};
use keeper_site::solo::Solo;
use keeper_site::tree::Tree;
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;
use tokio::time::timeout;

// === three of four keepers have left or died ===

#[tokio::test]
async fn of_four_keepers_the_one_left_by_three_orderly_departures_fails_over() {
    one_of_four_fails_over("three_departed", Process::terminate).await;
}

#[tokio::test]
async fn of_four_keepers_the_one_left_by_three_deaths_fails_over() {
    one_of_four_fails_over("three_died", Process::kill).await;
}

async fn one_of_four_fails_over(name: &str, end: fn(&Process)) {
    let trio = Trio::start(name, 4, Settings::new()).await;
    let keepers = &trio.keepers;
    let [primary, first, second] = &trio.redis;

    let leader = keepers.wait_leader().await;
    let left = &keepers[(leader + 1) % keepers.len()];
    for keeper in keepers.iter().filter(|keeper| keeper.id() != left.id()) {
        end(keeper.process());
    }
    primary.kill();

    left.wait_replaced("cache", primary).await;
    let [winner, other] = left.elected("cache", [first, second]).await;
    winner.wait_role(Role::Primary).await;
    other.wait_in_step_with(winner).await;
    assert_eq!(
        Tree::of(&trio.prefix).await.children("/keepers").await,
        [left.id()],
        "the others are gone from ZooKeeper"
    );
}

// === an expired session ===

#[tokio::test]
async fn a_leader_whose_session_is_expired_does_nothing_more_in_its_old_epoch() {
    let net = Net::fleet().await;
    let [primary, first, second] = Redis::trio_behind_links(&net).await;
    let all = [&primary, &first, &second];
    let prefix = ZooKeeper::shared().await.prefix("expired_leader");
    let tree = Tree::of(&prefix).await;
    let keepers = Keepers::start_for(3, &net, &prefix, Settings::new(), &all).await;
    let leader = keepers.wait_leader().await;
    let expired = &keepers[leader];
    let epoch = expired.leads_with().await.expect("it leads");

    let checks = Checks::start(&keepers, "cache", &all);

    // The leader loses its session while its promotion is on its way to the server.
    kill_until_promotion(&primary, [&first, &second]).await;
    prefix
        .expire_owner_of(&format!("/keepers/{}", expired.id()))
        .await;

    let successor = keepers.wait_leader_other_than(Some(leader)).await;
    assert!(
        keepers[successor].leads_with().await > Some(epoch),
        "a higher epoch"
    );
    for keeper in keepers.iter() {
        keeper.wait_replaced("cache", &primary).await;
    }
    assert!(
        expired.process().log().contains("not leading any more"),
        "the one that lost its session says so"
    );
    let log = keepers[successor].process().log();
    assert!(
        log.contains("killed an older command connection"),
        "the promotion under way was fenced off: {log}"
    );
    // Only now the promotion arrives.
    for replica in [&first, &second] {
        replica.link().let_go();
    }
    assert_epochs_in_order(&keepers.deeds());

    // The keeper takes part again: its heartbeat and its latch node are back. Alone, it leads and acts.
    expired.wait_ready().await;
    eventually(SOON, "its place in the latch", async || {
        let latches = tree.children("/leader").await;
        let own = latches
            .iter()
            .any(|name| name.starts_with(&format!("{}@", expired.id())));
        own.then_some(()).ok_or_else(|| format!("{latches:?}"))
    })
    .await;
    primary.revive().await;
    let [promoted, _] = expired.elected("cache", [&first, &second]).await;
    primary.wait_in_step_with(promoted).await;
    for keeper in keepers.iter().filter(|keeper| keeper.id() != expired.id()) {
        keeper.process().terminate();
    }
    eventually(SOON, "it to lead again", async || {
        let leads = expired.leads_with().await;
        leads
            .filter(|now| *now > epoch)
            .ok_or_else(|| format!("{leads:?}"))
    })
    .await;
    checks.assert_never_two();
    promoted.kill();
    expired.wait_replaced("cache", promoted).await;
    assert_epochs_in_order(&keepers.deeds());
    assert_orders_in_order(all, epoch);
    let (state, _) = tree.json("/clusters/cache").await;
    assert_eq!(
        state["epoch"].as_u64(),
        expired.leads_with().await,
        "{state}"
    );
}

/// Kills `primary`, and stops the promotion of one of `replicas` on its way.
async fn kill_until_promotion(primary: &Redis, replicas: [&Redis; 2]) {
    for replica in replicas {
        replica.link().set_trap(Catch::Before(PROMOTION.to_owned()));
    }
    primary.kill();
    let caught = replicas.map(|replica| Box::pin(replica.link().caught()));
    timeout(SOON, select_all(caught))
        .await
        .expect("a promotion");
    for replica in replicas {
        replica.link().disarm();
    }
}

/// Asserts that the servers got commands in the order of epochs, and that an epoch above `epoch` was among them.
fn assert_orders_in_order(nodes: [&Redis; 3], epoch: u64) {
    let mut orders: Vec<_> = nodes.iter().flat_map(|it| it.link().orders()).collect();
    orders.retain(|order| order.epoch.is_some());
    orders.sort();
    let in_order = orders.windows(2).all(|two| two[0].epoch <= two[1].epoch);
    assert!(in_order, "{orders:#?}");
    let later = orders.iter().any(|order| order.epoch > Some(epoch));
    assert!(later, "{orders:#?}");
}

/// Asserts that no leader acts under an epoch once a higher one has begun, and that no epoch has two leaderships.
fn assert_epochs_in_order(deeds: &[Deed]) {
    let in_order = deeds.windows(2).all(|two| two[0].epoch <= two[1].epoch);
    assert!(in_order, "{deeds:#?}");
    let begun = deeds.iter().filter(|deed| deed.what == BEGUN);
    let begun: Vec<_> = begun.map(|deed| deed.epoch).collect();
    let distinct: BTreeSet<_> = begun.iter().collect();
    assert_eq!(begun.len(), distinct.len(), "{deeds:#?}");
    assert!(!begun.is_empty(), "somebody has led");
}

// === two keepers with one id ===

#[tokio::test]
async fn a_second_keeper_with_the_same_id_ends_naming_the_holder_who_goes_on_undisturbed() {
    let solo = Solo::start("one_id").await;
    let (holder, redis) = (&solo.keeper, &solo.redis);
    holder.wait_primary("cache", redis).await;
    let session = holder.get("/admin/keepers").await.expect("an answer").body["session"].clone();

    let second = Keeper::launch("keeper-1", &solo.net, &solo.prefix, &solo.settings).await;
    let status = second.process().wait_exit().await;
    assert_eq!(status.code(), Some(1));
    let log = second.process().log();
    let last = log.lines().last().expect("last words");
    let host = hostname::get().expect("a host name");
    for named in [
        "keeper-id keeper-1 is held by".to_owned(),
        format!("process {} ", holder.process().id()),
        format!("on {}", host.to_string_lossy()),
        holder.http().to_string(),
    ] {
        assert!(last.contains(&named), "{named:?} is not in {last:?}");
    }
    assert!(second.get("/ready").await.is_err(), "it listens no more");

    let now = holder.get("/admin/keepers").await.expect("an answer").body;
    assert_eq!(now["session"], session, "the holder kept its session");
    assert!(now["leading-with-epoch"].is_u64(), "and leads: {now}");
    assert_eq!(
        holder
            .is_writable("cache", redis)
            .await
            .expect("an answer")
            .code,
        200
    );
}

#[tokio::test]
async fn a_killed_keeper_that_is_restarted_at_once_waits_out_what_it_left_behind() {
    let solo = Solo::start("own_leftover").await;
    let (keeper, redis) = (&solo.keeper, &solo.redis);
    for _ in 0..2 {
        keeper.wait_primary("cache", redis).await;
        keeper.process().restart();
    }
    keeper.wait_primary("cache", redis).await;
    let log = keeper.process().log();
    let waited = log
        .matches("waiting for an earlier run's session to end")
        .count();
    assert_eq!(waited, 2, "{log}");
    assert_eq!(
        Tree::of(&solo.prefix).await.children("/keepers").await,
        ["keeper-1"]
    );
}
