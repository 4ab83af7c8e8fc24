//! The adapter: nodes, transactions, watches, and the life of a session.

use redis_keeper::adapters::zookeeper::ZooKeeper;
use redis_keeper::ports::coordination::{
    Children, Coordination, CoordinationError, CreateKind, Fired, SessionState, Watch, Write,
};
use rustix::process::Signal;
use tokio::time::timeout;

use crate::server::{PATIENCE, SESSION_TIMEOUT, Server, eventually, reaches};

#[tokio::test]
async fn watches_tell_of_creation_change_arrival_and_of_a_deletion_that_nothing_preceded() {
    let server = Server::start().await;
    let zookeeper = server.coordination("/watches");
    let session = zookeeper.connect().await.unwrap();
    let other = zookeeper.connect().await.unwrap();
    let fires = async |watch: Watch| timeout(PATIENCE, watch).await.expect("it fires");
    let persistent = CreateKind::Persistent;

    let (absent, watch) = session.get_and_watch("/w").await.unwrap();
    assert_eq!(absent, None);
    other.create("/w", b"", persistent).await.unwrap();
    assert_eq!(fires(watch).await, Fired::Changed);
    let (_, watch) = session.get_and_watch("/w").await.unwrap();
    other.set("/w", b"1", None).await.unwrap();
    assert_eq!(fires(watch).await, Fired::Changed);

    let (_, watch) = session.children_and_watch("/w").await.unwrap();
    other.create("/w/n", b"", persistent).await.unwrap();
    assert_eq!(fires(watch).await, Fired::Changed);
    other.delete("/w/n", None).await.unwrap();
    let children = session.children("/w").await.unwrap();
    assert_eq!((children.names.len(), children.changes), (0, 2));

    let (_, watch) = session.get_and_watch("/w").await.unwrap();
    other.delete("/w", None).await.unwrap();
    assert_eq!(fires(watch).await, Fired::Deleted);
    other.create("/w", b"", persistent).await.unwrap();
    let (_, watch) = session.get_and_watch("/w").await.unwrap();
    other.set("/w", b"1", None).await.unwrap();
    other.delete("/w", None).await.unwrap();
    assert_eq!(fires(watch).await, Fired::Changed, "what came first");
}

#[tokio::test]
async fn the_adapter_keeps_the_contract_of_its_port() {
    let server = Server::start().await;
    let zookeeper = server.coordination("/deep/prefix");
    let session = zookeeper.connect().await.unwrap();
    let other = zookeeper.connect().await.unwrap();
    assert_ne!(session.id(), other.id());

    // Nodes and versions.
    assert_eq!(session.get("/a").await.unwrap(), None);
    let created = session
        .create("/a", b"0", CreateKind::Persistent)
        .await
        .unwrap();
    assert_eq!(created.path, "/a");
    assert_eq!(session.set("/a", b"1", Some(0)).await, Ok(1));
    let refused = session.set("/a", b"2", Some(0)).await;
    assert_eq!(refused, Err(CoordinationError::BadVersion("/a".into())));
    let node = other.get("/a").await.unwrap().unwrap();
    assert_eq!((node.data, node.version, node.owner), (b"1".to_vec(), 1, 0));
    assert_eq!(node.created, created.created);
    let refused = session.create("/a", b"", CreateKind::Persistent).await;
    assert_eq!(
        refused.unwrap_err(),
        CoordinationError::NodeExists("/a".into())
    );
    let nothing = session.children("/none").await;
    assert_eq!(nothing, Ok(Children::default()));
    let root = session.children("/").await.unwrap();
    assert_eq!((root.names, root.changes), (vec!["a".to_owned()], 1));

    // Transactions.
    let check = |path: &str| Write::Check {
        path: path.into(),
        version: None,
    };
    let create = || Write::Create {
        path: "/b".into(),
        data: b"b".to_vec(),
    };
    let set = |version| Write::Set {
        path: "/a".into(),
        data: b"3".to_vec(),
        version: Some(version),
    };
    let writes = vec![check("/a"), create(), set(9)];
    let Err(CoordinationError::MultiRefused(index, why)) = session.multi(writes).await else {
        panic!("it was made");
    };
    assert_eq!(
        (index, *why),
        (2, CoordinationError::BadVersion("/a".into()))
    );
    assert_eq!(session.get("/b").await, Ok(None));
    let gone = vec![check("/none")];
    assert!(matches!(
        session.multi(gone).await,
        Err(CoordinationError::MultiRefused(0, _))
    ));
    session.multi(vec![create(), set(1)]).await.unwrap();

    // A request is sent at the call, not at the first poll.
    let never_polled = session.set("/b", b"sent", None);
    assert_eq!(session.get("/b").await.unwrap().unwrap().data, b"sent");
    drop(never_polled);

    // A session ends with its last user, and its ephemeral nodes end with it.
    let sequential = CreateKind::EphemeralSequential;
    let first = other.create("/a/n-", b"", sequential).await.unwrap();
    let second = session.create("/a/n-", b"", sequential).await.unwrap();
    assert!(
        first.path < second.path && first.path.starts_with("/a/n-"),
        "{first:?} {second:?}"
    );
    let (_, watch) = session.get_and_watch(&first.path).await.unwrap();
    drop(other);
    timeout(SESSION_TIMEOUT / 2, watch)
        .await
        .expect("closed, not expired");
    assert_eq!(session.get(&first.path).await, Ok(None));
}

