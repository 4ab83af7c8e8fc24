//! A session that is cut, goes on, and ends, and the lease and the nodes that go with it.

use std::time::Duration;

use redis_keeper::actors::messages::Leave;
use redis_keeper::domain::node::{Generation, NodeAddr};
use redis_keeper::domain::published::Published;
use redis_keeper::layout::paths;
use redis_keeper::layout::state::Document;

use crate::time::on_virtual_time;
use crate::world::{LEASE, World, eventually};

#[test]
fn after_a_reconnection_everything_is_read_again_and_the_leader_has_a_new_epoch() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        a.subscribe("x").await;
        assert_eq!(world.leader().await, ("a".to_owned(), 1));
        eventually("leading shared", async || {
            a.shared("x").unwrap().leading.is_some()
        })
        .await;
        let session = a.session().await;
        world.embedded.disconnect(session);
        eventually("stopped", async || world.leaders().is_empty()).await;
        assert_eq!(a.report().await.state, "disconnected");
        let published = Published {
            primary: Some(NodeAddr::new("p", 1)),
            generation: Generation(1),
            ..Published::default()
        };
        let observer = world.observer().await;
        observer
            .set("/clusters/x", &published.encode(), None)
            .await
            .unwrap();
        world.embedded.reconnect(session);
        eventually("read again", async || a.primary("x") == Some("p".into())).await;
        assert_eq!(world.leader().await, ("a".to_owned(), 2));
        assert_eq!(a.session().await, session);
    });
}

#[test]
fn the_lease_runs_out_once_heartbeats_are_not_confirmed_and_leading_ends_with_it() {
    on_virtual_time(async {
        let (world, a) = World::alone().await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(a.leased(), "heartbeats hold it");
        world.embedded.disconnect(a.session().await);
        let last = a.lease.borrow().deadline;
        tokio::time::sleep(LEASE).await;
        assert!(!a.leased());
        assert_eq!(a.lease.borrow().deadline, last);
    });
}

#[test]
fn a_keeper_that_leaves_takes_everything_with_it() {
    on_virtual_time(async {
        let (world, a, _b) = World::pair().await;
        a.set_report("x", &["p"]);
        let before = tokio::time::Instant::now();
        a.address.send(Leave).await.unwrap();
        assert!(before.elapsed() < Duration::from_millis(50));
        let observer = world.observer().await;
        assert_eq!(
            observer.children(paths::KEEPERS).await.unwrap().names,
            ["b"]
        );
        assert_eq!(
            observer.children(paths::LEADER).await.unwrap().names.len(),
            1
        );
        assert!(
            observer
                .children("/clusters/x/reports")
                .await
                .unwrap()
                .names
                .is_empty()
        );
        eventually("b leads", async || world.leaders() == [("b".to_owned(), 2)]).await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(a.report().await.state, "left");
    });
}

#[test]
fn leaving_while_disconnected_is_not_waited_for_long() {
    on_virtual_time(async {
        let world = World::new();
        world.embedded.set_reachable(false);
        let a = world.keeper("a");
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(a.report().await.state, "connecting");
        world.embedded.set_reachable(true);
        a.current().await;
        world.embedded.disconnect(a.session().await);
        eventually("noticed", async || a.report().await.state == "disconnected").await;
        let before = tokio::time::Instant::now();
        a.address.send(Leave).await.unwrap();
        assert!(before.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn an_own_node_that_somebody_removed_is_made_again() {
    on_virtual_time(async {
        let (world, a) = World::alone().await;
        let observer = world.observer().await;
        observer.delete("/keepers/a", None).await.unwrap();
        eventually("made again", async || {
            observer.get("/keepers/a").await.unwrap().is_some()
        })
        .await;
        a.current().await;
    });
}
