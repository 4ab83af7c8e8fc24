//! Failsafe mode: keepers go on without ZooKeeper while all of them consent (RK-8).

use keeper_site::checks::Checks;
use keeper_site::insistence::Insistence;
use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::{Prefix, ZooKeeper};
use rustix::process::Signal;
use serde_json::json;

/// Waits until the keeper answers by the consent of all, or does so no more.
async fn wait_failsafe(keeper: &Keeper, wanted: bool) {
    let what = format!("{}, failsafe {wanted}", keeper.id());
    eventually(SOON, what, async || {
        let answer = keeper.get("/ready").await;
        let answer = answer.map_err(|error| error.to_string())?;
        let is = answer.body == json!({ "ready": true, "failsafe": wanted });
        is.then_some(()).ok_or_else(|| format!("{answer:?}"))
    })
    .await;
}

/// Waits until the keeper's failsafe list has this many others.
async fn wait_asks(keeper: &Keeper, others: usize) {
    eventually(SOON, format!("{others} to ask"), async || {
        let answer = keeper.get("/admin/keepers").await;
        let answer = answer.map_err(|error| error.to_string())?;
        let asks = answer.body["failsafe"]["asks"].as_array();
        let so_many = asks.is_some_and(|asks| asks.len() == others);
        so_many.then_some(()).ok_or_else(|| answer.body.to_string())
    })
    .await;
}

/// Three keepers that have each other on their failsafe lists.
async fn in_touch(net: &Net, prefix: &Prefix<'_>, settings: Settings, nodes: &[&Redis]) -> Keepers {
    let keepers = Keepers::start_for(3, net, prefix, settings, nodes).await;
    for keeper in keepers.iter() {
        wait_asks(keeper, 2).await;
    }
    keepers
}

#[tokio::test]
async fn a_stopped_ensemble_stops_no_writes_and_its_return_is_not_felt() {
    let net = Net::fleet().await;
    let redis = Redis::trio(&net).await;
    let zookeeper = ZooKeeper::ensemble(&net, 1).await;
    let prefix = zookeeper.prefix("failsafe");
    let nodes = redis.each_ref();
    let keepers = in_touch(&net, &prefix, Settings::patient(), &nodes).await;
    let checks = Checks::start(&keepers, "cache", &nodes);
    let insistence = Insistence::start(&keepers, &[("cache", &redis[0])]);
    let [server] = zookeeper.servers() else {
        panic!("one server")
    };
    server.process().kill();
    for keeper in keepers.iter() {
        wait_failsafe(keeper, true).await;
        let page = keeper.get("/metrics").await.expect("the metrics").body;
        let page = page.as_str().expect("text").to_owned();
        assert!(page.contains("\nredis_keeper_failsafe 1\n"), "{page}");
        let told = keeper.get("/admin/keepers").await.expect("an answer").body;
        assert_eq!(told["failsafe"]["going-on"], true, "{told}");
    }
    server.revive().await;
    for keeper in keepers.iter() {
        wait_failsafe(keeper, false).await;
    }
    insistence.assert_always_yes();
    checks.assert_only(&redis[0]);

    // Failovers work as before: no consent outlives the outage.
    redis[0].process().kill();
    keepers[0].wait_replaced("cache", &redis[0]).await;
    checks.assert_never_two();
}

#[tokio::test]
async fn without_zookeeper_one_keeper_out_of_touch_silences_all_until_it_is_back() {
    let net = Net::fleet().await;
    let redis = Redis::trio(&net).await;
    let zookeeper = ZooKeeper::ensemble(&net, 1).await;
    let prefix = zookeeper.prefix("silenced");
    let nodes = redis.each_ref();
    let keepers = in_touch(&net, &prefix, Settings::patient(), &nodes).await;
    keepers[2].process().kill();
    let [server] = zookeeper.servers() else {
        panic!("one server")
    };
    server.process().kill();
    for keeper in &keepers[..2] {
        eventually(
            SOON,
            format!("{} to fall silent", keeper.id()),
            async || {
                let answer = keeper.get("/ready").await;
                let answer = answer.map_err(|error| error.to_string())?;
                let silent = (answer.code == 503).then_some(());
                silent.ok_or_else(|| format!("{answer:?}"))
            },
        )
        .await;
        let answer = keeper.is_writable("cache", &redis[0]).await;
        assert_eq!(answer.expect("an answer").code, 500);
        let told = keeper.get("/admin/keepers").await.expect("an answer").body;
        let why = &told["failsafe"]["refusals"]["keeper-3"];
        assert!(why.is_string(), "{told}");
    }
    server.revive().await;
    for keeper in &keepers[..2] {
        keeper.wait_ready().await;
    }
}

#[tokio::test]
async fn without_zookeeper_a_keeper_that_an_operator_took_off_is_not_asked() {
    let net = Net::fleet().await;
    let redis = Redis::trio(&net).await;
    let zookeeper = ZooKeeper::ensemble(&net, 1).await;
    let prefix = zookeeper.prefix("taken-off");
    let nodes = redis.each_ref();
    let settings = Settings::patient().set("admin-operations", true);
    let keepers = in_touch(&net, &prefix, settings, &nodes).await;
    let path = "/admin/keepers/keeper-3";
    let refused = keepers[0].delete(path).await.expect("an answer");
    assert_eq!(
        (refused.code, &refused.body["code"]),
        (412, &json!("refused"))
    );
    keepers[2].process().kill();
    eventually(SOON, "keeper-3 to be taken off", async || {
        let answer = keepers[0].delete(path).await;
        let answer = answer.map_err(|error| error.to_string())?;
        (answer.code == 200)
            .then_some(())
            .ok_or_else(|| format!("{answer:?}"))
    })
    .await;
    for keeper in &keepers[..2] {
        wait_asks(keeper, 1).await;
    }
    let again = keepers[1].delete(path).await.expect("an answer");
    assert_eq!(
        (again.code, &again.body["code"]),
        (404, &json!("no-such-keeper"))
    );
    let [server] = zookeeper.servers() else {
        panic!("one server")
    };
    server.process().kill();
    for keeper in &keepers[..2] {
        wait_failsafe(keeper, true).await;
    }
    server.revive().await;
    for keeper in &keepers[..2] {
        wait_failsafe(keeper, false).await;
    }
}

