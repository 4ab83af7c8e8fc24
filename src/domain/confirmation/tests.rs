use super::*;

const LIMITS: Limits = Limits {
    mark_down: Duration::from_secs(5),
    probe_timeout: Duration::from_secs(1),
    busy: None,
};
const START: Moment = Moment(Duration::from_secs(100));

fn after(milliseconds: u64) -> Moment {
    START.after(Duration::from_millis(milliseconds))
}

const BRAKE: Option<Brake> = Some(Brake {
    silent: 4,
    published: 4,
});

fn poll_result(voters: usize, unfit: usize, untold: &[&str]) -> PollResult {
    PollResult {
        voters,
        unfit,
        untold: untold.iter().map(|id| KeeperId::new(*id)).collect(),
    }
}

fn next(confirmation: &Confirmation, now: Moment) -> Next {
    confirmation.next(None, LIMITS, now)
}

/// The leader made this finding itself, at the start.
fn found(finding: Finding, alone: bool) -> Confirmation {
    let mut confirmation = Confirmation::default();
    confirmation.found(finding, alone, true, START);
    confirmation
}

/// The leader made this finding itself at the start, and asked the other keepers then.
fn polled(finding: Finding, brake: Option<Brake>) -> Confirmation {
    let mut confirmation = found(finding, true);
    confirmation.poll(1, brake, LIMITS, START);
    confirmation
}

/// The leader reaches the primary at this moment, and so do the other keepers.
fn fail(confirmation: &mut Confirmation, steady: bool, now: Moment) {
    confirmation.found(Finding::Answers, true, steady, now);
    confirmation.poll(1, None, LIMITS, now);
    assert!(confirmation.take_poll_result(poll_result(3, 0, &[]), LIMITS, now));
}

#[test]
fn a_primary_is_asked_first_and_withdrawn_if_it_refuses_gives_no_answer_or_loads() {
    assert_eq!(next(&Confirmation::default(), START), Next::Ask);
    for finding in [Finding::Refused, Finding::Silent, Finding::Loading] {
        assert_eq!(next(&found(finding, true), START), Next::Withdraw);
    }
}

#[test]
fn what_was_found_a_while_ago_confirms_nothing() {
    let confirmation = found(Finding::Silent, true);
    assert_eq!(next(&confirmation, after(999)), Next::Withdraw);
    assert_eq!(next(&confirmation, after(1_000)), Next::Ask);
}

/// Each time the primary answers before another node is promoted, so each failover is called off.
#[test]
fn a_primary_that_is_withdrawn_and_back_again_and_again_flaps() {
    let mut confirmation = Confirmation::default();
    for time in 1..=3 {
        let now = after(time * 10_000);
        assert!(!confirmation.answers_too_often(LIMITS, now));
        confirmation.found(Finding::Silent, true, true, now);
        confirmation.withdrawn();
        assert!(!confirmation.over(LIMITS, now), "it is withdrawn");
        confirmation.called_off(LIMITS, now);
    }
    assert!(confirmation.answers_too_often(LIMITS, after(31_000)));
    assert!(confirmation.flapping(LIMITS, after(31_000)).is_some());
    let mut unconfirmed = Confirmation::default();
    unconfirmed.withdrawn();
    unconfirmed.called_off(LIMITS, START);
    assert_eq!(
        unconfirmed,
        Confirmation::default(),
        "no votes were against it"
    );
}

/// No node could take over during the cut. A node can as the cut ends, and the primary may be back, too.
#[test]
fn what_a_majority_found_a_while_ago_confirms_nothing() {
    let mut confirmation = polled(Finding::Answers, None);
    assert!(!confirmation.take_poll_result(poll_result(3, 2, &["3"]), LIMITS, after(10)));
    assert!(!confirmation.take_poll_result(poll_result(3, 2, &[]), LIMITS, after(500)));
    assert_eq!(next(&confirmation, after(1_009)), Next::Withdraw);
    assert_eq!(next(&confirmation, after(1_010)), Next::Ask);
}

