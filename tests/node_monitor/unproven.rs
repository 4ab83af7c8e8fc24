//! Answers that do not show which process gave them.

use redis_keeper::actors::messages::InspectObservation;
use redis_keeper::domain::observation::NodeObservation;
use redis_keeper::ports::clock::LeaseClock;
use tokio::time::sleep;

use crate::fake_redis::Manner;
use crate::time::on_virtual_time;
use crate::watch::{MARK_DOWN, TICK, Watch};

const NOAUTH: Manner = Manner::Errors("NOAUTH Authentication required.");

/// A node that was read, and then behaves like this on new connections.
async fn turned(watch: &Watch, manner: Manner) -> NodeObservation {
    watch.probed().await;
    watch.server.behaves(manner);
    watch.server.cut();
    sleep(2 * TICK).await;
    watch.last()
}

#[test]
fn an_error_on_a_new_connection_proves_no_process_and_what_was_read_is_kept() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        let read = watch.probed().await;
        watch.server.dies();
        let died = watch.clock.now();
        sleep(TICK / 5).await;
        watch.server.behaves(NOAUTH);
        let (_, observation) = watch.next(|it| it.unproven.is_some()).await;
        let unproven = observation.unproven.expect("seen");
        assert!(unproven.known && !unproven.foreign, "{unproven:?}");
        assert!(read.since(unproven.since) < TICK / 100, "{unproven:?}");
        let refused = unproven.refused.expect("nobody listened");
        assert!(refused.since(died) < TICK / 100, "{unproven:?}");
        assert!(observation.answering && observation.facts.is_some());
        assert_eq!((observation.named(), &observation.process), (None, &None));

        // A reply proves that the process lives that gave it.
        sleep(3 * MARK_DOWN).await;
        assert_eq!(watch.last().vote, None);
        assert_eq!(watch.last().unproven, Some(unproven));

        watch.server.behaves(Manner::Answers);
        let (_, observation) = watch.next(|it| it.unproven.is_none()).await;
        assert!(observation.named().is_some());
    });
}

#[test]
fn a_process_that_named_itself_on_the_connection_is_proven_by_any_answer() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        for error in ["NOPERM this user has no permissions", "BUSY", "ERR"] {
            watch.server.behaves(Manner::Errors(error));
            let (_, observation) = watch.next(|it| it.trouble.is_some()).await;
            assert_eq!(observation.unproven, None, "{error}");
            watch.server.behaves(Manner::Answers);
            watch.next(|it| it.trouble.is_none()).await;
        }
    });
}

#[test]
fn a_new_password_and_the_end_of_the_connection_are_no_refusal() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        let unproven = turned(&watch, NOAUTH).await.unproven.expect("seen");
        assert_eq!(unproven.refused, None);
    });
}

#[test]
fn an_error_that_passes_says_nothing_of_the_process() {
    on_virtual_time(async {
        for error in ["BUSY Redis is busy", "ERR max number of clients reached"] {
            let watch = Watch::node(|_| ());
            let observation = turned(&watch, Manner::Errors(error)).await;
            assert_eq!(observation.unproven, None, "{error}");
        }
    });
}

#[test]
fn an_info_without_a_run_id_is_foreign_and_replaces_no_facts() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        let facts = watch.last().facts;
        watch.server.tells(|info| {
            (info.run_id, info.role) = (None, None);
            info.replication_id = Some("f".repeat(40));
        });
        watch.server.cut();
        sleep(3 * TICK).await;
        let observation = watch.last();
        assert!(
            observation.unproven.is_some_and(|it| it.foreign),
            "{observation:?}"
        );
        assert_eq!(observation.facts, facts);
    });
}

#[test]
fn a_node_that_never_named_itself_is_told_as_that() {
    on_virtual_time(async {
        let watch = Watch::node(|server| server.behaves(NOAUTH));
        let (_, observation) = watch.next(|it| it.answering).await;
        let unproven = observation.unproven.expect("seen");
        assert!(!unproven.known, "{unproven:?}");
        assert_eq!(
            observation.trouble_in_words(),
            "NOAUTH Authentication required."
        );
    });
}

#[test]
fn facts_that_nothing_renews_are_told_old_after_the_mark_down_time_and_once() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Errors("NOPERM"));
        let (since, turned) = watch.next(|it| it.trouble.is_some()).await;
        assert!(turned.outdated.is_none() && turned.named().is_some());
        let (at, old) = watch.next(|it| it.outdated.is_some()).await;
        let took = at.since(since);
        assert!(
            MARK_DOWN <= took + TICK && took <= MARK_DOWN + TICK,
            "{took:?}"
        );
        assert!(old.facts.is_some() && old.named().is_none());
        assert_eq!(old.vote, None, "it is alive");
        let told = watch.told.borrow().len();
        sleep(3 * MARK_DOWN).await;
        assert_eq!(watch.told.borrow().len(), told);
        watch.server.behaves(Manner::Answers);
        let (_, read) = watch.next(|it| it.outdated.is_none()).await;
        assert!(read.named().is_some());
    });
}

#[test]
fn figures_that_move_by_themselves_are_asked_for_and_told_without_a_probe() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.tells(|info| info.offset = Some(4_711));
        watch.probed().await;
        let deeds = watch.server.deeds().len();
        let seen = watch
            .monitor
            .send(InspectObservation)
            .await
            .expect("a monitor");
        assert_eq!(seen.facts.map(|facts| facts.offset), Some(4_711));
        assert_eq!(watch.server.deeds().len(), deeds);
        assert_eq!(watch.told.borrow().len(), 1, "unasked only what matters");
    });
}
