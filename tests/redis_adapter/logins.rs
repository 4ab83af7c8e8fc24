//! The keeper's user and password at servers that want others, or none.

use std::time::Duration;

use redis_keeper::adapters::redis::inspect::{Demands, Severity};
use redis_keeper::adapters::redis::{Access, RedisServers, Secrets};
use redis_keeper::domain::commands::{CommandNames, command as named};
use redis_keeper::domain::node::{ClusterName, Epoch};
use redis_keeper::ports::redis::{CommandError, Depth, Redis as _, Remember};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::asking::{SHORT, commanding, connected, node, probed};
use crate::server::{Server, command, impostor};

/// The tests of this file do not depend on these demands.
const DEMANDS: Demands = Demands {
    write_safety: false,
    answers_within: Duration::from_mins(1),
    data_nodes: 3,
};

fn with(username: Option<&str>, passwords: &[&str]) -> Access {
    Access {
        username: username.map(str::to_owned),
        passwords: passwords.iter().map(ToString::to_string).collect(),
        ..Access::default()
    }
}

/// The findings of `check --live`, without the usual notes.
async fn findings(server: &Server, access: Access) -> Vec<(Severity, String)> {
    let cluster = ClusterName::new("c");
    let servers = RedisServers::new([(cluster.clone(), access)], SHORT).expect("usable access");
    let found = servers.inspect(&cluster, &server.addr, DEMANDS).await;
    found
        .into_iter()
        .map(|it| (it.severity, it.finding))
        .collect()
}

#[tokio::test]
async fn a_password_that_the_server_does_not_want_is_no_obstacle_to_anything() {
    let server = Server::with_config("appendonly yes\n").await;
    for access in [
        with(None, &["x"]),
        with(None, &[""]),
        with(None, &["x", "y"]),
        with(Some("default"), &["x"]),
    ] {
        let mut connection = connected(&*node(&server.addr, access.clone())).await;
        for depth in [Depth::Full, Depth::Tick] {
            let alive = probed(&mut *connection, depth).await;
            assert!(alive.info.is_some(), "{access:?}: {alive:?}");
            assert_eq!((alive.error, alive.login_refused), (None, None));
        }
        let mut commands = commanding(&server, access.clone(), 1)
            .await
            .expect("a connection");
        commands.promote(Remember::AtOnce).await.expect("promoted");
        let found = findings(&server, access.clone()).await;
        assert!(
            found
                .iter()
                .all(|(severity, _)| *severity == Severity::Note),
            "{access:?}: {found:?}"
        );
        let told = |what: &str| found.iter().any(|(_, found)| found.contains(what));
        assert!(
            !told("accepts"),
            "no password is accepted where none is wanted: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_knows_no_users_is_given_the_password_alone() {
    // The replies of Redis 5, in its own words.
    for (to_password, logged_in) in [
        ("-ERR Client sent AUTH, but no password is set\r\n", true),
        ("+OK\r\n", true),
        ("-ERR invalid password\r\n", false),
    ] {
        let (listener, addr) = impostor().await;
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut stream = BufReader::new(stream);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.expect("a request") == 0 {
                    return;
                }
                let count: usize = line
                    .trim_start_matches('*')
                    .trim()
                    .parse()
                    .expect("an array");
                let mut words = Vec::new();
                for _ in 0..count {
                    let mut length = String::new();
                    stream.read_line(&mut length).await.expect("a length");
                    let length: usize = length.trim_start_matches('$').trim().parse().expect("it");
                    let mut word = vec![0; length + 2];
                    stream.read_exact(&mut word).await.expect("a word");
                    word.truncate(length);
                    words.push(String::from_utf8(word).expect("text"));
                }
                let answer = match (words[0].as_str(), words.len()) {
                    ("AUTH", 3) => "-ERR wrong number of arguments for 'auth' command\r\n",
                    ("AUTH", 2) => to_password,
                    ("INFO", _) => "$12\r\nrun_id:r\r\n\r\n\r\n",
                    _ => "+OK\r\n",
                };
                stream.write_all(answer.as_bytes()).await.expect("sent");
            }
        });
        let opened = node(&addr, with(Some("keeper"), &["pw"]))
            .command(Epoch(1))
            .await;
        match opened {
            Ok(connection) => assert!(logged_in && connection.run_id() == "r"),
            Err(error) => assert!(!logged_in, "{to_password}: {error}"),
        }
        server.await.expect("no panic");
    }
}

#[tokio::test]
async fn a_login_that_is_refused_shows_though_the_server_answers_anybody() {
    let server = Server::start(&[]).await;
    let wrong = with(Some("keeper"), &["wrong"]);
    server.run::<()>("ACL SETUSER keeper on >right +@all");
    let mut connection = connected(&*node(&server.addr, wrong.clone())).await;
    for depth in [Depth::Full, Depth::Tick, Depth::FullWithSettings] {
        let alive = probed(&mut *connection, depth).await;
        assert!(alive.info.is_some() && alive.error.is_none(), "{alive:?}");
        let why = alive.login_refused.expect("told");
        assert!(why.starts_with("WRONGPASS"), "{why}");
    }
    let refused = commanding(&server, wrong.clone(), 1).await.err();
    assert!(
        matches!(&refused, Some(CommandError::NotDone(why)) if why.contains("the login is refused: WRONGPASS")),
        "{refused:?}"
    );
    let found = findings(&server, wrong).await;
    assert!(
        found[0].1.starts_with("refuses the login: WRONGPASS"),
        "{found:?}"
    );

    server.run::<()>("ACL SETUSER keeper >wrong");
    let mended = probed(&mut *connection, Depth::Tick).await;
    assert_eq!((mended.error, mended.login_refused), (None, None));
}

