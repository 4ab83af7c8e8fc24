//! Requests of all kinds, hostile ones too, and their sockets.

use std::sync::Arc;
use std::time::Duration;

use redis_keeper::actors::cluster_api::{ProxyCheck, ProxyState, Reason};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fake::Fake;
use crate::served::{STATE, Served, served};

#[actix_web::test]
async fn an_unknown_path_is_404_as_json() {
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
        let reply = server.check(path).await;
        assert_eq!(reply.code, 404, "{path}: {reply:?}");
        assert_eq!(reply.json()["code"], code, "{path}");
        assert!(reply.json()["error"].as_str().unwrap().len() > 10);
    }
}

#[actix_web::test]
async fn everything_is_read_only_and_a_refused_method_is_told_which_there_are() {
    let server = served(Fake::healthy());
    let checked = "GET, HEAD, OPTIONS";
    for (path, allowed) in [
        ("/cluster/cluster-1/is-writable", checked),
        ("/cluster/cluster-1/is-readable/10.0.0.1:6379", checked),
        ("/cluster/cluster-1/status", checked),
        ("/cluster/cluster-1/master", checked),
        ("/ready", checked),
        ("/health", checked),
        ("/", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/admin/clusters", "GET, HEAD"),
        ("/admin/clusters/cluster-1/explain", "GET, HEAD"),
        ("/admin/clusters/cluster-1/switchover", "POST"),
        ("/failsafe/consent", "POST"),
        ("/admin/keepers/keeper-1", "DELETE"),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
            if allowed.contains(method) {
                continue;
            }
            let reply = server.send(&request(method, path, "")).await;
            assert_eq!(reply.code, 405, "{method} {path}");
            assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}");
            assert_eq!(reply.json()["code"], "method-not-allowed");
        }
    }
}

fn request(method: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\n\r\n").into()
}

#[actix_web::test]
async fn options_answers_as_head_does_whatever_that_is() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    for reason in [
        Reason::Primary,
        Reason::NoPrimary,
        Reason::NoLease,
        Reason::NoSuchNode,
    ] {
        fake.set_reason(reason.clone());
        fake.set_ready(matches!(reason, Reason::Primary));
        for (path, headers) in [
            ("/cluster/cluster-1/is-writable", STATE),
            ("/cluster/cluster-1/is-writable", ""),
            ("/cluster/cluster-1/is-readable", STATE),
            ("/cluster/cluster-1/is-writable/10.0.0.1:6379", ""),
            ("/cluster/cluster-1/is-readable/10.0.0.2:6379", ""),
            ("/cluster/nope/is-writable", STATE),
            ("/cluster/cluster-1/status", ""),
            ("/cluster/cluster-1/master", ""),
            ("/ready", ""),
            ("/health", ""),
        ] {
            let head = server.send(&request("HEAD", path, headers)).await;
            let reply = server.send(&request("OPTIONS", path, headers)).await;
            assert_eq!(reply.code, head.code, "{path} {reason:?}");
            assert_eq!(reply.body, "", "{path} {reason:?}");
            assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS"));
            assert_eq!(reply.header("cache-control"), head.header("cache-control"));
        }
    }
    // The asker and the server that it names count as in any other check.
    fake.set_reason(Reason::Primary);
    let path = "/cluster/cluster-1/is-writable";
    let reply = server.send(&request("OPTIONS", path, STATE)).await;
    assert_eq!(reply.code, 200);
    assert!(matches!(
        fake.last_asker(),
        Some(ProxyCheck::Proxy {
            state: ProxyState::Up,
            ..
        })
    ));
}

