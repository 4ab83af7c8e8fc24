//! A keeper that does not lead explains why it would not carry out its plan: another keeper leads, or none does.

use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;
use serde_json::Value;

/// Waits until the keeper's page of the cluster and its explanation are as wanted.
async fn wait_told(keeper: &Keeper, what: &str, wanted: impl Fn(&Value, &Value) -> bool) {
    eventually(
        SOON,
        format!("{} to tell {what}", keeper.id()),
        async || {
            let view = keeper.admin("clusters/cache").await;
            let explained = keeper.admin("clusters/cache/explain").await;
            let told = wanted(&view, &explained);
            told.then_some(())
                .ok_or_else(|| format!("{} {explained}", view["plan"]))
        },
    )
    .await;
}

fn held_by(explained: &Value) -> &str {
    let held = &explained["if-the-primary-died-now"]["held-by"];
    held[0].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_keeper_that_does_not_lead_says_who_does_and_explains_as_the_leader_does() {
    let trio = Trio::start("who_leads", 3, Settings::new()).await;
    let leader = trio.keepers.wait_leader().await;
    let (id, rest) = (trio.keepers[leader].id(), trio.keepers[leader].http());
    let label =
        format!("{id} leads: ask it at http://{rest}. As this keeper sees it: nothing to do");
    for (place, keeper) in trio.keepers.iter().enumerate() {
        wait_told(keeper, "who leads", |view, explained| {
            let plan = if place == leader {
                "nothing to do"
            } else {
                &label
            };
            view["plan"] == *plan
                && view["leader"] == *id
                && view["told-by"] == *keeper.id()
                && explained["told-by"] == *id
                && explained["now"] == "nothing to do"
        })
        .await;
    }
}

#[tokio::test]
async fn without_zookeeper_there_is_no_plan_and_nobody_would_take_over_for_that_reason() {
    let net = Net::fleet().await;
    let redis = Redis::trio(&net).await;
    let zookeeper = ZooKeeper::ensemble(&net, 1).await;
    let prefix = zookeeper.prefix("nobody_leads");
    let settings = Settings::new()
        .set("failsafe", false)
        .cluster("cache", &redis);
    let keepers = Keepers::start(2, &net, &prefix, &settings).await;
    keepers[0].wait_primary("cache", &redis[0]).await;
    let [server] = zookeeper.servers() else {
        panic!("one server")
    };
    server.process().kill();
    let never = Keeper::launch("keeper-3", &net, &prefix, &settings).await;
    let keepers = keepers.iter().chain([&never]);
    for keeper in keepers {
        wait_told(keeper, "that nobody leads", |view, explained| {
            let plan = view["plan"].as_str().unwrap_or_default();
            let now = explained["now"].as_str().unwrap_or_default();
            let sentence = &explained["if-the-primary-died-now"]["sentence"];
            let sentence = sentence.as_str().unwrap_or_default();
            held_by(explained).starts_with("no keeper leads: ZooKeeper ")
                && plan.starts_with("none: no keeper leads")
                && now.starts_with("none: no keeper leads")
                && (sentence.contains("held back: no keeper leads")
                    || sentence.starts_with("nobody would take over: no keeper leads"))
                && view["leader"].is_null()
        })
        .await;
    }
    let explained = never.admin("clusters/cache/explain").await;
    assert!(
        held_by(&explained).contains("never reached it"),
        "{explained}"
    );
}

#[tokio::test]
async fn in_failsafe_a_keeper_says_what_goes_on_and_what_does_not() {
    let net = Net::fleet().await;
    let redis = Redis::trio(&net).await;
    let zookeeper = ZooKeeper::ensemble(&net, 1).await;
    let prefix = zookeeper.prefix("failsafe_told");
    let nodes = redis.each_ref();
    let keepers = Keepers::start_for(2, &net, &prefix, Settings::patient(), &nodes).await;
    for keeper in keepers.iter() {
        eventually(SOON, "one other to ask", async || {
            let told = keeper.admin("keepers").await;
            let asks = told["failsafe"]["asks"].as_array().map(Vec::len);
            (asks == Some(1)).then_some(()).ok_or(told)
        })
        .await;
    }
    let [server] = zookeeper.servers() else {
        panic!("one server")
    };
    server.process().kill();
    for keeper in keepers.iter() {
        wait_told(keeper, "what failsafe can", |_, explained| {
            held_by(explained).contains("the published primary stays writable. Nobody fails over")
        })
        .await;
        let answer = keeper.is_writable("cache", &redis[0]).await;
        assert_eq!(answer.expect("an answer").code, 200);
    }
}
