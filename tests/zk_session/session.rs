//! A session that is cut, goes on, and ends, with its lease and its nodes.

use std::time::Duration;

use redis_keeper::actors::messages::Leave;
use redis_keeper::domain::identity::Nonce;
use redis_keeper::domain::keepers::failsafe_member::FailsafeMember;
use redis_keeper::domain::node::{Generation, KeeperId, NodeAddr};
use redis_keeper::domain::published::Published;
use redis_keeper::layout::paths;
use redis_keeper::layout::state::Document;
use redis_keeper::ports::coordination::CreateKind;

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
        world.coordination.disconnect(session);
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
        world.coordination.reconnect(session);
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
        world.coordination.disconnect(a.session().await);
        let last = a.lease.borrow().deadline();
        tokio::time::sleep(LEASE).await;
        assert!(!a.leased());
        assert_eq!(a.lease.borrow().deadline(), last);
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
        world.coordination.set_reachable(false);
        let a = world.keeper("a");
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(a.report().await.state, "connecting");
        world.coordination.set_reachable(true);
        a.current().await;
        world.coordination.disconnect(a.session().await);
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

/// A lease is at most half a session: if the clock does not stop, the lease ends long before the session.
#[test]
fn an_expiry_that_is_learned_under_a_lease_that_a_heartbeat_earned_revokes_it() {
    on_virtual_time(async {
        let (world, a) = World::alone().await;
        world.coordination.set_reachable(false);
        world.coordination.expire(a.session().await);
        let learned = tokio::time::Instant::now();
        eventually("learned", async || a.report().await.session.is_none()).await;
        assert!(learned.elapsed() < LEASE / 4, "well within the lease");
        assert!(!a.leased(), "its clock had stopped");
        world.coordination.set_reachable(true);
        a.current().await;
    });
}

#[test]
fn an_expiry_ends_no_lease_by_consent_for_there_it_is_normal() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.failsafe("a");
        a.current().await;
        let session = a.session().await;
        eventually("a list that counts", async || {
            let failsafe = a.report().await.failsafe;
            failsafe.is_some_and(|failsafe| failsafe.asks.is_some())
        })
        .await;
        world.coordination.disconnect(session);
        world.coordination.set_reachable(false);
        tokio::time::sleep(4 * LEASE).await;
        assert!(a.lease.borrow().is_consented() && a.leased());
        world.coordination.expire(session);
        eventually("learned", async || a.report().await.session.is_none()).await;
        for _ in 0..100 {
            assert!(a.leased(), "its consent holds");
            tokio::time::sleep(LEASE / 4).await;
        }
    });
}

#[test]
fn no_heartbeat_counts_before_the_process_is_registered_so_that_it_can_be_asked() {
    on_virtual_time(async {
        let world = World::new();
        let _first = world.failsafe("first");
        world.leader().await;
        let observer = world.observer().await;
        let crashed = FailsafeMember {
            nonce: Some(Nonce::drawn(u64::MAX)),
            asks: Some([KeeperId::new("a")].into()),
            ..FailsafeMember::default()
        };
        let path = paths::registration(&KeeperId::new("a"));
        let created = observer.create(&path, &crashed.encode(), CreateKind::Persistent);
        created.await.expect("an earlier run left it");
        let registered = async || {
            let node = observer.get(&path).await.ok().flatten();
            let registration = node.and_then(|node| FailsafeMember::decode(&node.data).ok());
            registration.and_then(|registration| registration.nonce)
        };
        let a = world.failsafe("a");
        eventually("leased, and registered before", async || {
            let leased = a.lease.borrow().deadline().is_some();
            let nonce = registered().await;
            assert!(
                !leased || nonce != crashed.nonce,
                "another run can be asked"
            );
            leased
        })
        .await;
    });
}

#[test]
fn a_cluster_that_the_file_lacks_is_followed_to_say_so() {
    on_virtual_time(async {
        let world = World::new();
        let lacking = world.keeper("a");
        lacking.subscribe("x").await;
        world.clusters.borrow_mut().push("other");
        let having = world.keeper("b");
        having.subscribe("other").await;
        let expected = [("a".to_owned(), vec!["cluster other".to_owned()])].into();
        for keeper in [&lacking, &having] {
            eventually("the difference told", async || {
                keeper.report().await.differences == expected
            })
            .await;
        }
        assert!(having.shared("other").unwrap().reports[&KeeperId::new("a")].absent);
        // The keeper leads, and steps down for the keeper that has the cluster.
        eventually("the other leads", async || {
            world.leaders().iter().any(|(keeper, _)| keeper == "b")
        })
        .await;
    });
}

#[test]
fn a_cluster_that_no_file_has_any_more_is_no_difference_and_moves_no_leader() {
    on_virtual_time(async {
        let (world, a, b) = World::pair().await;
        let observer = world.observer().await;
        for path in ["/clusters/gone", "/clusters/gone/reports"] {
            let created = observer.create(path, b"", CreateKind::Persistent).await;
            created.expect("a new node");
        }
        tokio::time::sleep(Duration::from_mins(3)).await;
        for keeper in [&a, &b] {
            let reports = keeper.shared("gone").expect("followed").reports;
            assert!(reports.len() == 2 && reports.values().all(|report| report.absent));
            assert_eq!(keeper.report().await.differences, [].into());
        }
        let led: Vec<_> = world.story.borrow().clone();
        assert_eq!(led, [("a".to_owned(), Some(1))], "leadership stays");
    });
}