#[actix_web::test]
async fn a_check_is_read_in_every_spelling_of_http_and_another_path_is_none() {
    let server = served(Fake::healthy());
    let long = format!("/cluster/cluster-1/is-writable?{}", "q".repeat(8_000));
    let odd = STATE.replace("x-haproxy-server-state", "X-HAPROXY-Server-STATE");
    for (what, request, code) in [
        (
            "HTTP/1.0 without a Host",
            format!("OPTIONS /cluster/cluster-1/is-writable HTTP/1.0\r\n{STATE}\r\n"),
            200,
        ),
        (
            "a bare check of the keeper itself",
            "OPTIONS /ready HTTP/1.0\r\n\r\n".to_owned(),
            200,
        ),
        (
            "another case of the header's name",
            format!("GET /cluster/cluster-1/is-writable HTTP/1.0\r\n{odd}\r\n"),
            200,
        ),
        (
            "a query of 8 kB",
            format!("GET {long} HTTP/1.0\r\n{STATE}\r\n"),
            200,
        ),
        (
            "a cluster's name with a letter percent-encoded",
            format!("GET /cluster/cluster%2D1/is-writable HTTP/1.0\r\n{STATE}\r\n"),
            200,
        ),
        (
            "a node percent-encoded",
            "GET /cluster/cluster-1/is-writable/10.0.0.1%3A6379 HTTP/1.0\r\n\r\n".to_owned(),
            200,
        ),
        (
            "a trailing slash",
            format!("GET /cluster/cluster-1/is-writable/ HTTP/1.0\r\n{STATE}\r\n"),
            404,
        ),
        (
            "a trailing slash after a node",
            "GET /cluster/cluster-1/is-writable/10.0.0.1:6379/ HTTP/1.0\r\n\r\n".to_owned(),
            404,
        ),
        (
            "a path that is none",
            format!("GET /cluster/cluster-1//is-writable HTTP/1.0\r\n{STATE}\r\n"),
            404,
        ),
        (
            "HAProxy's method and path where neither is configured",
            "OPTIONS / HTTP/1.0\r\n\r\n".to_owned(),
            405,
        ),
    ] {
        let reply = server.send(request.as_bytes()).await;
        assert_eq!(reply.code, code, "{what}: {reply:?}");
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
async fn a_cluster_has_one_name_however_the_path_encodes_it() {
    let server = served(Fake::healthy());
    for (encoded, name) in [
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("a%3Ab", "a:b"),
        ("%C3%BC", "ü"),
        ("%2E%2Ex", "..x"),
    ] {
        for question in ["is-writable", "is-readable", "is-writable/a:1", "status"] {
            let path = format!("/cluster/{encoded}/{question}");
            let reply = server.check(&path).await;
            let said = reply.json()["error"].to_string();
            assert!(said.contains(&format!("`{name}`")), "{path}: {said}");
        }
    }
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
    let reply = server.check("/cluster/cluster-1/is-writable").await;
    assert_eq!(reply.code, 200);
}

#[actix_web::test]
async fn a_crash_in_a_handler_is_a_500_and_the_next_request_is_served() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    fake.crash_next();
    let reply = server.check("/cluster/cluster-1/is-writable").await;
    assert_eq!(reply.code, 500);
    assert_eq!(reply.json()["code"], "crashed");
    let reply = server.check("/cluster/cluster-1/is-writable").await;
    assert_eq!(reply.code, 200);
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
async fn a_client_that_sends_half_a_request_is_shut_out_soon() {
    let server = served(Fake::healthy());
    let begun = [
        "GET /cluster/cluster-1/is-writable HTTP/1.1\r\nhost: x\r\nx-",
        "POST /failsafe/consent HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{",
        "POST /admin/clusters/cluster-1/acknowledge HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{",
    ];
    let began = tokio::time::Instant::now();
    for half in begun {
        let reply = server.try_send(half.as_bytes()).await;
        assert_eq!(reply, "", "{half}");
    }
    let each = began.elapsed() / 3;
    assert!(each < Duration::from_secs(6), "{each:?} each");
}

#[actix_web::test]
async fn a_connection_serves_one_request_after_the_other() {
    let server = served(Fake::healthy());
    let mut client = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    for _ in 0..2 {
        let request = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut answer = [0; 1024];
        let count = client.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        // Longer than a request may take.
        tokio::time::sleep(Duration::from_millis(2600)).await;
    }
}

#[actix_web::test]
async fn a_request_that_takes_long_is_not_cut_off() {
    let server = served(Fake::healthy().switching_after(Duration::from_secs(4)));
    let request = b"POST /admin/clusters/cluster-1/switchover HTTP/1.1\r\nhost: x\r\n\
        content-length: 2\r\nconnection: close\r\n\r\n{}";
    let reply = server.send(request).await;
    assert_eq!(reply.code, 503, "{reply:?}");
}
