//! Certificates that expire, and certificates and authorities that are replaced, while keepers run.

use keeper_site::certificates::{Certificates, Ends};
use keeper_site::checks::Checks;
use keeper_site::keeper::{Keeper, Keepers, Settings};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::wait::{SOON, eventually};
use keeper_site::zookeeper::ZooKeeper;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::commandable::wait_told;

const POSSIBLE: &str = r#"redis_keeper_cluster_failover_possible{cluster="cache"} 1"#;
const IMPOSSIBLE: &str = r#"redis_keeper_cluster_failover_possible{cluster="cache"} 0"#;
const EXPIRED: &str = "the server's certificate has expired: renew it";
const CANNOT_COMMAND: &str = "nodes cannot be commanded";

fn not_commandable(count: usize) -> String {
    format!(r#"redis_keeper_cluster_nodes_not_commandable{{cluster="cache"}} {count}"#)
}

/// Certificates of the authority `old` for the keepers, which servers and keepers trust alone.
fn certificates() -> Certificates {
    let certificates = Certificates::by(&["old", "new"]);
    certificates.issue("old", "keeper", Ends::Tomorrow);
    certificates.put(&["old.crt"], "trusted-by-servers");
    certificates.put(&["old.crt"], "trusted-by-keepers");
    certificates
}

/// Settings of keepers that speak TLS.
fn speaking(certificates: &Certificates) -> Settings {
    Settings::new().set(
        "redis",
        json!({
            "tls-ca-file": certificates.file("trusted-by-keepers"),
            "tls-cert-file": certificates.file("keeper.crt"),
            "tls-key-file": certificates.file("keeper.key"),
        }),
    )
}

/// Starts a primary and two replicas in step with it, which speak TLS with each other and with keepers.
async fn trio(net: &Net, certificates: &Certificates) -> [Redis; 3] {
    let start = async || {
        let host = net.host();
        let name = host.to_string();
        certificates.issue("old", &name, Ends::Tomorrow);
        let path = |name: &str| certificates.file(name).display().to_string();
        let (certificate, key) = (path(&format!("{name}.crt")), path(&format!("{name}.key")));
        let options = [
            ("tls-cert-file", certificate.as_str()),
            ("tls-key-file", &key),
            ("tls-ca-cert-file", &path("trusted-by-servers")),
        ];
        Redis::start_with_tls(host, &options).await
    };
    let [primary, first, second] = [start().await, start().await, start().await];
    for replica in [&first, &second] {
        replica.follow(&primary).await;
        replica.wait_in_step_with(&primary).await;
    }
    [primary, first, second]
}

/// Has a running server read one of its files again.
async fn read_again(redis: &Redis, key: &str, certificates: &Certificates, file: &str) {
    let path = certificates.file(file);
    let set = format!("CONFIG SET {key} {}", path.display());
    redis.run::<()>(&set).await;
}

/// Replaces the certificate of a running server.
async fn replace(redis: &Redis, certificates: &Certificates, authority: &str, ends: Ends) {
    let name = redis.at().ip().to_string();
    certificates.issue(authority, &name, ends);
    read_again(redis, "tls-cert-file", certificates, &format!("{name}.crt")).await;
}

/// Cuts off all clients but the replicas, so that keepers connect anew.
async fn cut_off(redis: &Redis) {
    redis.run::<()>("CLIENT KILL TYPE normal").await;
}

async fn wait_logged(keeper: &Keeper, words: &str, count: usize) {
    let what = format!("{} to log {words:?} {count} times", keeper.id());
    eventually(SOON, what, async || {
        let log = keeper.process().log();
        let enough = log.matches(words).count() >= count;
        enough.then_some(()).ok_or(log)
    })
    .await;
}

/// Waits until the keeper meets trouble with `node` alone, in these words; with no node if `words` is `None`.
async fn wait_trouble(keeper: &Keeper, node: &Redis, words: Option<&str>) {
    eventually(SOON, format!("trouble in {words:?}"), async || {
        let view = keeper.node("cache", node).await;
        let troubles = keeper.admin("clusters/cache/explain").await["troubles"].clone();
        let told = match words {
            Some(words) => {
                let trouble = troubles[0]["trouble"].as_str().unwrap_or_default();
                trouble.contains(words) && troubles[0]["node"] == node.node().to_string()
            }
            None => troubles == json!([]) && view["sighting"]["trouble"] == Value::Null,
        };
        told.then_some(())
            .ok_or_else(|| format!("{troubles} {view}"))
    })
    .await;
}

/// Asserts that the keeper goes on with `primary`, and has held no vote against it.
async fn assert_undisturbed(keeper: &Keeper, primary: &Redis, generation: u64) {
    assert!(keeper.calls_writable("cache", primary).await);
    assert_eq!(keeper.generation("cache").await, generation);
    let view = keeper.node("cache", primary).await;
    assert_eq!(view["verdict"]["votes"], json!({}), "{view}");
    let log = keeper.process().log();
    assert!(!log.contains("held down"), "{log}");
}

/// A trio, and a keeper that could command all its nodes.
async fn watched_trio(net: &Net, certificates: &Certificates) -> ([Redis; 3], Keeper) {
    let redis = trio(net, certificates).await;
    let keeper = Keeper::alone_for(net, speaking(certificates), &redis.each_ref()).await;
    keeper.wait_samples(&[&not_commandable(0), POSSIBLE]).await;
    (redis, keeper)
}

#[tokio::test]
async fn an_expired_certificate_of_a_server_is_told_before_a_failover_needs_it() {
    let net = Net::new();
    let certificates = certificates();
    let (redis, keeper) = watched_trio(&net, &certificates).await;
    let [primary, ..] = &redis;
    let nodes = redis.each_ref();
    let generation = keeper.generation("cache").await;

    replace(primary, &certificates, "old", Ends::JustNow).await;
    let at = primary.node().to_string();
    wait_told(&keeper, &["this keeper cannot command", &at, EXPIRED]).await;
    wait_logged(&keeper, CANNOT_COMMAND, 1).await;
    keeper.wait_samples(&[&not_commandable(1), POSSIBLE]).await;
    let view = keeper.node("cache", primary).await;
    let why = view["sighting"]["commandable-reason"].as_str();
    assert!(why.is_some_and(|why| why.contains(EXPIRED)), "{view}");

    cut_off(primary).await;
    wait_trouble(&keeper, primary, Some(EXPIRED)).await;
    keeper.wait_probes("cache", primary, 15).await;
    assert_undisturbed(&keeper, primary, generation).await;
    let told = keeper.process().log().matches(CANNOT_COMMAND).count();
    assert_eq!(told, 1, "the same obstacle is told once");

    for redis in nodes {
        replace(redis, &certificates, "old", Ends::JustNow).await;
    }
    wait_told(&keeper, &["no failover is possible", EXPIRED]).await;
    wait_logged(&keeper, "no failover is possible", 1).await;
    keeper
        .wait_samples(&[&not_commandable(3), IMPOSSIBLE])
        .await;

    for redis in nodes {
        replace(redis, &certificates, "old", Ends::Tomorrow).await;
    }
    wait_logged(&keeper, "all nodes can be commanded again", 1).await;
    keeper.wait_samples(&[&not_commandable(0), POSSIBLE]).await;
    wait_trouble(&keeper, primary, None).await;
    assert_undisturbed(&keeper, primary, generation).await;
    primary.kill();
    keeper.wait_replaced("cache", primary).await;
}

#[tokio::test]
async fn an_expired_certificate_of_a_keeper_is_told_and_its_renewal_is_used() {
    let net = Net::new();
    let certificates = certificates();
    let (redis, keeper) = watched_trio(&net, &certificates).await;
    let [primary, ..] = &redis;
    let generation = keeper.generation("cache").await;

    certificates.issue("old", "keeper", Ends::JustNow);
    wait_logged(&keeper, "secrets read again", 1).await;
    let remedy = "this keeper's own certificate has expired: renew the file of tls-cert-file";
    wait_told(&keeper, &["no failover is possible", remedy]).await;
    keeper.wait_samples(&[&not_commandable(3)]).await;
    assert_undisturbed(&keeper, primary, generation).await;

    // The renewed certificate has another key. The key comes first, and does not fit the certificate yet.
    certificates.issue("old", "renewed", Ends::Tomorrow);
    certificates.put(&["renewed.key"], "keeper.key");
    wait_logged(&keeper, "a file of secrets cannot be used", 1).await;
    certificates.put(&["renewed.crt"], "keeper.crt");
    wait_logged(&keeper, "secrets read again", 2).await;
    keeper.wait_samples(&[&not_commandable(0), POSSIBLE]).await;
    assert_undisturbed(&keeper, primary, generation).await;
    primary.kill();
    keeper.wait_replaced("cache", primary).await;
}

#[tokio::test]
async fn authorities_are_replaced_without_a_restart_and_without_a_failover() {
    let net = Net::fleet().await;
    let certificates = certificates();
    let redis = trio(&net, &certificates).await;
    let [primary, first, second] = &redis;
    let nodes = redis.each_ref();
    let prefix = ZooKeeper::shared().await.prefix("authorities_replaced");
    let settings = speaking(&certificates);
    let keepers = Keepers::start_for(3, &net, &prefix, settings, &nodes).await;
    let generation = keepers[0].generation("cache").await;
    let processes = keepers.iter().map(|keeper| keeper.process().id());
    let processes: Vec<_> = processes.collect();
    let checks = Checks::start(&keepers, "cache", &nodes);

    // Both authorities are trusted for a while.
    certificates.put(&["old.crt", "new.crt"], "trusted-by-keepers");
    for keeper in keepers.iter() {
        wait_logged(keeper, "secrets read again", 1).await;
    }
    certificates.put(&["old.crt", "new.crt"], "trusted-by-servers");
    for redis in nodes {
        let file = "trusted-by-servers";
        read_again(redis, "tls-ca-cert-file", &certificates, file).await;
    }
    // Servers and keepers get certificates of the new authority.
    for redis in nodes {
        replace(redis, &certificates, "new", Ends::Tomorrow).await;
    }
    certificates.issue("new", "renewed", Ends::Tomorrow);
    certificates.put(&["renewed.key"], "keeper.key");
    certificates.put(&["renewed.crt"], "keeper.crt");
    for keeper in keepers.iter() {
        wait_logged(keeper, "secrets read again", 2).await;
    }
    // The old authority is trusted no more.
    certificates.put(&["new.crt"], "trusted-by-servers");
    for redis in nodes {
        let file = "trusted-by-servers";
        read_again(redis, "tls-ca-cert-file", &certificates, file).await;
    }
    certificates.put(&["new.crt"], "trusted-by-keepers");
    for keeper in keepers.iter() {
        keeper.process().signal(Signal::HUP);
        wait_logged(keeper, "secrets read again", 3).await;
    }

    // Keepers and replicas connect anew, with nothing but the new authority.
    for redis in nodes {
        cut_off(redis).await;
    }
    primary.run::<()>("CLIENT KILL TYPE replica").await;
    primary.wait_followed_by(&[first, second]).await;
    for keeper in keepers.iter() {
        for redis in nodes {
            keeper.wait_probes("cache", redis, 5).await;
            wait_trouble(keeper, redis, None).await;
        }
        keeper.wait_samples(&[&not_commandable(0)]).await;
        assert_undisturbed(keeper, primary, generation).await;
    }
    let same = keepers.iter().map(|keeper| keeper.process().id());
    assert!(same.eq(processes), "no keeper was started again");
    checks.assert_only(primary);

    primary.kill();
    let [successor, other] = keepers[0].elected("cache", [first, second]).await;
    keepers.wait_topology("cache", successor, &[other]).await;
    checks.assert_never_again(primary);
}
