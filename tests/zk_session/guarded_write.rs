//! The keepers' writes: a leader's guarded states, and each keeper's reports.

use std::collections::BTreeSet;

use futures::future::join_all;
use redis_keeper::actors::messages::{Unsubscribe, WriteError};
use redis_keeper::domain::node::{ClusterName, Generation};
use redis_keeper::layout::paths;

use crate::time::on_virtual_time;
use crate::world::{World, eventually};

#[test]
fn a_deposed_leader_writes_nothing() {
    on_virtual_time(async {
        let (world, a) = World::led("x").await;
        a.write("x", None).await.unwrap();
        let known = a.shared("x").unwrap();
        let observer = world.observer().await;
        let latch = observer
            .children(paths::LEADER)
            .await
            .unwrap()
            .names
            .remove(0);
        // The write is sent before the keeper's watch can fire.
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
        let (_world, a) = World::led("x").await;
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
fn the_state_of_another_cluster_is_taken_over_unless_it_has_changed_since() {
    on_virtual_time(async {
        let (world, a) = World::led("x").await;
        a.subscribe("y").await;
        let nothing = a.take_over("x", "y").await;
        assert!(
            matches!(nothing, Err(WriteError::NotDone(_))),
            "{nothing:?}"
        );
        let (left, _) = a.write("y", Some("p")).await.unwrap();
        // The node changes, and the keeper has yet to learn of the change.
        let observer = world.observer().await;
        let node = observer.get("/clusters/y").await.unwrap().unwrap();
        let changed = observer.set("/clusters/y", &node.data, Some(node.version));
        let refused = a.take_over("x", "y").await;
        changed.await.unwrap();
        assert!(
            matches!(refused, Err(WriteError::NotDone(_))),
            "{refused:?}"
        );
        assert_eq!(a.primary("x"), None);
        eventually("the change to be known", async || {
            a.take_over("x", "y").await.is_ok()
        })
        .await;
        assert_eq!(a.primary("x"), Some("p".into()));
        let taken = a.shared("x").unwrap().published.unwrap();
        assert!(taken.generation > left.generation, "{taken:?}");
        assert_eq!(a.primary("y"), Some("p".into()));
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
        let (world, a) = World::led("x").await;
        a.write("x", Some("p")).await.unwrap();
        let session = a.session().await;
        world.coordination.cut_at_next_request(session);
        let outcome = a.write("x", None).await;
        assert!(
            matches!(outcome, Err(WriteError::Unknown(_))),
            "{outcome:?}"
        );
        eventually("stopped", async || world.leaders().is_empty()).await;
        world.coordination.reconnect(session);
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
        world.coordination.set_reachable(false);
        world.coordination.expire(b.session().await);
        eventually("gone with b", async || {
            let shared = a.shared("x").unwrap();
            shared.reports.is_empty() && shared.keepers.len() == 1
        })
        .await;
        world.coordination.set_reachable(true);
        eventually("made again", async || a.votes("x") == both[1..]).await;
        b.address.do_send(Unsubscribe(ClusterName::new("x")));
        eventually("taken back with the cluster", async || {
            a.votes("x").is_empty()
        })
        .await;
    });
}
