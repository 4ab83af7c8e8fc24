use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    mark_down: Duration::from_secs(3),
    probe_timeout: Duration::from_millis(500),
    busy: Some(Duration::from_secs(10)),
};

fn at(millis: u64) -> Moment {
    Moment(Duration::from_millis(millis))
}

fn watched() -> Liveness {
    Liveness::new(LIMITS, at(0))
}

fn probe_failed(node: &mut Liveness, sent: u64, reason: DownReason) {
    node.sent(at(sent));
    node.failed(reason, Via::NewConnection);
}

#[test]
fn silence_without_a_failed_probe_is_no_vote() {
    let mut node = watched();
    node.sent(at(0));
    node.answered(at(1), false);
    assert_eq!(node.vote(at(60_000)), None);
    assert_eq!(node.next_change(at(1)), None);
}

#[test]
fn the_vote_is_cast_at_the_very_moment_of_mark_down() {
    let mut node = watched();
    node.answered(at(1_000), false);
    probe_failed(&mut node, 2_000, DownReason::Refused);
    assert_eq!(node.vote(at(3_999)), None);
    assert_eq!(node.next_change(at(2_000)), Some(at(4_000)));
    assert_eq!(node.vote(at(4_000)), Some(DownReason::Refused));
    assert_eq!(node.next_change(at(4_000)), None);
}

/// The keeper was frozen for longer than the mark-down time, and its connection was killed meanwhile.
#[test]
fn an_old_connection_that_ended_while_this_keeper_was_stalled_is_no_vote() {
    let mut node = watched();
    node.answered(at(1_000), false);
    node.stalled(at(2_000), at(20_000));
    node.sent(at(20_000));
    node.failed(DownReason::Closed, Via::OldConnection);
    assert_eq!(node.vote(at(20_001)), None);
    probe_failed(&mut node, 21_000, DownReason::Closed);
    assert_eq!(node.vote(at(21_000)), Some(DownReason::Closed), "a new one");
    let mut steady = watched();
    steady.answered(at(1_000), false);
    steady.sent(at(2_000));
    steady.failed(DownReason::Closed, Via::OldConnection);
    assert_eq!(steady.vote(at(4_000)), Some(DownReason::Closed));
}

#[test]
fn a_failure_past_the_mark_down_time_votes_at_once() {
    let mut node = watched();
    probe_failed(&mut node, 9_000, DownReason::Closed);
    assert_eq!(node.vote(at(9_000)), Some(DownReason::Closed));
}

#[test]
fn a_node_never_seen_alive_counts_from_when_it_began_to_be_watched() {
    let mut node = Liveness::new(LIMITS, at(10_000));
    probe_failed(&mut node, 10_000, DownReason::Refused);
    assert_eq!(node.vote(at(12_999)), None);
    assert_eq!(node.vote(at(13_000)), Some(DownReason::Refused));
}

#[test]
fn any_reply_withdraws_the_vote() {
    let mut node = watched();
    probe_failed(&mut node, 0, DownReason::Unanswered);
    assert!(node.vote(at(3_000)).is_some());
    node.alive_at(at(3_100));
    assert_eq!(node.vote(at(3_100)), None);
}

#[test]
fn a_probe_sent_before_the_last_proof_of_life_is_no_evidence() {
    let mut node = watched();
    node.sent(at(1_000));
    node.alive_at(at(1_200));
    node.failed(DownReason::Unanswered, Via::NewConnection);
    assert_eq!(node.vote(at(60_000)), None);
}

#[test]
fn silence_on_an_old_connection_alone_is_no_evidence() {
    let mut node = watched();
    node.sent(at(1_000));
    node.failed(DownReason::Unanswered, Via::OldConnection);
    assert_eq!(node.vote(at(60_000)), None);
    assert_eq!(node.next_change(at(1_500)), None);
    node.failed(DownReason::Unanswered, Via::NewConnection);
    assert_eq!(node.vote(at(3_000)), Some(DownReason::Unanswered));
    node.failed(DownReason::Unanswered, Via::OldConnection);
    assert_eq!(node.vote(at(3_000)), Some(DownReason::Unanswered));
}

