//! The questions of HAProxies and clients: `is-writable`, `is-readable`, status and master.

use std::sync::Arc;
use std::time::Duration;

use redis_keeper::actors::cluster_api::{ProxyCheck, ProxyState, Question, Reason};
use redis_keeper::domain::node::Moment;
use redis_keeper::http::backend::ANSWER_TIMEOUT;
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::served::{STATE, served};

#[actix_web::test]
async fn the_primary_is_writable_and_readable() {
    let server = served(Fake::healthy());
    let reply = server.check("/cluster/cluster-1/is-writable").await;
    assert_eq!(reply.code, 200);
    assert_eq!(
        reply.body,
        r#"{"is-writable":true,"node":"10.0.0.1:6379","reason":"it is the primary","generation":7}"#
    );
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));

    let reply = server.check("/cluster/cluster-1/is-readable").await;
    assert_eq!(reply.code, 200);
    assert_eq!(reply.json()["is-readable"], true);
}

#[actix_web::test]
async fn the_state_header_reaches_the_actor_whole() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    server.check("/cluster/cluster-1/is-readable").await;
    let (question, node) = fake.last_asked().unwrap();
    assert_eq!(question, Question::Readable);
    assert_eq!(node.server_name.as_deref(), Some("10.0.0.1:6379"));
    assert_eq!(node.address, Some(("10.0.0.1".to_owned(), 6379)));
}

#[actix_web::test]
async fn the_actor_learns_which_haproxy_asks_and_how_it_sees_the_server() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    server.check("/cluster/cluster-1/is-writable").await;
    let named = |state| match fake.last_asker() {
        Some(ProxyCheck::Proxy { proxy, state: said }) if said == state => proxy.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(named(ProxyState::Up), "lb1/cluster-1-writable at 127.0.0.1");
    let down = STATE.replace("UP 1/3", "DOWN");
    server.get("/cluster/cluster-1/is-writable", &down).await;
    assert_eq!(
        named(ProxyState::Down),
        "lb1/cluster-1-writable at 127.0.0.1"
    );
    for (path, proxy_check) in [
        ("is-readable", None),
        ("is-readable/10.0.0.1:6379", None),
        ("is-writable/10.0.0.1:6379", Some(ProxyCheck::Unnamed)),
    ] {
        server.check(&format!("/cluster/cluster-1/{path}")).await;
        assert_eq!(fake.last_asker(), proxy_check, "{path}");
    }
    let nameless = STATE.replace("node=lb1; ", "");
    assert_ne!(nameless, STATE);
    server
        .get("/cluster/cluster-1/is-writable", &nameless)
        .await;
    assert_eq!(fake.last_asker(), Some(ProxyCheck::Unnamed));
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
            let reply = server.check(path).await;
            assert_eq!(reply.code, code, "{reason:?}");
            assert_eq!(reply.json()["is-writable"], said);
            assert_eq!(reply.json()["reason"], reason.to_string());
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
    assert_eq!(reply.json()["node"], "10.0.0.1:6379");
    server
        .get("/cluster/cluster-1/is-readable/%5B::1%5D:6379", "")
        .await;
    let (_, node) = fake.last_asked().unwrap();
    assert_eq!(node.server_name.as_deref(), Some("[::1]:6379"));
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
        assert_eq!(reply.json()["code"], "bad-state-header");
    }
    assert_eq!(fake.last_asked(), None);
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
        let reply = server.check(&format!("/cluster/cluster-1/{path}")).await;
        assert_eq!(reply.code, 200, "{path}");
    }
    assert_eq!(server.get("/ready", "").await.code, 200);

    fake.set_clock(deadline);
    for path in paths {
        let reply = server.check(&format!("/cluster/cluster-1/{path}")).await;
        assert_eq!(reply.code, 500, "{path}");
        assert!(reply.body.contains("no lease"), "{}", reply.body);
    }
    let reply = server.get("/ready", "").await;
    assert_eq!(reply.code, 503);
    assert_eq!(reply.json()["code"], "not-ready");
    assert_eq!(server.get("/health", "").await.code, 200);
}

