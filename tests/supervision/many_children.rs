//! A thousand children at once.

use std::time::Duration;

use redis_keeper::supervision::*;
use tokio::time::{sleep, timeout};

use super::*;

/// The limit of a round of restarts: far longer than the backoff.
const DEADLINE: Duration = Duration::from_mins(1);

#[test]
fn a_thousand_children_that_die_at_once_are_all_restarted() {
    on_virtual_time(async {
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
            let again = |child: &TreeSnapshot| {
                child.restarts == round && child.state == ChildState::Running
            };
            let all = async {
                while !root.tree().snapshot().children.iter().all(again) {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            timeout(DEADLINE, all).await.expect("all are up again");
            for slot in &slots {
                assert_eq!(
                    timeout(PING, slot.reference().send(Incr)).await.unwrap(),
                    Ok(1)
                );
            }
        }
        // Only time shows that no child is replaced any more: all are pinged again and again.
        sleep(PING * 10).await;
        let tree = root.tree().snapshot();
        assert!(tree.children.iter().all(|child| child.restarts == 3));
    });
}
