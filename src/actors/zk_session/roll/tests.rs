use super::*;

const LEASE: Duration = Duration::from_millis(800);
const N: Generation = Generation(7);

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

/// Nobody takes part in failsafe.
fn circle() -> Circle {
    let mut circle = Circle::new(KeeperId::new("a"));
    circle.listed(children(&[], 0));
    circle
}

/// The roll of keeper `a` on a connection that had read everything at 0 ms, and all unseen keepers silent since.
fn roll(keepers: &[(&str, u64)]) -> Roll {
    let mut roll = Roll::new(KeeperId::new("a"), LEASE);
    let names: Vec<&str> = keepers.iter().map(|(name, _)| *name).collect();
    let changes = i32::try_from(names.len()).unwrap();
    roll.listed(children(&names, changes), &circle(), at(0));
    roll.all_read(at(0));
    for (session, (name, acknowledged)) in (1..).zip(keepers) {
        roll.read(
            &KeeperId::new(*name),
            Some(&node(session, 0, *acknowledged)),
            at(1_000),
        );
    }
    roll
}

/// The same, surveyed after the withdrawal.
fn surveyed(keepers: &[(&str, u64)]) -> Roll {
    let mut roll = roll(keepers);
    let names: Vec<&str> = keepers.iter().map(|(name, _)| *name).collect();
    survey(
        &mut roll,
        &children(&names, i32::try_from(names.len()).unwrap()),
    );
    for (session, (name, acknowledged)) in (1..).zip(keepers) {
        let node = node(session, 0, *acknowledged);
        roll.surveyed(&KeeperId::new(*name), Some(&node), N, at(1_000));
    }
    roll
}

fn survey(roll: &mut Roll, online: &Children) {
    roll.counted(online, true, N);
}

fn waited_for(roll: &Roll, now: u64) -> String {
    roll.unacknowledged(N, &circle(), at(now)).0.to_string()
}

#[test]
fn whoever_has_not_acknowledged_is_waited_for_until_it_has_been_silent_for_its_lease_and_the_margin()
 {
    let roll = surveyed(&[("a", 0), ("b", 6), ("c", 7)]);
    assert_eq!(waited_for(&roll, 1_819), "b");
    assert_eq!(
        roll.unacknowledged(N, &circle(), at(1_500)).1,
        Some(at(1_820))
    );
    assert_eq!(waited_for(&roll, 1_820), "");
}

#[test]
fn an_acknowledgement_ends_the_wait_at_once_and_any_other_heartbeat_prolongs_it() {
    let mut roll = surveyed(&[("a", 0), ("b", 6)]);
    roll.read(&KeeperId::new("b"), Some(&node(2, 1, 6)), at(1_500));
    assert_eq!(waited_for(&roll, 2_319), "b");
    roll.read(&KeeperId::new("b"), Some(&node(2, 2, 7)), at(1_600));
    assert_eq!(waited_for(&roll, 1_600), "");
}

#[test]
fn a_keeper_whose_node_is_gone_may_still_hold_its_lease() {
    let mut roll = surveyed(&[("a", 0), ("b", 6)]);
    roll.fired(&KeeperId::new("b"), 2, Fired::Deleted, at(1_100));
    roll.listed(children(&["a"], 3), &circle(), at(1_100));
    assert_eq!(waited_for(&roll, 1_819), "b");
    assert_eq!(waited_for(&roll, 1_820), "");
}

#[test]
fn an_earlier_session_of_a_keeper_is_waited_for_besides_the_present_one() {
    let mut roll = surveyed(&[("a", 0), ("b", 6)]);
    roll.fired(&KeeperId::new("b"), 2, Fired::Deleted, at(1_100));
    roll.read(&KeeperId::new("b"), Some(&node(9, 0, 7)), at(1_100));
    assert_eq!(waited_for(&roll, 1_819), "b");
}

#[test]
fn after_a_reconnection_all_count_as_just_seen_and_strangers_until_all_was_read() {
    let mut roll = surveyed(&[("a", 0), ("b", 6)]);
    roll.new_connection(at(9_000));
    let strangers = "any that left just before this one led";
    assert_eq!(waited_for(&roll, 99_000), format!("a, b, {strangers}"));
    roll.listed(children(&["a"], 3), &circle(), at(9_100));
    roll.read(&KeeperId::new("a"), Some(&node(1, 0, 0)), at(9_100));
    roll.all_read(at(9_200));
    assert_eq!(waited_for(&roll, 9_899), format!("b, {strangers}"));
    assert_eq!(waited_for(&roll, 10_019), strangers);
    assert_eq!(waited_for(&roll, 10_020), "");
}

