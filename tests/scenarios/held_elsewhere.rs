//! Data survive that a single node holds: though the node hangs, and though no keeper could write down which node
//! holds them.

use keeper_site::checks::Checks;
use keeper_site::keeper::{Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, Role};
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;

#[tokio::test]
async fn a_replica_that_has_more_and_hangs_at_the_election_is_waited_for() {
    let net = Net::fleet().await;
    let nodes = Redis::trio_behind_links(&net).await;
    let [primary, behind, ahead] = &nodes;
    primary.write_keys("both", 100).await;
    primary.wait_followed_by(&[behind, ahead]).await;
    let prefix = ZooKeeper::shared().await.prefix("hangs_at_the_election");
    let settings = Settings::new().set("seconds-mark-down", 6);
    let all = [primary, behind, ahead];
    let keepers = Keepers::start_for(3, &net, &prefix, settings, &all).await;
    keepers
        .wait_topology("cache", primary, &[behind, ahead])
        .await;
    let leader = &keepers[keepers.wait_leader().await];

    primary.link().bar(behind.process().id());
    primary.write_keys("one", 100).await;
    ahead.wait_key_count(200).await;
    leader.wait_probes("cache", ahead, 2).await;
    primary.kill();
    // The vote on the node that hangs is due later than the vote on the primary.
    eventually(SOON, "the primary to be silent for a while", async || {
        let node = leader.node("cache", primary).await;
        let silent = node["monitor"]["last-proof-of-life-age-seconds"].as_f64();
        (silent > Some(2.0)).then_some(()).ok_or(node)
    })
    .await;
    ahead.pause();
    // The leader may have changed by now.
    eventually(
        SOON,
        "the leader to wait for the one that hangs",
        async || {
            let leader = &keepers[keepers.wait_leader().await];
            let plan = leader.admin("clusters/cache").await["plan"].to_string();
            let told = plan.contains("was last read with");
            told.then_some(()).ok_or(plan)
        },
    )
    .await;
    ahead.resume();
    let takes_over = leader.wait_replaced("cache", primary).await;
    assert_eq!(takes_over, ahead.node());
    behind.wait_in_step_with(ahead).await;
    assert_eq!(behind.key_count().await, 200);
}

#[tokio::test]
async fn a_primary_moved_twice_by_hand_without_zookeeper_is_adopted_with_its_data() {
    let net = Net::fleet().await;
    let [primary, first, second] = Redis::trio(&net).await;
    let nodes = [&primary, &first, &second];
    primary.write_keys("old", 50).await;
    primary.save().await;
    let zookeeper = ZooKeeper::ensemble(&net, 1).await;
    let [server] = zookeeper.servers() else {
        panic!("one server")
    };
    let prefix = zookeeper.prefix("moved_twice");
    let keepers = Keepers::start_for(3, &net, &prefix, Settings::new(), &nodes).await;
    primary.write_keys("new", 50).await;
    primary.wait_followed_by(&[&first, &second]).await;
    keepers
        .wait_topology("cache", &primary, &[&first, &second])
        .await;
    let checks = Checks::start(&keepers, "cache", &nodes);

    server.process().kill();
    primary.kill();
    for (to, other) in [(&first, &second), (&second, &first)] {
        to.run::<()>("REPLICAOF NO ONE").await;
        to.wait_role(Role::Primary).await;
        other.follow(to).await;
        other.wait_in_step_with(to).await;
        for keeper in keepers.iter() {
            keeper.wait_probes("cache", to, 2).await;
        }
    }
    second.write_keys("by hand", 100).await;
    first.wait_key_count(200).await;

    server.revive().await;
    keepers.wait_topology("cache", &second, &[&first]).await;
    primary.revive().await;
    keepers
        .wait_topology("cache", &second, &[&primary, &first])
        .await;
    for redis in [&primary, &first] {
        redis.wait_in_step_with(&second).await;
        assert_eq!(redis.key_count().await, 200);
    }
    checks.assert_never_two();
}

#[tokio::test]
async fn without_zookeeper_a_primary_back_behind_its_replicas_is_not_writable() {
    let net = Net::fleet().await;
    let nodes = Redis::trio_behind_links(&net).await;
    let [primary, first, second] = &nodes;
    let all = [primary, first, second];
    primary.write_keys("old", 50).await;
    primary.save().await;
    let zookeeper = ZooKeeper::ensemble(&net, 1).await;
    let [server] = zookeeper.servers() else {
        panic!("one server")
    };
    let prefix = zookeeper.prefix("back_with_less");
    let keepers = Keepers::start_for(1, &net, &prefix, Settings::new(), &all).await;
    let keeper = &keepers[0];
    primary.wait_followed_by(&[first, second]).await;
    keepers
        .wait_topology("cache", primary, &[first, second])
        .await;
    // By then a history that differs from the present one is no news.
    keeper.wait_plan("cache", &["nothing to do"]).await;
    primary.write_keys("new", 50).await;
    for replica in [first, second] {
        replica.wait_key_count(100).await;
        primary.link().bar(replica.process().id());
    }
    server.process().kill();
    primary.kill();
    primary.revive().await;
    assert_eq!(primary.key_count().await, 50);
    let forgetful = primary.forgets_its_history().await;
    eventually(
        SOON,
        "it to be unknown whether it is writable",
        async || {
            let answer = keeper.is_writable("cache", primary).await;
            let answer = answer.map_err(|error| error.to_string())?;
            let told = forgetful || answer.body.to_string().contains("with less data than");
            (answer.code == 500 && told)
                .then_some(())
                .ok_or(answer.body)
        },
    )
    .await;
    server.revive().await;
    let takes_over = keeper.wait_replaced("cache", primary).await;
    let [successor, _] = keeper.elected("cache", [first, second]).await;
    assert_eq!(takes_over, successor.node());
    primary.wait_in_step_with(successor).await;
    assert_eq!(primary.key_count().await, 100);
}
