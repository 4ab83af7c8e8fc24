//! The pages for operators and for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use redis_keeper::domain::node::Moment;
use serde_json::json;

use crate::fake::Fake;
use crate::served::served;

#[actix_web::test]
async fn an_address_that_is_none_is_400() {
    let server = served(Fake::healthy());
    let reply = server
        .get("/admin/clusters/cluster-1/nodes/10.0.0.1", "")
        .await;
    assert_eq!(reply.code, 400);
    assert_eq!(reply.json()["code"], "bad-address");
}

#[actix_web::test]
async fn a_node_shows_its_monitor_its_facts_and_every_vote() {
    let server = served(Fake::healthy());
    let reply = server
        .get("/admin/clusters/cluster-1/nodes/10.0.0.1:6379", "")
        .await;
    assert_eq!(reply.code, 200);
    let node = reply.json();
    assert_eq!(node["node"], "10.0.0.1:6379");
    assert_eq!(node["restarts"], 2);
    assert_eq!(node["online"], true);
    assert_eq!(node["verdict"]["votes"], json!({ "keeper-2": "refused" }));
    assert_eq!(node["verdict"]["down"], false);
    assert_eq!(node["monitor"]["consecutive-failures"], 0);
    assert_eq!(node["monitor"]["last-probe"]["took-seconds"], 0.0005);
    assert_eq!(node["monitor"]["last-proof-of-life-age-seconds"], 1.5);
    assert_eq!(
        node["sighting"]["facts"]["role"]["primary"]["online-replicas"],
        1
    );
    assert_eq!(node["sighting"]["facts"]["version"], "7.0.15");
}

#[actix_web::test]
async fn an_explanation_tells_who_would_take_over_and_why_the_others_not() {
    let server = served(Fake::healthy());
    let reply = server.get("/admin/clusters/cluster-1/explain", "").await;
    assert_eq!(reply.code, 200);
    let expected = json!({
        "cluster": "cluster-1",
        "primary": "10.0.0.1:6379",
        "if-the-primary-died-now": {
            "sentence": "10.0.0.2:6379 would take over; 10.0.0.3:6379 not, because it has priority 0",
            "next": "10.0.0.2:6379",
            "ranking": [{
                "node": "10.0.0.2:6379",
                "offset": 42,
                "lag-bytes": null,
                "lag-seconds": null,
                "facts-age-seconds": 0.0,
                "priority": 100,
                "uptime-seconds": 1.5,
                "replication-history": {"id": "b".repeat(40), "promotions-back": 0},
            }],
            "refused": [{"node": "10.0.0.3:6379", "reason": "has priority 0"}],
            "held-by": [],
            "left-behind": [],
        },
        "now": "nothing to do",
        "troubles": [],
        "told-by": "keeper-1",
        "leader": "keeper-1",
    });
    assert_eq!(reply.json(), expected);
    let hung = served(Fake::hung());
    let reply = hung.get("/admin/clusters/cluster-1/explain", "").await;
    assert_eq!(reply.code, 500);
}

#[actix_web::test]
async fn admin_pages_show_clusters_keepers_and_the_tree() {
    let server = served(Fake::healthy());
    let clusters = server.get("/admin/clusters", "").await.json();
    assert_eq!(clusters, json!({ "clusters": ["cluster-1"] }));
    let cluster = server.get("/admin/clusters/cluster-1", "").await.json();
    assert_eq!(cluster["plan"], "nothing to do");
    assert_eq!(cluster["published"]["generation"], 7);
    assert_eq!(cluster["nodes"][0]["writable"], "it is the primary");
    let haproxy = json!({
        "name": "lb1",
        "backend": "cluster-1-writable",
        "address": "10.0.0.9",
        "node": "10.0.0.1:6379",
        "state": "UP",
        "age-seconds": 1.5,
        "named": null,
    });
    assert_eq!(cluster["haproxies"], json!([haproxy]));
    let keepers = server.get("/admin/keepers", "").await.json();
    assert_eq!(keepers["leader"], "keeper-1");
    assert_eq!(keepers["keepers"][0]["rest"], "10.0.1.1:4379");
    let tree = server.get("/admin/supervision", "").await.json();
    assert_eq!(tree["children"][0]["last-exit"], "panicked: boom");
    let index = server.get("/", "").await.json();
    for path in index["paths"].as_array().unwrap() {
        let path = path
            .as_str()
            .unwrap()
            .replace("{name}", "cluster-1")
            .replace("{node}", "10.0.0.1:6379");
        assert_eq!(server.check(&path).await.code, 200, "{path}");
    }
}

