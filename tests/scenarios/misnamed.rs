//! Servers of HAProxy that bear another node's name, or a name that no keeper knows.

use keeper_site::haproxy::HaProxy;
use keeper_site::keeper::{Keeper, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::site::{RECOMMENDED, Site, WRITES};
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;
use serde_json::Value;

#[tokio::test]
async fn servers_with_swapped_names_are_down_and_keepers_say_why_once_a_minute() {
    let net = Net::fleet().await;
    let prefix = ZooKeeper::shared().await.prefix("swapped");
    let [one, two] = ["192.168.1.40:6379", "192.168.1.50:6379"];
    let swapped = RECOMMENDED
        .replace(
            &format!("server {one} {one}"),
            &format!("server {one} {two}"),
        )
        .replace(
            &format!("server {two} {two}"),
            &format!("server {two} {one}"),
        );
    let site = Site::open(net, &prefix, &swapped, &[]).await;
    let [primary, first, second] = &site.redis;
    let reads = second.node().to_string();
    site.proxy.wait_up(WRITES, &[]).await;
    site.proxy.wait_up("cluster-1-readable", &[&reads]).await;

    let (named, at) = (first.node().to_string(), primary.node().to_string());
    let told = |log: &str| {
        let line = "a check names one node and its server is at another";
        log.lines()
            .filter(|it| it.contains(line) && it.contains(&named) && it.contains(&at))
            .count()
    };
    for keeper in site.keepers.iter() {
        eventually(SOON, format!("{} to show it", keeper.id()), async || {
            let view = keeper.admin("clusters/cluster-1").await;
            let proxies = view["haproxies"].as_array().cloned().unwrap_or_default();
            // Each keeper hears of one of the two servers.
            let swapped = |it: &Value| {
                let pair = [it["named"].as_str(), it["node"].as_str()];
                pair == [Some(&*named), Some(&*at)] || pair == [Some(&*at), Some(&*named)]
            };
            let shown = proxies
                .iter()
                .any(|it| swapped(it) && it["name"].is_string());
            shown.then_some(()).ok_or(view["haproxies"].to_string())
        })
        .await;
        let log = keeper.process().log();
        assert!(
            (1..=2).contains(&told(&log)),
            "each of the pair once:\n{log}"
        );
        let header = format!(
            "UP; address={}; port={}; name=b/{named}; node=lb",
            primary.at().ip(),
            primary.at().port()
        );
        for question in ["is-writable", "is-readable"] {
            let path = format!("/cluster/cluster-1/{question}");
            let answer = keeper.get_with_state(&path, header.as_bytes()).await;
            let answer = answer.expect("an answer");
            assert_eq!(answer.code, 503, "{answer:?}");
            let reason = answer.body["reason"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            assert!(reason.contains(&named) && reason.contains(&at), "{reason}");
            // The path means one node, and the header names another, to which HAProxy sends the clients.
            let path = format!("{path}/{named}");
            let answer = keeper.get_with_state(&path, header.as_bytes()).await;
            assert_eq!(answer.expect("an answer").code, 503);
        }
    }
}

/// A HAProxy with a server that is no node of the cluster, and with a backend for a cluster that does not exist.
async fn mistaken(keeper: &Keeper) -> HaProxy {
    let at = keeper.http();
    let (ip, port) = (at.ip(), at.port());
    let check = format!("check addr {ip} port {port} inter 100ms fall 1 rise 1");
    let backend = |name: &str, cluster: &str| {
        format!(
            "backend {name}\n  option httpchk\n  http-check send-state\n  \
             http-check send meth GET uri /cluster/{cluster}/is-writable ver HTTP/1.1 hdr Host localhost\n  \
             server redis-9 127.0.0.1:9 {check}\n"
        )
    };
    let config = format!(
        "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1h\n  timeout server 1h\n{}{}",
        backend("stray-node", "cache"),
        backend("stray-cluster", "cash")
    );
    HaProxy::start(&config).await
}

#[tokio::test]
async fn unknown_clusters_and_nodes_are_told_in_log_metric_and_body() {
    let net = Net::new();
    let redis = Redis::start(&net).await;
    let settings = Settings::new().cluster("cache", [&redis]);
    let keeper = Keeper::launch_embedded("keeper-1", &net, &settings);
    keeper.wait_primary("cache", &redis).await;
    let node = redis.node().to_string();
    let proxy = mistaken(&keeper).await;
    proxy.wait_up("stray-node", &[]).await;
    proxy.wait_up("stray-cluster", &[]).await;

    eventually(SOON, "both to be told in the log", async || {
        let log = keeper.process().log();
        let both = [
            ["redis-9, at 127.0.0.1:9", "does not have: answered 404"],
            [
                "cash",
                "a check asks for a cluster that this keeper does not have",
            ],
        ];
        let told = |words: &[&str; 2]| {
            let line = |line: &str| words.iter().all(|word| line.contains(word));
            log.lines().filter(|it| line(it)).count()
        };
        let told = both.iter().map(told).collect::<Vec<_>>();
        (told == [1, 1]).then_some(()).ok_or(log)
    })
    .await;

    let stray = b"UP; address=192.0.2.1; port=1; name=b/192.0.2.1:1";
    let answer = keeper
        .get_with_state("/cluster/cache/is-writable", stray)
        .await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.code, 404);
    let error = answer.body["error"].as_str().expect("words");
    assert!(
        error.contains("cluster `cache` has no node `192.0.2.1:1`") && error.contains(&node),
        "{error}"
    );
    let answer = keeper
        .get_with_state("/cluster/cash/is-writable", stray)
        .await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.code, 404);
    let error = answer.body["error"].as_str().expect("words");
    assert!(
        error.contains("`cash`") && error.contains(": cache"),
        "{error}"
    );

    let lines = || keeper.process().log().lines().count();
    let before = lines();
    for number in 0..500 {
        let header = format!("UP; address=192.0.2.1; port=1; name=b/forged-{number}");
        let path = format!("/cluster/cash-{number}/is-writable");
        for path in [path.as_str(), "/cluster/cache/is-writable"] {
            let answer = keeper.get_with_state(path, header.as_bytes()).await;
            assert_eq!(answer.expect("an answer").code, 404);
        }
    }
    let told = lines() - before;
    assert!(told < 40, "{told} lines");
    let page = keeper.get("/metrics").await.expect("the metrics").body;
    let page = page.as_str().expect("text");
    let samples: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("redis_keeper_http_unknown_total{"))
        .collect();
    assert_eq!(samples.len(), 2, "{samples:?}");
    assert!(
        samples
            .iter()
            .any(|it| it.contains(r#"what="node",cluster="cache"}"#)),
        "{samples:?}"
    );
}
