//! A primary that is voted down again and again, and answers each time (RK-2).

use super::builder::{Cluster, LIMITS, NOW, addr, cluster};
use crate::domain::confirmation::{Confirmation, Finding};
use crate::domain::node::Moment;
use crate::domain::plan::{Action, StateChange};
use crate::domain::published::Step;

fn trio() -> Cluster {
    let cluster = cluster().primary("a").replica("b", "a");
    cluster.replica("c", "a").published("a")
}

/// The primary was voted down this many times lately, and reached before its withdrawal each time. Now it was asked
/// again, and answered.
fn flapped(times: u32) -> Cluster {
    let mut confirmation = Confirmation::default();
    for ago in (1..=times).rev() {
        let at = Moment(NOW.0.saturating_sub(LIMITS.mark_down * ago));
        confirmation.found(Finding::Answers, true, true, at);
        assert!(confirmation.over(LIMITS, at));
    }
    confirmation.found(Finding::Answers, true, true, NOW);
    let down = trio().down("a");
    down.observing(|observed| observed.confirmation = confirmation)
}

/// The primary was withdrawn for flapping, and answers.
fn withdrawn_and_back() -> Cluster {
    trio().withdrawn("a").observing(|observed| {
        let state = observed.published.as_mut().unwrap();
        state.intent.as_mut().unwrap().candidate = Some(addr("b"));
    })
}

#[test]
fn a_primary_that_flapped_is_withdrawn_with_its_successor_named() {
    let asked = flapped(2).plan().action;
    assert_eq!(asked, Some(Action::AskVoters(addr("a"))));
    let (change, state) = flapped(3).plan().into_write();
    let intent = state.intent.unwrap();
    assert_eq!((change, state.primary), (StateChange::Withdraw, None));
    assert_eq!(
        (intent.candidate, intent.step),
        (Some(addr("b")), Step::Withdrawn)
    );
}

#[test]
fn it_is_not_published_again_while_somebody_may_take_over() {
    withdrawn_and_back().plan().assert_promotes("b");
    withdrawn_and_back().down("b").plan().assert_promotes("c");
    let alone = withdrawn_and_back().down("b").down("c");
    alone.plan().assert_writes(StateChange::Publish, Some("a"));
}

#[test]
fn its_clients_are_drained_for_though_it_is_well() {
    let cluster = withdrawn_and_back();
    assert!(cluster.observed.awaits_proxies(&cluster.policy));
    let back = trio().withdrawn("a");
    assert!(!back.observed.awaits_proxies(&back.policy));
}
