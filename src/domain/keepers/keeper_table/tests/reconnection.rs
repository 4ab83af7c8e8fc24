//! Tests of what is known after a reconnection.

use super::*;

const STRANGERS: &str = "any that left just before this one led";

/// The table after a reconnection that finds this count of arrivals and departures, and this node of `b`.
fn reconnected(changes: i32, b: Option<Stored<KeeperRecord>>) -> KeeperTable {
    let mut table = surveyed(&[("a", 0), ("b", 6)]);
    table.new_connection();
    let unread = waited_for(&table, 99_000);
    assert_eq!(unread, format!("a, b, {STRANGERS}"), "nothing was read");
    let names: &[&str] = if b.is_some() { &["a", "b"] } else { &["a"] };
    table.listed(listing(names, changes), &group(), at(1_500));
    table.read(&KeeperId::new("a"), node(1, 0, 0), at(1_500));
    if b.is_some() {
        table.read(&KeeperId::new("b"), b, at(1_500));
    }
    table.all_read(at(1_600));
    table
}

#[test]
fn silence_goes_on_over_a_reconnection_if_nobody_came_or_went_and_nothing_was_written() {
    let table = reconnected(2, node(2, 0, 6));
    assert_eq!(waited_for(&table, 1_819), "b");
    assert_eq!(waited_for(&table, 1_820), "");
}

#[test]
fn a_heartbeat_during_a_reconnection_begins_the_silence_of_that_keeper_anew() {
    let mut table = reconnected(2, node(2, 1, 6));
    let b = KeeperId::new("b");
    assert_eq!(table.to_survey(N, &group(), at(2_319)), None);
    assert_eq!(waited_for(&table, 2_319), "b");
    table.surveyed(&b, Some(stamp(2, 1)), N, at(2_320));
    assert_eq!(waited_for(&table, 2_320), "", "and of nobody else");
}

#[test]
fn a_keeper_that_left_during_a_reconnection_counts_as_just_seen() {
    let table = reconnected(3, None);
    assert_eq!(waited_for(&table, 2_319), "b");
    assert_eq!(waited_for(&table, 2_320), "");
}

#[test]
fn after_a_reconnection_during_which_somebody_came_and_went_all_count_as_just_seen() {
    let table = reconnected(4, node(2, 0, 6));
    assert_eq!(waited_for(&table, 2_319), format!("b, {STRANGERS}"));
    assert_eq!(waited_for(&table, 2_419), STRANGERS);
    assert_eq!(waited_for(&table, 2_420), "");
    let left = reconnected(5, None);
    assert_eq!(waited_for(&left, 2_319), format!("b, {STRANGERS}"));
    assert_eq!(waited_for(&left, 2_420), "");
}

#[test]
fn one_that_was_gone_before_a_reconnection_is_gone_since_then_unless_somebody_came_and_went() {
    let out = |changes| {
        let mut table = surveyed(&[("a", 0), ("b", 6)]);
        table.node_deleted(&KeeperId::new("b"), 2);
        table.listed(listing(&["a"], 3), &group(), at(1_100));
        table.new_connection();
        table.listed(listing(&["a"], changes), &group(), at(1_500));
        table.read(&KeeperId::new("a"), node(1, 0, 0), at(1_500));
        table.all_read(at(1_500));
        (1_500..9_000).find(|now| waited_for(&table, *now).is_empty())
    };
    assert_eq!(out(3), Some(1_820));
    assert_eq!(out(5), Some(2_320), "it may have been that one");
}