#[test]
fn the_other_keepers_are_asked_if_it_answers_if_nothing_is_known_and_if_the_successor_is_out_of_reach()
 {
    for (finding, alone) in [
        (Finding::Answers, true),
        (Finding::Unknown, true),
        (Finding::Silent, false),
    ] {
        assert_eq!(next(&found(finding, alone), START), Next::AskVoters);
    }
}

#[test]
fn one_keeper_beside_a_cut_off_primary_vetoes_no_majority() {
    let mut confirmation = polled(Finding::Answers, None);
    assert!(!confirmation.take_poll_result(poll_result(3, 1, &["3"]), LIMITS, after(10)));
    let waits = ConfirmationReason::Voters([KeeperId::new("3")].into());
    assert_eq!(
        next(&confirmation, after(10)),
        Next::Wait(waits, after(1_000))
    );
    assert!(!confirmation.take_poll_result(poll_result(3, 2, &[]), LIMITS, after(20)));
    assert_eq!(next(&confirmation, after(20)), Next::Withdraw);
}

#[test]
fn a_primary_that_half_of_the_keepers_reach_is_not_withdrawn() {
    let mut confirmation = polled(Finding::Answers, None);
    assert!(confirmation.take_poll_result(poll_result(4, 2, &[]), LIMITS, after(20)));
    let waits = Next::Wait(ConfirmationReason::Answers, after(1_020));
    assert_eq!(next(&confirmation, after(20)), waits);
    assert!(!confirmation.over(LIMITS, after(30)), "known already");
    assert_eq!(next(&confirmation, after(500)), waits, "it is remembered");
    assert_eq!(next(&confirmation, after(1_020)), Next::Ask);
}

#[test]
fn keepers_that_tell_nothing_in_time_do_not_confirm() {
    let mut confirmation = polled(Finding::Answers, None);
    let untold = poll_result(3, 1, &["3"]);
    assert!(!confirmation.take_poll_result(untold.clone(), LIMITS, after(999)));
    assert!(confirmation.take_poll_result(untold, LIMITS, after(1_000)));
}

#[test]
fn the_brake_holds_a_silent_primary_once_for_one_probe_timeout() {
    let silent = found(Finding::Silent, true);
    assert_eq!(silent.next(BRAKE, LIMITS, START), Next::AskVoters);
    let mut confirmation = polled(Finding::Silent, BRAKE);
    let untold = poll_result(3, 1, &["2", "3"]);
    assert!(!confirmation.take_poll_result(untold.clone(), LIMITS, after(999)));
    let held = confirmation.next(BRAKE, LIMITS, after(999));
    assert!(
        matches!(&held, Next::Wait(ConfirmationReason::Brake(..), until) if *until == after(1_000)),
        "{held:?}"
    );
    assert!(!confirmation.take_poll_result(untold, LIMITS, after(1_000)));
    assert_eq!(
        confirmation.next(BRAKE, LIMITS, after(1_000)),
        Next::Withdraw
    );
    confirmation.found(Finding::Silent, true, true, after(5_000));
    assert_eq!(
        confirmation.next(BRAKE, LIMITS, after(5_000)),
        Next::Withdraw
    );
    confirmation.over(LIMITS, after(6_000));
    confirmation.found(Finding::Silent, true, true, after(9_000));
    assert_eq!(
        confirmation.next(BRAKE, LIMITS, after(9_000)),
        Next::AskVoters,
        "it was back meanwhile"
    );
}

#[test]
fn the_brake_lets_go_when_a_majority_has_no_answer_and_gives_way_to_one_that_has() {
    let mut confirmation = polled(Finding::Silent, BRAKE);
    assert!(!confirmation.take_poll_result(poll_result(3, 2, &["3"]), LIMITS, after(10)));
    assert_eq!(confirmation.next(BRAKE, LIMITS, after(10)), Next::Withdraw);
    let mut confirmation = polled(Finding::Silent, BRAKE);
    assert!(confirmation.take_poll_result(poll_result(3, 1, &[]), LIMITS, after(10)));
}

