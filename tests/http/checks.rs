//! Paths, status codes, bodies, and what hostile clients get.

use std::sync::Arc;
use std::time::Duration;

use redis_keeper::actors::cluster_api::{Question, Reason};
use redis_keeper::domain::node::Moment;
use redis_keeper::http::backend::PATIENCE;
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::served::{Reply, Served, served};

const STATE: &str = "x-haproxy-server-state: UP 1/3; address=10.0.0.1; port=6379; \
    name=cluster-1-writable/10.0.0.1:6379; node=lb1; weight=1/3\r\n";

/// Asks as HAProxy's check does.
async fn check(server: &Served, path: &str) -> Reply {
    server.get(path, STATE).await
}

fn body(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{error}: {reply:?}"))
}

#[actix_web::test]
async fn the_primary_is_writable_and_readable() {
    let server = served(Fake::healthy());
    let reply = check(&server, "/cluster/cluster-1/is-writable").await;
    assert_eq!(reply.code, 200);
    assert_eq!(
        reply.body,
        r#"{"is-writable":true,"node":"10.0.0.1:6379","reason":"it is the primary","generation":7}"#
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));

    let reply = check(&server, "/cluster/cluster-1/is-readable").await;
    assert_eq!(reply.code, 200);
    assert_eq!(body(&reply)["is-readable"], true);
}

#[actix_web::test]
async fn the_state_header_reaches_the_actor_whole() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    check(&server, "/cluster/cluster-1/is-readable").await;
    let (question, node) = fake.last_asked().unwrap();
    assert_eq!(question, Question::Readable);
    assert_eq!(node.server_name.as_deref(), Some("10.0.0.1:6379"));
    assert_eq!(node.address, Some(("10.0.0.1".to_owned(), 6379)));
}

#[actix_web::test]
async fn who_asks_whether_a_server_is_writable_and_takes_it_for_what_reaches_the_actor_too() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    check(&server, "/cluster/cluster-1/is-writable").await;
    let asker = fake.last_asker().expect("a HAProxy that says who it is");
    assert_eq!(
        (asker.proxy.to_string().as_str(), asker.up),
        ("lb1/cluster-1-writable at 127.0.0.1", true)
    );
    let down = STATE.replace("UP 1/3", "DOWN");
    server.get("/cluster/cluster-1/is-writable", &down).await;
    assert!(!fake.last_asker().unwrap().up);
    for path in ["is-readable", "is-writable/10.0.0.1:6379"] {
        check(&server, &format!("/cluster/cluster-1/{path}")).await;
        assert_eq!(fake.last_asker(), None, "{path}");
    }
}

#[actix_web::test]
async fn no_is_503_and_unknown_is_500() {
    for (reason, code, said) in [
        (Reason::NoPrimary, 503, json!(false)),
        (Reason::Loading, 503, json!(false)),
        (Reason::NoLease, 500, Value::Null),
        (Reason::NoState, 500, Value::Null),
    ] {
        let server = served(Fake::saying(reason.clone()));
        for path in [
            "/cluster/cluster-1/is-writable",
            "/cluster/cluster-1/is-writable/10.0.0.1:6379",
        ] {
            let reply = check(&server, path).await;
            assert_eq!(reply.code, code, "{reason:?}");
            assert_eq!(body(&reply)["is-writable"], said);
            assert_eq!(body(&reply)["reason"], reason.to_string());
        }
    }
}

#[actix_web::test]
async fn the_path_form_answers_as_the_header_form_does() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    let reply = server
        .get("/cluster/cluster-1/is-writable/10.0.0.1:6379", "")
        .await;
    assert_eq!(reply.code, 200);
    assert_eq!(body(&reply)["node"], "10.0.0.1:6379");
    server
        .get("/cluster/cluster-1/is-readable/%5B::1%5D:6379", "")
        .await;
    let (_, node) = fake.last_asked().unwrap();
    assert_eq!(node.server_name.as_deref(), Some("[::1]:6379"));
}

