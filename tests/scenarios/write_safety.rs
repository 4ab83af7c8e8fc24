//! `write-safety: majority` (RK-9): a primary that is cut off from its replicas refuses writes by itself.

use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::{Redis, Role};
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;
use serde_json::{Value, json};

/// Redis's defaults of `min-replicas-to-write` and `min-replicas-max-lag`.
const UNTOUCHED: [u32; 2] = [0, 10];

#[tokio::test]
async fn the_demand_for_replicas_follows_the_primary_and_is_put_back_at_the_end() {
    let net = Net::fleet().await;
    let [primary, first, second] = Redis::trio(&net).await;
    primary.run::<()>("CONFIG SET min-replicas-max-lag 7").await;
    let zookeeper = ZooKeeper::shared().await.prefix("write_safety");
    let off = Settings::new().cluster("cache", [&primary, &first, &second]);
    let on = off.clone().set("write-safety", "majority");
    let keepers = Keepers::start(3, &net, &zookeeper, &on).await;
    keepers
        .wait_topology("cache", &primary, &[&first, &second])
        .await;
    wait_demands(&primary, [1, 2]).await;
    for keeper in keepers.iter() {
        wait_recorded(keeper, &[(&primary, [0, 7])]).await;
    }
    // The keepers read the servers' settings again within half a minute.
    let leader = &keepers[keepers.wait_leader().await];
    leader.wait_plan("cache", &["nothing to do"]).await;
    for replica in [&first, &second] {
        assert_eq!(demands(replica).await, Ok(UNTOUCHED));
    }

    primary.save().await;
    primary.kill();
    keepers[0].wait_replaced("cache", &primary).await;
    let (successor, other) = if first.is_primary().await {
        (&first, &second)
    } else {
        (&second, &first)
    };
    wait_demands(successor, [1, 2]).await;
    // The old primary has the settings in its file, so it is as strict after its return as before.
    primary.revive().await;
    primary.wait_role(Role::Replica).await;
    wait_demands(&primary, [0, 7]).await;
    for keeper in keepers.iter() {
        wait_recorded(keeper, &[(successor, UNTOUCHED)]).await;
    }
    leader.wait_plan("cache", &["nothing to do"]).await;
    assert_eq!(demands(other).await, Ok(UNTOUCHED));

    for keeper in keepers.iter() {
        keeper.process().terminate();
        keeper.process().wait_exit().await;
    }
    drop(keepers);
    let keepers = Keepers::start(3, &net, &zookeeper, &off).await;
    wait_demands(successor, UNTOUCHED).await;
    for keeper in keepers.iter() {
        wait_recorded(keeper, &[]).await;
    }
    // The settings outlive a restart.
    successor.save().await;
    successor.kill();
    successor.revive().await;
    assert_eq!(demands(successor).await, Ok(UNTOUCHED));
    assert_eq!(demands(&primary).await, Ok([0, 7]));
}

#[tokio::test]
async fn a_primary_that_no_replica_acknowledges_refuses_writes_until_one_does() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    let settings = Settings::new()
        .set("write-safety", "majority")
        .set("write-safety-max-lag-seconds", 1)
        .cluster("cache", [&primary, &first, &second]);
    let keeper = Keeper::alone(&net, &settings).await;
    wait_demands(&primary, [1, 1]).await;
    write(&primary).await.expect("two replicas are in touch");

    first.pause();
    second.pause();
    eventually(SOON, "writes to be refused", async || {
        match write(&primary).await {
            Err(why) if why.contains("NOREPLICAS") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // A primary that refuses writes by itself is not replaced for that, and its settings are not lowered.
    keeper.wait_probes("cache", &primary, 3).await;
    assert!(keeper.calls_writable("cache", &primary).await);
    assert_eq!(demands(&primary).await, Ok([1, 1]));

    // An operator who wants the writes all the same gets them.
    first.kill();
    second.kill();
    keeper
        .wait_status("cache", "no replica", |status| status.replicas.is_empty())
        .await;
    primary
        .run::<()>("CONFIG SET min-replicas-to-write 0")
        .await;
    // Keepers read settings every half minute.
    eventually(2 * SOON, "the keeper to say what is missing", async || {
        let plan = keeper.admin("clusters/cache").await["plan"].to_string();
        let told = plan.contains("min-replicas-to-write 1 is set") && plan.contains("now 0");
        told.then_some(()).ok_or(plan)
    })
    .await;
    write(&primary).await.expect("nothing is demanded");
    first.revive().await;
    wait_demands(&primary, [1, 1]).await;
    eventually(SOON, "writes to be taken", async || write(&primary).await).await;
}

#[tokio::test]
async fn without_the_right_to_read_settings_it_is_said_and_failovers_go_on() {
    let net = Net::new();
    let trio = Redis::trio(&net).await;
    for redis in &trio {
        redis
            .run::<()>("ACL SETUSER keeper on >secret +@all -config")
            .await;
    }
    let [primary, first, second] = &trio;
    let nodes = trio
        .iter()
        .map(|redis| json!({"host": redis.at().ip(), "port": redis.at().port()}));
    let settings = Settings::new()
        .set("write-safety", "majority")
        .set("redis", json!({"username": "keeper", "password": "secret"}))
        .cluster_with(json!({"name": "cache", "nodes": nodes.collect::<Value>()}));
    let keeper = Keeper::alone(&net, &settings).await;
    keeper
        .wait_topology("cache", primary, &[first, second])
        .await;
    let name = format!("min-replicas-to-write of {}", primary.node());
    keeper
        .wait_plan("cache", &[&name, "CONFIG GET", "NOPERM"])
        .await;
    assert_eq!(demands(primary).await, Ok(UNTOUCHED));

    primary.kill();
    keeper.wait_replaced("cache", primary).await;
}

/// The settings in force: how many replicas are demanded, and the lag in seconds at which a replica does not count.
async fn demands(redis: &Redis) -> Result<[u32; 2], String> {
    let mut values = Vec::new();
    for parameter in ["min-replicas-to-write", "min-replicas-max-lag"] {
        let told: Vec<String> = redis
            .try_run(&format!("CONFIG GET {parameter}"))
            .await
            .map_err(|error| error.to_string())?;
        values.push(told[1].parse().expect("a number"));
    }
    Ok([values[0], values[1]])
}

async fn wait_demands(redis: &Redis, wanted: [u32; 2]) {
    let what = format!("{} to demand {wanted:?}", redis.at());
    eventually(SOON, what, async || match demands(redis).await {
        Ok(seen) if seen == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// Waits until `keeper` has read exactly these former settings in the published state.
async fn wait_recorded(keeper: &Keeper, former: &[(&Redis, [u32; 2])]) {
    let wanted: serde_json::Map<_, _> = former
        .iter()
        .map(|(redis, [to_write, max_lag])| {
            let values = json!({"to-write": to_write, "max-lag-seconds": max_lag});
            (redis.node().to_string(), values)
        })
        .collect();
    let what = format!("{} to have read {wanted:?}", keeper.id());
    eventually(SOON, what, async || {
        let view = keeper.admin("clusters/cache").await;
        let recorded = &view["published"]["former-min-replicas"];
        let as_wanted = recorded.as_object() == Some(&wanted);
        as_wanted.then_some(()).ok_or(recorded.clone())
    })
    .await;
}

async fn write(redis: &Redis) -> Result<String, String> {
    let written = redis.try_run("SET key value").await;
    written.map_err(|error| error.to_string())
}
