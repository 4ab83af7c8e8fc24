//! The questions and answers of keepers of two groups (RK-12).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use redis_keeper::adapters::peers::HttpPeers;
use redis_keeper::domain::group::{GroupAnswer, GroupCluster, GroupToken};
use redis_keeper::domain::node::{ClusterName, KeeperId, NodeAddr};
use redis_keeper::ports::peers::Peers as _;

use crate::fake::Fake;
use crate::served::served;

fn node(host: &str) -> NodeAddr {
    NodeAddr::new(host, 6379)
}

#[actix_web::test]
async fn a_keeper_of_another_group_is_told_what_this_one_looks_after() {
    let cluster = |paused: bool| GroupCluster {
        name: ClusterName::new("cluster-1"),
        nodes: vec![
            (
                node("redis-1"),
                BTreeSet::from(["10.0.0.1".parse().unwrap()]),
            ),
            (node("::1"), BTreeSet::new()),
        ],
        primary: Some(node("redis-1")).filter(|_| !paused),
        paused,
    };
    let answer = GroupAnswer {
        group: GroupToken::drawn(7),
        keeper: KeeperId::new("keeper-1"),
        place: "zookeeper z:2181/typo".to_owned(),
        clusters: [true, false].map(cluster).to_vec(),
    };
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    let rest: NodeAddr = server.addr.to_string().parse().unwrap();
    let peers = HttpPeers::new();

    *fake.group.lock().unwrap() = None;
    let unjoined = peers.ask_group(&rest, None).await;
    assert!(unjoined.unwrap_err().contains("503"));
    *fake.group.lock().unwrap() = Some(answer.clone());
    let told = peers.ask_group(&rest, Some(&node("10.0.0.1"))).await;
    assert_eq!(told, Ok(answer));
    let met_at = fake.met_at.lock().unwrap().take();
    assert_eq!(met_at, Some(node("10.0.0.1")));

    let reply = server.get("/admin/group?met-at=nowhere", "").await;
    assert_eq!(reply.code, 400);
    assert!(reply.json().to_string().contains("nowhere"));
}

#[actix_web::test]
async fn changes_from_outside_are_acknowledged_where_they_hold_a_cluster() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    let path = "/admin/clusters/cluster-1/acknowledge";
    let post = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let refused = server.send(post.as_bytes()).await;
    assert_eq!(refused.code, 412);
    assert!(refused.json().to_string().contains("not held"));
    fake.held.store(true, Ordering::SeqCst);
    let reply = server.send(post.as_bytes()).await;
    assert_eq!(
        (reply.code, reply.json()),
        (200, serde_json::json!({ "acknowledged": true }))
    );
    assert_eq!(server.get(path, "").await.code, 405);
}