#[actix_web::test]
async fn what_does_not_exist_is_404_as_json() {
    let server = served(Fake::saying(Reason::NoSuchNode));
    for (path, code) in [
        ("/cluster/nope/is-writable", "no-such-cluster"),
        ("/cluster/nope/is-readable/10.0.0.1:6379", "no-such-cluster"),
        ("/cluster/nope/status", "no-such-cluster"),
        ("/cluster/nope/master", "no-such-cluster"),
        ("/cluster/cluster-1/is-writable", "no-such-node"),
        ("/cluster/cluster-1/is-writable/nope", "no-such-node"),
        ("/cluster/cluster-1", "no-such-path"),
        ("/cluster/cluster-1/is-writable/", "no-such-path"),
        ("/admin/clusters/nope", "no-such-cluster"),
        ("/admin/clusters/nope/explain", "no-such-cluster"),
        ("/admin/clusters/nope/nodes/a:1", "no-such-cluster"),
        ("/admin/clusters/cluster-1/nodes/9.9.9.9:1", "no-such-node"),
        ("/nope", "no-such-path"),
    ] {
        let reply = check(&server, path).await;
        assert_eq!(reply.code, 404, "{path}: {reply:?}");
        assert_eq!(body(&reply)["code"], code, "{path}");
        assert!(body(&reply)["error"].as_str().unwrap().len() > 10);
    }
}

#[actix_web::test]
async fn an_address_that_is_none_is_400() {
    let server = served(Fake::healthy());
    let reply = server
        .get("/admin/clusters/cluster-1/nodes/10.0.0.1", "")
        .await;
    assert_eq!(reply.code, 400);
    assert_eq!(body(&reply)["code"], "bad-address");
}

#[actix_web::test]
async fn everything_is_read_only() {
    let server = served(Fake::healthy());
    for path in ["/cluster/cluster-1/is-writable", "/admin/clusters", "/"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let reply = server.send(request.as_bytes()).await;
            assert_eq!(reply.code, 405, "{method} {path}");
            assert_eq!(reply.header("allow"), Some("GET, HEAD"));
            assert_eq!(body(&reply)["code"], "method-not-allowed");
        }
    }
}

#[actix_web::test]
async fn head_answers_as_get_does_without_the_body() {
    let server = served(Fake::healthy());
    let request = format!(
        "HEAD /cluster/cluster-1/is-writable HTTP/1.1\r\nhost: x\r\n{STATE}connection: close\r\n\r\n"
    );
    let reply = server.send(request.as_bytes()).await;
    assert_eq!((reply.code, reply.body.as_str()), (200, ""));
    let request = "HEAD /nope HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let reply = server.send(request.as_bytes()).await;
    assert_eq!((reply.code, reply.body.as_str()), (404, ""));
}

#[actix_web::test]
async fn a_header_that_names_no_server_is_400_and_never_asks() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    let long = format!(
        "x-haproxy-server-state: UP; name=b/{}\r\n",
        "a".repeat(60_000)
    );
    let twice = format!("{STATE}{STATE}");
    for headers in [
        "",
        "x-haproxy-server-state:\r\n",
        "x-haproxy-server-state: UP\r\n",
        "x-haproxy-server-state: UP; name=10.0.0.1:6379\r\n",
        "x-haproxy-server-state: UP; address=10.0.0.1; port=99999\r\n",
        "x-haproxy-server-state: \u{fffd}; name=\u{fffd}\r\n",
        "x-haproxy-server-state: UP; name=b/s; name=b/10.0.0.1:6379\r\n",
        &long,
        &twice,
    ] {
        let reply = server.get("/cluster/cluster-1/is-writable", headers).await;
        assert_eq!(reply.code, 400, "{headers:.100}");
        assert_eq!(body(&reply)["code"], "bad-state-header");
    }
    assert_eq!(fake.last_asked(), None);
}

