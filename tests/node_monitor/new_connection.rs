//! A question to a node on a new connection, besides the probes (RK-2).

use std::time::Duration;

use redis_keeper::actors::messages::ProbeOnNewConnection;
use redis_keeper::domain::confirmation::Finding;
use redis_keeper::ports::clock::LeaseClock;

use crate::fake_redis::Manner;
use crate::time::on_virtual_time;
use crate::watch::{MARK_DOWN, PRECISION, Watch};

const PATIENCE: Duration = Duration::from_millis(50);

/// The finding of a question on a new connection, and how long it took.
async fn asked(watch: &Watch) -> (Finding, Duration) {
    let began = watch.clock.now();
    let asked = watch
        .monitor
        .send(ProbeOnNewConnection)
        .await
        .expect("running");
    (asked.finding, watch.clock.now().since(began))
}

#[test]
fn a_node_that_refuses_or_answers_is_told_at_once_and_one_that_hangs_after_its_time() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        for (manner, finding) in [
            (Manner::Answers, Finding::Answers),
            (
                Manner::Errors("NOAUTH Authentication required."),
                Finding::Answers,
            ),
            (Manner::Loading, Finding::Loading),
            (Manner::Refuses, Finding::Refused),
            (Manner::HostFails, Finding::Unknown),
        ] {
            watch.server.behaves(manner);
            let (found, took) = asked(&watch).await;
            assert_eq!(found, finding);
            assert!(took < PRECISION, "{found:?} took {took:?}");
        }
        watch.server.behaves(Manner::Hangs);
        let (found, took) = asked(&watch).await;
        assert_eq!(found, Finding::Silent);
        assert!((PATIENCE..PATIENCE + PRECISION).contains(&took), "{took:?}");
    });
}

#[test]
fn a_node_that_is_far_away_has_four_times_what_it_usually_takes() {
    on_virtual_time(async {
        let far = Duration::from_millis(30);
        let watch = Watch::node(|server| server.takes(far));
        watch.next(|observation| observation.answering).await;
        watch.server.behaves(Manner::Hangs);
        let (found, took) = asked(&watch).await;
        assert_eq!(found, Finding::Silent);
        assert!((4 * far..5 * far).contains(&took), "{took:?}");
    });
}

#[test]
fn an_answer_on_a_new_connection_takes_the_vote_back_though_the_old_one_is_mute() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Hangs);
        watch.next(|observation| observation.vote.is_some()).await;
        assert!(watch.last().owes_since.is_some());
        watch.server.behaves(Manner::Answers);
        let (found, _) = asked(&watch).await;
        assert_eq!(found, Finding::Answers);
        assert_eq!(watch.last().vote, None);
        // The vote comes back only after another mark-down time without a proof of life.
        watch.server.behaves(Manner::Hangs);
        let answered = watch.clock.now();
        let (again, _) = watch.next(|observation| observation.vote.is_some()).await;
        assert!(again.since(answered) + PRECISION >= MARK_DOWN);
    });
}
