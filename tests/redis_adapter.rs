//! The Redis adapter against real servers.

#[path = "redis_adapter/server.rs"]
mod server;

use std::rc::Rc;
use std::time::Duration;

use redis_keeper::adapters::redis::inspect::Severity;
use redis_keeper::adapters::redis::{Access, RedisServers, Tls};
use redis_keeper::domain::facts::{DownReason, Link, MinReplicas, NodeFacts, Role};
use redis_keeper::domain::node::{ClusterName, Epoch, NodeAddr};
use redis_keeper::ports::redis::{
    Alive, CommandError, Depth, ProbeConnection, ProbeFailure, Redis, RedisNode, Stir,
};
use rustix::process::Signal;
use server::{PATIENCE, Server, command, eventually, openssl};
use tokio::time::timeout;

const SHORT: Duration = Duration::from_millis(500);

fn node(addr: &NodeAddr, access: Access) -> Rc<dyn RedisNode> {
    let cluster = ClusterName::new("c");
    RedisServers::new([(cluster.clone(), access)], SHORT)
        .expect("usable access")
        .node(&cluster, addr)
}

fn plain(server: &Server) -> Rc<dyn RedisNode> {
    node(&server.addr, Access::default())
}

async fn connected(node: &dyn RedisNode) -> Box<dyn ProbeConnection> {
    timeout(PATIENCE, node.connect())
        .await
        .expect("in time")
        .expect("a connection")
}

async fn probed(connection: &mut dyn ProbeConnection, depth: Depth) -> Alive {
    timeout(PATIENCE, connection.probe(depth))
        .await
        .expect("in time")
        .expect("an answer")
}

async fn facts(server: &Server) -> Option<NodeFacts> {
    let alive = probed(&mut *connected(&*plain(server)).await, Depth::Full).await;
    NodeFacts::of(&alive.info?)
}

async fn is_replica_of(server: &Server, primary: &NodeAddr) {
    eventually("it follows", async || {
        let facts = facts(server).await?;
        let upstream = facts.upstream()?;
        (upstream.link == Link::Up && upstream.primary == *primary).then_some(())
    })
    .await;
}

fn replica_arguments(primary: &Server) -> Vec<String> {
    vec![
        "--replicaof".to_owned(),
        format!("127.0.0.1 {}", primary.addr.port()),
    ]
}

async fn replica_of(primary: &Server) -> Server {
    let arguments = replica_arguments(primary);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let replica = Server::start(&arguments).await;
    is_replica_of(&replica, &primary.addr).await;
    replica
}

