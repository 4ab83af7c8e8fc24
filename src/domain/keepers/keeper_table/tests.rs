use super::*;
use crate::domain::identity::{KeeperProcess, Nonce};

mod going_on;
mod reconnection;

const LEASE: Duration = Duration::from_millis(800);
const N: Generation = Generation(7);
const LIMIT: Duration = Duration::from_secs(9);

fn at(milliseconds: u64) -> Moment {
    Moment(Duration::from_millis(milliseconds))
}

fn stamp(session: i64, version: i32) -> Stamp {
    Stamp {
        created: session,
        version,
        owner: session,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a read gives an option")]
fn node(session: i64, version: i32, acknowledged: u64) -> Option<Stored<KeeperRecord>> {
    let record = KeeperRecord {
        rest: String::new(),
        version: String::new(),
        process: String::new(),
        lease: LEASE,
        failsafe: None,
        acknowledged: Generation(acknowledged),
        polls: None,
    };
    Some(Stored {
        stamp: stamp(session, version),
        content: Ok(record),
    })
}

fn listing(names: &[&str], changes: i32) -> Listing {
    let keepers = names.iter().map(|name| KeeperId::new(*name)).collect();
    Listing { keepers, changes }
}

fn me() -> KeeperProcess {
    KeeperProcess::new(KeeperId::new("a"), Nonce::drawn(1))
}

/// A failsafe group without members.
fn group() -> FailsafeGroup {
    let mut group = FailsafeGroup::new(me());
    group.listed(listing(&[], 0));
    group
}

/// The table of keeper `a`, on a connection that had read everything at 0 ms; all unseen keepers are silent since.
fn table(keepers: &[(&str, u64)]) -> KeeperTable {
    let failsafe = Failsafe {
        consent: Duration::from_millis(600),
        limit: LIMIT,
    };
    let mut table = KeeperTable::new(KeeperId::new("a"), LEASE, Some(failsafe));
    let names: Vec<&str> = keepers.iter().map(|(name, _)| *name).collect();
    let changes = i32::try_from(names.len()).unwrap();
    table.listed(listing(&names, changes), &group(), at(0));
    table.all_read(at(0));
    for (session, (name, acknowledged)) in (1..).zip(keepers) {
        table.read(
            &KeeperId::new(*name),
            node(session, 0, *acknowledged),
            at(1_000),
        );
    }
    table
}

/// The same table, surveyed after the withdrawal.
fn surveyed(keepers: &[(&str, u64)]) -> KeeperTable {
    let mut table = table(keepers);
    let names: Vec<&str> = keepers.iter().map(|(name, _)| *name).collect();
    survey(&mut table, i32::try_from(names.len()).unwrap());
    for (session, (name, _)) in (1..).zip(keepers) {
        let stamp = stamp(session, 0);
        table.surveyed(&KeeperId::new(*name), Some(stamp), N, at(1_000));
    }
    table
}

fn survey(table: &mut KeeperTable, changes: i32) {
    table.counted(changes, true, N);
}

fn waited_for(table: &KeeperTable, now: u64) -> String {
    table.unacknowledged(N, &group(), at(now)).0.to_string()
}

#[test]
fn whoever_has_not_acknowledged_is_waited_for_until_it_has_been_silent_for_its_lease_and_the_margin()
 {
    let table = surveyed(&[("a", 0), ("b", 6), ("c", 7)]);
    assert_eq!(waited_for(&table, 1_819), "b");
    assert_eq!(
        table.unacknowledged(N, &group(), at(1_500)).1,
        Some(at(1_820))
    );
    assert_eq!(waited_for(&table, 1_820), "");
}

#[test]
fn an_acknowledgement_ends_the_wait_at_once_and_any_other_heartbeat_prolongs_it() {
    let mut table = surveyed(&[("a", 0), ("b", 6)]);
    table.read(&KeeperId::new("b"), node(2, 1, 6), at(1_500));
    assert_eq!(waited_for(&table, 2_319), "b");
    table.read(&KeeperId::new("b"), node(2, 2, 7), at(1_600));
    assert_eq!(waited_for(&table, 1_600), "");
}

#[test]
fn a_keeper_whose_node_is_gone_may_still_hold_its_lease() {
    let mut table = surveyed(&[("a", 0), ("b", 6)]);
    table.node_deleted(&KeeperId::new("b"), 2);
    table.listed(listing(&["a"], 3), &group(), at(1_100));
    assert_eq!(waited_for(&table, 1_819), "b");
    assert_eq!(waited_for(&table, 1_820), "");
}

#[test]
fn an_earlier_session_of_a_keeper_is_waited_for_besides_the_present_one() {
    let mut table = surveyed(&[("a", 0), ("b", 6)]);
    table.node_deleted(&KeeperId::new("b"), 2);
    table.read(&KeeperId::new("b"), node(9, 0, 7), at(1_100));
    assert_eq!(waited_for(&table, 1_819), "b");
}

#[test]
fn a_keeper_that_came_and_went_between_two_listings_is_a_stranger() {
    let mut table = surveyed(&[("a", 0), ("b", 7)]);
    table.listed(listing(&["a", "b"], 4), &group(), at(5_000));
    assert!(
        table
            .unacknowledged(N, &group(), at(5_819))
            .0
            .possible_unseen_keepers
    );
    assert!(table.unacknowledged(N, &group(), at(5_820)).0.is_empty());
}

#[test]
fn one_that_is_online_and_was_not_read_yet_is_waited_for() {
    let mut table = surveyed(&[("a", 0), ("b", 7)]);
    let fresh = table.listed(listing(&["a", "b", "c"], 3), &group(), at(5_000));
    assert_eq!(fresh, [KeeperId::new("c")]);
    assert_eq!(waited_for(&table, 9_000), "c");
    table.read(&KeeperId::new("c"), None, at(9_000));
    assert!(
        table
            .unacknowledged(N, &group(), at(9_001))
            .0
            .possible_unseen_keepers,
        "it may have had a lease"
    );
}

#[test]
fn a_leader_is_silent_only_after_its_lease_and_the_margin_on_one_connection() {
    let mut table = surveyed(&[("a", 0), ("b", 7)]);
    let silent = |table: &KeeperTable, now| table.silent(&KeeperId::new("b"), 2, at(now));
    assert_eq!(silent(&table, 1_819), None);
    assert_eq!(silent(&table, 1_820), Some(0));
    table.new_connection();
    assert_eq!(silent(&table, 9_000), None);
}

#[test]
fn silence_counts_once_a_survey_has_found_nothing_newer() {
    let mut table = table(&[("a", 0), ("b", 6)]);
    let b = KeeperId::new("b");
    assert_eq!(
        table.to_survey(N, &group(), at(1_819)),
        Some(vec![]),
        "who is online"
    );
    survey(&mut table, 2);
    assert_eq!(table.to_survey(N, &group(), at(1_819)), None);
    assert_eq!(waited_for(&table, 1_820), "b");
    assert_eq!(
        table.to_survey(N, &group(), at(1_820)),
        Some(vec![b.clone()])
    );

    table.surveyed(&b, Some(stamp(2, 1)), N, at(1_821));
    assert_eq!(waited_for(&table, 1_820), "b", "a heartbeat was on its way");
    table.read(&b, node(2, 1, 6), at(1_821));
    table.surveyed(&b, Some(stamp(2, 1)), N, at(1_821));
    assert_eq!(waited_for(&table, 2_640), "b");
    assert_eq!(waited_for(&table, 2_641), "");
    assert_eq!(table.to_survey(N, &group(), at(2_641)), None);
}

#[test]
fn a_survey_that_finds_another_count_of_arrivals_says_nothing_of_strangers() {
    let mut table = table(&[("a", 0), ("b", 7)]);
    survey(&mut table, 4);
    assert!(
        table
            .unacknowledged(N, &group(), at(9_000))
            .0
            .possible_unseen_keepers
    );
    table.listed(listing(&["a", "b"], 4), &group(), at(9_000));
    survey(&mut table, 4);
    assert!(
        table
            .unacknowledged(N, &group(), at(9_819))
            .0
            .possible_unseen_keepers
    );
    assert!(
        !table
            .unacknowledged(N, &group(), at(9_820))
            .0
            .possible_unseen_keepers
    );
}

#[test]
fn a_keeper_that_may_have_beaten_just_before_it_went_is_waited_for_from_then_on() {
    let b = KeeperId::new("b");
    for listed_first in [true, false] {
        let mut table = table(&[("a", 0), ("b", 6)]);
        survey(&mut table, 2);
        if listed_first {
            table.listed(listing(&["a"], 3), &group(), at(1_500));
            assert_eq!(waited_for(&table, 99_000), "b");
            table.node_changed(&b, 2, at(1_500));
        } else {
            table.node_changed(&b, 2, at(1_400));
            table.read(&b, None, at(1_500));
            table.listed(listing(&["a"], 3), &group(), at(1_600));
        }
        assert_eq!(waited_for(&table, 2_319), "b", "{listed_first}");
        assert_eq!(waited_for(&table, 2_320), "", "{listed_first}");
    }
}

/// The silent keepers that are not waited for, each with the end of its lease. Then the end of the last lease among
/// keepers that are not known.
fn expired_silently(table: &KeeperTable, now: u64) -> (Vec<(String, Moment)>, Option<Moment>) {
    let (waiting, _) = table.unacknowledged(N, &group(), at(now));
    let expired_silently = waiting.expired_silently.into_iter();
    let named = expired_silently.map(|(keeper, out)| (keeper.to_string(), out));
    (named.collect(), waiting.last_lease)
}

#[test]
fn who_is_passed_over_for_its_silence_is_named_with_the_end_of_its_lease() {
    let table = surveyed(&[("a", 0), ("b", 6), ("c", 7)]);
    assert_eq!(expired_silently(&table, 1_819), (vec![], None));
    let expected = (vec![("b".to_owned(), at(1_820))], None);
    assert_eq!(expired_silently(&table, 5_000), expected);
}

/// Until when a keeper that left unseen may have held a lease.
fn left_unseen(table: &KeeperTable) -> Option<Moment> {
    expired_silently(table, 99_000).1
}

#[test]
fn whoever_left_unseen_may_have_held_a_lease_and_the_count_of_arrivals_and_departures_tells_of_it()
{
    let mut table = KeeperTable::new(KeeperId::new("a"), LEASE, None);
    table.listed(listing(&["a", "b"], 2), &group(), at(100));
    assert_eq!(left_unseen(&table), None, "nobody ever left");
    table.new_connection();
    table.listed(listing(&["a", "b", "c"], 3), &group(), at(3_100));
    assert_eq!(left_unseen(&table), None, "one came meanwhile");
    table.new_connection();
    table.listed(listing(&["a", "b", "c"], 5), &group(), at(4_100));
    assert_eq!(left_unseen(&table), Some(at(4_920)), "one came and went");

    let mut table = KeeperTable::new(KeeperId::new("a"), LEASE, None);
    table.listed(listing(&["a", "b"], 4), &group(), at(100));
    assert_eq!(left_unseen(&table), Some(at(920)), "one left before");
}

#[test]
fn a_lease_that_ended_counts_after_its_keeper_is_forgotten_and_a_restarted_one_is_not_passed_over()
{
    let mut table = surveyed(&[("a", 0), ("b", 6)]);
    table.node_deleted(&KeeperId::new("b"), 2);
    table.listed(listing(&["a"], 3), &group(), at(1_900));
    assert_eq!(expired_silently(&table, 2_000), (vec![], Some(at(1_820))));

    let mut table = surveyed(&[("a", 0), ("b", 6)]);
    table.read(&KeeperId::new("b"), node(9, 0, 7), at(1_100));
    let expected = (vec![], Some(at(1_920)));
    assert_eq!(expired_silently(&table, 5_000), expected);
}

#[test]
fn a_keeper_whose_going_nobody_told_of_is_waited_for_from_the_survey_on() {
    let mut table = table(&[("a", 0), ("b", 6)]);
    survey(&mut table, 2);
    let b = KeeperId::new("b");
    assert_eq!(
        table.to_survey(N, &group(), at(5_000)),
        Some(vec![b.clone()])
    );
    table.surveyed(&b, None, N, at(5_000));
    assert_eq!(waited_for(&table, 5_819), "b");
    assert_eq!(waited_for(&table, 5_820), "");
    assert_eq!(table.to_survey(N, &group(), at(5_820)), None);
}

#[test]
fn from_a_change_of_who_is_online_to_the_next_listing_they_are_counted_again() {
    let mut table = table(&[("a", 0), ("b", 7)]);
    assert!(!table.relisting());
    table.changed();
    assert!(table.relisting());
    table.listed(listing(&["a", "b", "c"], 3), &group(), at(5_000));
    assert!(!table.relisting());
}

#[test]
fn a_keeper_has_acknowledged_in_the_session_in_which_it_did() {
    let mut table = table(&[("a", 0), ("b", 7)]);
    let b = KeeperId::new("b");
    let acknowledged = |table: &KeeperTable, session| table.has_acknowledged(&b, session, N);
    assert!(acknowledged(&table, 2));
    assert!(
        !acknowledged(&table, 3),
        "another process, for all that is known"
    );
    assert!(!acknowledged(&table, 0));
    assert!(!table.has_acknowledged(&b, 2, Generation(8)));
    table.read(&b, node(3, 0, 6), at(2_000));
    assert!(!acknowledged(&table, 3));
    assert!(acknowledged(&table, 2), "what it did, it did");
}
