//! Which keepers may take part, and what keeps a keeper out.

use redis_keeper::actors::messages::Leave;
use redis_keeper::layout::state::{Document, FormatMark};
use redis_keeper::ports::coordination::CreateKind;

use crate::time::on_virtual_time;
use crate::world::{LEASE, World, eventually};

#[test]
fn a_keeper_with_another_lease_is_refused_and_a_lone_one_may_change_it() {
    on_virtual_time(async {
        let (world, a) = World::alone().await;
        let b = world.leased("b", "host-b:1", LEASE * 2);
        let message = b.refused().await;
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
        late.refused().await;
    });
}

#[test]
fn a_second_keeper_with_the_same_id_is_refused_and_told_who_holds_it() {
    on_virtual_time(async {
        let world = World::new();
        let first = world.process("a", "first:1");
        first.current().await;
        let second = world.process("a", "second:2");
        let message = second.refused().await;
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
        // The process is dead, and its session still lives.
        let session = earlier.session().await;
        world.coordination.disconnect(session);
        let again = world.keeper("a");
        // The new process looks once a heartbeat. The heartbeats of another keeper count how many times it has found
        // the leftover.
        let witness = world.keeper("witness");
        witness.current().await;
        let observer = world.observer().await;
        eventually("fifty heartbeats", async || {
            let node = observer.get("/keepers/witness").await.unwrap().unwrap();
            node.version >= 50
        })
        .await;
        assert_eq!(again.report().await.state, "joining");
        assert!(again.fatal.borrow().is_none());
        world.coordination.set_reachable(false);
        world.coordination.expire(session);
        again.current().await;
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
            let message = a.refused().await;
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
        let message = a.refused().await;
        assert!(message.contains("has format 2"), "{message}");
    });
}