#[tokio::test]
async fn keepers_answer_on_and_fail_nothing_over_while_zookeeper_elects_or_is_away() {
    let net = Net::fleet().await;
    let redis = Redis::trio(&net).await;
    let zookeeper = ZooKeeper::ensemble(&net, 3).await;
    let prefix = zookeeper.prefix("electing");
    let nodes = redis.each_ref();
    let keepers = in_touch(&net, &prefix, Settings::patient(), &nodes).await;
    let generation = keepers[0].generation("cache").await;
    let checks = Checks::start(&keepers, "cache", &nodes);
    let insistence = Insistence::start(&keepers, &[("cache", &redis[0])]);

    let leader = zookeeper.leader().await;
    leader.process().kill();
    let elected = zookeeper.leader().await;
    assert_ne!(elected.at(), leader.at());
    leader.revive().await;
    for keeper in keepers.iter() {
        wait_failsafe(keeper, false).await;
    }
    // A single server of three has no majority.
    let others = zookeeper.servers().iter();
    let others: Vec<_> = others
        .filter(|server| server.at() != elected.at())
        .collect();
    for server in &others {
        server.process().signal(Signal::STOP);
    }
    for keeper in keepers.iter() {
        wait_failsafe(keeper, true).await;
    }
    for server in &others {
        server.process().signal(Signal::CONT);
    }
    for keeper in keepers.iter() {
        wait_failsafe(keeper, false).await;
    }
    insistence.assert_always_yes();
    checks.assert_only(&redis[0]);
    for keeper in keepers.iter() {
        assert_eq!(keeper.generation("cache").await, generation, "no failover");
    }
}

/// Waits until the keeper reports each of these obstacles: a keeper that it could not ask, and the reason.
async fn wait_obstacles(keeper: &Keeper, wanted: &[(&str, &str)]) {
    eventually(
        SOON,
        format!("{} to say {wanted:?}", keeper.id()),
        async || {
            let answer = keeper.get("/ready").await;
            let body = answer.map_err(|error| error.to_string())?.body;
            let told = body["failsafe-obstacles"].as_array().cloned();
            let told: Vec<String> = told.iter().flatten().map(ToString::to_string).collect();
            let says = |(id, why): &(&str, &str)| {
                told.iter()
                    .any(|it| it.starts_with(&format!("\"{id} (")) && it.contains(why))
            };
            let all = told.len() == wanted.len() && wanted.iter().all(says);
            all.then_some(()).ok_or_else(|| body.to_string())
        },
    )
    .await;
}

#[tokio::test]
async fn keepers_that_could_not_ask_each_other_say_so_while_zookeeper_is_well() {
    let net = Net::fleet().await;
    let redis = Redis::trio(&net).await;
    let zookeeper = ZooKeeper::ensemble(&net, 1).await;
    let prefix = zookeeper.prefix("rehearsed");
    let settings = Settings::patient().cluster("cache", &redis);
    let first = Keeper::launch("keeper-1", &net, &prefix, &settings).await;
    let nowhere = settings.clone().set("rest-advertise", "keeper-2.invalid");
    let second = Keeper::launch("keeper-2", &net, &prefix, &nowhere).await;
    let elsewhere = first.http().to_string();
    let anothers = settings.clone().set("rest-advertise", elsewhere);
    let third = Keeper::launch("keeper-3", &net, &prefix, &anothers).await;
    for keeper in [&first, &second, &third] {
        keeper.wait_ready().await;
    }
    let twins = [
        ("keeper-1", "it has the same address as keeper-3"),
        ("keeper-2", "its address does not resolve"),
        ("keeper-3", "it has the same address as keeper-1"),
    ];
    for keeper in [&first, &second, &third] {
        wait_obstacles(keeper, &twins).await;
    }
    let told = first.get("/admin/keepers").await.expect("an answer").body;
    let why = &told["failsafe"]["rehearsed"]["keeper-2"]["obstacle"];
    assert!(
        why.as_str().is_some_and(|why| why.contains("resolve")),
        "{told}"
    );
    let page = first.get("/metrics").await.expect("the metrics").body;
    let page = page.as_str().expect("text");
    assert!(
        page.contains("\nredis_keeper_failsafe_possible 0\n"),
        "{page}"
    );
    let log = first.process().log();
    let wanted = "failsafe: a keeper cannot be asked for its consent";
    assert!(log.contains(wanted), "{log}");

    // Without ZooKeeper no keeper of these goes on, and each gives the reason.
    let [server] = zookeeper.servers() else {
        panic!("one server")
    };
    server.process().kill();
    for keeper in [&first, &second, &third] {
        eventually(
            SOON,
            format!("{} to fall silent", keeper.id()),
            async || {
                let answer = keeper.get("/ready").await;
                let answer = answer.map_err(|error| error.to_string())?;
                let silent = (answer.code == 503).then_some(());
                silent.ok_or_else(|| format!("{answer:?}"))
            },
        )
        .await;
        let told = keeper.get("/admin/keepers").await.expect("an answer").body;
        let why = told["failsafe"]["refusals"].to_string();
        assert!(why.contains("have the same address"), "{told}");
    }
}
