use super::*;
use crate::domain::identity::{KeeperProcess, Nonce};
use crate::layout::failsafe_member::FailsafeMember;

mod reconnection;

const LEASE: Duration = Duration::from_millis(800);
const N: Generation = Generation(7);
const LIMIT: Duration = Duration::from_secs(9);

fn at(milliseconds: u64) -> Moment {
    Moment(Duration::from_millis(milliseconds))
}

fn node(session: i64, version: i32, acknowledged: u64) -> Node {
    let record = KeeperRecord {
        rest: String::new(),
        version: String::new(),
        process: String::new(),
        lease: LEASE,
        failsafe: None,
        acknowledged: Generation(acknowledged),
        polls: None,
    };
    Node {
        data: record.encode(),
        version,
        created: session,
        owner: session,
    }
}

fn children(names: &[&str], changes: i32) -> Children {
    let names = names.iter().map(ToString::to_string).collect();
    Children { names, changes }
}

fn me() -> KeeperProcess {
    KeeperProcess::new(KeeperId::new("a"), Nonce::drawn(1))
}

/// A failsafe group without members.
fn group() -> FailsafeGroup {
    let mut group = FailsafeGroup::new(me());
    group.listed(children(&[], 0));
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
    table.listed(children(&names, changes), &group(), at(0));
    table.all_read(at(0));
    for (session, (name, acknowledged)) in (1..).zip(keepers) {
        table.read(
            &KeeperId::new(*name),
            Some(&node(session, 0, *acknowledged)),
            at(1_000),
        );
    }
    table
}

/// The same table, surveyed after the withdrawal.
fn surveyed(keepers: &[(&str, u64)]) -> KeeperTable {
    let mut table = table(keepers);
    let names: Vec<&str> = keepers.iter().map(|(name, _)| *name).collect();
    survey(
        &mut table,
        &children(&names, i32::try_from(names.len()).unwrap()),
    );
    for (session, (name, acknowledged)) in (1..).zip(keepers) {
        let node = node(session, 0, *acknowledged);
        table.surveyed(&KeeperId::new(*name), Some(&node), N, at(1_000));
    }
    table
}

fn survey(table: &mut KeeperTable, online: &Children) {
    table.counted(online, true, N);
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
    table.read(&KeeperId::new("b"), Some(&node(2, 1, 6)), at(1_500));
    assert_eq!(waited_for(&table, 2_319), "b");
    table.read(&KeeperId::new("b"), Some(&node(2, 2, 7)), at(1_600));
    assert_eq!(waited_for(&table, 1_600), "");
}

#[test]
fn a_keeper_whose_node_is_gone_may_still_hold_its_lease() {
    let mut table = surveyed(&[("a", 0), ("b", 6)]);
    table.fired(&KeeperId::new("b"), 2, Fired::Deleted, at(1_100));
    table.listed(children(&["a"], 3), &group(), at(1_100));
    assert_eq!(waited_for(&table, 1_819), "b");
    assert_eq!(waited_for(&table, 1_820), "");
}

#[test]
fn an_earlier_session_of_a_keeper_is_waited_for_besides_the_present_one() {
    let mut table = surveyed(&[("a", 0), ("b", 6)]);
    table.fired(&KeeperId::new("b"), 2, Fired::Deleted, at(1_100));
    table.read(&KeeperId::new("b"), Some(&node(9, 0, 7)), at(1_100));
    assert_eq!(waited_for(&table, 1_819), "b");
}

#[test]
fn a_keeper_that_came_and_went_between_two_listings_is_a_stranger() {
    let mut table = surveyed(&[("a", 0), ("b", 7)]);
    table.listed(children(&["a", "b"], 4), &group(), at(5_000));
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
    let fresh = table.listed(children(&["a", "b", "c"], 3), &group(), at(5_000));
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
    survey(&mut table, &children(&["a", "b"], 2));
    assert_eq!(table.to_survey(N, &group(), at(1_819)), None);
    assert_eq!(waited_for(&table, 1_820), "b");
    assert_eq!(
        table.to_survey(N, &group(), at(1_820)),
        Some(vec![b.clone()])
    );

    table.surveyed(&b, Some(&node(2, 1, 6)), N, at(1_821));
    assert_eq!(waited_for(&table, 1_820), "b", "a heartbeat was on its way");
    table.read(&b, Some(&node(2, 1, 6)), at(1_821));
    table.surveyed(&b, Some(&node(2, 1, 6)), N, at(1_821));
    assert_eq!(waited_for(&table, 2_640), "b");
    assert_eq!(waited_for(&table, 2_641), "");
    assert_eq!(table.to_survey(N, &group(), at(2_641)), None);
}

