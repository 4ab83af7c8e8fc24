//! Operators' requests by POST.

use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use redis_keeper::actors::messages::{NotSwitched, Switched};
use redis_keeper::domain::node::{Generation, NodeAddr};

use crate::fake::Fake;
use crate::served::{Reply, served};

const PATH: &str = "/admin/clusters/cluster-1/switchover";

fn addr(host: &str) -> NodeAddr {
    NodeAddr::new(host, 6379)
}

async fn posted(fake: impl Into<Arc<Fake>>, body: &str) -> Reply {
    let server = served(fake);
    let length = body.len();
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    server.send(request.as_bytes()).await
}

#[actix_web::test]
async fn a_switchover_is_told_as_it_ends() {
    let switched = Switched {
        from: addr("10.0.0.1"),
        to: addr("10.0.0.2"),
        generation: Generation(9),
    };
    let reply = posted(Fake::healthy().switching(Ok(switched)), "").await;
    assert_eq!(reply.code, 200);
    assert_eq!(
        reply.json(),
        serde_json::json!({
            "switched": true,
            "from": { "host": "10.0.0.1", "port": 6379 },
            "to": { "host": "10.0.0.2", "port": 6379 },
            "generation": 9,
        })
    );
    let why = || "because".to_owned();
    let primary = addr("10.0.0.1");
    for (outcome, code, name) in [
        (NotSwitched::Refused(why()), 412, "refused"),
        (
            NotSwitched::CalledOff {
                primary,
                why: why(),
            },
            409,
            "called-off",
        ),
        (NotSwitched::Unknown(why()), 500, "outcome-unknown"),
        // The keeper that was asked is the one that leads by its own account.
        (NotSwitched::NotLeading, 503, "no-leader"),
    ] {
        let reply = posted(Fake::healthy().switching(Err(outcome)), "{}").await;
        assert_eq!((reply.code, &reply.json()["code"]), (code, &name.into()));
        let error = reply.json()["error"].to_string();
        assert!(code == 503 || error.contains("because"), "{error}");
    }
}

#[actix_web::test]
async fn an_operation_without_a_recipient_differs_from_one_without_an_answer() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = nobody.local_addr().unwrap();
    drop(nobody);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let falls_silent = listener.local_addr().unwrap();
    let asked = thread::spawn(move || {
        let (mut leader, _) = listener.accept().unwrap();
        leader.read(&mut [0; 64]).unwrap()
    });
    for (leader, code, name, cause) in [
        (nowhere, 503, "no-leader", "Connection refused"),
        // The connection is closed or reset, by chance.
        (falls_silent, 500, "outcome-unknown", "onnection "),
    ] {
        let reply = posted(Fake::healthy().led_from(leader), "{}").await;
        let told = reply.json();
        assert_eq!((reply.code, &told["code"]), (code, &name.into()));
        let error = told["error"].as_str().unwrap_or_default();
        assert!(error.contains(cause), "{error}");
    }
    assert_ne!(asked.join().unwrap(), 0);

    let reply = posted(Fake::healthy().down_for(1), "{}").await;
    let restarted = (500, &"outcome-unknown".into());
    assert_eq!((reply.code, &reply.json()["code"]), restarted);
}

#[actix_web::test]
async fn a_switchover_request_reaches_the_cluster_and_a_bad_one_is_refused_by_name() {
    for (body, told) in [
        ("[]", "both optional"),
        ("{\"too\": \"10.0.0.2:6379\"}", "too"),
        ("{\"to\": \"10.0.0.2\"}", "host:port"),
    ] {
        let reply = posted(Fake::healthy(), body).await;
        assert_eq!(reply.code, 400, "{body}");
        let error = reply.json()["error"].to_string();
        assert!(error.contains(told), "{error}");
    }
    let fake = Arc::new(Fake::healthy());
    let body = "{\"to\": \"10.0.0.2:6379\", \"reason\": \"kernel\"}";
    posted(Arc::clone(&fake), body).await;
    let requested = fake.requested.lock().unwrap().clone().unwrap();
    assert_eq!(requested.to, Some(addr("10.0.0.2")));
    assert_eq!(requested.reason, "kernel");
}

#[actix_web::test]
async fn a_keeper_that_is_gone_is_taken_off_and_anything_else_is_told_by_its_name() {
    let server = served(Fake::healthy());
    for (keeper, code, name) in [
        ("gone", 200, None),
        ("online", 412, Some("refused")),
        ("cut-off", 503, Some("not-ready")),
        ("changing", 500, Some("outcome-unknown")),
        ("nobody", 404, Some("no-such-keeper")),
    ] {
        let path = format!("/admin/keepers/{keeper}");
        let request = format!("DELETE {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let reply = server.send(request.as_bytes()).await;
        assert_eq!(
            (reply.code, reply.json()["code"].as_str()),
            (code, name),
            "{keeper}"
        );
    }
    let read = server.get("/admin/keepers/gone", "").await;
    assert_eq!(read.code, 405);
    assert!(read.head.contains("allow: DELETE"), "{}", read.head);
}

#[actix_web::test]
async fn an_operation_passed_on_to_another_keeper_is_not_done_here() {
    for (meant, code) in [("keeper-1", 412), ("1", 412), ("keeper-2", 503)] {
        let refused = NotSwitched::Refused("because".to_owned());
        let fake = Arc::new(Fake::healthy().switching(Err(refused)));
        let server = served(Arc::clone(&fake));
        let request = format!(
            "POST {PATH} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\
             x-redis-keeper-passed-on: {meant}\r\n\r\n"
        );
        let reply = server.send(request.as_bytes()).await;
        let (asked, mine) = (fake.requested.lock().unwrap().is_some(), code == 412);
        assert_eq!((reply.code, asked), (code, mine), "{meant}: {}", reply.body);
        let told = reply.body.contains("rest-advertise of keeper-2");
        assert_eq!(told, !mine, "{}", reply.body);
    }
}
