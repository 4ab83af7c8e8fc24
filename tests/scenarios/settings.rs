//! The file of one keeper has other settings than the files of the others.

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::trio::Trio;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;
use serde_json::{Value, json};

const METRIC: &str = "redis_keeper_session_files_differ";

/// Waits until the keeper reports that these keepers' settings differ from its own, and how.
async fn wait_told(keeper: &Keeper, differ: &Value) {
    let what = format!("{} to tell of {differ}", keeper.id());
    eventually(SOON, what, async || {
        let told = keeper.admin("keepers").await["settings-differ"].clone();
        (told == *differ).then_some(()).ok_or(told)
    })
    .await;
}

async fn differing_files(keeper: &Keeper) -> String {
    let metrics = keeper.get("/metrics").await.expect("metrics").body;
    let metrics = metrics.as_str().expect("text").to_owned();
    let line = metrics.lines().find(|line| line.starts_with(METRIC));
    line.expect("the metric").to_owned()
}

#[tokio::test]
async fn a_setting_that_one_file_has_differently_is_told_by_all_with_both_values() {
    let trio = Trio::start("settings_differ", 3, Settings::new()).await;
    let [first, second, odd] = &trio.keepers[..] else {
        unreachable!("three keepers");
    };
    odd.reconfigure(|config| {
        config["seconds-mark-down"] = json!(3);
        config["tick-seconds"] = json!(0.3);
        config["max-lag-bytes"] = json!(1000);
        config["write-safety"] = json!("majority");
        config["heartbeat-seconds"] = json!(0.1);
        config["failsafe-consent-seconds"] = json!(0.8);
        config["clusters"][0]["nodes"][1]["priority"] = json!(0);
    })
    .await;
    odd.wait_ready().await;
    let node = trio.redis[1].node();
    let differences = |[here, there]: [usize; 2]| {
        let of_cluster = " of cluster cache";
        let priorities = ["none".to_owned(), format!("{node} = 0")];
        let settings = [
            ("heartbeat-seconds", "", ["0.2", "0.1"]),
            ("max-lag-bytes", of_cluster, ["none", "1000"]),
            (
                "priority",
                of_cluster,
                priorities.each_ref().map(String::as_str),
            ),
            ("probe-timeout-seconds", of_cluster, ["0.2", "0.3"]),
            ("seconds-mark-down", of_cluster, ["2", "3"]),
            ("tick-seconds", of_cluster, ["0.2", "0.3"]),
            ("write-safety", of_cluster, ["none", "majority"]),
        ];
        settings.map(|(name, of, values)| {
            format!("{name}{of}: {} here, {} there", values[here], values[there])
        })
    };
    let theirs = json!({ odd.id(): differences([0, 1]) });
    wait_told(first, &theirs).await;
    wait_told(second, &theirs).await;
    let ours = differences([1, 0]);
    wait_told(odd, &json!({ first.id(): ours, second.id(): ours })).await;
    assert_eq!(differing_files(first).await, format!("{METRIC} 1"));
    assert_eq!(differing_files(odd).await, format!("{METRIC} 2"));
    let differs = "have different settings";
    for keeper in [first, second] {
        let log = keeper.process().log();
        assert_eq!(log.matches(differs).count(), 1, "told once: {log}");
    }

    odd.reconfigure(|config| {
        let right = config.as_object_mut().expect("an object");
        for setting in ["tick-seconds", "seconds-mark-down"] {
            right.insert(
                setting.to_owned(),
                if setting == "tick-seconds" {
                    json!(0.2)
                } else {
                    json!(2)
                },
            );
        }
        for setting in [
            "max-lag-bytes",
            "write-safety",
            "heartbeat-seconds",
            "failsafe-consent-seconds",
        ] {
            right.remove(setting);
        }
        let node = config["clusters"][0]["nodes"][1].as_object_mut();
        node.expect("a node").remove("priority");
    })
    .await;
    odd.wait_ready().await;
    for keeper in [first, second, odd] {
        wait_told(keeper, &json!({})).await;
        assert_eq!(differing_files(keeper).await, format!("{METRIC} 0"));
    }
    let log = first.process().log();
    assert!(log.contains("differ no more"), "{log}");
}

#[tokio::test]
async fn a_leader_whose_file_bars_all_replicas_steps_down_for_one_whose_does_not() {
    let net = Net::fleet().await;
    let prefix = ZooKeeper::shared().await.prefix("all_barred");
    let redis = Redis::trio(&net).await;
    let [primary, ..] = &redis;
    let nodes = |priority: Option<u32>| {
        let nodes = redis.each_ref().map(|it| {
            let mut node = json!({"host": it.at().ip(), "port": it.at().port()});
            if let Some(priority) = priority.filter(|_| it.at() != primary.at()) {
                node["priority"] = json!(priority);
            }
            node
        });
        Settings::new().cluster_with(json!({"name": "cache", "nodes": nodes}))
    };
    let odd = Keeper::launch("keeper-1", &net, &prefix, &nodes(Some(0))).await;
    odd.wait_primary("cache", primary).await;
    let second = Keeper::launch("keeper-2", &net, &prefix, &nodes(None)).await;
    let third = Keeper::launch("keeper-3", &net, &prefix, &nodes(None)).await;
    for keeper in [&second, &third] {
        keeper.wait_ready().await;
    }
    primary.kill();
    second.wait_replaced("cache", primary).await;
    let log = odd.process().log();
    assert!(log.contains("stepping down for a keeper"), "{log}");
    let told = third.admin("keepers").await["settings-differ"].clone();
    let lines = told[odd.id()].to_string();
    assert!(
        lines.contains("priority of cluster cache: none here"),
        "{told}"
    );
}
