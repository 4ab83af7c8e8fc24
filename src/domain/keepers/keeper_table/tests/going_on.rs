//! Tests of the wait for keepers that may go on without ZooKeeper (RK-8).

use super::*;
use crate::domain::keepers::failsafe_member::FailsafeMember;

/// A failsafe group in which keeper `d` asks these keepers, as read on this connection.
fn circle_of_d(asks: &[&str]) -> FailsafeGroup {
    circle_of_d_with(Some(Nonce::drawn(4)), asks)
}

/// The same, with this nonce; without a nonce `d` is of an earlier build.
fn circle_of_d_with(nonce: Option<Nonce>, asks: &[&str]) -> FailsafeGroup {
    let mut group = group();
    group.listed(listing(&["d"], 1));
    let registration = FailsafeMember {
        nonce,
        place: None,
        rest: String::new(),
        asks: Some(asks.iter().map(|name| KeeperId::new(*name)).collect()),
        limit: LIMIT,
    };
    let node = Stored {
        stamp: stamp(0, 0),
        content: Ok(registration),
    };
    group.read(&KeeperId::new("d"), Some(node));
    group
}

/// Until when the leader waits for `d`, which is not online, in milliseconds.
fn waits_for_d_until(table: &KeeperTable, group: &FailsafeGroup) -> u64 {
    let waits = |now: u64| {
        let (waiting, _) = table.unacknowledged(N, group, at(now));
        waiting.keepers.contains(&KeeperId::new("d"))
    };
    (0..12_000).find(|now| !waits(*now)).expect("an end")
}

/// When `d`, which was never seen, is out, in milliseconds:
/// 1. after its lease, if it asks the leader;
/// 2. after its lease and *D*, if no keeper on its list has acknowledged;
/// 3. after the consents of a keeper on its list that acknowledged at 1,000 ms.
const OUT: [u64; 3] = [820, 9_996, 1_620];

#[test]
fn a_keeper_never_seen_is_out_once_whoever_it_asks_has_acknowledged_and_its_consents_are_out() {
    let table = surveyed(&[("a", 0), ("b", 6), ("c", 7)]);
    let until = |asks: &[&str]| waits_for_d_until(&table, &circle_of_d(asks));
    assert_eq!(until(&["a", "b", "d"]), OUT[0], "it asks this leader");
    assert_eq!(until(&["b", "c", "d"]), OUT[2], "c has acknowledged");
    assert_eq!(until(&["b", "d"]), OUT[1], "b has not");
    assert_eq!(until(&["d", "e"]), OUT[1], "e is not there");
    assert_eq!(until(&["d"]), OUT[1], "nobody consents to itself");
}

#[test]
fn a_silent_keeper_of_a_former_build_is_waited_for_whomever_it_asks() {
    let table = surveyed(&[("a", 0), ("b", 6), ("c", 7)]);
    let former = circle_of_d_with(None, &["a", "b", "c", "d"]);
    assert_eq!(waits_for_d_until(&table, &former), OUT[1]);
}

#[test]
fn one_that_has_acknowledged_and_is_gone_or_was_not_read_on_this_connection_vouches_for_nobody() {
    let group = circle_of_d(&["c", "d"]);
    let mut gone = surveyed(&[("a", 0), ("c", 7)]);
    gone.node_deleted(&KeeperId::new("c"), 2);
    gone.listed(listing(&["a"], 3), &group, at(1_100));
    assert_eq!(waits_for_d_until(&gone, &group), OUT[1]);

    let mut another = surveyed(&[("a", 0), ("c", 7)]);
    another.read(&KeeperId::new("c"), node(9, 0, 6), at(1_100));
    assert_eq!(
        waits_for_d_until(&another, &group),
        OUT[1],
        "in an earlier session"
    );
    another.read(&KeeperId::new("c"), node(9, 1, 7), at(2_000));
    assert_eq!(waits_for_d_until(&another, &group), 2_620);
}

#[test]
fn before_a_withdrawal_those_are_foreseen_that_ask_nobody_who_is_online() {
    let table = surveyed(&[("a", 0), ("b", 0)]);
    let foreseen = |asks: &[&str], now| table.foreseen(&circle_of_d(asks), at(now));
    let d = |until| BTreeMap::from([(KeeperId::new("d"), at(until))]);
    assert_eq!(foreseen(&["d", "e"], 5_000), d(OUT[1]));
    assert_eq!(foreseen(&["d", "e"], OUT[1]), BTreeMap::new());
    assert_eq!(
        foreseen(&["b", "d"], 5_000),
        BTreeMap::new(),
        "b is going to acknowledge"
    );
    assert_eq!(foreseen(&["a", "d"], 5_000), BTreeMap::new());

    let (waiting, _) = table.unacknowledged(N, &circle_of_d(&["d", "e"]), at(5_000));
    assert_eq!(
        waiting.going_on,
        d(OUT[1]),
        "and after it they are told, too"
    );
}

#[test]
fn a_keeper_that_left_is_foreseen_from_its_last_heartbeat_on() {
    let group = circle_of_d(&["d", "e"]);
    let mut table = surveyed(&[("a", 0), ("d", 0)]);
    assert_eq!(
        table.foreseen(&group, at(1_100)),
        BTreeMap::new(),
        "it is online"
    );
    table.node_deleted(&KeeperId::new("d"), 2);
    table.listed(listing(&["a"], 3), &group, at(1_100));
    let until = at(1_000 + OUT[1]);
    let expected = BTreeMap::from([(KeeperId::new("d"), until)]);
    assert_eq!(table.foreseen(&group, at(1_100)), expected);
}