#[test]
fn loading_past_the_mark_down_time_is_a_vote_of_its_own() {
    let mut node = watched();
    node.answered(at(1_000), true);
    node.answered(at(2_000), true);
    assert_eq!(node.next_change(at(2_000)), Some(at(4_000)));
    assert_eq!(node.vote(at(4_000)), Some(DownReason::Loading));
    node.answered(at(5_000), true);
    assert_eq!(node.vote(at(5_000)), Some(DownReason::Loading));
    node.answered(at(5_500), false);
    assert_eq!(node.vote(at(5_500)), None);
}

#[test]
fn a_node_that_dies_while_loading_ends_up_unreachable() {
    let mut node = watched();
    node.answered(at(1_000), true);
    probe_failed(&mut node, 2_000, DownReason::Refused);
    assert_eq!(node.vote(at(4_000)), Some(DownReason::Refused));
}

#[test]
fn after_a_stall_a_full_fresh_round_comes_first() {
    let mut node = watched();
    probe_failed(&mut node, 2_000, DownReason::Refused);
    node.sent(at(2_400));
    assert!(node.is_stall(at(3_000), at(20_000)));
    node.stalled(at(3_000), at(20_000));
    assert_eq!(node.vote(at(20_000)), None);
    node.failed(DownReason::Unanswered, Via::NewConnection);
    assert_eq!(node.vote(at(20_000)), None, "sent before the stall ended");
    assert_eq!(node.probe_by(), Some(at(20_000)));
    probe_failed(&mut node, 20_000, DownReason::Unanswered);
    assert_eq!(node.vote(at(20_500)), Some(DownReason::Unanswered));
}

#[test]
fn a_vote_that_stood_before_a_stall_stays() {
    let mut node = watched();
    probe_failed(&mut node, 2_000, DownReason::Refused);
    assert!(node.vote(at(3_000)).is_some());
    node.stalled(at(4_000), at(20_000));
    assert_eq!(node.vote(at(20_000)), Some(DownReason::Refused));
}

#[test]
fn a_stall_is_a_timer_late_by_more_than_the_probe_timeout() {
    let node = watched();
    assert!(!node.is_stall(at(1_000), at(1_500)));
    assert!(node.is_stall(at(1_000), at(1_501)));
}

#[test]
fn a_probe_is_owed_one_timeout_before_mark_down_and_just_before_if_refused() {
    let mut node = watched();
    node.sent(at(0));
    node.answered(at(1_000), false);
    assert_eq!(node.probe_by(), Some(at(3_500)));
    probe_failed(&mut node, 3_500, DownReason::Refused);
    assert_eq!(node.probe_by(), Some(at(3_990)));
    probe_failed(&mut node, 3_990, DownReason::Refused);
    assert_eq!(node.probe_by(), None);
    node.answered(at(3_995), false);
    probe_failed(&mut node, 6_495, DownReason::Unanswered);
    assert_eq!(node.probe_by(), None, "a hung node is given its time once");
}

/// Events that a monitor may meet, each some time after the last.
#[derive(Debug, Clone)]
enum Event {
    Sent,
    Answered { loading: bool },
    Alive,
    Failed(DownReason, Via),
    Stalled,
}

fn event() -> impl Strategy<Value = (u64, Event)> {
    let reason = proptest::sample::select(vec![
        DownReason::Refused,
        DownReason::Closed,
        DownReason::Unanswered,
    ]);
    let via = proptest::sample::select(vec![Via::NewConnection, Via::OldConnection]);
    let event = prop_oneof![
        3 => Just(Event::Sent),
        2 => any::<bool>().prop_map(|loading| Event::Answered { loading }),
        1 => Just(Event::Alive),
        3 => (reason, via).prop_map(|(reason, via)| Event::Failed(reason, via)),
        1 => Just(Event::Stalled),
    ];
    (0_u64..2_500, event)
}

