//! A thousand children at once.

use std::time::Duration;

use redis_keeper::supervision::*;
use tokio::time::{sleep, timeout};

use super::*;

#[test]
fn a_thousand_children_that_die_at_once_are_all_restarted() {
    virtual_time(async {
        let slots: Vec<_> = (0..1_000).map(|_| Slot::new()).collect();
        let children = slots
            .iter()
            .enumerate()
            .map(|(i, slot)| counter(&format!("node:{i}"), slot));
        let root = Root::start(
            "root",
            1,
            children.fold(plan().ping_every(PING), OneForOne::child),
        );
        slots.last().unwrap().reference().up().await.unwrap();
        for round in 1..=3 {
            for slot in &slots {
                assert!(slot.reference().do_send(Boom));
            }
            sleep(Duration::from_secs(10)).await;
            for slot in &slots {
                assert_eq!(
                    timeout(PING, slot.reference().send(Incr)).await.unwrap(),
                    Ok(1)
                );
            }
            assert!(
                root.tree()
                    .snapshot()
                    .children
                    .iter()
                    .all(|child| child.restarts == round)
            );
        }
    });
}
