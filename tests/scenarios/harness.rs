//! Tests of the harness itself, on which all scenarios rely.

use std::path::Path;
use std::process::{Command, Stdio};

use keeper_site::haproxy::HaProxy;
use keeper_site::link::Link;
use keeper_site::net::Net;
use keeper_site::process::{Process, command};
use keeper_site::redis::{Redis, Role, connect};
use keeper_site::wait::{SOON, eventually};
use keeper_site::writer::Writer;
use keeper_site::zookeeper::{Mode, ZooKeeper};
use tempfile::TempDir;
use zookeeper_client::{Acls, Client, CreateMode, SessionState};

/// Names the file for the child's process id, in a copy of this test binary that is to be killed.
const VICTIM: &str = "REDIS_KEEPER_TEST_VICTIM";

#[tokio::test]
async fn children_die_with_the_test_process_however_it_ends() {
    if let Ok(file) = std::env::var(VICTIM) {
        let mut sleeper = command("sleep");
        sleeper.arg("600");
        let child = Process::start("sleep", Path::new("/dev/null"), sleeper);
        std::fs::write(file, child.id().to_string()).expect("the file that the survivor reads");
        std::future::pending::<()>().await;
    }
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("child");
    let mut victim = Command::new(std::env::current_exe().expect("this binary"))
        .args([
            "--exact",
            "harness::children_die_with_the_test_process_however_it_ends",
        ])
        .env(VICTIM, &file)
        .stdout(Stdio::null())
        .spawn()
        .expect("a copy of this binary");
    let child = eventually(SOON, "the victim's child", async || {
        let id = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let runs = Path::new("/proc").join(&id).join("exe").exists();
        if runs {
            Ok(Path::new("/proc").join(id))
        } else {
            Err(id)
        }
    })
    .await;
    victim.kill().expect("the victim runs");
    victim.wait().expect("the victim is ours");
    eventually(SOON, "the child to be gone", async || {
        // An orphan without a parent that reaps it is dead, too: it has no executable.
        if child.join("exe").exists() {
            Err("it runs")
        } else {
            Ok(())
        }
    })
    .await;
}

#[tokio::test]
async fn a_redis_replicates_freezes_dies_and_returns_with_what_it_saved() {
    let net = Net::new();
    let [primary, first, second] = Redis::trio(&net).await;
    primary.wait_role(Role::Primary).await;
    first.wait_role(Role::Replica).await;
    primary.write_keys("kept", 100).await;
    second.wait_in_step_with(&primary).await;
    assert_eq!(second.key_count().await, 100);
    assert_eq!(second.calls("replicaof").await, 0);

    primary.pause();
    assert!(
        primary
            .try_run::<String>("PING")
            .await
            .expect_err("it is frozen")
            .is_timeout()
    );
    primary.resume();
    primary.wait_answering().await;

    primary.save().await;
    primary.write_keys("lost", 10).await;
    primary.kill();
    assert!(primary.connect().await.is_err());
    primary.revive().await;
    assert_eq!(primary.key_count().await, 100);
    primary.kill();
    primary.forget();
    primary.revive().await;
    assert_eq!(primary.key_count().await, 0);

    let follow = format!("REPLICAOF {} {}", second.at().ip(), second.at().port());
    second.run::<()>("REPLICAOF NO ONE").await;
    first.run::<()>(&follow).await;
    first.run::<()>("CONFIG REWRITE").await;
    assert_eq!(first.calls("replicaof").await, 1);
    first.kill();
    first.revive().await;
    first.wait_in_step_with(&second).await;
}

#[tokio::test]
async fn a_link_refuses_when_cut_and_swallows_when_silent() {
    let net = Net::new();
    let redis = Redis::start_behind_link(&net, &[]).await;
    let mut session = connect(redis.at()).await.expect("an open link");
    let ping = redis::cmd("PING");

    redis.link().silence();
    let answer = ping.query_async::<String>(&mut session).await;
    assert!(answer.expect_err("the link is silent").is_timeout());
    redis.link().restore().await;
    ping.query_async::<String>(&mut session)
        .await
        .expect("the same session");

    redis.link().cut().await;
    let answer = ping.query_async::<String>(&mut session).await;
    assert!(
        answer
            .expect_err("the link is cut")
            .is_unrecoverable_error()
    );
    let refused = connect(redis.at())
        .await
        .map(drop)
        .expect_err("the link is cut");
    assert!(refused.is_connection_refusal(), "{refused}");
    assert!(
        redis.try_run::<String>("PING").await.is_ok(),
        "the server itself is well"
    );
    redis.link().restore().await;
    connect(redis.at()).await.expect("a new session");
}

#[tokio::test]
async fn a_session_of_the_shared_zookeeper_can_be_expired_and_cut_from_outside() {
    let net = Net::new();
    let zookeeper = ZooKeeper::shared().await;
    let server = &zookeeper.servers()[0];
    assert_eq!(server.mode().await, Ok(Mode::Standalone));
    let prefix = zookeeper.prefix("expired_from_outside");
    let link = Link::new(net.socket(2181), server.at()).await;
    let client = Client::connect(&link.at().to_string())
        .await
        .expect("a session");
    let forever = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    client
        .create(prefix.path(), b"", &forever)
        .await
        .expect("a prefix");
    let path = format!("{}/mine", prefix.path());
    client
        .create(&path, b"", &ephemeral)
        .await
        .expect("an ephemeral node");

    let mut states = client.state_watcher();
    assert_eq!(states.state(), SessionState::SyncConnected);
    link.cut().await;
    assert_eq!(states.changed().await, SessionState::Disconnected);
    link.restore().await;
    assert_eq!(states.changed().await, SessionState::SyncConnected);

    prefix.expire_owner_of("/mine").await;
    eventually(SOON, "the client to notice", async || {
        match client.state() {
            SessionState::Expired => Ok(()),
            state => Err(format!("{state:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn an_ensemble_of_three_elects_another_leader_when_its_leader_dies() {
    let net = Net::fleet().await;
    let zookeeper = ZooKeeper::ensemble(&net, 3).await;
    let first = zookeeper.leader().await;
    assert_eq!(first.mode().await, Ok(Mode::Leader));
    first.process().kill();
    let second = zookeeper.leader().await;
    assert_ne!(first.at(), second.at());
    first.revive().await;
    assert_eq!(first.mode().await, Ok(Mode::Follower));
}

#[tokio::test]
async fn a_writer_behind_haproxy_notes_what_was_acknowledged_and_that_it_was_cut() {
    let net = Net::new();
    let redis = Redis::start(&net).await;
    let front = net.socket(17_001);
    let haproxy = HaProxy::start(&format!(
        "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1m\n  timeout server 1m\n\
         frontend writes\n  bind {front}\n  default_backend writes\n\
         backend writes\n  default-server check inter 50ms fall 1 rise 1 on-marked-down shutdown-sessions\n  \
         server up {}\n  server down {}\n",
        redis.at(),
        net.socket(1),
    ))
    .await;
    haproxy.wait_up("writes", &["up"]).await;
    let writer = Writer::start(front);
    writer.wait_writes(20).await;

    redis.kill();
    haproxy.wait_up("writes", &[]).await;
    redis.revive().await;
    haproxy.wait_up("writes", &["up"]).await;
    writer.wait_writes(20).await;

    let diary = writer.stop();
    assert_eq!(diary.cut_sessions, 1, "{diary:?}");
    let lost = diary.lost_at(&redis).await;
    assert!(
        lost.len() >= 20 && lost.len() <= diary.acknowledged.len() - 20,
        "lost {lost:?}"
    );
}
