//! `redis-keeper check --live` in front of real servers.

use keeper_site::look::{cluster, look_live};
use keeper_site::net::Net;
use keeper_site::redis::Redis;
use keeper_site::zookeeper::ZooKeeper;
use serde_json::{Value, json};
use zookeeper_client::{Acl, Acls, AuthId, Client, CreateMode, Permission};

/// The exit code and the report of `check --live` for this quorum, prefix and cluster.
async fn look(quorum: &[String], prefix: &str, nodes: &[&Redis]) -> (Option<i32>, String) {
    let config = json!({
        "keeper-id": "checker",
        "zk-quorum": quorum,
        "zk-prefix": prefix,
        "clusters": [cluster("cache", nodes)],
    });
    let look = look_live(&config).await;
    let effective: Value = serde_json::from_slice(&look.effective).expect("JSON alone");
    assert_eq!(effective["keeper-id"], "checker");
    (look.code, look.report)
}

fn assert_says(report: &str, wanted: &[&str]) {
    for text in wanted {
        assert!(report.contains(text), "{text:?} is missing in:\n{report}");
    }
}

#[tokio::test]
async fn servers_in_good_order_pass_and_nothing_is_left_behind() {
    let net = Net::new();
    let zookeeper = ZooKeeper::shared().await;
    let server = zookeeper.servers()[0].at().to_string();
    let trio = Redis::trio(&net).await;
    let prefix = zookeeper.prefix("checked_before_use");

    let (code, report) = look(
        std::slice::from_ref(&server),
        prefix.path(),
        &trio.each_ref(),
    )
    .await;
    assert_eq!(code, Some(0), "{report}");
    let product = trio[0].product().await;
    let primary = format!("cache {}\n         {product} ", trio[0].at());
    assert_says(
        &report,
        &[
            &format!("ok       ZooKeeper {server}\n         ZooKeeper 3."),
            "ok       ZooKeeper session\n         2s granted, 2s asked for",
            "is free; the first keeper creates it",
            &primary,
            "0 with problems",
        ],
    );
    let client = Client::connect(&server).await.expect("a session");
    assert_eq!(client.check_stat(prefix.path()).await, Ok(None));
}

#[tokio::test]
async fn each_problem_is_told_with_its_remedy() {
    let net = Net::new();
    let zookeeper = ZooKeeper::shared().await;
    let server = zookeeper.servers()[0].at().to_string();
    let redis = Redis::start(&net).await;
    redis.kill();
    let prefix = zookeeper.prefix("checked_without_rights");
    let client = Client::connect(&server).await.expect("a session");
    let other = [
        Acl::new(Permission::READ, AuthId::anyone()),
        Acl::new(Permission::ALL, AuthId::new("ip", "192.0.2.1")),
    ];
    let readable = CreateMode::Persistent.with_acls(Acls::new(&other));
    client
        .create(prefix.path(), b"", &readable)
        .await
        .expect("a prefix");

    let nobody = net.socket(1).to_string();
    let (code, report) = look(&[server.clone(), nobody.clone()], prefix.path(), &[&redis]).await;
    assert_eq!(code, Some(1), "{report}");
    assert_says(
        &report,
        &[
            &format!("problem  ZooKeeper {server}"),
            "belongs to no ensemble, but zk-quorum names several servers",
            &format!("problem  ZooKeeper {nobody}\n         problem: cannot be reached"),
            &format!(
                "problem  ZooKeeper prefix {}\n         problem: {0}",
                prefix.path()
            ),
            "set zk-auth to the user",
            &format!(
                "problem  cache {}\n         problem: cannot be reached",
                redis.at()
            ),
        ],
    );
}

#[tokio::test]
async fn a_prefix_of_the_older_program_is_a_problem() {
    let net = Net::new();
    let zookeeper = ZooKeeper::shared().await;
    let server = zookeeper.servers()[0].at().to_string();
    let redis = Redis::start(&net).await;
    let prefix = zookeeper.prefix("checked_beside_the_older");
    let client = Client::connect(&server).await.expect("a session");
    let forever = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let path = format!("{}/clusters", prefix.path());
    client.mkdir(&path, &forever).await.expect("its nodes");

    let (code, report) = look(&[server], prefix.path(), &[&redis]).await;
    assert_eq!(code, Some(1), "{report}");
    assert_says(&report, &["another program (clusters)", "they would fight"]);
}
