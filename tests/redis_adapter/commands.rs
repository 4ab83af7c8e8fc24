//! Commands that change a server, and what is known of those that fail.

use redis_keeper::adapters::redis::Access;
use redis_keeper::domain::facts::MinReplicas;
use redis_keeper::domain::node::Epoch;
use redis_keeper::ports::redis::{
    CommandError, ConnectionEvent, Depth, Fence, Remember, Subscribers,
};
use rustix::process::Signal;
use tokio::time::timeout;

use crate::asking::{
    as_keeper, commanding, connected, facts, is_replica_of, node, plain, probed, replica_of,
};
use crate::server::{PATIENCE, Server, command, impostor};

#[tokio::test]
async fn a_replica_is_promoted_and_its_old_primary_follows_it_and_both_remember() {
    let primary = Server::with_config("").await;
    let replica =
        Server::with_config(&format!("replicaof 127.0.0.1 {}\n", primary.addr.port())).await;
    is_replica_of(&replica, &primary.addr).await;
    primary.run::<()>("SET key value");
    let mut client = replica.client();
    let mut probe = connected(&*plain(&replica)).await;

    let mut commands = commanding(&replica, Access::default(), 42)
        .await
        .expect("a connection");
    let listed: String = replica.run("CLIENT LIST");
    assert!(listed.contains("name=keeper-42"), "{listed}");
    assert_eq!(commands.promote(Remember::AtOnce).await, Ok(vec![]));
    let facts_after = facts(&replica).await.expect("facts");
    assert!(facts_after.is_primary());
    assert!(facts_after.previous_replication_id.is_some());
    assert!(!replica.file("redis.conf").contains("replicaof 127"));
    assert!(
        command("PING").query::<()>(&mut client).is_err(),
        "clients were cut"
    );
    assert_eq!(
        timeout(PATIENCE, probe.next_event()).await,
        Ok(ConnectionEvent::Closed)
    );

    let mut commands = commanding(&primary, Access::default(), 42)
        .await
        .expect("a connection");
    assert_eq!(
        commands.follow(&replica.addr, Remember::AtOnce).await,
        Ok(vec![])
    );
    is_replica_of(&primary, &replica.addr).await;
    let port = replica.addr.port();
    assert!(
        primary
            .file("redis.conf")
            .contains(&format!("replicaof 127.0.0.1 {port}"))
    );
}

#[tokio::test]
async fn a_role_that_is_to_be_remembered_later_is_in_the_file_once_that_is_rewritten() {
    let primary = Server::with_config("").await;
    let port = primary.addr.port();
    let replica = Server::with_config(&format!("replicaof 127.0.0.1 {port}\n")).await;
    is_replica_of(&replica, &primary.addr).await;
    let named = |server: &Server| server.file("redis.conf").contains("replicaof 127.0.0.1");

    let commands = commanding(&replica, Access::default(), 1).await;
    let mut commands = commands.expect("a connection");
    assert_eq!(commands.promote(Remember::Later).await, Ok(vec![]));
    assert!(facts(&replica).await.expect("facts").is_primary());
    assert!(named(&replica));
    assert_eq!(commands.rewrite().await, Vec::<String>::new());
    assert!(!named(&replica));

    let commands = commanding(&primary, Access::default(), 1).await;
    let mut commands = commands.expect("a connection");
    let followed = commands.follow(&replica.addr, Remember::Later).await;
    assert_eq!(followed, Ok(vec![]));
    is_replica_of(&primary, &replica.addr).await;
    assert!(!named(&primary));
    assert_eq!(commands.rewrite().await, Vec::<String>::new());
    assert!(named(&primary));
}

#[tokio::test]
async fn a_fence_cuts_off_older_leaders_and_earlier_commands_and_yields_to_newer_ones() {
    let primary = Server::start(&[]).await;
    let replica = replica_of(&primary).await;
    let open = async |epoch| {
        let opened = commanding(&replica, Access::default(), epoch).await;
        opened.expect("a connection")
    };
    let (mut older, mut earlier, mut newer) = (open(41).await, open(42).await, open(43).await);
    let mut bystander = replica.client();

    assert_eq!(earlier.fence(None).await, Ok(Fence::Newer(Epoch(43))));
    assert_eq!(
        earlier.fence(Some(Epoch(43))).await,
        Ok(Fence::Newer(Epoch(43))),
        "it was raised"
    );
    assert_eq!(newer.fence(None).await, Ok(Fence::Closed));
    for connection in [&mut older, &mut earlier] {
        let refused = connection.promote(Remember::AtOnce).await;
        assert!(
            matches!(
                refused,
                Err(CommandError::NotDone(_) | CommandError::Cut(_))
            ),
            "{refused:?}"
        );
    }
    assert!(!facts(&replica).await.expect("facts").is_primary());
    assert!(
        command("PING").query::<()>(&mut bystander).is_ok(),
        "clients are left alone"
    );
    assert_eq!(newer.promote(Remember::AtOnce).await.map(|_| ()), Ok(()));
}

