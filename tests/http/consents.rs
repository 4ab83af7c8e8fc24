//! The questions of keepers to each other without ZooKeeper, and their rehearsal.

use std::sync::Arc;

use redis_keeper::adapters::peers::HttpPeers;
use redis_keeper::domain::failsafe::ConsentRequest;
use redis_keeper::domain::identity::{KeeperProcess, Nonce, Place};
use redis_keeper::domain::node::{Generation, KeeperId};
use redis_keeper::domain::rehearsal::{RehearsalObstacle, RehearsalRequest};
use redis_keeper::ports::peers::Peers as _;
use serde_json::json;

use crate::fake::{Fake, process};
use crate::served::{Reply, Served, served};

fn request(generation: u64) -> ConsentRequest {
    ConsentRequest {
        from: KeeperId::new("keeper-2"),
        nonce: Some(Nonce::drawn(2)),
        to: Some(process()),
        session: -0x00fe_dcba_9876_5432,
        generation: Generation(generation),
        failsafe_group: ["keeper-1", "keeper-2"].map(KeeperId::new).into(),
    }
}

async fn posted(server: &Served, path: &str, body: &str) -> Reply {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    server.send(request.as_bytes()).await
}

#[actix_web::test]
async fn a_request_arrives_as_it_was_made_and_its_answer_is_told_with_the_reason() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    let (peers, rest) = (HttpPeers::new(), server.addr.to_string());
    let by = peers.ask_consent(&rest, &request(7)).await;
    assert_eq!(by, Ok(process()));
    let arrived = fake.consent.lock().unwrap().take();
    assert_eq!(arrived, Some(request(7)));
    assert_eq!(
        peers.ask_consent(&rest, &request(6)).await,
        Err("it holds generation 7, not 6".to_owned())
    );
    server.stop().await;
    let gone = peers.ask_consent(&rest, &request(7)).await.unwrap_err();
    assert!(gone.starts_with("it cannot be asked: "), "{gone}");
}

#[actix_web::test]
async fn a_keeper_of_a_former_build_names_no_process_and_no_session() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    let body = r#"{"from":"keeper-2","generation":7,"circle":["keeper-2"]}"#;
    let reply = posted(&server, "/failsafe/consent", body).await;
    let me = process();
    let told = json!({ "consents": true, "keeper": "keeper-1", "nonce": me.nonce.as_str() });
    assert_eq!((reply.code, reply.json()), (200, told));
    let arrived = fake.consent.lock().unwrap().take().expect("a request");
    assert_eq!(
        (arrived.session, arrived.nonce, arrived.to),
        (0, None, None)
    );
}

#[actix_web::test]
async fn a_rehearsal_arrives_as_it_was_made_and_tells_who_answers_whomever_it_means() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    let (peers, rest) = (HttpPeers::new(), server.addr.to_string());
    let request = RehearsalRequest {
        from: KeeperProcess::new(KeeperId::new("keeper-2"), Nonce::drawn(2)),
        place: Some(Place::new("there")),
        to: KeeperProcess::new(KeeperId::new("keeper-3"), Nonce::drawn(3)),
    };
    assert_eq!(peers.rehearse(&rest, &request).await, Ok(process()));
    let arrived = fake.rehearsal.lock().unwrap().take();
    assert_eq!(arrived, Some(request.clone()));
    assert_eq!(
        *fake.consent.lock().unwrap(),
        None,
        "no consent is asked for"
    );
    let addresses = peers.resolve(&rest).await.expect("a literal");
    assert_eq!(Vec::from_iter(addresses), [server.addr]);
    let bad = posted(&server, "/failsafe/rehearsal", r#"{"from":"keeper-2"}"#).await;
    assert_eq!((bad.code, &bad.json()["code"]), (400, &json!("bad-body")));
    server.stop().await;
    let gone = peers.rehearse(&rest, &request).await;
    assert!(
        matches!(gone, Err(RehearsalObstacle::Unreachable(_))),
        "{gone:?}"
    );
}

#[actix_web::test]
async fn a_name_that_does_not_exist_resolves_to_nothing_and_says_so() {
    let found = HttpPeers::new().resolve("no-such-host.invalid:1").await;
    assert!(found.is_err(), "{found:?}");
}