#[tokio::test]
async fn with_authentication_the_nodes_are_closed_to_others() {
    let server = Server::start().await;
    let servers = vec![server.at().to_string()];
    let digest = Some("keeper:secret".to_owned());
    let ours = ZooKeeper::new(servers, "/closed", SESSION_TIMEOUT, digest)
        .connect()
        .await
        .unwrap();
    ours.create("/a", b"1", CreateKind::Persistent)
        .await
        .unwrap();
    assert_eq!(ours.set("/a", b"2", None).await, Ok(1));
    let theirs = server.coordination("/").connect().await.unwrap();
    let refused = theirs.get("/closed/a").await;
    assert_eq!(refused, Err(CoordinationError::NoAuth("/closed/a".into())));
}

#[tokio::test]
async fn a_login_that_is_replaced_is_the_next_sessions_and_the_present_one_keeps_its_own() {
    let server = Server::start().await;
    let servers = vec![server.at().to_string()];
    let digest = Some("keeper:old".to_owned());
    let ensemble = ZooKeeper::new(servers, "/", SESSION_TIMEOUT, digest);
    let present = ensemble.connect().await.unwrap();
    assert!(!ensemble.replace_digest("keeper:old".to_owned()));
    assert!(ensemble.clone().replace_digest("keeper:new".to_owned()));
    let next = ensemble.connect().await.unwrap();
    let persistent = CreateKind::Persistent;
    present.create("/old", b"", persistent).await.unwrap();
    next.create("/new", b"", persistent).await.unwrap();
    assert!(present.get("/old").await.is_ok() && next.get("/new").await.is_ok());
    for (session, path) in [(&present, "/new"), (&next, "/old")] {
        let refused = session.get(path).await;
        assert_eq!(refused, Err(CoordinationError::NoAuth(path.into())));
    }
}

#[tokio::test]
async fn a_restart_of_the_server_is_a_reconnection_and_fires_the_watches() {
    let server = Server::start().await;
    let session = server.patient("/p", PATIENCE).connect().await.unwrap();
    session
        .create("/a", b"0", CreateKind::Persistent)
        .await
        .unwrap();
    session
        .create("/e", b"", CreateKind::Ephemeral)
        .await
        .unwrap();
    let (_, watch) = session.get_and_watch("/a").await.unwrap();
    assert_eq!(*session.state().borrow(), SessionState::Connected(1));
    server.kill();
    reaches(&*session, |state| *state == SessionState::Disconnected).await;
    timeout(PATIENCE, watch)
        .await
        .expect("the watch tells to read again");
    let waiting = session.set("/a", b"1", Some(0));
    server.restart().await;
    reaches(&*session, |state| *state == SessionState::Connected(2)).await;
    assert_eq!(
        waiting.await,
        Ok(1),
        "what was asked meanwhile is sent on reconnection"
    );
    assert!(
        session.get("/e").await.unwrap().is_some(),
        "the session lives on"
    );
    let (_, watch) = session.get_and_watch("/a").await.unwrap();
    session.set("/a", b"2", None).await.unwrap();
    timeout(PATIENCE, watch).await.expect("armed again");
}

#[tokio::test]
async fn a_server_out_of_reach_for_too_long_is_the_end_of_the_session() {
    let server = Server::start().await;
    let session = server.coordination("/p").connect().await.unwrap();
    session
        .create("/e", b"", CreateKind::Ephemeral)
        .await
        .unwrap();
    server.signal(Signal::STOP);
    reaches(&*session, |state| *state == SessionState::Expired).await;
    assert_eq!(session.get("/e").await, Err(CoordinationError::Expired));
    assert!(
        server.coordination("/p").connect().await.is_err(),
        "an attempt has its end"
    );
    server.signal(Signal::CONT);
    let next = server.coordination("/p").connect().await.unwrap();
    eventually("the ephemeral node is gone", async || {
        next.get("/e").await == Ok(None)
    })
    .await;
}