#[tokio::test]
async fn a_name_that_no_leader_can_bear_is_killed_whoever_took_it() {
    let server = Server::start(&[]).await;
    let commands = commanding(&server, Access::default(), 42).await;
    let mut commands = commands.expect("a connection");
    let mut imitators = ["keeper-99999999", "keeper-43"].map(|name| {
        let mut client = server.client();
        command(&format!("CLIENT SETNAME {name}"))
            .exec(&mut client)
            .expect("a name");
        client
    });
    let mut others = [
        "keeper-",
        "keeper-x",
        "keeper-99999999999999999999999",
        "keepers",
    ]
    .map(|name| {
        let mut client = server.client();
        command(&format!("CLIENT SETNAME {name}"))
            .exec(&mut client)
            .expect("a name");
        client
    });

    let seen = commands.fence(None).await;
    assert!(matches!(seen, Ok(Fence::Newer(_))), "{seen:?}");
    let alive = |client: &mut redis::Connection| command("PING").exec(client).is_ok();
    assert!(
        imitators.iter_mut().all(alive),
        "not before the newest epoch is known"
    );
    assert_eq!(commands.fence(Some(Epoch(42))).await, Ok(Fence::Closed));
    assert!(!imitators.iter_mut().any(alive));
    assert!(others.iter_mut().all(alive), "those are no epochs");
}

#[tokio::test]
async fn a_command_connection_tells_which_process_is_at_its_other_end() {
    let server = Server::start(&[]).await;
    let known = facts(&server).await.expect("facts").run_id;
    let commands = commanding(&server, Access::default(), 1).await;
    assert_eq!(commands.expect("a connection").run_id(), known);
    server.run::<()>("ACL SETUSER keeper reset on >pw +@all -info");
    let unproven = commanding(&server, as_keeper(), 1).await.err();
    assert!(
        matches!(&unproven, Some(CommandError::NotDone(why)) if why.contains("NOPERM")),
        "{unproven:?}"
    );
}

#[tokio::test]
async fn a_server_without_a_configuration_file_is_promoted_with_a_note() {
    let primary = Server::start(&[]).await;
    let replica = replica_of(&primary).await;
    let mut commands = commanding(&replica, Access::default(), 1)
        .await
        .expect("a connection");
    let notes = commands.promote(Remember::AtOnce).await.expect("promoted");
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("CONFIG REWRITE: ERR"), "{notes:?}");
    assert!(facts(&replica).await.expect("facts").is_primary());
}

#[tokio::test]
async fn a_server_that_refuses_what_goes_with_a_promotion_is_promoted_with_notes() {
    let primary = Server::start(&[]).await;
    let replica = replica_of(&primary).await;
    replica.run::<()>("ACL SETUSER keeper on >pw +@all -config -client|kill");
    let mut commands = commanding(&replica, as_keeper(), 1)
        .await
        .expect("a connection");
    let notes = commands.promote(Remember::AtOnce).await.expect("promoted");
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
    let nobody = Some(Subscribers::default());
    assert_eq!((told.error, told.subscribers), (None, nobody));
    assert!(told.info.is_some_and(|info| info.run_id.is_some()));

    let values = MinReplicas {
        to_write: 1,
        max_lag: 2,
    };
    let commands = commanding(&server, Access::default(), 1).await;
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
    let node = node(&server.addr, as_keeper());
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
    let commands = commanding(&server, as_keeper(), 1).await;
    let mut commands = commands.expect("a connection");
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
        let mut commands = commanding(&replica, as_keeper(), 1)
            .await
            .expect("connected");
        let refused = commands.promote(Remember::AtOnce).await;
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
    let mut commands = commanding(&server, Access::default(), 1)
        .await
        .expect("a connection");
    server.signal(Signal::STOP);
    let late = commands.promote(Remember::AtOnce).await;
    // The adapter has sent only MULTI, which changes nothing.
    assert!(matches!(late, Err(CommandError::NotDone(_))), "{late:?}");
    let unopened = plain(&server).command(Epoch(1)).await.err();
    assert!(
        matches!(unopened, Some(CommandError::NotDone(_))),
        "{unopened:?}"
    );
}

#[tokio::test]
async fn a_server_lost_within_the_transaction_leaves_the_outcome_unknown() {
    let (listener, addr) = impostor().await;
    let dying = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut received = [0; 1024];
        // CLIENT SETNAME and INFO, then MULTI.
        for answer in ["+OK\r\n$9\r\nrun_id:it\r\n", "+OK\r\n"] {
            assert!(peer.read(&mut received).await.unwrap() > 0);
            peer.write_all(answer.as_bytes()).await.unwrap();
        }
        assert!(peer.read(&mut received).await.unwrap() > 0);
        peer.write_all(b"+QUEUED\r\n").await.unwrap();
    };
    let promoting = async {
        let node = node(&addr, Access::default());
        node.command(Epoch(1))
            .await
            .expect("a connection")
            .promote(Remember::AtOnce)
            .await
    };
    let (outcome, ()) = tokio::join!(promoting, dying);
    assert!(matches!(outcome, Err(CommandError::Cut(_))), "{outcome:?}");
}