#[tokio::test]
async fn a_primary_and_its_replica_tell_their_facts() {
    let primary = Server::start(&[]).await;
    let replica = replica_of(&primary).await;
    primary.run::<()>("SET key value");
    // The primary calls a replica online only after the replica's first acknowledgement.
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
    let mut server = Server::start(&[
        "--key-load-delay",
        "200",
        "--loading-process-events-interval-bytes",
        "1024",
    ])
    .await;
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
    let refused = plain(&server)
        .command(Epoch(7))
        .await
        .expect("a connection")
        .promote()
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
        password: password.map(str::to_owned),
        ..Access::default()
    };
    for (password, says) in [(None, "NOAUTH"), (Some("wrong"), "WRONGPASS")] {
        let mut connection = connected(&*node(&server.addr, with(password))).await;
        for depth in [Depth::Full, Depth::Tick] {
            let alive = probed(&mut *connection, depth).await;
            assert_eq!(alive.info, None);
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
    // Whether the refusal is read before or after the probe is sent is up to the kernel.
    for pause in [Duration::ZERO, Duration::from_millis(50)].repeat(5) {
        let mut connection = connected(&*plain(&server)).await;
        tokio::time::sleep(pause).await;
        let alive = probed(&mut *connection, Depth::Full).await;
        let error = alive.error.expect("an error");
        assert!(error.contains("max number of clients"), "{error}");
        assert_eq!(
            timeout(PATIENCE, connection.stirred()).await,
            Ok(Stir::Closed)
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
        timeout(PATIENCE, connection.stirred()).await,
        Ok(Stir::Answered)
    );
    let full = probed(&mut *connection, Depth::Full).await;
    assert!(full.info.expect("its own answer").run_id.is_some());
}

#[tokio::test]
async fn late_answers_to_earlier_probes_are_not_taken_for_later_ones() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = NodeAddr::new("127.0.0.1", listener.local_addr().unwrap().port());
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
async fn a_killed_server_is_noticed_at_once_and_then_refuses() {
    let mut server = Server::start(&[]).await;
    let mut connection = connected(&*plain(&server)).await;
    probed(&mut *connection, Depth::Tick).await;
    assert!(
        timeout(SHORT, connection.stirred()).await.is_err(),
        "quiet so far"
    );
    server.kill();
    assert_eq!(
        timeout(PATIENCE, connection.stirred()).await,
        Ok(Stir::Closed)
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
async fn what_answers_but_is_no_redis_is_alive_and_its_protocol_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = NodeAddr::new("127.0.0.1", listener.local_addr().unwrap().port());
    let web = async {
        let (mut peer, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut peer, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        peer
    };
    let node = node(&addr, Access::default());
    let (_peer, mut connection) = tokio::join!(web, async { connected(&*node).await });
    let alive = probed(&mut *connection, Depth::Full).await;
    assert_eq!(
        alive.error.as_deref(),
        Some("the answer is not the Redis protocol")
    );
}

#[tokio::test]
async fn sentinels_at_work_are_named() {
    let server = Server::start(&[]).await;
    let mut sentinel = server.client();
    command("CLIENT SETNAME sentinel-1234-pubsub")
        .query::<()>(&mut sentinel)
        .unwrap();
    let mut pubsub = sentinel.as_pubsub();
    pubsub.subscribe("__sentinel__:hello").unwrap();
    let alive = probed(&mut *connected(&*plain(&server)).await, Depth::Full).await;
    assert_eq!(
        alive.sentinels,
        Some(vec!["sentinel-1234-pubsub at 127.0.0.1".to_owned()])
    );
}

#[tokio::test]
async fn a_replica_is_promoted_and_its_old_primary_follows_it_and_both_remember() {
    let primary = Server::with_config("").await;
    let replica =
        Server::with_config(&format!("replicaof 127.0.0.1 {}\n", primary.addr.port())).await;
    is_replica_of(&replica, &primary.addr).await;
    primary.run::<()>("SET key value");
    let mut client = replica.client();
    let mut probe = connected(&*plain(&replica)).await;

    let mut commands = plain(&replica)
        .command(Epoch(42))
        .await
        .expect("a connection");
    let listed: String = replica.run("CLIENT LIST");
    assert!(listed.contains("name=keeper-42"), "{listed}");
    assert_eq!(commands.promote().await, Ok(vec![]));
    let facts_after = facts(&replica).await.expect("facts");
    assert!(facts_after.is_primary());
    assert!(facts_after.previous_replication_id.is_some());
    assert!(!replica.file("redis.conf").contains("replicaof 127"));
    assert!(
        command("PING").query::<()>(&mut client).is_err(),
        "clients were cut"
    );
    assert_eq!(timeout(PATIENCE, probe.stirred()).await, Ok(Stir::Closed));

    let mut commands = plain(&primary)
        .command(Epoch(42))
        .await
        .expect("a connection");
    assert_eq!(commands.follow(&replica.addr).await, Ok(vec![]));
    is_replica_of(&primary, &replica.addr).await;
    let port = replica.addr.port();
    assert!(
        primary
            .file("redis.conf")
            .contains(&format!("replicaof 127.0.0.1 {port}"))
    );
}

#[tokio::test]
async fn a_fence_cuts_off_older_leaders_and_earlier_commands_and_yields_to_newer_ones() {
    let primary = Server::start(&[]).await;
    let replica = replica_of(&primary).await;
    let node = plain(&replica);
    let open = async |epoch| node.command(Epoch(epoch)).await.expect("a connection");
    let (mut older, mut earlier, mut newer) = (open(41).await, open(42).await, open(43).await);
    let mut bystander = replica.client();

    let fenced = earlier.fence().await;
    assert!(
        matches!(&fenced, Err(CommandError::NotDone(why)) if why.contains("epoch 43 is at work")),
        "{fenced:?}"
    );
    assert_eq!(newer.fence().await, Ok(()));
    for connection in [&mut older, &mut earlier] {
        let refused = connection.promote().await;
        assert!(
            matches!(refused, Err(CommandError::NotDone(_))),
            "{refused:?}"
        );
    }
    assert!(!facts(&replica).await.expect("facts").is_primary());
    assert!(
        command("PING").query::<()>(&mut bystander).is_ok(),
        "clients are left alone"
    );
    assert_eq!(newer.promote().await.map(|_| ()), Ok(()));
}

#[tokio::test]
async fn a_server_without_a_configuration_file_is_promoted_with_a_note() {
    let primary = Server::start(&[]).await;
    let replica = replica_of(&primary).await;
    let mut commands = plain(&replica)
        .command(Epoch(1))
        .await
        .expect("a connection");
    let notes = commands.promote().await.expect("promoted");
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("CONFIG REWRITE: ERR"), "{notes:?}");
    assert!(facts(&replica).await.expect("facts").is_primary());
}

#[tokio::test]
async fn a_server_that_refuses_what_goes_with_a_promotion_is_promoted_with_notes() {
    let primary = Server::start(&[]).await;
    let replica = replica_of(&primary).await;
    replica.run::<()>("ACL SETUSER keeper on >pw +@all -config -client|kill");
    let access = Access {
        username: Some("keeper".to_owned()),
        password: Some("pw".to_owned()),
        tls: None,
    };
    let mut commands = node(&replica.addr, access)
        .command(Epoch(1))
        .await
        .expect("a connection");
    let notes = commands.promote().await.expect("promoted");
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(facts(&replica).await.expect("facts").is_primary());
}

#[tokio::test]
async fn min_replicas_settings_are_read_set_and_remembered() {
    let server = Server::with_config("appendonly no\n").await;
    let mut connection = connected(&*plain(&server)).await;
    let plainly = probed(&mut *connection, Depth::Full).await;
    assert_eq!(plainly.min_replicas, None);
    let default = MinReplicas {
        to_write: 0,
        max_lag: 10,
    };
    let told = probed(&mut *connection, Depth::FullWithSettings).await;
    assert_eq!(told.min_replicas, Some(Ok(default)));
    assert_eq!((told.error, told.sentinels), (None, Some(Vec::new())));
    assert!(told.info.is_some_and(|info| info.run_id.is_some()));

    let values = MinReplicas {
        to_write: 1,
        max_lag: 2,
    };
    let commands = plain(&server).command(Epoch(1)).await;
    let mut commands = commands.expect("a connection");
    let notes = commands.set_min_replicas(values).await;
    assert_eq!(notes, Ok(Vec::new()));
    let told = probed(&mut *connection, Depth::FullWithSettings).await;
    assert_eq!(told.min_replicas, Some(Ok(values)));
}

#[tokio::test]
async fn settings_that_are_not_permitted_are_neither_read_nor_set_and_the_rest_is_told() {
    let server = Server::start(&[]).await;
    server.run::<()>("ACL SETUSER keeper on >pw +@all -config");
    let access = Access {
        username: Some("keeper".to_owned()),
        password: Some("pw".to_owned()),
        tls: None,
    };
    let node = node(&server.addr, access);
    let mut connection = connected(&*node).await;
    let told = probed(&mut *connection, Depth::FullWithSettings).await;
    let why = told.min_replicas.expect("asked").expect_err("refused");
    assert!(why.starts_with("NOPERM"), "{why}");
    assert_eq!(told.error, None);
    assert!(told.info.is_some());
    let values = MinReplicas {
        to_write: 1,
        max_lag: 2,
    };
    let mut commands = node.command(Epoch(1)).await.expect("a connection");
    let refused = commands.set_min_replicas(values).await;
    assert!(
        matches!(&refused, Err(CommandError::NotDone(why)) if why.contains("NOPERM")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_command_that_is_not_permitted_is_not_done() {
    let primary = Server::start(&[]).await;
    let replica = replica_of(&primary).await;
    for right in ["-replicaof", "-multi"] {
        replica.run::<()>(&format!("ACL SETUSER keeper reset on >pw +@all {right}"));
        let access = Access {
            username: Some("keeper".to_owned()),
            password: Some("pw".to_owned()),
            tls: None,
        };
        let mut commands = node(&replica.addr, access)
            .command(Epoch(1))
            .await
            .expect("connected");
        let refused = commands.promote().await;
        assert!(
            matches!(&refused, Err(CommandError::NotDone(why)) if why.starts_with("NOPERM")),
            "{refused:?}"
        );
        assert!(!facts(&replica).await.expect("facts").is_primary());
    }
}

#[tokio::test]
async fn a_command_to_a_stopped_server_is_known_not_done_only_if_nothing_was_sent() {
    let server = Server::start(&[]).await;
    let mut commands = plain(&server)
        .command(Epoch(1))
        .await
        .expect("a connection");
    server.signal(Signal::STOP);
    let late = commands.promote().await;
    // Only MULTI was sent, which changes nothing.
    assert!(matches!(late, Err(CommandError::NotDone(_))), "{late:?}");
    let unopened = plain(&server).command(Epoch(1)).await.err();
    assert!(
        matches!(unopened, Some(CommandError::NotDone(_))),
        "{unopened:?}"
    );
}

#[tokio::test]
async fn a_server_lost_within_the_transaction_leaves_the_outcome_unknown() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = NodeAddr::new("127.0.0.1", listener.local_addr().unwrap().port());
    let dying = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut received = [0; 1024];
        for _ in ["CLIENT SETNAME", "MULTI"] {
            assert!(peer.read(&mut received).await.unwrap() > 0);
            peer.write_all(b"+OK\r\n").await.unwrap();
        }
        assert!(peer.read(&mut received).await.unwrap() > 0);
        peer.write_all(b"+QUEUED\r\n").await.unwrap();
    };
    let promoting = async {
        let node = node(&addr, Access::default());
        node.command(Epoch(1))
            .await
            .expect("a connection")
            .promote()
            .await
    };
    let (outcome, ()) = tokio::join!(promoting, dying);
    assert!(
        matches!(outcome, Err(CommandError::Unknown(_))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn tls_is_spoken_and_a_certificate_that_is_not_trusted_is_no_evidence() {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, subject) in [("node", "/CN=redis.test"), ("other", "/CN=other.test")] {
        openssl(
            dir.path(),
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                 -keyout {name}.key -out {name}.crt -subj {subject} \
                 -addext subjectAltName=DNS:redis.test -addext basicConstraints=critical,CA:FALSE"
            ),
        );
    }
    let file = |name: &str| dir.path().join(name);
    let text = |name: &str| file(name).display().to_string();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let _server = Server::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &text("node.crt"),
        "--tls-key-file",
        &text("node.key"),
        "--tls-ca-cert-file",
        &text("node.crt"),
    ])
    .await;
    let addr = NodeAddr::new("127.0.0.1", port);
    let with = |tls: Tls| Access {
        tls: Some(tls),
        ..Access::default()
    };
    let trusted = Tls {
        ca_file: Some(file("node.crt")),
        identity: Some((file("node.crt"), file("node.key"))),
        server_name: Some("redis.test".to_owned()),
        insecure: false,
    };
    let error = async |tls: Tls| {
        let mut connection = connected(&*node(&addr, with(tls))).await;
        probed(&mut *connection, Depth::Full).await.error
    };
    assert_eq!(error(trusted.clone()).await, None);
    let insecure = Tls {
        ca_file: None,
        server_name: None,
        insecure: true,
        ..trusted.clone()
    };
    assert_eq!(error(insecure).await, None);
    for wrong in [
        Tls {
            ca_file: Some(file("other.crt")),
            ..trusted.clone()
        },
        Tls {
            server_name: Some("other.test".to_owned()),
            ..trusted.clone()
        },
        Tls {
            identity: None,
            ..trusted.clone()
        },
    ] {
        let said = error(wrong.clone()).await;
        assert!(said.is_some(), "{wrong:?}");
    }
    let missing = Tls {
        ca_file: Some(file("none.crt")),
        ..trusted
    };
    let unusable = RedisServers::new([(ClusterName::new("c"), with(missing))], SHORT).err();
    assert!(unusable.expect("an error").to_string().contains("none.crt"));
}

async fn findings(server: &Server, access: Access) -> Vec<(Severity, String)> {
    findings_with(server, access, false).await
}

async fn findings_with(
    server: &Server,
    access: Access,
    write_safety: bool,
) -> Vec<(Severity, String)> {
    let cluster = ClusterName::new("c");
    RedisServers::new([(cluster.clone(), access)], SHORT)
        .expect("usable access")
        .inspect(&cluster, &server.addr, write_safety)
        .await
        .into_iter()
        .map(|found| (found.severity, found.finding))
        .collect()
}

fn found(findings: &[(Severity, String)], severity: Severity, start: &str) -> bool {
    findings
        .iter()
        .any(|(how, what)| *how == severity && what.starts_with(start))
}

#[tokio::test]
async fn a_server_that_is_set_up_well_gives_one_note() {
    let server = Server::with_config("appendonly yes\n").await;
    let findings = findings(&server, Access::default()).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(found(&findings, Severity::Note, "Redis "), "{findings:?}");
}

#[tokio::test]
async fn what_stands_in_a_keepers_way_is_found_and_named() {
    let server = Server::start(&["--replica-priority", "0", "--requirepass", "secret"]).await;
    let mut admin = server.client();
    command("AUTH secret").query::<()>(&mut admin).unwrap();
    command("ACL SETUSER keeper on >pw +@all -replicaof -client|kill")
        .query::<()>(&mut admin)
        .unwrap();
    let access = Access {
        username: Some("keeper".to_owned()),
        password: Some("pw".to_owned()),
        tls: None,
    };
    let findings = findings(&server, access).await;
    for (severity, start) in [
        (Severity::Error, "`REPLICAOF` cannot be used"),
        (Severity::Error, "`CLIENT KILL` cannot be used"),
        (Severity::Error, "masterauth is not set"),
        (Severity::Warning, "keeps no data across a restart"),
        (
            Severity::Warning,
            "was started without a configuration file",
        ),
        (Severity::Note, "replica-priority is 0"),
    ] {
        assert!(found(&findings, severity, start), "{start}: {findings:?}");
    }
    assert!(findings.iter().all(|(_, what)| !what.contains("secret")));
}

#[tokio::test]
async fn the_rights_that_write_safety_takes_are_missed_only_where_it_is_wanted() {
    let server = Server::with_config("appendonly yes\n").await;
    server.run::<()>("ACL SETUSER keeper on >pw +@all -config");
    server.run::<()>("ACL SETUSER keeper +config|get +config|rewrite");
    let access = || Access {
        username: Some("keeper".to_owned()),
        password: Some("pw".to_owned()),
        tls: None,
    };
    let missing = "`CONFIG SET` cannot be used";
    let without = findings_with(&server, access(), false).await;
    assert!(!found(&without, Severity::Error, missing), "{without:?}");
    let with = findings_with(&server, access(), true).await;
    assert!(found(&with, Severity::Error, missing), "{with:?}");
    let allowed = findings_with(&server, Access::default(), true).await;
    assert_eq!(allowed.len(), 1, "{allowed:?}");
}

#[tokio::test]
async fn a_node_that_is_out_of_reach_or_of_another_kind_is_an_error() {
    let mut server = Server::start(&["--cluster-enabled", "yes"]).await;
    let cluster = findings(&server, Access::default()).await;
    assert!(
        found(&cluster, Severity::Error, "runs in Redis Cluster mode"),
        "{cluster:?}"
    );
    let wrong = Access {
        password: Some("wrong".to_owned()),
        ..Access::default()
    };
    let refused = findings(&server, wrong).await;
    assert!(
        found(&refused, Severity::Error, "does not answer as it should"),
        "{refused:?}"
    );
    server.kill();
    let gone = findings(&server, Access::default()).await;
    assert!(
        found(&gone, Severity::Error, "cannot be reached"),
        "{gone:?}"
    );
}