#[test]
fn a_keeper_that_came_and_went_between_two_listings_is_a_stranger() {
    let mut roll = surveyed(&[("a", 0), ("b", 7)]);
    roll.listed(children(&["a", "b"], 4), &circle(), at(5_000));
    assert!(roll.unacknowledged(N, &circle(), at(5_819)).0.strangers);
    assert!(roll.unacknowledged(N, &circle(), at(5_820)).0.is_empty());
}

#[test]
fn one_that_is_online_and_was_not_read_yet_is_waited_for() {
    let mut roll = surveyed(&[("a", 0), ("b", 7)]);
    let fresh = roll.listed(children(&["a", "b", "c"], 3), &circle(), at(5_000));
    assert_eq!(fresh, [KeeperId::new("c")]);
    assert_eq!(waited_for(&roll, 9_000), "c");
    roll.read(&KeeperId::new("c"), None, at(9_000));
    assert!(
        roll.unacknowledged(N, &circle(), at(9_001)).0.strangers,
        "it may have had a lease"
    );
}

#[test]
fn a_leader_is_silent_only_after_its_lease_and_the_margin_on_one_connection() {
    let mut roll = surveyed(&[("a", 0), ("b", 7)]);
    let silent = |roll: &Roll, now| roll.silent(&KeeperId::new("b"), 2, at(now));
    assert_eq!(silent(&roll, 1_819), None);
    assert_eq!(silent(&roll, 1_820), Some(0));
    roll.new_connection(at(3_000));
    assert_eq!(silent(&roll, 9_000), None);
}

#[test]
fn silence_counts_once_a_survey_has_found_nothing_newer() {
    let mut roll = roll(&[("a", 0), ("b", 6)]);
    let b = KeeperId::new("b");
    assert_eq!(
        roll.to_survey(N, &circle(), at(1_819)),
        Some(vec![]),
        "who is online"
    );
    survey(&mut roll, &children(&["a", "b"], 2));
    assert_eq!(roll.to_survey(N, &circle(), at(1_819)), None);
    assert_eq!(waited_for(&roll, 1_820), "b");
    assert_eq!(
        roll.to_survey(N, &circle(), at(1_820)),
        Some(vec![b.clone()])
    );

    roll.surveyed(&b, Some(&node(2, 1, 6)), N, at(1_821));
    assert_eq!(waited_for(&roll, 1_820), "b", "a heartbeat was on its way");
    roll.read(&b, Some(&node(2, 1, 6)), at(1_821));
    roll.surveyed(&b, Some(&node(2, 1, 6)), N, at(1_821));
    assert_eq!(waited_for(&roll, 2_640), "b");
    assert_eq!(waited_for(&roll, 2_641), "");
    assert_eq!(roll.to_survey(N, &circle(), at(2_641)), None);
}

#[test]
fn a_survey_that_finds_another_count_of_arrivals_says_nothing_of_strangers() {
    let mut roll = roll(&[("a", 0), ("b", 7)]);
    survey(&mut roll, &children(&["a", "b"], 4));
    assert!(roll.unacknowledged(N, &circle(), at(9_000)).0.strangers);
    roll.listed(children(&["a", "b"], 4), &circle(), at(9_000));
    survey(&mut roll, &children(&["a", "b"], 4));
    assert!(roll.unacknowledged(N, &circle(), at(9_819)).0.strangers);
    assert!(!roll.unacknowledged(N, &circle(), at(9_820)).0.strangers);
}

#[test]
fn a_keeper_that_may_have_beaten_just_before_it_went_is_waited_for_from_then_on() {
    let b = KeeperId::new("b");
    for listed_first in [true, false] {
        let mut roll = roll(&[("a", 0), ("b", 6)]);
        survey(&mut roll, &children(&["a", "b"], 2));
        if listed_first {
            roll.listed(children(&["a"], 3), &circle(), at(1_500));
            assert_eq!(waited_for(&roll, 99_000), "b");
            roll.fired(&b, 2, Fired::Changed, at(1_500));
        } else {
            roll.fired(&b, 2, Fired::Changed, at(1_400));
            roll.read(&b, None, at(1_500));
            roll.listed(children(&["a"], 3), &circle(), at(1_600));
        }
        assert_eq!(waited_for(&roll, 2_319), "b", "{listed_first}");
        assert_eq!(waited_for(&roll, 2_320), "", "{listed_first}");
    }
}