#[test]
fn the_brake_does_not_act_on_what_refuses() {
    let refused = found(Finding::Refused, true);
    assert_eq!(refused.next(BRAKE, LIMITS, START), Next::Withdraw);
}

#[test]
fn three_failures_within_ten_mark_down_times_are_flapping() {
    let mut confirmation = Confirmation::default();
    for at in [0, 20_000] {
        fail(&mut confirmation, false, after(at));
    }
    assert_eq!(confirmation.flapping(LIMITS, after(20_000)), None);
    fail(&mut confirmation, false, after(40_000));
    let flapping = confirmation.flapping(LIMITS, after(40_000)).unwrap();
    assert_eq!((flapping.times, flapping.until), (3, after(50_000)));
    assert_eq!(confirmation.flapping(LIMITS, after(50_000)), None);
}

#[test]
fn votes_that_are_taken_back_while_the_others_are_asked_are_a_failure_like_any_other() {
    let mut confirmation = Confirmation::default();
    assert!(!confirmation.over(LIMITS, START), "nothing was asked");
    for at in [0, 10_000, 20_000] {
        confirmation.found(Finding::Answers, true, true, after(at));
        if at > 0 {
            confirmation.poll(1, None, LIMITS, after(at));
        }
        assert!(confirmation.over(LIMITS, after(at)));
        assert!(!confirmation.over(LIMITS, after(at)), "once");
        confirmation.found(Finding::Answers, true, true, after(at + 100));
        assert!(
            !confirmation.over(LIMITS, after(at + 4_999)),
            "votes that come and go at the end of one silence"
        );
    }
    assert_eq!(
        confirmation
            .flapping(LIMITS, after(20_000))
            .map(|it| it.times),
        Some(3)
    );
    confirmation.found(Finding::Answers, true, true, after(30_000));
    assert_eq!(next(&confirmation, after(30_000)), Next::Withdraw);
}

#[test]
fn a_flapping_primary_is_replaced_at_last_and_not_for_cuts_that_took_its_successor_too() {
    for steady in [true, false] {
        let mut confirmation = Confirmation::default();
        for at in [0, 10_000, 20_000] {
            fail(&mut confirmation, steady, after(at));
        }
        confirmation.found(Finding::Answers, true, steady, after(30_000));
        let expected = if steady {
            Next::Withdraw
        } else {
            Next::AskVoters
        };
        assert_eq!(next(&confirmation, after(30_000)), expected);
    }
}

#[test]
fn another_process_that_the_leader_alone_finds_at_the_published_address_replaces_nobody_however_often()
 {
    let mut confirmation = Confirmation::default();
    let mut now = START;
    for _ in 0..2 * FLAPPING_AFTER {
        confirmation.found(Finding::Replaced, true, true, now);
        assert_eq!(next(&confirmation, now), Next::AskVoters);
        confirmation.poll(1, None, LIMITS, now);
        assert!(confirmation.take_poll_result(poll_result(3, 1, &[]), LIMITS, now));
        let until = now.after(ASKED_AGAIN_AFTER);
        assert_eq!(
            next(&confirmation, now),
            Next::Wait(ConfirmationReason::Elsewhere, until)
        );
        now = until;
        assert_eq!(next(&confirmation, now), Next::Ask);
    }
    assert_eq!(confirmation.flapping(LIMITS, now), None);
    confirmation.found(Finding::Replaced, true, true, now);
    confirmation.poll(2, None, LIMITS, now);
    assert!(!confirmation.take_poll_result(poll_result(3, 2, &[]), LIMITS, now));
    assert_eq!(next(&confirmation, now), Next::Withdraw);
}
