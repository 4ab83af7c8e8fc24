//! The findings of a probe for every state of a server, and what counts as a proof of life.

use std::time::Duration;

use redis_keeper::adapters::redis::Access;
use redis_keeper::domain::facts::Role;
use redis_keeper::domain::liveness::DownReason;
use redis_keeper::domain::node::NodeAddr;
use redis_keeper::ports::redis::{CommandError, ConnectionEvent, Depth, ProbeFailure, Remember};
use rustix::process::Signal;
use tokio::time::timeout;

use crate::asking::{SHORT, commanding, connected, facts, node, plain, probed, replica_of};
use crate::server::{PATIENCE, Server, command, debugging, eventually, impostor};

#[tokio::test]
async fn a_primary_and_its_replica_tell_their_facts() {
    let primary = Server::start(&[]).await;
    let replica = replica_of(&primary).await;
    primary.run::<()>("SET key value");
    // The primary lists a replica as online only after the replica's first acknowledgement.
    let of_primary = eventually("the replica is online", async || {
        let facts = facts(&primary).await?;
        (facts.role == Role::Primary { online_replicas: 1 }).then_some(facts)
    })
    .await;
    assert_eq!((of_primary.keys, of_primary.loading), (1, false));
    let of_replica = facts(&replica).await.expect("facts");
    assert_eq!(of_replica.replication_id, of_primary.replication_id);
    assert!(of_replica.upstream().expect("a replica").last_io.is_some());
    let mut connection = connected(&*plain(&replica)).await;
    let light = probed(&mut *connection, Depth::Tick).await;
    let info = light.info.expect("replication");
    assert_eq!(info.run_id, None);
    assert_eq!(info.role, Some(of_replica.role));
}

#[tokio::test]
async fn loading_is_told_on_an_established_connection() {
    let slowly = [
        "--key-load-delay",
        "200",
        "--loading-process-events-interval-bytes",
        "1024",
    ];
    let server = Server::start(&[&slowly, debugging()].concat()).await;
    let mut connection = connected(&*plain(&server)).await;
    server.run::<()>("DEBUG POPULATE 50000");
    assert!(!probed(&mut *connection, Depth::Tick).await.loading);
    let mut client = server.client();
    let reload = std::thread::spawn(move || command("DEBUG RELOAD").query::<()>(&mut client));
    eventually("it loads", async || {
        let alive = probed(&mut *connection, Depth::Tick).await;
        (alive.loading && alive.info.is_some() && alive.error.is_none()).then_some(())
    })
    .await;
    let mut fresh = connected(&*plain(&server)).await;
    assert!(probed(&mut *fresh, Depth::Full).await.loading);
    let refused = commanding(&server, Access::default(), 7)
        .await
        .expect("a connection")
        .promote(Remember::AtOnce)
        .await;
    assert!(
        matches!(&refused, Err(CommandError::NotDone(why)) if why.starts_with("LOADING")),
        "{refused:?}"
    );
    server.kill();
    let _ = reload.join();
}

#[tokio::test]
async fn a_server_that_wants_another_password_is_alive_and_says_what_it_wants() {
    let server = Server::start(&["--requirepass", "right"]).await;
    let with = |password: Option<&str>| Access {
        passwords: password.into_iter().map(str::to_owned).collect(),
        ..Access::default()
    };
    for (password, says) in [(None, "NOAUTH"), (Some("wrong"), "WRONGPASS")] {
        let mut connection = connected(&*node(&server.addr, with(password))).await;
        for depth in [Depth::Full, Depth::Tick] {
            let alive = probed(&mut *connection, depth).await;
            assert_eq!((alive.info, alive.foreign), (None, false));
            let error = alive.error.expect("an error");
            assert!(error.starts_with(says), "{error}");
        }
    }
    let mut connection = connected(&*node(&server.addr, with(Some("right")))).await;
    for depth in [Depth::Full, Depth::Tick] {
        assert!(probed(&mut *connection, depth).await.info.is_some());
    }
}

#[tokio::test]
async fn a_server_that_turns_clients_away_is_alive() {
    let server = Server::start(&["--maxclients", "1"]).await;
    let _only = eventually("its place is free", async || server.try_client().ok()).await;
    // The kernel decides whether the refusal is read before or after the probe is sent.
    for pause in [Duration::ZERO, Duration::from_millis(50)].repeat(5) {
        let mut connection = connected(&*plain(&server)).await;
        tokio::time::sleep(pause).await;
        let alive = probed(&mut *connection, Depth::Full).await;
        let error = alive.error.expect("an error");
        assert!(error.contains("max number of clients"), "{error}");
        let stir = timeout(PATIENCE, connection.next_event()).await;
        assert!(
            matches!(stir, Ok(ConnectionEvent::Closed | ConnectionEvent::Lost)),
            "{stir:?}"
        );
    }
}

#[tokio::test]
async fn a_server_busy_with_a_script_is_alive() {
    let server = Server::start(&["--lua-time-limit", "10"]).await;
    let mut connection = connected(&*plain(&server)).await;
    let mut client = server.client();
    let script = std::thread::spawn(move || {
        redis::cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .query::<()>(&mut client)
    });
    eventually("it is busy", async || {
        let alive = probed(&mut *connection, Depth::Tick).await;
        alive.error?.starts_with("BUSY").then_some(())
    })
    .await;
    server.run::<()>("SCRIPT KILL");
    assert!(script.join().expect("no panic").is_err());
    assert!(probed(&mut *connection, Depth::Tick).await.info.is_some());
}

