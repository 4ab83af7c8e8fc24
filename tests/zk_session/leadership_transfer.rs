//! A leader that sees fewer nodes than others steps down for them.

use std::time::Duration;

use crate::time::on_virtual_time;
use crate::world::{Keeper, PATIENCE, World, eventually};

/// `a` leads, `b` comes next in the latch, and `c` last; all have the same cluster.
async fn queue(world: &World) -> [Keeper; 3] {
    let a = world.keeper("a");
    world.leader().await;
    let b = world.keeper("b");
    b.current().await;
    let c = world.keeper("c");
    c.current().await;
    for keeper in [&a, &b, &c] {
        keeper.subscribe("x").await;
    }
    [a, b, c]
}

fn leads(world: &World, keeper: &str) -> bool {
    let leaders = world.leaders();
    leaders.len() == 1 && leaders[0].0 == keeper
}

#[test]
fn a_leader_that_sees_less_than_most_steps_down_and_leadership_stays_put() {
    on_virtual_time(async {
        let world = World::new();
        let [a, b, _c] = queue(&world).await;
        a.set_report("x", &["p"]);
        let before = tokio::time::Instant::now();
        eventually("b leads", async || leads(&world, "b")).await;
        assert!(before.elapsed() >= PATIENCE, "{:?}", before.elapsed());
        assert!(before.elapsed() < 2 * PATIENCE, "{:?}", before.elapsed());

        // The sight of the others comes and goes. No leader steps down for it again within a minute.
        a.set_report("x", &[]);
        b.set_report("x", &["p"]);
        eventually("c leads", async || leads(&world, "c")).await;
        b.set_report("x", &[]);
        tokio::time::sleep(Duration::from_mins(10)).await;
        assert!(leads(&world, "c"), "{:?}", world.leaders());
        let led = world.story.borrow();
        let led: Vec<_> = led.iter().filter(|(_, epoch)| epoch.is_some()).collect();
        assert_eq!(led.len(), 3, "{led:?}");
    });
}

#[test]
fn a_leader_keeps_leading_when_nobody_sees_more_or_most_see_as_little() {
    on_virtual_time(async {
        let world = World::new();
        let [a, b, c] = queue(&world).await;
        for keeper in [&a, &b, &c] {
            keeper.set_report("x", &["p"]);
        }
        tokio::time::sleep(Duration::from_mins(2)).await;
        c.set_report("x", &[]);
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert!(
            leads(&world, "a"),
            "a majority holds it down: {:?}",
            world.leaders()
        );
    });
}

#[test]
fn nobody_takes_over_who_sees_less_than_one_behind_it() {
    on_virtual_time(async {
        let world = World::new();
        let [a, b, _c] = queue(&world).await;
        // Each of the two keepers alone does not see a node.
        a.set_report("x", &["p"]);
        b.set_report("x", &["q"]);
        eventually("c leads", async || leads(&world, "c")).await;
        tokio::time::sleep(Duration::from_mins(5)).await;
        let led = world.story.borrow();
        let led: Vec<_> = led.iter().filter(|(_, epoch)| epoch.is_some()).collect();
        assert_eq!(led.len(), 2, "b never led: {led:?}");
    });
}
