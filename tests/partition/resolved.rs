//! Nodes have names, and the keepers' name server hangs, or denies the names.

use futures::future::join_all;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use keeper_site::writer::Writer;
use serde_json::json;

use crate::TURN;
use crate::name_server::{Mood, NameServer};
use crate::named::{NAMES, Named, ip, wait_followed};

/// More ticks than a mark-down time has.
const PAST_MARK_DOWN: u64 = 15;

/// Keepers whose files have names that only a name server resolves.
async fn open(name: &str) -> (Named, NameServer) {
    let named = Named::open_by_name(name).await;
    let site = &named.site;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    let known = [0, 1, 2].map(|at| (NAMES[at], ip(&site.redis[at])));
    let server = NameServer::start(named.spare, &known).await;
    for etc in &named.keepers_see {
        etc.set_name_server(Some(server.at()));
        etc.set_hosts(&[]);
    }
    (named, server)
}

/// Kills `primary`, waits until another one is published and HAProxy sends writers there, and returns that one.
async fn assert_replaced<'a>(named: &'a Named, primary: &Redis) -> &'a Redis {
    let site = &named.site;
    primary.kill();
    let new = eventually(SOON, "a new primary", async || {
        for redis in &site.redis {
            if redis.at() != primary.at() && redis.is_primary().await {
                return Ok(redis);
            }
        }
        Err("none")
    })
    .await;
    let other = site.third(primary, new);
    site.wait_routes(new, &[other]).await;
    new
}

/// Asserts that no keeper has a vote against a node, after some probes of all nodes.
async fn assert_no_votes(named: &Named) {
    let keepers = named.site.keepers.iter();
    let pairs = keepers.flat_map(|keeper| NAMES.map(|name| (keeper, name)));
    join_all(pairs.map(async |(keeper, name)| {
        let path = format!("clusters/cluster-1/nodes/{name}:{}", named.port());
        let mut goal = None;
        let view = eventually(SOON, format!("probes of {name}"), async || {
            let view = keeper.admin(&path).await;
            let probes = view["monitor"]["probes"].as_u64();
            goal = goal.or(probes.map(|probes| probes + PAST_MARK_DOWN));
            let enough = goal.is_some() && probes >= goal;
            enough.then(|| view.clone()).ok_or(view)
        })
        .await;
        let votes = &view["verdict"]["votes"];
        assert_eq!(*votes, json!({}), "{}: {view}", keeper.id());
    }))
    .await;
}

#[tokio::test]
async fn a_name_server_that_hangs_saves_no_dead_primary_and_costs_no_healthy_one() {
    let _turn = TURN.lock().await;
    let (named, server) = open("hanging_names").await;
    let site = &named.site;
    let [primary, ..] = &site.redis;
    let generation = site.keepers[0].generation("cluster-1").await;
    let falls = site.falls().await;
    assert_no_votes(&named).await;

    server.set(Mood::Hangs);
    for _ in 0..2 {
        // Each keeper has to connect again.
        for redis in &site.redis {
            redis.run::<()>("CLIENT KILL TYPE normal SKIPME yes").await;
        }
        assert_no_votes(&named).await;
    }
    assert_eq!(site.keepers[0].generation("cluster-1").await, generation);
    assert_eq!(site.falls().await, falls);

    let writer = Writer::start(site.writes());
    writer.wait_writes(50).await;
    let new = assert_replaced(&named, primary).await;
    primary.revive().await;
    let other = site.third(primary, new);
    wait_followed(new, &[primary, other]).await;
    site.wait_routes(new, &[primary, other]).await;
    writer.wait_writes(50).await;
}

#[tokio::test]
async fn a_dead_primary_whose_name_is_gone_is_replaced_by_restarted_keepers() {
    let _turn = TURN.lock().await;
    let (named, server) = open("gone_names").await;
    let site = &named.site;
    let [primary, ..] = &site.redis;
    assert_no_votes(&named).await;

    server.set(Mood::Denies);
    let leader = site.keepers.wait_leader().await;
    for keeper in [1, 2].map(|next| &site.keepers[(leader + next) % 3]) {
        keeper.process().terminate();
        keeper.process().wait_exit().await;
        keeper.process().restart();
        keeper.wait_ready().await;
    }
    assert_no_votes(&named).await;
    assert_replaced(&named, primary).await;
}

/// A line may be left over in `/etc/hosts`: once the primary is dead, its name leads keepers to a replica.
#[tokio::test]
async fn a_primary_whose_name_has_a_replicas_address_too_is_replaced_and_nothing_is_lost() {
    let _turn = TURN.lock().await;
    let named = Named::open_by_name("two_addresses").await;
    let site = &named.site;
    let [primary, first, second] = &site.redis;
    site.wait_routes(primary, &[first, second]).await;
    let [one, two, three] = [0, 1, 2].map(|at| (NAMES[at], ip(&site.redis[at])));
    for etc in &named.keepers_see {
        etc.set_hosts(&[one, (NAMES[0], ip(first)), two, three]);
    }
    primary.write_keys("kept", 100).await;
    for replica in [first, second] {
        replica.wait_key_count(100).await;
    }
    let new = assert_replaced(&named, primary).await;
    let other = site.third(primary, new);
    for redis in [new, other] {
        redis.wait_key_count(100).await;
    }
    let told = ["redis-1", "redis-2", "are one server under two names"];
    for keeper in site.keepers.iter() {
        keeper.wait_plan("cluster-1", &told).await;
    }
    // While that line is there, no keeper sees the old primary.
    for etc in &named.keepers_see {
        etc.set_hosts(&[one, two, three]);
    }
    primary.revive().await;
    for keeper in site.keepers.iter() {
        keeper.process().terminate();
        keeper.process().wait_exit().await;
        keeper.process().restart();
        keeper.wait_ready().await;
    }
    site.wait_routes(new, &[primary, other]).await;
    for redis in &site.redis {
        redis.wait_key_count(100).await;
    }
}
