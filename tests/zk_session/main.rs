//! The session actor on virtual time: several keepers on one embedded tree, whose sessions are expired and cut.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use redis_keeper::actors::messages::{Leave, Unsubscribe, WriteError};
use redis_keeper::domain::node::{ClusterName, Generation, KeeperId, NodeAddr};
use redis_keeper::domain::published::Published;
use redis_keeper::layout::paths;
use redis_keeper::layout::state::{Document, FormatMark};
use redis_keeper::ports::coordination::CreateKind;

use self::world::{HEARTBEAT, LEASE, World, eventually, on_virtual_time};

mod world;

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
        let world = World::new();
        let a = world.keeper("a");
        world.leader().await;
        let b = world.keeper("b");
        b.current().await;
        world.embedded.expire(a.session().await);
        eventually("b leads", async || world.leaders() == [("b".to_owned(), 2)]).await;
        let story = [("a", Some(1)), ("a", None), ("b", Some(2))];
        assert_eq!(
            *world.story.borrow(),
            story.map(|(who, epoch)| (who.to_owned(), epoch))
        );
        a.current().await;
        world.embedded.expire(b.session().await);
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
            world.embedded.disconnect(session);
            if expired {
                // Its node is gone, its lease is not.
                world.embedded.set_reachable(false);
                world.embedded.expire(session);
            }
            leader.write("x", None).await.unwrap();
            while !leader.waits_for("x").is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(!other.leased(), "it could still answer");
            let deadline = other.lease.borrow().deadline.unwrap();
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
        world.embedded.disconnect(session);
        let before = tokio::time::Instant::now();
        eventually("b leads", async || world.leaders() == [("b".to_owned(), 2)]).await;
        let took = before.elapsed();
        assert!(took < LEASE + HEARTBEAT * 2, "{took:?}");
        assert!(world.embedded.sessions().contains(&session));
        world.embedded.reconnect(session);
        a.current().await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(
            world.leaders(),
            [("b".to_owned(), 2)],
            "it queues up behind"
        );
    });
}

#[test]
fn a_keeper_with_another_lease_than_the_others_is_refused_and_a_lone_one_may_change_it() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        a.current().await;
        let b = world.leased("b", "host-b:1", LEASE * 2);
        eventually("refused", async || b.fatal.borrow().is_some()).await;
        let message = b.fatal.borrow().clone().unwrap();
        assert!(
            message.contains("lease-seconds is 1.6 here and 0.8"),
            "{message}"
        );
        a.address.send(Leave).await.unwrap();
        let both = ["b", "c"].map(|id| world.leased(id, "new", LEASE * 2));
        for keeper in &both {
            keeper.current().await;
        }
        let late = world.keeper("d");
        eventually("refused", async || late.fatal.borrow().is_some()).await;
    });
}

#[test]
fn a_second_keeper_with_the_same_id_is_refused_and_told_who_holds_it() {
    on_virtual_time(async {
        let world = World::new();
        let first = world.process("a", "first:1");
        first.current().await;
        let second = world.process("a", "second:2");
        eventually("refused", async || second.fatal.borrow().is_some()).await;
        let message = second.fatal.borrow().clone().unwrap();
        assert!(
            message.contains("keeper-id a is held by first:1 at 10.0.0.1:4001"),
            "{message}"
        );
        assert!(first.fatal.borrow().is_none());
        assert_eq!(world.leader().await, ("a".to_owned(), 1));
        assert_eq!(second.report().await.state, "refused");
    });
}

#[test]
fn the_leftover_of_an_earlier_run_is_waited_out() {
    on_virtual_time(async {
        let world = World::new();
        let earlier = world.keeper("a");
        earlier.current().await;
        // Its process is gone, its session not yet.
        let session = earlier.session().await;
        world.embedded.disconnect(session);
        let again = world.keeper("a");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(again.report().await.state, "joining");
        assert!(again.fatal.borrow().is_none());
        world.embedded.set_reachable(false);
        world.embedded.expire(session);
        again.current().await;
    });
}

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
        let world = World::new();
        let a = world.keeper("a");
        a.current().await;
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
fn a_deposed_leader_writes_nothing() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        a.subscribe("x").await;
        world.leader().await;
        a.write("x", None).await.unwrap();
        let known = a.shared("x").unwrap();
        let observer = world.observer().await;
        let latch = observer
            .children(paths::LEADER)
            .await
            .unwrap()
            .names
            .remove(0);
        // The write is on its way before its watch can tell the keeper anything.
        let deleted = observer.delete(&format!("/leader/{latch}"), None);
        let outcome = a.write("x", Some("p")).await;
        deleted.await.unwrap();
        assert!(
            matches!(outcome, Err(WriteError::NotDone(_))),
            "{outcome:?}"
        );
        let node = observer.get("/clusters/x").await.unwrap().unwrap();
        assert_eq!(Some(node.version), known.version);
        assert_eq!(
            world.leader().await.1,
            2,
            "it leads again, with another latch node"
        );
    });
}