#[actix_web::test]
async fn metrics_count_answers_and_show_each_cluster() {
    let server = served(Fake::healthy());
    server.check("/cluster/cluster-1/is-writable").await;
    let reply = server.get("/metrics", "").await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; version=0.0.4")
    );
    for line in [
        r#"redis_keeper_http_checks_total{question="is-writable",answer="yes"} 1"#,
        r#"redis_keeper_cluster_primary_known{cluster="cluster-1"} 1"#,
        r#"redis_keeper_cluster_generation{cluster="cluster-1"} 7"#,
        r#"redis_keeper_cluster_lease_seconds{cluster="cluster-1"} 0.8"#,
        r#"redis_keeper_cluster_nodes{cluster="cluster-1",state="online"} 1"#,
        r#"redis_keeper_cluster_nodes{cluster="cluster-1",state="down"} 0"#,
        r#"redis_keeper_cluster_writable{cluster="cluster-1"} 1"#,
        r#"redis_keeper_cluster_failover_possible{cluster="cluster-1"} 1"#,
        r#"redis_keeper_cluster_held{cluster="cluster-1",reason="not-linked"} 1"#,
        r#"redis_keeper_node_up{cluster="cluster-1",node="10.0.0.1:6379"} 1"#,
        r#"redis_keeper_node_votes{cluster="cluster-1",node="10.0.0.1:6379"} 1"#,
        r#"redis_keeper_node_role{cluster="cluster-1",node="10.0.0.1:6379",role="primary"} 1"#,
        r#"redis_keeper_node_role{cluster="cluster-1",node="10.0.0.1:6379",role="replica"} 0"#,
        r#"redis_keeper_node_offset_bytes{cluster="cluster-1",node="10.0.0.1:6379"} 42"#,
        "redis_keeper_ready 1",
        "redis_keeper_session_connected 1",
        "redis_keeper_session_leader 1",
        "redis_keeper_session_keepers_online 1",
    ] {
        assert_has(&reply.body, line);
    }
}

fn assert_has(page: &str, line: &str) {
    assert!(page.lines().any(|found| found == line), "{line}: {page}");
}

#[actix_web::test]
async fn metrics_say_that_nothing_is_writable_once_the_lease_is_out() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    // The clock has passed the deadline of the cluster actor's last answer.
    fake.set_clock(Moment(Duration::from_secs(1001)));
    let page = server.get("/metrics", "").await.body;
    for line in [
        r#"redis_keeper_cluster_writable{cluster="cluster-1"} 0"#,
        r#"redis_keeper_cluster_failover_possible{cluster="cluster-1"} 0"#,
    ] {
        assert_has(&page, line);
    }
}

#[actix_web::test]
async fn metrics_show_a_cluster_whose_actor_hangs_as_not_writable() {
    let server = served(Fake::hung());
    let page = server.get("/metrics", "").await.body;
    for line in [
        r#"redis_keeper_cluster_answering{cluster="cluster-1"} 0"#,
        r#"redis_keeper_cluster_writable{cluster="cluster-1"} 0"#,
        r#"redis_keeper_cluster_failover_possible{cluster="cluster-1"} 0"#,
    ] {
        assert_has(&page, line);
    }
}

#[actix_web::test]
async fn a_keeper_that_does_not_lead_passes_on_what_the_leader_explains() {
    let leader = served(Fake::healthy().called("keeper-2"));
    let server = served(Fake::healthy().led_from(leader.addr));
    let told = server.get("/admin/clusters/cluster-1/explain", "").await;
    let told = told.json();
    assert_eq!(
        (&told["told-by"], &told["leader"]),
        (&json!("keeper-2"), &json!("keeper-2"))
    );
    assert_eq!(told["now"], "nothing to do");
    assert_eq!(
        (&told["troubles"], &told["leader-troubles"]),
        (&json!([]), &json!([]))
    );
    let view = server.get("/admin/clusters/cluster-1", "").await.json();
    let label = format!("keeper-2 leads: ask it at http://{}", leader.addr);
    let plan = view["plan"].as_str().unwrap();
    assert!(
        plan.starts_with(&label) && plan.ends_with("nothing to do"),
        "{plan}"
    );
    // A request that another keeper has passed on is not passed on again.
    let passed_on = server.get(
        "/admin/clusters/cluster-1/explain",
        "x-redis-keeper-passed-on: keeper-1\r\n",
    );
    assert_eq!(passed_on.await.json()["told-by"], "keeper-1");
}

#[actix_web::test]
async fn a_leader_that_does_not_answer_in_time_is_named_beside_the_own_view() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let another = served(Fake::healthy().called("keeper-9"));
    for (leader, why) in [
        (mute.local_addr().unwrap(), "no answer within 1s"),
        (another.addr, "keeper-9 answers there"),
    ] {
        let server = served(Fake::healthy().led_from(leader));
        let told = server
            .get("/admin/clusters/cluster-1/explain", "")
            .await
            .json();
        assert_eq!(told["told-by"], "keeper-1");
        let sentence = told["if-the-primary-died-now"]["sentence"]
            .as_str()
            .unwrap();
        for words in [
            &format!("keeper-2 leads: ask it at http://{leader}"),
            why,
            "As this keeper sees it: 10.0.0.2:6379 would take over",
        ] {
            assert!(sentence.contains(words), "{sentence}");
        }
    }
}
