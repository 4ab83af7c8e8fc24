//! Spans that depend on each other, with the inequalities between them as tests.
//!
//! A span that depends on nothing else stands where it is used. The configuration checks the inequalities between its
//! own spans: `config/spans.rs` and `config/validate.rs`.

use std::time::Duration;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn min(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

/// A switchover, from the command line to the promoted node.
pub mod switchover {
    use super::{Duration, ms, s};

    /// How long fresh facts may take while an operator waits and no failover is urgent.
    pub const ASKED_FACTS: Duration = s(1);

    /// How long the other keepers may take to acknowledge the withdrawal; usually they take milliseconds. Meanwhile no
    /// client can write, so a late keeper calls the switchover off.
    pub const ACKNOWLEDGED_WITHIN: Duration = ms(500);

    /// How long the successor may take to catch up. Clients' writes wait meanwhile.
    pub const CAUGHT_UP_WITHIN: Duration = ms(100);

    /// By when the promotion must be confirmed, counted from just before the pause. A promotion that is confirmed
    /// later may have been carried out after the pause.
    pub const PROMOTED_BY: Duration = ms(800);

    /// How much longer the pause lasts at least, however soon HAProxies follow: the publication may be slow.
    pub const PAUSE_MARGIN: Duration = ms(1_200);

    /// How long an operator waits for a switchover that was begun. A switchover takes milliseconds, or is called off.
    pub const SWITCHED_WITHIN: Duration = s(5);

    /// How long a keeper waits for a connection to the leader.
    pub const LEADER_CONNECTS_WITHIN: Duration = s(2);

    /// How long a keeper waits for the leader's answer. The leader itself answers sooner.
    pub const LEADER_ANSWERS_WITHIN: Duration = s(9);

    /// How long the command line waits for the answer. Keepers always answer sooner.
    pub const ANSWERED_WITHIN: Duration = s(15);
}

/// Looks for other groups of keepers, and the questions to them (RK-12).
pub mod groups {
    use super::{Duration, min, ms, s};

    /// How long a look that an actor waits for may take in a monitor, even if the next probe is due.
    pub const AT_ONCE_WITHIN: Duration = ms(50);

    /// How long a change waits for the look at one node. A monitor gives its look up sooner.
    pub const LOOKS_WITHIN: Duration = ms(100);

    /// How long a connection to another keeper may take.
    pub const CONNECTED_WITHIN: Duration = s(1);

    /// How long a keeper of another group may take to answer.
    pub const ANSWERS_WITHIN: Duration = s(2);

    /// How much longer the answers of all other keepers together may take than the answer of a single one.
    pub const ANSWERS_MARGIN: Duration = ms(100);

    /// How long a look counts. A group that begins later looks itself, and asks the keepers that it finds.
    pub const COUNTS_FOR: Duration = s(5);

    /// From one look in advance to the next. So the last one still counts, whenever the change comes.
    pub const AHEAD_EVERY: Duration = ms(2_500);

    /// The longest time from one look of a monitor to the next. Also the time after a look that the server refused, or
    /// that would have burdened the server.
    pub const LOOK_AT_LEAST_EVERY: Duration = min(10);

    /// How long after the first answer another one counts as the second.
    pub const TWICE_AFTER: Duration = s(2);

    /// How often a keeper of a group that has answered is asked again: its published primary may have changed.
    pub const ASKED_EVERY: Duration = s(2);

    /// From one round of questions to the next.
    pub const ROUND_EVERY: Duration = ms(500);

    /// How long a group is a rival after its last answer.
    pub const FORGOTTEN_AFTER: Duration = s(30);

    /// The same for a group that has not answered twice: a keeper that is just being moved to another prefix holds no
    /// cluster for long.
    pub const ONCE_FORGOTTEN_AFTER: Duration = s(5);

    /// How long after its first failure a keeper is asked again; doubled with each failure.
    pub const FIRST_RETRY: Duration = s(5);

    /// The longest time after which a keeper is asked again.
    pub const LAST_RETRY: Duration = min(5);

    /// A name that was not met for this long is forgotten.
    pub const NAME_FORGOTTEN_AFTER: Duration = min(15);
}

/// Rehearsals of consents (RK-8).
pub mod rehearsal {
    use super::{Duration, min, s};

    /// From one rehearsal with a keeper to the next.
    pub const EVERY: Duration = min(1);

    /// From one attempt to the next, until the outcome of rehearsals with that keeper is known.
    pub const AGAIN: Duration = s(10);

    /// How long a name may take to resolve.
    pub const RESOLVES_WITHIN: Duration = s(3);

    /// How long the answer to a rehearsal may take.
    pub const ANSWERS_WITHIN: Duration = s(3);

    /// How long a rehearsal that came from another place proves that this keeper can be reached.
    pub const PROVES_FOR: Duration = s(150);
}

/// Leaders that step down for keepers that see or have more.
pub mod step_down {
    use super::{Duration, min, s};

    /// How long a keeper that has stepped down does not do so again.
    pub const NOT_AGAIN_WITHIN: Duration = min(1);

    /// The same for a keeper whose file lacks more than that of the next keeper.
    pub const FILES_NOT_AGAIN_WITHIN: Duration = s(10);

    /// How long a file must have lacked more than others. A keeper that has just started has yet to report what its
    /// own file lacks.
    pub const FILES_SETTLE: Duration = s(1);

    /// How long a keeper must have seen less than others at least, however short the mark-down time is.
    pub const STEP_DOWN_AFTER_AT_LEAST: Duration = s(3);
}

/// Facts of nodes, read for a decision, and commands of other keepers.
pub mod facts {
    use super::{Duration, ms, s};

    /// How long a decision waits for fresh facts. A node that hangs delays no decision for longer.
    pub const FRESH_FACTS: Duration = ms(50);

    /// How long fresh facts may take when they are read for another keeper, which leads: two probes of a busy host.
    /// Only a leader that does not reach these nodes itself waits for them.
    pub const RELAYED_FACTS_TIMEOUT: Duration = ms(300);

    /// How long the leader waits for the outcome of a task.
    pub const OUTCOME_TIMEOUT: Duration = s(1);

    /// For how long a complete confirmation is valid: the withdrawal follows within this time, or the leader asks
    /// again.
    pub const CONFIRMATION_GOOD_FOR: Duration = s(1);
}

/// Redis Sentinels, and other managers that change roles from outside (RK-12).
pub mod managers {
    use super::{Duration, min, s};

    /// How long a Sentinel may take to replace a primary that the keepers find down. A Sentinel with default settings
    /// takes half of that: `down-after-milliseconds` is 30 s.
    pub const SENTINEL_TIMEOUT: Duration = min(1);

    /// How long a Sentinel counts as present after it was seen last. After each failover a Sentinel closes all of its
    /// connections. New ones follow within a second or two: `SENTINEL_PING_PERIOD` and `sentinelReconnectInstance` in
    /// <https://github.com/redis/redis/blob/7.0/src/sentinel.c>.
    pub const SENTINEL_GONE_AFTER: Duration = s(5);

    /// The time within which changes from outside must occur to trip the breaker.
    pub const BREAKER_WITHIN: Duration = min(1);

    /// How long the breaker holds the cluster, from the moment at which a keeper saw it tripped.
    pub const BREAKER_HELD_FOR: Duration = min(10);

    /// After this long without another change, the other manager has come to an end: the leader gives up a primary
    /// that was demoted.
    pub const BREAKER_SETTLED_AFTER: Duration = s(10);
}

/// The departure of a keeper that stops.
pub mod departure {
    use super::{Duration, ms};

    /// How long the session waits until coordination has confirmed that it is closed.
    pub const CLOSED_WITHIN: Duration = ms(500);

    /// The time limit for an orderly departure from ZooKeeper. After that, the keeper's nodes stay until the session
    /// expires.
    pub const LEAVE_WITHIN: Duration = ms(500);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts `$less < $more`, and tells both.
    macro_rules! assert_less {
        ($less:expr, $more:expr, $why:literal) => {
            assert!($less < $more, "{:?} < {:?}: {}", $less, $more, $why)
        };
    }

    /// How long a look may take with the questions that follow it.
    const LOOK: Duration = s(0)
        .saturating_add(groups::LOOKS_WITHIN)
        .saturating_add(groups::ANSWERS_WITHIN)
        .saturating_add(groups::ANSWERS_MARGIN);

    #[test]
    fn each_keeper_and_operator_waits_for_longer_than_the_next_one_takes() {
        use switchover::{
            ACKNOWLEDGED_WITHIN, ANSWERED_WITHIN, ASKED_FACTS, CAUGHT_UP_WITHIN,
            LEADER_ANSWERS_WITHIN, LEADER_CONNECTS_WITHIN, PAUSE_MARGIN, PROMOTED_BY,
            SWITCHED_WITHIN,
        };
        assert_less!(
            CAUGHT_UP_WITHIN,
            PROMOTED_BY / 2,
            "after half of the time the leader takes itself for stalled"
        );
        assert_less!(
            ACKNOWLEDGED_WITHIN + PROMOTED_BY + PAUSE_MARGIN,
            SWITCHED_WITHIN,
            "the operator hears of a switchover whose pause runs to its end"
        );
        let before = ASKED_FACTS + LOOK;
        assert_less!(
            before + SWITCHED_WITHIN,
            LEADER_ANSWERS_WITHIN,
            "the leader answers before the keeper that asks it gives up"
        );
        assert_less!(
            LEADER_CONNECTS_WITHIN,
            LEADER_ANSWERS_WITHIN,
            "a leader that takes no connection is told apart from one that does not answer"
        );
        assert_less!(
            before + LEADER_ANSWERS_WITHIN,
            ANSWERED_WITHIN,
            "a keeper that does not lead finds that out after a look of its own, and then asks the leader"
        );
    }

    #[test]
    fn a_look_in_advance_counts_until_the_next_one_is_over() {
        use groups::{
            AHEAD_EVERY, ANSWERS_WITHIN, AT_ONCE_WITHIN, CONNECTED_WITHIN, COUNTS_FOR, LOOKS_WITHIN,
        };
        assert_less!(
            AT_ONCE_WITHIN,
            LOOKS_WITHIN,
            "a monitor gives its look up before the change goes on without it"
        );
        assert_less!(
            CONNECTED_WITHIN,
            ANSWERS_WITHIN,
            "a keeper that takes its time to connect can still answer"
        );
        assert_less!(
            AHEAD_EVERY + LOOK,
            COUNTS_FOR,
            "the next look in advance is over before the last one counts no more"
        );
    }

    #[test]
    fn a_group_that_answers_is_not_forgotten_between_two_answers() {
        use groups::{
            ANSWERS_WITHIN, ASKED_EVERY, FIRST_RETRY, FORGOTTEN_AFTER, LAST_RETRY,
            LOOK_AT_LEAST_EVERY, NAME_FORGOTTEN_AFTER, ONCE_FORGOTTEN_AFTER, ROUND_EVERY,
            TWICE_AFTER,
        };
        let answered = ROUND_EVERY + ANSWERS_WITHIN;
        assert!(
            TWICE_AFTER <= ASKED_EVERY,
            "the answer to the second question counts as the second one"
        );
        assert_less!(
            ASKED_EVERY + answered,
            ONCE_FORGOTTEN_AFTER,
            "the second answer comes before the first one is forgotten"
        );
        assert_less!(
            ASKED_EVERY + answered + FIRST_RETRY + answered,
            FORGOTTEN_AFTER,
            "a single question that is lost does not make a rival forgotten"
        );
        assert_less!(
            LAST_RETRY.max(LOOK_AT_LEAST_EVERY),
            NAME_FORGOTTEN_AFTER,
            "a name is met and asked again before it is forgotten"
        );
    }

    #[test]
    fn a_rehearsal_is_over_before_the_next_one_and_one_that_is_lost_proves_nothing() {
        use rehearsal::{AGAIN, ANSWERS_WITHIN, EVERY, PROVES_FOR, RESOLVES_WITHIN};
        let takes = RESOLVES_WITHIN + ANSWERS_WITHIN;
        assert_less!(takes, AGAIN, "no two rehearsals with one keeper overlap");
        assert_less!(AGAIN, EVERY, "what is not known is tried sooner");
        assert_less!(
            EVERY * 2 + takes,
            PROVES_FOR,
            "one lost rehearsal does not make a keeper seem out of reach"
        );
    }

    #[test]
    fn leadership_rests_for_longer_than_it_takes_to_move() {
        use step_down::{
            FILES_NOT_AGAIN_WITHIN, FILES_SETTLE, NOT_AGAIN_WITHIN, STEP_DOWN_AFTER_AT_LEAST,
        };
        assert_less!(
            STEP_DOWN_AFTER_AT_LEAST,
            NOT_AGAIN_WITHIN,
            "leadership does not wander with the network"
        );
        assert_less!(
            FILES_SETTLE,
            FILES_NOT_AGAIN_WITHIN,
            "leadership does not wander while files are changed"
        );
        assert_less!(
            FILES_NOT_AGAIN_WITHIN,
            NOT_AGAIN_WITHIN,
            "files do not come and go as networks do"
        );
        assert_less!(
            FILES_SETTLE,
            STEP_DOWN_AFTER_AT_LEAST,
            "a lack in a file is certain sooner than a lack in sight"
        );
    }

    #[test]
    fn facts_are_read_before_the_time_for_their_use_is_over() {
        use facts::{CONFIRMATION_GOOD_FOR, FRESH_FACTS, OUTCOME_TIMEOUT, RELAYED_FACTS_TIMEOUT};
        assert_less!(
            FRESH_FACTS,
            RELAYED_FACTS_TIMEOUT,
            "a leader that reaches a node itself does not wait as long as for another keeper"
        );
        assert_less!(
            FRESH_FACTS,
            OUTCOME_TIMEOUT,
            "the keeper with the task reads the node first"
        );
        assert_less!(
            FRESH_FACTS,
            CONFIRMATION_GOOD_FOR,
            "the decision after a confirmation reads fresh facts, and finds it valid"
        );
    }

    #[test]
    fn a_hold_for_another_manager_outlasts_the_signs_of_it() {
        use managers::{
            BREAKER_HELD_FOR, BREAKER_SETTLED_AFTER, BREAKER_WITHIN, SENTINEL_GONE_AFTER,
            SENTINEL_TIMEOUT,
        };
        assert_less!(
            SENTINEL_GONE_AFTER,
            SENTINEL_TIMEOUT,
            "a Sentinel that has ended is forgotten before its time to act is over"
        );
        assert_less!(
            BREAKER_SETTLED_AFTER,
            BREAKER_WITHIN,
            "a manager that goes on trips the breaker anew"
        );
        assert_less!(
            BREAKER_WITHIN,
            BREAKER_HELD_FOR,
            "the changes that tripped the breaker do not count again when it closes"
        );
    }

    #[test]
    fn a_departure_waits_for_the_session_to_be_closed() {
        use departure::{CLOSED_WITHIN, LEAVE_WITHIN};
        assert!(
            CLOSED_WITHIN <= LEAVE_WITHIN,
            "the session gives up before the keeper does"
        );
    }
}
