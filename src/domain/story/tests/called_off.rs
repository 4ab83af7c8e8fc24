//! A change of primary that ends where it began.

use super::{held_down, look, trio, withdrawn};
use crate::domain::node::Generation;
use crate::domain::plan::tests::builder::{Cluster, addr};
use crate::domain::story::{Event, Story};

fn switching() -> Cluster {
    let mut cluster = withdrawn(trio());
    let state = cluster.observed.published.as_mut().expect("published");
    let intent = state.intent.as_mut().expect("a change");
    intent.switchover = Some(addr("b"));
    cluster
}

/// The withdrawn primary is published again, as this process.
fn back(process: &str) -> Cluster {
    let mut cluster = trio();
    let state = cluster.observed.published.as_mut().expect("published");
    state.run_id = Some(process.to_owned());
    state.generation = Generation(3);
    cluster
}

fn called_off(events: &[Event]) -> Option<bool> {
    events.iter().find_map(|event| match event {
        Event::CalledOff {
            primary,
            switchover,
            generation: Generation(3),
        } if *primary == addr("a") => Some(*switchover),
        _ => None,
    })
}

#[test]
fn a_keeper_that_does_not_lead_tells_that_a_switchover_or_a_failover_was_called_off() {
    for (begun, switchover) in [(switching(), true), (withdrawn(held_down()), false)] {
        let mut story = Story::default();
        look(&mut story, &trio(), false, 0);
        look(&mut story, &begun, false, 100);
        let told = look(&mut story, &back("process of a"), false, 200);
        let published = |event: &Event| matches!(event, Event::Published { .. });
        assert!(told.iter().any(published), "{told:?}");
        assert_eq!(called_off(&told), Some(switchover), "{told:?}");
    }
}

#[test]
fn another_process_at_the_old_address_calls_nothing_off() {
    let mut story = Story::default();
    look(&mut story, &trio(), false, 0);
    look(&mut story, &withdrawn(held_down()), false, 100);
    let told = look(&mut story, &back("second process of a"), false, 200);
    assert_eq!(called_off(&told), None, "{told:?}");
}
