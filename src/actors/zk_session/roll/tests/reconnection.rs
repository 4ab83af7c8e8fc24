//! Tests of what is known after a reconnection.

use super::*;

const STRANGERS: &str = "any that left just before this one led";

/// The table after a reconnection that finds this count of arrivals and departures, and this node of `b`.
fn reconnected(changes: i32, b: Option<Node>) -> Roll {
    let mut roll = surveyed(&[("a", 0), ("b", 6)]);
    roll.new_connection();
    let unread = waited_for(&roll, 99_000);
    assert_eq!(unread, format!("a, b, {STRANGERS}"), "nothing was read");
    let names: &[&str] = if b.is_some() { &["a", "b"] } else { &["a"] };
    roll.listed(children(names, changes), &circle(), at(1_500));
    roll.read(&KeeperId::new("a"), Some(&node(1, 0, 0)), at(1_500));
    if let Some(b) = b {
        roll.read(&KeeperId::new("b"), Some(&b), at(1_500));
    }
    roll.all_read(at(1_600));
    roll
}

#[test]
fn silence_goes_on_over_a_reconnection_if_nobody_came_or_went_and_nothing_was_written() {
    let roll = reconnected(2, Some(node(2, 0, 6)));
    assert_eq!(waited_for(&roll, 1_819), "b");
    assert_eq!(waited_for(&roll, 1_820), "");
}

#[test]
fn a_heartbeat_during_a_reconnection_begins_the_silence_of_that_keeper_anew() {
    let mut roll = reconnected(2, Some(node(2, 1, 6)));
    let b = KeeperId::new("b");
    assert_eq!(roll.to_survey(N, &circle(), at(2_319)), None);
    assert_eq!(waited_for(&roll, 2_319), "b");
    roll.surveyed(&b, Some(&node(2, 1, 6)), N, at(2_320));
    assert_eq!(waited_for(&roll, 2_320), "", "and of nobody else");
}

#[test]
fn a_keeper_that_left_during_a_reconnection_counts_as_just_seen() {
    let roll = reconnected(3, None);
    assert_eq!(waited_for(&roll, 2_319), "b");
    assert_eq!(waited_for(&roll, 2_320), "");
}

#[test]
fn after_a_reconnection_during_which_somebody_came_and_went_all_count_as_just_seen() {
    let roll = reconnected(4, Some(node(2, 0, 6)));
    assert_eq!(waited_for(&roll, 2_319), format!("b, {STRANGERS}"));
    assert_eq!(waited_for(&roll, 2_419), STRANGERS);
    assert_eq!(waited_for(&roll, 2_420), "");
    let left = reconnected(5, None);
    assert_eq!(waited_for(&left, 2_319), format!("b, {STRANGERS}"));
    assert_eq!(waited_for(&left, 2_420), "");
}

#[test]
fn one_that_was_gone_before_a_reconnection_is_gone_since_then_unless_somebody_came_and_went() {
    let out = |changes| {
        let mut roll = surveyed(&[("a", 0), ("b", 6)]);
        roll.fired(&KeeperId::new("b"), 2, Fired::Deleted, at(1_100));
        roll.listed(children(&["a"], 3), &circle(), at(1_100));
        roll.new_connection();
        roll.listed(children(&["a"], changes), &circle(), at(1_500));
        roll.read(&KeeperId::new("a"), Some(&node(1, 0, 0)), at(1_500));
        roll.all_read(at(1_500));
        (1_500..9_000).find(|now| waited_for(&roll, *now).is_empty())
    };
    assert_eq!(out(3), Some(1_820));
    assert_eq!(out(5), Some(2_320), "it may have been that one");
}
