//! The guard of a task at the keeper that carries the task out (RK-4).

use redis_keeper::actors::messages::{GuardTask, ReadEpoch, WriteError};
use redis_keeper::domain::node::{ClusterName, Epoch};

use crate::time::on_virtual_time;
use crate::world::{Keeper, World, eventually};

async fn guard(at: &Keeper, latch: &str, version: i32) -> Result<(), WriteError> {
    let guard = GuardTask {
        cluster: ClusterName::new("x"),
        latch: latch.to_owned(),
        version,
    };
    at.address.send(guard).await.expect("running")
}

#[test]
fn a_task_is_stale_once_the_state_has_changed_or_its_leader_leads_no_more() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        world.leader().await;
        let b = world.keeper("b");
        for keeper in [&a, &b] {
            keeper.subscribe("x").await;
            keeper.current().await;
        }
        eventually("a may write", async || {
            a.write("x", Some("p")).await.is_ok()
        })
        .await;
        let known = a.shared("x").expect("shared");
        let latch = known.leading.expect("leading").latch;
        let version = known.version.expect("written");
        assert_eq!(guard(&b, &latch, version).await, Ok(()));

        let (_, next) = a.write("x", None).await.expect("leading");
        let changed = guard(&b, &latch, version).await;
        assert!(
            matches!(changed, Err(WriteError::NotDone(_))),
            "{changed:?}"
        );
        assert_eq!(guard(&b, &latch, next).await, Ok(()));

        world.coordination.expire(a.session().await);
        eventually("b leads", async || world.leader().await.0 == "b").await;
        let deposed = guard(&b, &latch, next).await;
        assert!(
            matches!(&deposed, Err(WriteError::NotDone(why)) if why.contains("leads no more")),
            "{deposed:?}"
        );
        let epoch = world.leader().await.1;
        assert_eq!(epoch, 2, "it leads all the same");
    });
}

#[test]
fn the_newest_epoch_is_read_only_while_the_latch_of_the_one_who_asks_stands() {
    on_virtual_time(async {
        let world = World::new();
        let a = world.keeper("a");
        let b = world.keeper("b");
        for keeper in [&a, &b] {
            keeper.subscribe("x").await;
            keeper.current().await;
        }
        let latch = async || eventually_latch(&world, [&a, &b]).await;
        let first = latch().await;
        let read = async |at: &Keeper, latch: &str| {
            let latch = latch.to_owned();
            at.address.send(ReadEpoch { latch }).await.expect("running")
        };
        for keeper in [&a, &b] {
            assert_eq!(
                read(keeper, &first).await,
                Ok(Epoch(1)),
                "the leader and who acts for it"
            );
        }

        let (leader, _) = world.leader().await;
        let deposed = if leader == "a" { &a } else { &b };
        world.coordination.expire(deposed.session().await);
        eventually("another leads", async || world.leader().await.1 == 2).await;
        for keeper in [&a, &b] {
            keeper.current().await;
            let refused = read(keeper, &first).await;
            assert!(
                matches!(&refused, Err(WriteError::NotDone(why)) if why.contains("leads no more")),
                "{refused:?}"
            );
        }
        assert_eq!(read(&a, &latch().await).await, Ok(Epoch(2)));
    });
}

/// The latch node of the leader, as the leader shares it.
async fn eventually_latch(world: &World, keepers: [&Keeper; 2]) -> String {
    world.leader().await;
    let leading = |keeper: &&Keeper| keeper.shared("x")?.leading;
    eventually("the leader to share it", async || {
        keepers.iter().any(|keeper| leading(keeper).is_some())
    })
    .await;
    let mut leaders = keepers.iter().filter_map(leading);
    leaders.next().expect("a leader").latch
}