#[tokio::test]
async fn a_stopped_server_does_not_answer_and_when_it_goes_on_answers_late() {
    let server = Server::start(&[]).await;
    let mut connection = connected(&*plain(&server)).await;
    assert!(probed(&mut *connection, Depth::Full).await.info.is_some());
    server.signal(Signal::STOP);
    for _ in 0..2 {
        assert!(timeout(SHORT, connection.probe(Depth::Tick)).await.is_err());
    }
    server.signal(Signal::CONT);
    assert_eq!(
        timeout(PATIENCE, connection.next_event()).await,
        Ok(ConnectionEvent::Answered)
    );
    let full = probed(&mut *connection, Depth::Full).await;
    assert!(full.info.expect("its own answer").run_id.is_some());
}

#[tokio::test]
async fn late_answers_to_earlier_probes_are_not_taken_for_later_ones() {
    let (listener, addr) = impostor().await;
    let slow = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut received = [0; 1024];
        for _ in ["first probe", "second probe"] {
            assert!(peer.read(&mut received).await.unwrap() > 0);
        }
        peer.write_all(b"-LOADING\r\n$11\r\nrole:master\r\n+PONG\r\n$2\r\nno\r\n")
            .await
            .unwrap();
        peer
    };
    let probing = async {
        let mut connection = connected(&*node(&addr, Access::default())).await;
        let first = timeout(Duration::from_millis(50), connection.probe(Depth::Tick)).await;
        assert!(first.is_err());
        probed(&mut *connection, Depth::Tick).await
    };
    let (alive, _peer) = tokio::join!(probing, slow);
    assert!(!alive.loading);
    assert_eq!(alive.info.expect("its own").role, None);
}

#[tokio::test]
async fn a_reset_is_told_apart_from_a_connection_that_its_server_ended() {
    let (listener, addr) = impostor().await;
    for reset in [true, false] {
        let accepted = async { listener.accept().await.expect("a connection").0 };
        let node = node(&addr, Access::default());
        let (mut connection, peer) = tokio::join!(connected(&*node), accepted);
        if reset {
            peer.set_zero_linger().expect("a socket");
        }
        drop(peer);
        let stir = timeout(PATIENCE, connection.next_event()).await;
        let expected = if reset {
            ConnectionEvent::Lost
        } else {
            ConnectionEvent::Closed
        };
        assert_eq!(stir, Ok(expected));
    }
}

#[tokio::test]
async fn a_killed_server_is_noticed_at_once_and_then_refuses() {
    let server = Server::start(&[]).await;
    let mut connection = connected(&*plain(&server)).await;
    probed(&mut *connection, Depth::Tick).await;
    assert!(
        timeout(SHORT, connection.next_event()).await.is_err(),
        "quiet so far"
    );
    server.kill();
    assert_eq!(
        timeout(PATIENCE, connection.next_event()).await,
        Ok(ConnectionEvent::Closed)
    );
    let closed = connection.probe(Depth::Tick).await;
    assert!(
        matches!(closed, Err(ProbeFailure::Evidence(DownReason::Closed, _))),
        "{closed:?}"
    );
    let refused = plain(&server).connect().await.err();
    assert!(
        matches!(
            refused,
            Some(ProbeFailure::Evidence(DownReason::Refused, _))
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_this_hosts_own_failure() {
    let failed = node(&NodeAddr::new("no-such-host.invalid", 1), Access::default())
        .connect()
        .await
        .err();
    assert!(matches!(failed, Some(ProbeFailure::Own(_))), "{failed:?}");
}

#[tokio::test]
async fn a_server_of_another_protocol_is_alive_and_its_protocol_is_named() {
    for (answer, says) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "the answer is not the Redis protocol",
        ),
        (b"+OK\r\n+OK\r\n+OK\r\n", "it takes INFO, and tells nothing"),
    ] {
        let (listener, addr) = impostor().await;
        let web = async {
            let (mut peer, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut peer, answer)
                .await
                .unwrap();
            peer
        };
        let node = node(&addr, Access::default());
        let (_peer, mut connection) = tokio::join!(web, async { connected(&*node).await });
        let alive = probed(&mut *connection, Depth::Full).await;
        assert_eq!((alive.error.as_deref(), alive.foreign), (Some(says), true));
    }
}

#[tokio::test]
async fn a_sentinel_is_known_by_both_of_its_connections_and_other_listeners_are_counted() {
    let server = Server::start(&[]).await;
    let listens = |name: &str| {
        let mut client = server.client();
        command(&format!("CLIENT SETNAME {name}"))
            .exec(&mut client)
            .expect("a name");
        command("SUBSCRIBE __sentinel__:hello")
            .exec(&mut client)
            .expect("subscribed");
        client
    };
    let told = async || {
        let told = probed(&mut *connected(&*plain(&server)).await, Depth::Full).await;
        let told = told.subscribers.expect("asked");
        (told.sentinels, told.others)
    };
    assert_eq!(told().await, (vec![], 0));
    let _listening = ["app", "sentinel-a1b2c3d4-pubsub"].map(listens);
    assert_eq!(told().await, (vec![], 2), "any client can do as much");
    let mut other = server.client();
    command("CLIENT SETNAME sentinel-00000000-cmd")
        .exec(&mut other)
        .expect("a name");
    assert_eq!(told().await, (vec![], 2), "that is another");
    let mut pair = server.client();
    command("CLIENT SETNAME sentinel-a1b2c3d4-cmd")
        .exec(&mut pair)
        .expect("a name");
    let sentinel = "sentinel-a1b2c3d4 at 127.0.0.1".to_owned();
    assert_eq!(told().await, (vec![sentinel], 1));
}
