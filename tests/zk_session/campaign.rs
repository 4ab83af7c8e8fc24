//! Which keeper leads, from when on, and which keepers a leader waits for.

use std::collections::BTreeSet;
use std::time::Duration;

use redis_keeper::domain::node::KeeperId;

use crate::time::on_virtual_time;
use crate::world::{HEARTBEAT, LEASE, World, eventually};

#[test]
fn one_of_three_keepers_leads_and_all_see_the_same() {
    on_virtual_time(async {
        let world = World::new();
        let keepers = ["a", "b", "c"].map(|id| world.keeper(id));
        let (leader, epoch) = world.leader().await;
        assert_eq!(epoch, 1);
        for keeper in &keepers {
            keeper.current().await;
            keeper.subscribe("x").await;
            eventually("three keepers", async || {
                let report = keeper.report().await;
                report.keepers.len() == 3 && report.leader == Some(KeeperId::new(&*leader))
            })
            .await;
            let ids = ["a", "b", "c"].map(KeeperId::new);
            assert_eq!(keeper.shared("x").unwrap().keepers, BTreeSet::from(ids));
        }
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert_eq!(
            world.leaders(),
            [(leader, 1)],
            "a quiet ensemble keeps its leader"
        );
    });
}

#[test]
fn a_leader_whose_session_expires_stops_before_the_next_begins_and_takes_part_again() {
    on_virtual_time(async {
        let (world, a, b) = World::pair().await;
        world.coordination.expire(a.session().await);
        eventually("b leads", async || world.leaders() == [("b".to_owned(), 2)]).await;
        let story = [("a", Some(1)), ("a", None), ("b", Some(2))];
        assert_eq!(
            *world.story.borrow(),
            story.map(|(who, epoch)| (who.to_owned(), epoch))
        );
        a.current().await;
        world.coordination.expire(b.session().await);
        eventually("a leads again", async || {
            world.leaders() == [("a".to_owned(), 3)]
        })
        .await;
    });
}

#[test]
fn a_withdrawal_is_acknowledged_at_once_and_the_leader_waits_for_nobody_else() {
    on_virtual_time(async {
        let world = World::new();
        let keepers = ["a", "b", "c"].map(|id| world.keeper(id));
        for keeper in &keepers {
            keeper.subscribe("x").await;
            keeper.current().await;
        }
        let leader = world.leading(&keepers, "x").await;
        tokio::time::sleep(LEASE * 2).await;
        leader.write("x", Some("p")).await.unwrap();
        let before = tokio::time::Instant::now();
        leader.write("x", None).await.unwrap();
        eventually("all have acknowledged", async || {
            leader.waits_for("x").is_empty()
        })
        .await;
        assert!(
            before.elapsed() <= Duration::from_millis(5),
            "{:?}",
            before.elapsed()
        );
        for keeper in &keepers {
            assert_eq!(keeper.primary("x"), None, "it acknowledged what it applied");
        }
    });
}

#[test]
fn a_keeper_that_cannot_acknowledge_is_waited_for_until_its_lease_is_out() {
    on_virtual_time(async {
        for expired in [false, true] {
            let world = World::new();
            let (a, b) = (world.keeper("a"), world.keeper("b"));
            for keeper in [&a, &b] {
                keeper.subscribe("x").await;
                keeper.current().await;
            }
            let keepers = [a, b];
            let leader = world.leading(&keepers, "x").await;
            let other = keepers
                .iter()
                .find(|keeper| !std::ptr::eq(*keeper, leader))
                .unwrap();
            tokio::time::sleep(LEASE * 2).await;
            leader.write("x", Some("p")).await.unwrap();
            other.current().await;
            let session = other.session().await;
            world.coordination.disconnect(session);
            let deadline = other.lease.borrow().deadline().unwrap();
            if expired {
                // The keeper's node is gone, and no other keeper knows whether that keeper has learned so.
                world.coordination.set_reachable(false);
                world.coordination.expire(session);
            }
            leader.write("x", None).await.unwrap();
            while !leader.waits_for("x").is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(!other.leased(), "it could still answer");
            let waited = world.now().since(deadline);
            assert!(
                waited < Duration::from_millis(25),
                "{waited:?} after its lease"
            );
        }
    });
}

#[test]
fn a_new_leader_waits_out_those_it_never_saw() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        a.subscribe("x").await;
        a.current().await;
        world.leading(std::slice::from_ref(&a), "x").await;
        let before = tokio::time::Instant::now();
        a.write("x", None).await.unwrap();
        eventually("nobody is waited for", async || a.waits_for("x").is_empty()).await;
        let waited = before.elapsed();
        assert!(waited > LEASE / 2 && waited < LEASE * 2, "{waited:?}");
    });
}

#[test]
fn a_leader_that_falls_silent_is_deposed_though_its_session_lives() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        assert_eq!(world.leader().await, ("a".to_owned(), 1));
        let b = world.keeper("b");
        b.current().await;
        tokio::time::sleep(LEASE * 2).await;
        let session = a.session().await;
        world.coordination.disconnect(session);
        let before = tokio::time::Instant::now();
        eventually("b leads", async || world.leaders() == [("b".to_owned(), 2)]).await;
        let took = before.elapsed();
        assert!(took < LEASE + HEARTBEAT * 2, "{took:?}");
        assert!(world.coordination.sessions().contains(&session));
        world.coordination.reconnect(session);
        a.current().await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(
            world.leaders(),
            [("b".to_owned(), 2)],
            "it queues up behind"
        );
    });
}