proptest! {
    #[test]
    fn a_vote_rests_on_old_life_and_a_later_failure_and_changes_only_when_announced(
        events in proptest::collection::vec(event(), 1..40)
    ) {
        let mut node = watched();
        let (mut now, mut alive, mut sent, mut fresh) = (0, 0, None, 0);
        let mut failed_since = false;
        for (wait, event) in events {
            // Until the next event, the vote changes only as announced.
            let before = node.vote(at(now));
            let change = node.next_change(at(now));
            for probe in [now, now + wait / 2, now + wait] {
                let due = change.is_some_and(|change| at(probe) >= change);
                let vote = node.vote(at(probe));
                prop_assert!(due || vote == before, "changed unannounced at {probe}");
            }
            if let Some(change) = change {
                prop_assert_ne!(node.vote(change), before, "announced but did not change");
            }
            let due = now;
            now += wait;
            let stood = node.vote(Moment(at(due).0.saturating_sub(Duration::from_nanos(1))));
            match event {
                Event::Sent => {
                    sent = Some(now);
                    node.sent(at(now));
                }
                Event::Answered { loading } => {
                    (alive, failed_since) = (now, false);
                    node.answered(at(now), loading);
                }
                Event::Alive => {
                    (alive, failed_since) = (now, false);
                    node.alive_at(at(now));
                }
                Event::Failed(reason, via) => {
                    let says_nothing = reason == DownReason::Unanswered
                        || reason == DownReason::Closed && fresh > alive;
                    let mute = via == Via::OldConnection && says_nothing;
                    failed_since |= !mute && sent.is_some_and(|sent| sent >= alive && sent >= fresh);
                    node.failed(reason, via);
                }
                Event::Stalled => {
                    fresh = now;
                    let unreachable = stood.is_some_and(|vote| vote != DownReason::Loading);
                    failed_since &= unreachable || now < alive;
                    node.stalled(at(due), at(now));
                    prop_assert!(node.vote(at(now)).is_none() || stood.is_some());
                }
            }
            let expected = failed_since && now >= alive + 3_000;
            let unreachable = node.vote(at(now)).is_some_and(|vote| vote != DownReason::Loading);
            prop_assert_eq!(unreachable, expected, "at {}", now);
        }
    }
}

#[test]
fn a_node_that_answers_nothing_but_busy_is_voted_down_after_its_time_and_no_sooner() {
    let mut node = watched();
    for second in 1..=10 {
        assert_eq!(node.vote(at(second * 1_000)), None, "{second}");
        node.sent(at(second * 1_000));
        node.answered(at(second * 1_000), false);
        node.busy(at(second * 1_000), true);
    }
    assert_eq!(node.vote(at(10_999)), None);
    assert_eq!(node.vote(at(11_000)), Some(DownReason::Busy));
    node.answered(at(11_500), false);
    node.busy(at(11_500), false);
    assert_eq!(
        node.vote(at(60_000)),
        None,
        "it serves, and no probe has failed"
    );
}

#[test]
fn what_was_busy_before_a_stall_of_this_keeper_is_busy_after_it_only_if_it_says_so_again() {
    let mut node = watched();
    node.answered(at(1_000), false);
    node.busy(at(1_000), true);
    assert_eq!(node.next_change(at(1_000)), Some(at(11_000)));
    node.stalled(at(2_000), at(20_000));
    assert_eq!(node.vote(at(20_000)), None);
    node.answered(at(20_100), false);
    node.busy(at(20_100), true);
    assert_eq!(node.vote(at(20_100)), Some(DownReason::Busy));
}

#[test]
fn without_its_time_a_busy_node_is_alive_for_ever() {
    let limits = Limits {
        busy: None,
        ..LIMITS
    };
    let mut node = Liveness::new(limits, at(0));
    node.answered(at(1_000), false);
    node.busy(at(1_000), true);
    assert_eq!(node.vote(at(1_000_000_000)), None);
    assert_eq!(node.next_change(at(1_000)), None);
}