#[actix_web::test]
async fn no_bytes_get_a_200_or_take_the_server_down() {
    let server = served(Fake::healthy());
    let huge = format!(
        "GET /cluster/cluster-1/is-writable HTTP/1.1\r\nhost: x\r\nx-haproxy-server-state: UP; name=b/{}\r\n\r\n",
        "a".repeat(200_000)
    );
    let many = format!(
        "GET /cluster/cluster-1/is-writable HTTP/1.1\r\nhost: x\r\n{}\r\n",
        "a: b\r\n".repeat(500)
    );
    for bytes in [
        huge.as_bytes(),
        many.as_bytes(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /cluster/%ff%fe/is-writable/%00 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"GET /cluster/cluster-1/is-writable HTTP/1.1\r\nx-haproxy-server-state: UP; name=b/\x00\r\n\r\n",
        b"GET /cluster/cluster-1/is-writable HTTP/1.1\nhost: x\r\nx-haproxy-server-state\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
    ] {
        let reply = server.try_send(bytes).await;
        assert!(!reply.starts_with("HTTP/1.1 200"), "{reply}");
    }
    let reply = check(&server, "/cluster/cluster-1/is-writable").await;
    assert_eq!(reply.code, 200);
}

#[actix_web::test]
async fn an_answer_past_its_deadline_is_not_passed_on() {
    let last = Moment(Duration::from_nanos(99_999_999_999));
    let deadline = last.after(Duration::from_nanos(1));
    let fake = Arc::new(Fake::healthy().until(deadline));
    let server = served(Arc::clone(&fake));
    let paths = ["is-writable", "is-readable", "status", "master"];

    fake.set_clock(last);
    for path in paths {
        let reply = check(&server, &format!("/cluster/cluster-1/{path}")).await;
        assert_eq!(reply.code, 200, "{path}");
    }
    assert_eq!(server.get("/ready", "").await.code, 200);

    fake.set_clock(deadline);
    for path in paths {
        let reply = check(&server, &format!("/cluster/cluster-1/{path}")).await;
        assert_eq!(reply.code, 500, "{path}");
        assert!(reply.body.contains("no lease"), "{}", reply.body);
    }
    let reply = server.get("/ready", "").await;
    assert_eq!(reply.code, 503);
    assert_eq!(body(&reply)["code"], "not-ready");
    assert_eq!(server.get("/health", "").await.code, 200);
}

#[actix_web::test]
async fn an_actor_that_does_not_answer_makes_it_unknown() {
    let server = served(Fake::hung());
    let began = tokio::time::Instant::now();
    let reply = check(&server, "/cluster/cluster-1/is-writable").await;
    assert!(began.elapsed() >= PATIENCE);
    assert_eq!(reply.code, 500);
    assert_eq!(body(&reply)["is-writable"], Value::Null);
    for path in ["status", "master"] {
        let reply = check(&server, &format!("/cluster/cluster-1/{path}")).await;
        assert_eq!(
            (reply.code, &body(&reply)["code"]),
            (500, &json!("unknown"))
        );
    }
    assert_eq!(server.get("/ready", "").await.code, 503);
    assert_eq!(server.get("/admin/keepers", "").await.code, 500);
    assert_eq!(server.get("/health", "").await.code, 200);
    let metrics = server.get("/metrics", "").await;
    assert!(
        metrics
            .body
            .contains("redis_keeper_cluster_answering{cluster=\"cluster-1\"} 0")
    );
}

#[actix_web::test]
async fn a_restart_of_the_actor_passes_unseen() {
    let fake = Arc::new(Fake::healthy().down_for(3));
    let server = served(Arc::clone(&fake));
    let reply = check(&server, "/cluster/cluster-1/is-writable").await;
    assert_eq!(reply.code, 200);
}

#[actix_web::test]
async fn a_crash_in_a_handler_is_a_500_and_the_next_request_is_served() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    fake.crash_next();
    let reply = check(&server, "/cluster/cluster-1/is-writable").await;
    assert_eq!(reply.code, 500);
    assert_eq!(body(&reply)["code"], "crashed");
    let reply = check(&server, "/cluster/cluster-1/is-writable").await;
    assert_eq!(reply.code, 200);
}

