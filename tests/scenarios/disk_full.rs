//! A server that cannot write its disk lives, and refuses every write (`MISCONF`).

use std::path::PathBuf;

use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};

/// Redis saves by itself at most once an hour: no test waits that long.
const SAVES: (&str, &str) = ("save", "3600 1000000");

#[tokio::test]
async fn a_primary_that_cannot_write_its_disk_is_told_and_switched_over_without_a_loss() {
    let net = Net::new();
    let [primary, first, second] = trio(&net).await;
    let settings = Settings::new().set("failover-cooldown-seconds", 1);
    let keeper = Keeper::alone_for(&net, settings, &[&primary, &first, &second]).await;
    primary.write_keys("kept", 100).await;
    fill_disk(&primary).await;
    let told = ["refuses every write", "MISCONF", "a switchover"];
    keeper.wait_plan("cache", &told).await;
    let view = keeper.node("cache", &primary).await;
    assert_eq!(view["verdict"]["votes"], serde_json::json!({}), "{view}");
    let hindrance = &view["sighting"]["hindrance"];
    assert_eq!(hindrance["kind"], "misconf", "{view}");
    assert!(hindrance["seconds"].as_f64().is_some(), "{view}");

    let successor = keeper.wait_replaced("cache", &primary).await;
    let successor = if successor == first.node() {
        &first
    } else {
        &second
    };
    assert_eq!(successor.key_count().await, 100);
    let log = keeper.process().log();
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(lines("the node refuses every write"), 1, "{log}");
    assert_eq!(lines("held down"), 0, "{log}");

    // A replica that cannot write its disk ends itself at the first write from its primary.
    empty_disk(&primary).await;
    keeper.wait_plan("cache", &["nothing to do"]).await;
    let log = keeper.process().log();
    assert!(log.contains("the node can write its disk again"), "{log}");
    successor.run::<()>("SET written after").await;
}

#[tokio::test]
async fn full_disks_at_all_nodes_stop_the_switchover_and_not_a_failover() {
    let net = Net::new();
    let primary = Redis::start_with(&net, &[SAVES]).await;
    let replica = Redis::replica_of(&net, &primary, &[SAVES]).await;
    let settings = Settings::new();
    let keeper = Keeper::alone_for(&net, settings, &[&primary, &replica]).await;
    let generation = keeper.generation("cache").await;
    fill_disk(&replica).await;
    if !ping(&replica).await.contains("MISCONF") {
        // Before 7.0, a replica reports a failed save only in INFO.
        return;
    }
    fill_disk(&primary).await;
    let (at, other) = (primary.node().to_string(), replica.node().to_string());
    let told = format!("{at} refuses every write");
    let none = format!("{other} refuses every write, too");
    keeper.wait_plan("cache", &[&told, &none]).await;
    keeper.wait_probes("cache", &primary, 20).await;
    assert_eq!(keeper.generation("cache").await, generation);
    assert!(keeper.calls_writable("cache", &primary).await);

    primary.kill();
    let successor = keeper.wait_replaced("cache", &primary).await;
    assert_eq!(successor, replica.node());
}

#[tokio::test]
async fn of_two_replicas_the_one_that_can_write_its_disk_takes_over() {
    let net = Net::new();
    let [primary, first, second] = trio(&net).await;
    first.run::<()>("CONFIG SET replica-priority 1").await;
    let settings = Settings::new();
    let keeper = Keeper::alone_for(&net, settings, &[&primary, &first, &second]).await;
    let explained = async |next: &Redis| {
        let wanted = next.node().to_string();
        let what = format!("{wanted} to be the next");
        eventually(SOON, what, async || {
            let view = keeper.admin("clusters/cache/explain").await;
            let said = &view["if-the-primary-died-now"]["next"];
            (said == wanted.as_str()).then_some(()).ok_or(view)
        })
        .await;
    };
    explained(&first).await;
    fill_disk(&first).await;
    if !ping(&first).await.contains("MISCONF") {
        return;
    }
    explained(&second).await;
    primary.kill();
    let successor = keeper.wait_replaced("cache", &primary).await;
    assert_eq!(successor, second.node());
}

/// Three servers that write dumps, the primary first.
async fn trio(net: &Net) -> [Redis; 3] {
    let primary = Redis::start_with(net, &[SAVES]).await;
    let first = Redis::replica_of(net, &primary, &[SAVES]).await;
    let second = Redis::replica_of(net, &primary, &[SAVES]).await;
    [primary, first, second]
}

async fn ping(redis: &Redis) -> String {
    let answer = redis.try_run::<String>("PING").await;
    answer.unwrap_or_else(|error| error.to_string())
}

/// The path of the dump. A directory at that path keeps Redis from writing a dump.
async fn obstacle(redis: &Redis) -> PathBuf {
    let dir: Vec<String> = redis.run("CONFIG GET dir").await;
    let file: Vec<String> = redis.run("CONFIG GET dbfilename").await;
    PathBuf::from(&dir[1]).join(&file[1])
}

/// Makes the server's dump impossible, and waits until the server has tried to save.
async fn fill_disk(redis: &Redis) {
    let path = obstacle(redis).await;
    // A full synchronisation may have left a dump there.
    let _ = std::fs::remove_file(&path);
    std::fs::create_dir_all(path.join("in the way")).expect("a directory");
    wait_saved(redis, "err").await;
}

async fn empty_disk(redis: &Redis) {
    std::fs::remove_dir_all(obstacle(redis).await).expect("its directory");
    wait_saved(redis, "ok").await;
}

async fn wait_saved(redis: &Redis, status: &str) {
    let what = format!("a dump of {} to end: {status}", redis.at());
    eventually(SOON, what, async || {
        // Redis refuses BGSAVE while another save is running.
        let _ = redis.try_run::<String>("BGSAVE").await;
        let info = redis.info("persistence").await;
        let info = info.map_err(|error| error.to_string())?;
        let told = info.get("rdb_last_bgsave_status").cloned();
        let told = told.unwrap_or_default();
        (told == status).then_some(()).ok_or(told)
    })
    .await;
}