#[tokio::test]
async fn of_two_passwords_the_one_that_worked_last_is_tried_first() {
    let server = Server::start(&["--requirepass", "new"]).await;
    let failures = || {
        let mut admin = server.client();
        command("AUTH new").query::<()>(&mut admin).expect("right");
        let log: Vec<redis::Value> = command("ACL LOG").query(&mut admin).expect("a log");
        let counted = log.iter().map(|entry| {
            let entry = entry.as_sequence().unwrap_or_default();
            match entry.get(1) {
                Some(redis::Value::Int(count)) => *count,
                _ => 0,
            }
        });
        counted.sum::<i64>()
    };
    let cluster = ClusterName::new("c");
    let access = with(None, &["old", "new"]);
    let servers = RedisServers::new([(cluster.clone(), access.clone())], SHORT).expect("no TLS");
    let node = servers.node(&cluster, &server.addr);
    for _ in 0..3 {
        let alive = probed(&mut *connected(&*node).await, Depth::Full).await;
        assert!(alive.info.is_some() && alive.login_refused.is_none());
        node.command(Epoch(1)).await.expect("a connection");
    }
    assert_eq!(failures(), 1, "the old one was tried once");

    let found = findings(&server, access.clone()).await;
    let only = |text: &str| found.iter().any(|(_, what)| what == text);
    assert!(only("accepts the second password only"), "{found:?}");
    let found = findings(&server, with(None, &["new", "old"])).await;
    assert!(
        found
            .iter()
            .any(|(_, what)| what == "accepts the first password only")
    );
    let neither = findings(&server, with(None, &["old", "older"])).await;
    assert!(neither[0].1.starts_with("refuses the login"), "{neither:?}");
    for (_, what) in found.iter().chain(&neither) {
        assert!(!what.contains("old") && !what.contains("new"), "{what}");
    }
}

#[tokio::test]
async fn new_connections_use_secrets_that_were_read_again_and_open_ones_stay() {
    let server = Server::start(&["--requirepass", "old"]).await;
    let cluster = ClusterName::new("c");
    let access = with(None, &["old"]);
    let servers = RedisServers::new([(cluster.clone(), access)], SHORT).expect("no TLS");
    let node = servers.node(&cluster, &server.addr);
    let mut open = connected(&*node).await;
    assert!(probed(&mut *open, Depth::Full).await.info.is_some());

    let mut admin = server.client();
    command("AUTH old").query::<()>(&mut admin).expect("right");
    command("CONFIG SET requirepass new")
        .query::<()>(&mut admin)
        .expect("set");
    assert!(node.command(Epoch(1)).await.is_err());
    let again = Secrets::read(&with(None, &["new"])).expect("no TLS");
    servers.replace_secrets(&cluster, again);
    node.command(Epoch(1)).await.expect("a connection");
    assert!(
        probed(&mut *connected(&*node).await, Depth::Full)
            .await
            .info
            .is_some()
    );
    assert!(probed(&mut *open, Depth::Full).await.info.is_some());
}

#[tokio::test]
async fn renamed_commands_are_sent_by_their_names_and_missing_ones_are_named() {
    let renamed = [
        "CLIENT",
        "REPLICAOF",
        "CONFIG",
        "INFO",
        "MULTI",
        "ACL",
        "COMMAND",
    ];
    let lines = renamed
        .map(|name| format!("rename-command {name} my{name}\n"))
        .concat();
    let lines = format!("appendonly yes\n{lines}");
    let [primary, replica] = [
        Server::with_config(&lines).await,
        Server::with_config(&lines).await,
    ];
    let mut names = CommandNames::default();
    for name in renamed {
        names.rename(named(name).expect("sent"), format!("my{name}"));
    }
    let access = Access {
        names,
        ..Access::default()
    };
    let found = findings(&primary, access.clone()).await;
    assert!(
        found
            .iter()
            .all(|(severity, _)| *severity == Severity::Note),
        "{found:?}"
    );

    let open = async |server, epoch| {
        commanding(server, access.clone(), epoch)
            .await
            .expect("open")
    };
    let mut commands = open(&replica, 1).await;
    let followed = commands.follow(&primary.addr, Remember::AtOnce).await;
    assert_eq!(followed, Ok(Vec::new()));
    let mut old = open(&primary, 1).await;
    old.pause_writes(Duration::from_secs(5))
        .await
        .expect("paused");
    old.unpause().await.expect("ended");
    assert_eq!(
        open(&replica, 2).await.promote(Remember::AtOnce).await,
        Ok(Vec::new())
    );
    let mut connection = connected(&*node(&replica.addr, access.clone())).await;
    let alive = probed(&mut *connection, Depth::FullWithSettings).await;
    assert!(alive.info.is_some() && matches!(alive.min_replicas, Some(Ok(_))));

    let without = findings(&primary, Access::default()).await;
    assert!(
        without
            .iter()
            .any(|(severity, _)| *severity == Severity::Error),
        "{without:?}"
    );
    let client =
        Server::with_config("rename-command CLIENT XCLIENT\nrename-command PUBSUB \"\"\n").await;
    let missing = findings(&client, Access::default()).await;
    let told = |severity, start: &str| {
        let mut all = missing.iter();
        all.any(|(how, what)| *how == severity && what.starts_with(start))
    };
    assert!(
        told(Severity::Error, "the server has no command `CLIENT`"),
        "{missing:?}"
    );
    assert!(
        told(Severity::Warning, "the server has no command `PUBSUB`"),
        "{missing:?}"
    );
}
