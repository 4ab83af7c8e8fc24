//! ZooKeeper loses data, or someone removes the keepers' nodes.

use redis_keeper::domain::group::GroupToken;
use redis_keeper::domain::keepers::generations::Generations;
use redis_keeper::layout::paths;
use redis_keeper::layout::state::Document;

use crate::time::on_virtual_time;
use crate::world::{World, eventually};

#[test]
fn a_keeper_whose_generation_went_back_or_is_gone_answers_nothing_more_and_ends() {
    for gone in [false, true] {
        on_virtual_time(async {
            let (world, a) = World::led("x").await;
            a.write("x", Some("p")).await.unwrap();
            let observer = world.observer().await;
            if gone {
                observer.delete(paths::GENERATION, None).await.unwrap();
            } else {
                let none = Generations::default().encode();
                observer.set(paths::GENERATION, &none, None).await.unwrap();
            }
            let message = a.refused().await;
            assert!(message.contains("/generation"), "{message}");
            assert!(message.contains("lost or set back"), "{message}");
            assert!(!a.leased());
            assert_eq!(a.report().await.state, "refused");
            // A new process goes on with the data that are left.
            let b = world.keeper("b");
            b.subscribe("x").await;
            assert_eq!(world.leader().await.0, "b");
            assert_eq!(b.primary("x"), Some("p".into()));
            b.write("x", Some("q")).await.unwrap();
        });
    }
}

#[test]
fn a_keeper_that_finds_another_group_where_it_was_ends() {
    on_virtual_time(async {
        let (world, a) = World::alone().await;
        let observer = world.observer().await;
        let other = GroupToken::drawn(4_711).encode();
        observer.set(paths::GROUP, &other, None).await.unwrap();
        assert!(a.fatal.borrow().is_none(), "it has not looked");
        world.coordination.expire(a.session().await);
        let message = a.refused().await;
        assert!(message.contains("/group went from"), "{message}");
        assert!(!a.leased());
    });
}

#[test]
fn nodes_of_zookeeper_that_all_keepers_need_are_made_anew_when_removed() {
    on_virtual_time(async {
        let (world, a) = World::alone().await;
        let observer = world.observer().await;
        for path in [paths::FAILSAFE_MEMBERS, paths::LEADER] {
            for child in observer.children(path).await.unwrap().names {
                let below = format!("{path}/{child}");
                observer.delete(&below, None).await.unwrap();
            }
            observer.delete(path, None).await.unwrap();
            eventually("it to be made anew", async || {
                matches!(observer.get(path).await, Ok(Some(_)))
            })
            .await;
        }
        a.current().await;
        assert_eq!(world.leader().await.0, "a");
        assert!(a.fatal.borrow().is_none());
    });
}