#[actix_web::test]
async fn a_keeper_whose_event_loop_stands_still_is_not_healthy() {
    let server = served(Fake::blocked());
    let reply = server.get("/health", "").await;
    assert_eq!(reply.code, 503);
    assert_eq!(reply.json()["code"], "not-healthy");
}

#[actix_web::test]
async fn without_zookeeper_every_answer_says_which_server_did_what_and_since_when() {
    let outage = "ZooKeeper away for 12 s: 10.0.0.9:2181: connection refused";
    let mut fake = Fake::saying(Reason::NoLease);
    fake.outage = Some(outage.to_owned());
    let fake = Arc::new(fake);
    fake.set_ready(false);
    let server = served(Arc::clone(&fake));
    let ready = server.get("/ready", "").await;
    assert_eq!(ready.code, 503);
    let error = format!("not ready: the session is lost: {outage}");
    assert_eq!(ready.json()["error"], error);
    for check in ["is-writable", "is-readable"] {
        let reply = server.check(&format!("/cluster/cluster-1/{check}")).await;
        assert_eq!(reply.code, 500);
        let reason = format!("{}: {outage}", Reason::NoLease);
        assert_eq!(reply.json()["reason"], reason);
    }
    // A firm answer has other reasons.
    fake.set_reason(Reason::NoPrimary);
    let reply = server.check("/cluster/cluster-1/is-writable").await;
    assert_eq!(reply.json()["reason"], Reason::NoPrimary.to_string());
}

#[actix_web::test]
async fn a_zookeeper_that_refuses_what_is_asked_is_told_where_it_is_not_away() {
    let mut fake = Fake::healthy();
    fake.trouble = Some("no right to /keepers: set zk-auth".to_owned());
    fake.set_ready(false);
    let server = served(fake);
    let error = "not ready: the session is lost: no right to /keepers: set zk-auth";
    assert_eq!(server.get("/ready", "").await.json()["error"], error);
    let told = server.get("/admin/keepers", "").await.json();
    assert_eq!(told["trouble"], "no right to /keepers: set zk-auth");
}

#[actix_web::test]
async fn an_actor_that_does_not_answer_makes_it_unknown() {
    let server = served(Fake::hung());
    let began = tokio::time::Instant::now();
    let reply = server.check("/cluster/cluster-1/is-writable").await;
    assert!(began.elapsed() >= ANSWER_TIMEOUT);
    assert_eq!(reply.code, 500);
    assert_eq!(reply.json()["is-writable"], Value::Null);
    for path in ["status", "master"] {
        let reply = server.check(&format!("/cluster/cluster-1/{path}")).await;
        assert_eq!(
            (reply.code, &reply.json()["code"]),
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
    let reply = server.check("/cluster/cluster-1/is-writable").await;
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
    assert_eq!(reply.json()["master"], Value::Null);
    let reply = server.get("/cluster/cluster-1/master", "").await;
    assert_eq!(
        (reply.code, &reply.json()["code"]),
        (503, &json!("no-primary"))
    );
}

#[actix_web::test]
async fn an_error_names_what_was_sent_and_what_there_is() {
    let healthy = served(Fake::healthy());
    let lacking = served(Fake::saying(Reason::NoSuchNode));
    let bad = "x-haproxy-server-state: UP; name=b/s; port=x\r\n";
    let writable = "/cluster/cluster-1/is-writable";
    for (reply, code, words) in [
        (
            healthy.get(writable, bad).await,
            400,
            ["`port`", "it reads `UP; name=b/s; port=x`"],
        ),
        (
            healthy.get("/nope", "").await,
            404,
            ["no path `/nope`", "GET /"],
        ),
        (
            healthy.get("/cluster/nope/status", "").await,
            404,
            ["cluster `nope`", ": cluster-1."],
        ),
        (
            lacking.check(writable).await,
            404,
            ["no node `10.0.0.1:6379`", "cluster `cluster-1`"],
        ),
        (
            served(Fake::without_primary())
                .get("/cluster/cluster-1/master", "")
                .await,
            503,
            ["cluster `cluster-1` has no primary", "/explain"],
        ),
    ] {
        assert_eq!(reply.code, code, "{words:?}");
        let body = reply.json();
        let error = body["error"].as_str().unwrap();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}