/// Who is passed over for its silence, and when its lease was out; and when the last one was of those that are not known.
fn passed_over(roll: &Roll, now: u64) -> (Vec<(String, Moment)>, Option<Moment>) {
    let (waiting, _) = roll.unacknowledged(N, &circle(), at(now));
    let passed_over = waiting.passed_over.into_iter();
    let named = passed_over.map(|(keeper, out)| (keeper.to_string(), out));
    (named.collect(), waiting.last_lease)
}

#[test]
fn who_is_passed_over_for_its_silence_is_named_with_the_end_of_its_lease() {
    let roll = surveyed(&[("a", 0), ("b", 6), ("c", 7)]);
    assert_eq!(passed_over(&roll, 1_819), (vec![], None));
    let expected = (vec![("b".to_owned(), at(1_820))], None);
    assert_eq!(passed_over(&roll, 5_000), expected);
}

/// Until when somebody who left unseen may have held a lease.
fn left_unseen(roll: &Roll) -> Option<Moment> {
    passed_over(roll, 99_000).1
}

#[test]
fn whoever_left_unseen_may_have_held_a_lease_and_the_count_of_arrivals_and_departures_tells_of_it()
{
    let mut roll = Roll::new(KeeperId::new("a"), LEASE);
    roll.listed(children(&["a", "b"], 2), &circle(), at(100));
    assert_eq!(left_unseen(&roll), None, "nobody ever left");
    roll.new_connection(at(3_000));
    roll.listed(children(&["a", "b", "c"], 3), &circle(), at(3_100));
    assert_eq!(left_unseen(&roll), None, "one came meanwhile");
    roll.new_connection(at(4_000));
    roll.listed(children(&["a", "b", "c"], 5), &circle(), at(4_100));
    assert_eq!(left_unseen(&roll), Some(at(4_920)), "one came and went");

    let mut roll = Roll::new(KeeperId::new("a"), LEASE);
    roll.listed(children(&["a", "b"], 4), &circle(), at(100));
    assert_eq!(left_unseen(&roll), Some(at(920)), "one left before");
}

#[test]
fn a_lease_that_ended_counts_after_its_keeper_is_forgotten_and_a_restarted_one_is_not_passed_over()
{
    let mut roll = surveyed(&[("a", 0), ("b", 6)]);
    roll.fired(&KeeperId::new("b"), 2, Fired::Deleted, at(1_100));
    roll.listed(children(&["a"], 3), &circle(), at(1_900));
    assert_eq!(passed_over(&roll, 2_000), (vec![], Some(at(1_820))));

    let mut roll = surveyed(&[("a", 0), ("b", 6)]);
    roll.read(&KeeperId::new("b"), Some(&node(9, 0, 7)), at(1_100));
    let expected = (vec![], Some(at(1_920)));
    assert_eq!(passed_over(&roll, 5_000), expected);
}

#[test]
fn a_keeper_whose_going_nobody_told_of_is_waited_for_from_the_survey_on() {
    let mut roll = roll(&[("a", 0), ("b", 6)]);
    survey(&mut roll, &children(&["a", "b"], 2));
    let b = KeeperId::new("b");
    assert_eq!(
        roll.to_survey(N, &circle(), at(5_000)),
        Some(vec![b.clone()])
    );
    roll.surveyed(&b, None, N, at(5_000));
    assert_eq!(waited_for(&roll, 5_819), "b");
    assert_eq!(waited_for(&roll, 5_820), "");
    assert_eq!(roll.to_survey(N, &circle(), at(5_820)), None);
}

#[test]
fn from_a_change_of_who_is_online_to_the_next_listing_they_are_counted_again() {
    let mut roll = roll(&[("a", 0), ("b", 7)]);
    assert!(!roll.recounting());
    roll.changed();
    assert!(roll.recounting());
    roll.listed(children(&["a", "b", "c"], 3), &circle(), at(5_000));
    assert!(!roll.recounting());
}

#[test]
fn a_keeper_has_acknowledged_in_the_session_in_which_it_did() {
    let mut roll = roll(&[("a", 0), ("b", 7)]);
    let b = KeeperId::new("b");
    let acknowledged = |roll: &Roll, session| roll.has_acknowledged(&b, session, N);
    assert!(acknowledged(&roll, 2));
    assert!(
        !acknowledged(&roll, 3),
        "another process, for all that is known"
    );
    assert!(!acknowledged(&roll, 0));
    assert!(!roll.has_acknowledged(&b, 2, Generation(8)));
    roll.read(&b, Some(&node(3, 0, 6)), at(2_000));
    assert!(!acknowledged(&roll, 3));
    assert!(acknowledged(&roll, 2), "what it did, it did");
}