#[test]
fn a_survey_that_finds_another_count_of_arrivals_says_nothing_of_strangers() {
    let mut table = table(&[("a", 0), ("b", 7)]);
    survey(&mut table, &children(&["a", "b"], 4));
    assert!(
        table
            .unacknowledged(N, &group(), at(9_000))
            .0
            .possible_unseen_keepers
    );
    table.listed(children(&["a", "b"], 4), &group(), at(9_000));
    survey(&mut table, &children(&["a", "b"], 4));
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
        survey(&mut table, &children(&["a", "b"], 2));
        if listed_first {
            table.listed(children(&["a"], 3), &group(), at(1_500));
            assert_eq!(waited_for(&table, 99_000), "b");
            table.fired(&b, 2, Fired::Changed, at(1_500));
        } else {
            table.fired(&b, 2, Fired::Changed, at(1_400));
            table.read(&b, None, at(1_500));
            table.listed(children(&["a"], 3), &group(), at(1_600));
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
    table.listed(children(&["a", "b"], 2), &group(), at(100));
    assert_eq!(left_unseen(&table), None, "nobody ever left");
    table.new_connection();
    table.listed(children(&["a", "b", "c"], 3), &group(), at(3_100));
    assert_eq!(left_unseen(&table), None, "one came meanwhile");
    table.new_connection();
    table.listed(children(&["a", "b", "c"], 5), &group(), at(4_100));
    assert_eq!(left_unseen(&table), Some(at(4_920)), "one came and went");

    let mut table = KeeperTable::new(KeeperId::new("a"), LEASE, None);
    table.listed(children(&["a", "b"], 4), &group(), at(100));
    assert_eq!(left_unseen(&table), Some(at(920)), "one left before");
}

#[test]
fn a_lease_that_ended_counts_after_its_keeper_is_forgotten_and_a_restarted_one_is_not_passed_over()
{
    let mut table = surveyed(&[("a", 0), ("b", 6)]);
    table.fired(&KeeperId::new("b"), 2, Fired::Deleted, at(1_100));
    table.listed(children(&["a"], 3), &group(), at(1_900));
    assert_eq!(expired_silently(&table, 2_000), (vec![], Some(at(1_820))));

    let mut table = surveyed(&[("a", 0), ("b", 6)]);
    table.read(&KeeperId::new("b"), Some(&node(9, 0, 7)), at(1_100));
    let expected = (vec![], Some(at(1_920)));
    assert_eq!(expired_silently(&table, 5_000), expected);
}

#[test]
fn a_keeper_whose_going_nobody_told_of_is_waited_for_from_the_survey_on() {
    let mut table = table(&[("a", 0), ("b", 6)]);
    survey(&mut table, &children(&["a", "b"], 2));
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
    table.listed(children(&["a", "b", "c"], 3), &group(), at(5_000));
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
    table.read(&b, Some(&node(3, 0, 6)), at(2_000));
    assert!(!acknowledged(&table, 3));
    assert!(acknowledged(&table, 2), "what it did, it did");
}

/// A failsafe group in which keeper `d` asks these keepers, as read on this connection.
fn circle_of_d(asks: &[&str]) -> FailsafeGroup {
    circle_of_d_with(Some(Nonce::drawn(4)), asks)
}

/// The same, with this nonce; without a nonce `d` is of an earlier build.
fn circle_of_d_with(nonce: Option<Nonce>, asks: &[&str]) -> FailsafeGroup {
    let mut group = group();
    group.listed(children(&["d"], 1));
    let registration = FailsafeMember {
        nonce,
        place: None,
        rest: String::new(),
        asks: Some(asks.iter().map(|name| KeeperId::new(*name)).collect()),
        limit: LIMIT,
    };
    let node = Node {
        data: registration.encode(),
        ..node(0, 0, 0)
    };
    group.read(&KeeperId::new("d"), Some(&node));
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
    gone.fired(&KeeperId::new("c"), 2, Fired::Deleted, at(1_100));
    gone.listed(children(&["a"], 3), &group, at(1_100));
    assert_eq!(waits_for_d_until(&gone, &group), OUT[1]);

    let mut another = surveyed(&[("a", 0), ("c", 7)]);
    another.read(&KeeperId::new("c"), Some(&node(9, 0, 6)), at(1_100));
    assert_eq!(
        waits_for_d_until(&another, &group),
        OUT[1],
        "in an earlier session"
    );
    another.read(&KeeperId::new("c"), Some(&node(9, 1, 7)), at(2_000));
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
    table.fired(&KeeperId::new("d"), 2, Fired::Deleted, at(1_100));
    table.listed(children(&["a"], 3), &group, at(1_100));
    let until = at(1_000 + OUT[1]);
    let expected = BTreeMap::from([(KeeperId::new("d"), until)]);
    assert_eq!(table.foreseen(&group, at(1_100)), expected);
}
