//! What keepers ask each other when ZooKeeper does not answer.

use std::sync::Arc;

use redis_keeper::adapters::peers::HttpPeers;
use redis_keeper::domain::failsafe::ConsentRequest;
use redis_keeper::domain::node::{Generation, KeeperId};
use redis_keeper::ports::peers::Peers as _;

use crate::fake::Fake;
use crate::served::served;

fn request(generation: u64) -> ConsentRequest {
    ConsentRequest {
        from: KeeperId::new("keeper-2"),
        session: -0x00fe_dcba_9876_5432,
        generation: Generation(generation),
        circle: ["keeper-1", "keeper-2"].map(KeeperId::new).into(),
    }
}

#[actix_web::test]
async fn a_request_arrives_as_it_was_made_and_its_answer_is_told_with_the_reason() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    let (peers, rest) = (HttpPeers::new(), server.addr.to_string());
    assert_eq!(peers.ask_consent(&rest, &request(7)).await, Ok(()));
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
async fn a_keeper_of_an_earlier_version_names_no_session() {
    let fake = Arc::new(Fake::healthy());
    let server = served(Arc::clone(&fake));
    let body = r#"{"from":"keeper-2","generation":7,"circle":["keeper-2"]}"#;
    let length = body.len();
    let request = format!(
        "POST /failsafe/consent HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let reply = server.send(request.as_bytes()).await;
    assert_eq!(
        (reply.code, reply.json()),
        (200, serde_json::json!({ "consents": true }))
    );
    let arrived = fake.consent.lock().unwrap().take();
    assert_eq!(arrived.map(|it| it.session), Some(0));
}