#[actix_web::test]
async fn status_and_master_read_as_in_the_older_project_with_ports_as_numbers() {
    let server = served(Fake::healthy());
    let reply = server.get("/cluster/cluster-1/status", "").await;
    assert_eq!(
        reply.body,
        r#"{"master":{"host":"10.0.0.1","port":6379},"slaves":[{"host":"10.0.0.2","port":6379}]}"#
    );
    let reply = server.get("/cluster/cluster-1/master", "").await;
    assert_eq!(reply.body, r#"{"host":"10.0.0.1","port":6379}"#);
}

#[actix_web::test]
async fn without_a_primary_status_says_null_and_master_503() {
    let server = served(Fake::without_primary());
    let reply = server.get("/cluster/cluster-1/status", "").await;
    assert_eq!(reply.code, 200);
    assert_eq!(body(&reply)["master"], Value::Null);
    let reply = server.get("/cluster/cluster-1/master", "").await;
    assert_eq!(
        (reply.code, &body(&reply)["code"]),
        (503, &json!("no-primary"))
    );
}

#[actix_web::test]
async fn a_node_shows_its_monitor_its_facts_and_every_vote() {
    let server = served(Fake::healthy());
    let reply = server
        .get("/admin/clusters/cluster-1/nodes/10.0.0.1:6379", "")
        .await;
    assert_eq!(reply.code, 200);
    let node = body(&reply);
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
                "priority": 100,
                "uptime-seconds": 1.5,
                "replication-history": {"id": "b".repeat(40), "promotions-back": 0},
            }],
            "refused": [{"node": "10.0.0.3:6379", "reason": "has priority 0"}],
            "held-by": [],
        },
        "now": "nothing to do",
    });
    assert_eq!(body(&reply), expected);
    let hung = served(Fake::hung());
    let reply = hung.get("/admin/clusters/cluster-1/explain", "").await;
    assert_eq!(reply.code, 500);
}

#[actix_web::test]
async fn admin_pages_show_clusters_keepers_and_the_tree() {
    let server = served(Fake::healthy());
    let clusters = body(&server.get("/admin/clusters", "").await);
    assert_eq!(clusters, json!({ "clusters": ["cluster-1"] }));
    let cluster = body(&server.get("/admin/clusters/cluster-1", "").await);
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
    });
    assert_eq!(cluster["haproxies"], json!([haproxy]));
    let keepers = body(&server.get("/admin/keepers", "").await);
    assert_eq!(keepers["leader"], "keeper-1");
    assert_eq!(keepers["keepers"][0]["rest"], "10.0.1.1:4379");
    let tree = body(&server.get("/admin/supervision", "").await);
    assert_eq!(tree["children"][0]["last-exit"], "panicked: boom");
    let index = body(&server.get("/", "").await);
    for path in index["paths"].as_array().unwrap() {
        let path = path
            .as_str()
            .unwrap()
            .replace("{name}", "cluster-1")
            .replace("{node}", "10.0.0.1:6379");
        assert_eq!(check(&server, &path).await.code, 200, "{path}");
    }
}

#[actix_web::test]
async fn metrics_count_answers_and_show_each_cluster() {
    let server = served(Fake::healthy());
    check(&server, "/cluster/cluster-1/is-writable").await;
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
        "redis_keeper_session_leader 1",
        "redis_keeper_session_keepers_online 1",
    ] {
        assert!(
            reply.body.lines().any(|found| found == line),
            "{line}: {}",
            reply.body
        );
    }
}

#[actix_web::test]
async fn dropping_the_server_closes_it_and_its_socket_can_be_served_again() {
    let server = served(Fake::healthy());
    let again = server.listener.try_clone().unwrap();
    let addr = server.addr;
    server.stop().await;
    let waiting = tokio::net::TcpStream::connect(addr).await.unwrap();
    let server = Served::on(again, Arc::new(Fake::healthy()));
    let reply = Served::ask(
        waiting,
        b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    assert_eq!(server.get("/health", "").await.code, 200);
}

#[actix_web::test]
async fn an_address_in_use_is_told_by_name() {
    let server = served(Fake::healthy());
    let error = redis_keeper::http::server::bind("127.0.0.1", server.addr.port()).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains(&format!("127.0.0.1:{}", server.addr.port())),
        "{said}"
    );
    assert!(said.contains("rest-port"), "{said}");
}

#[actix_web::test]
async fn a_client_that_sends_half_a_request_is_shut_out() {
    let server = served(Fake::healthy());
    let reply = server
        .try_send(b"GET /cluster/cluster-1/is-writable HTTP/1.1\r\nhost: x\r\nx-")
        .await;
    assert!(
        reply.is_empty() || reply.starts_with("HTTP/1.1 408"),
        "{reply}"
    );
}
