//! The moment at which a node is voted down, to the millisecond, and what is no evidence.

use std::time::Duration;

use redis_keeper::domain::liveness::DownReason;
use redis_keeper::domain::node::Moment;
use redis_keeper::ports::clock::LeaseClock;
use tokio::time::sleep;

use crate::fake_redis::Manner;
use crate::time::on_virtual_time;
use crate::watch::{MARK_DOWN, PRECISION, PROBE_TIMEOUT, TICK, Watch};

/// Asserts that a node whose last proof of life was at `since` is voted down for `reason` at the end of the mark-down
/// time.
async fn voted_down_at_the_mark_down_moment(watch: &Watch, since: Moment, reason: DownReason) {
    let (at, observation) = watch.next(|observation| observation.vote.is_some()).await;
    assert_eq!(observation.vote, Some(reason));
    let after = at.since(since);
    assert!(
        (MARK_DOWN..MARK_DOWN + PRECISION).contains(&after),
        "{after:?}"
    );
}

#[test]
fn a_dead_node_is_voted_down_exactly_at_the_mark_down_moment() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        let alive = watch.probed().await;
        watch.server.dies();
        let (first, observation) = watch.next(|_| true).await;
        assert!(
            !observation.answering && first.since(alive) < 3 * PRECISION,
            "noticed at once"
        );
        voted_down_at_the_mark_down_moment(&watch, alive, DownReason::Refused).await;
    });
}

#[test]
fn a_hung_node_is_voted_down_exactly_at_the_mark_down_moment() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        let alive = watch.probed().await;
        watch.server.behaves(Manner::Hangs);
        voted_down_at_the_mark_down_moment(&watch, alive, DownReason::Unanswered).await;
    });
}

#[test]
fn a_hung_node_that_goes_on_is_seen_alive_at_once() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Hangs);
        watch.next(|observation| observation.vote.is_some()).await;
        let went_on = watch.clock.now();
        watch.server.behaves(Manner::Answers);
        let (at, _) = watch.next(|observation| observation.vote.is_none()).await;
        assert!(at.since(went_on) < PRECISION, "{:?}", at.since(went_on));
    });
}

#[test]
fn an_error_reply_is_proof_of_life_and_told_as_trouble() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Errors("BUSY Redis is busy"));
        sleep(60 * TICK).await;
        let observation = watch.last();
        assert_eq!(observation.trouble.as_deref(), Some("BUSY Redis is busy"));
        assert!(observation.vote.is_none() && observation.answering && observation.facts.is_some());
    });
}

#[test]
fn loading_is_told_at_once_and_voted_on_after_the_mark_down_time() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Loading);
        let (since, observation) = watch.next(|_| true).await;
        assert!(observation.facts.unwrap().loading && observation.vote.is_none());
        voted_down_at_the_mark_down_moment(&watch, since, DownReason::Loading).await;
    });
}

#[test]
fn failures_of_this_host_are_never_a_vote() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::HostFails);
        watch.server.cut();
        sleep(60 * TICK).await;
        let observation = watch.last();
        assert!(
            observation.vote.is_none() && !observation.answering,
            "{observation:?}"
        );
    });
}

#[test]
fn after_a_suspension_nothing_is_voted_before_a_fresh_probe() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.dies();
        watch.next(|observation| !observation.answering).await;
        watch.server.behaves(Manner::Answers);
        watch.clock.suspend(100 * TICK);
        sleep(10 * TICK).await;
        let told = watch.told.borrow();
        assert!(
            told.iter()
                .all(|(_, observation)| observation.vote.is_none())
        );
        assert!(told.last().unwrap().1.answering);
    });
}

#[test]
fn after_a_suspension_a_dead_node_is_voted_down_within_a_tick() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.dies();
        watch.next(|observation| !observation.answering).await;
        watch.clock.suspend(100 * TICK);
        let resumed = watch.clock.now();
        let (at, _) = watch.next(|observation| observation.vote.is_some()).await;
        assert!(
            at.since(resumed) <= TICK + PRECISION,
            "{:?}",
            at.since(resumed)
        );
    });
}

#[test]
fn a_slow_answer_is_proof_of_life_even_when_it_is_always_late() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch
            .server
            .takes(PROBE_TIMEOUT + Duration::from_millis(200));
        sleep(30 * TICK).await;
        let told = watch.told.borrow();
        assert!(
            told.iter()
                .all(|(_, observation)| observation.vote.is_none())
        );
    });
}