#[test]
fn a_state_decided_from_an_old_version_is_not_written() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        a.subscribe("x").await;
        world.leader().await;
        let (first, second) = futures::join!(a.write("x", Some("p")), a.write("x", Some("q")));
        assert_eq!(first.unwrap().0.generation, Generation(1));
        assert!(matches!(second, Err(WriteError::NotDone(_))));
        assert_eq!(a.primary("x"), Some("p".into()));
        assert_eq!(
            a.write("x", None).await.unwrap().0.generation,
            Generation(2)
        );
    });
}

#[test]
fn writes_of_many_clusters_go_side_by_side_and_each_has_its_own_generation() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        let b = world.keeper("b");
        let names: Vec<String> = (0..200).map(|n| format!("c{n}")).collect();
        for name in &names {
            a.subscribe(name).await;
            b.subscribe(name).await;
        }
        world.leader().await;
        eventually("leading shared", async || {
            a.shared("c199").unwrap().leading.is_some()
        })
        .await;
        let written = join_all(names.iter().map(|name| a.write(name, Some("p")))).await;
        let generations: BTreeSet<u64> = written
            .iter()
            .map(|written| written.as_ref().unwrap().0.generation.0)
            .collect();
        assert_eq!(generations, (1..=200).collect());
        eventually("b sees all", async || {
            names.iter().all(|name| b.primary(name) == Some("p".into()))
        })
        .await;
        eventually("b has applied all", async || {
            b.report().await.generation == 200
        })
        .await;
        b.current().await;
    });
}

#[test]
fn after_an_unknown_outcome_the_state_is_read_before_anything_else_is_written() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        a.subscribe("x").await;
        world.leader().await;
        a.write("x", Some("p")).await.unwrap();
        let session = a.session().await;
        world.embedded.cut_at_next_request(session);
        let outcome = a.write("x", None).await;
        assert!(
            matches!(outcome, Err(WriteError::Unknown(_))),
            "{outcome:?}"
        );
        eventually("stopped", async || world.leaders().is_empty()).await;
        world.embedded.reconnect(session);
        world.leader().await;
        eventually("what was written after all is read", async || {
            a.primary("x").is_none() && a.shared("x").unwrap().leading.is_some()
        })
        .await;
        let (state, _) = a.write("x", Some("q")).await.unwrap();
        assert_eq!(state.generation, Generation(3));
    });
}

#[test]
fn reports_reach_the_others_and_go_with_their_keeper() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        let b = world.keeper("b");
        a.subscribe("x").await;
        b.subscribe("x").await;
        a.set_report("x", &["p"]);
        b.set_report("x", &["p", "q"]);
        let both = [("a".to_owned(), 1), ("b".to_owned(), 2)];
        eventually("both see both", async || {
            a.votes("x") == both && b.votes("x") == both
        })
        .await;
        a.set_report("x", &[]);
        eventually("taken back", async || b.votes("x") == both[1..]).await;
        world.embedded.set_reachable(false);
        world.embedded.expire(b.session().await);
        eventually("gone with b", async || {
            let shared = a.shared("x").unwrap();
            shared.reports.is_empty() && shared.keepers.len() == 1
        })
        .await;
        world.embedded.set_reachable(true);
        eventually("made again", async || a.votes("x") == both[1..]).await;
        b.address.do_send(Unsubscribe(ClusterName::new("x")));
        eventually("taken back with the cluster", async || {
            a.votes("x").is_empty()
        })
        .await;
    });
}

#[test]
fn a_keeper_that_leaves_takes_everything_with_it() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        world.leader().await;
        let b = world.keeper("b");
        b.current().await;
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
        let world = World::new();
        let a = world.keeper("a");
        a.current().await;
        let observer = world.observer().await;
        observer.delete("/keepers/a", None).await.unwrap();
        eventually("made again", async || {
            observer.get("/keepers/a").await.unwrap().is_some()
        })
        .await;
        a.current().await;
    });
}

#[test]
fn nodes_of_the_older_project_are_refused_and_nothing_is_written_beside_them() {
    on_virtual_time(async {
        for nodes in [
            &["/clusters", "/clusters/cluster-1"][..],
            &["/leader", "/leader/_c_1234-latch-0000000000"],
            &["/format", "/leader", "/leader/_c_1234-latch-0000000000"],
            &["/format", "/initialize-barrier"],
        ] {
            let world = World::new();
            let observer = world.observer().await;
            for path in nodes {
                let created = observer.create(path, &FormatMark.encode(), CreateKind::Persistent);
                created.await.unwrap();
            }
            let before = observer.children("/").await.unwrap();
            let a = world.keeper("a");
            eventually("refused", async || a.fatal.borrow().is_some()).await;
            let message = a.fatal.borrow().clone().unwrap();
            assert!(message.contains("older redis-keeper"), "{message}");
            assert_eq!(observer.children("/").await.unwrap(), before);
        }
    });
}

#[test]
fn state_of_a_newer_version_is_refused() {
    on_virtual_time(async {
        let world = World::new();
        let observer = world.observer().await;
        let newer = br#"{"format":2,"program":"redis-keeper"}"#;
        observer
            .create("/format", newer, CreateKind::Persistent)
            .await
            .unwrap();
        let a = world.keeper("a");
        eventually("refused", async || a.fatal.borrow().is_some()).await;
        let message = a.fatal.borrow().clone().unwrap();
        assert!(message.contains("has format 2"), "{message}");
    });
}
