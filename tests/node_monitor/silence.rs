//! A silent connection is not a silent node: when a monitor tries a new connection, and what follows.

use std::rc::Rc;
use std::time::Duration;

use redis_keeper::actors::messages::Refresh;
use redis_keeper::actors::node_monitor::FreshConnections;
use redis_keeper::domain::liveness::DownReason;
use redis_keeper::ports::clock::LeaseClock;
use tokio::time::sleep;

use crate::fake_redis::{Deed, Manner};
use crate::time::on_virtual_time;
use crate::watch::{MARK_DOWN, PRECISION, PROBE_TIMEOUT, TICK, Watch};

/// The most new connections that a process opens at once beside silent ones.
const AT_ONCE: usize = 64;

fn connects(watch: &Watch) -> usize {
    let deeds = watch.server.take_deeds();
    deeds.iter().filter(|deed| **deed == Deed::Connect).count()
}

fn ever_voted_down(watch: &Watch) -> bool {
    let told = watch.told.borrow();
    told.iter()
        .any(|(_, observation)| observation.vote.is_some())
}

#[test]
fn a_node_whose_connection_goes_mute_is_seen_alive_on_a_new_one_within_a_probe() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch
            .server
            .tells(|info| info.run_id = Some("other".into()));
        watch.server.mutes();
        watch.server.take_deeds();
        sleep(TICK + PROBE_TIMEOUT).await;
        assert!(watch.last().answering && watch.last().vote.is_none());
        let facts = watch.last().facts.expect("facts");
        assert_eq!(facts.run_id, "other", "everything is asked there");
        assert_eq!(connects(&watch), 1);
        sleep(10 * TICK).await;
        assert_eq!(connects(&watch), 0, "the new connection is kept");
    });
}

#[test]
fn a_node_whose_connections_go_mute_again_and_again_is_never_voted_down() {
    on_virtual_time(async {
        for every in [40, 170, 333, 900, 1_700, 2_900].map(Duration::from_millis) {
            let watch = Watch::node(|_| ());
            watch.probed().await;
            for _ in 0..200 {
                watch.server.mutes();
                sleep(every).await;
            }
            assert!(!ever_voted_down(&watch), "mute every {every:?}");
        }
    });
}

#[test]
fn a_blackout_and_then_mute_flows_are_no_vote() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        // The old connection and a new one are silent for a while, and then only the old one.
        watch.server.behaves(Manner::Hangs);
        sleep(2 * TICK + PROBE_TIMEOUT).await;
        watch.server.mutes();
        watch.server.behaves(Manner::Answers);
        sleep(10 * TICK).await;
        assert!(!ever_voted_down(&watch));
    });
}

#[test]
fn no_connection_is_opened_beside_one_that_answers_in_half_of_the_time() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.takes(PROBE_TIMEOUT * 48 / 100);
        sleep(60 * TICK).await;
        assert_eq!(connects(&watch), 0);
    });
}

#[test]
fn a_node_that_is_voted_down_for_its_silence_costs_no_connection_a_probe() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Hangs);
        watch.next(|observation| observation.vote.is_some()).await;
        connects(&watch);
        sleep(60 * TICK).await;
        let connects = connects(&watch);
        assert!((19..=21).contains(&connects), "{connects}");
    });
}

#[test]
fn silence_is_no_vote_while_this_host_can_open_no_new_connection() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.host_fails(true);
        watch.server.behaves(Manner::Hangs);
        sleep(10 * TICK).await;
        assert!(!ever_voted_down(&watch));
        let trouble = watch.last().trouble.expect("trouble");
        assert!(trouble.contains("no file descriptors"), "{trouble}");
        watch.server.host_fails(false);
        let (_, observation) = watch.next(|observation| observation.vote.is_some()).await;
        assert_eq!(observation.vote, Some(DownReason::Unanswered));
    });
}

#[test]
fn a_connection_that_is_closed_before_its_first_answer_is_silence_not_closed() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        let alive = watch.probed().await;
        watch.server.behaves(Manner::Closes);
        watch.server.cut();
        let (at, observation) = watch.next(|observation| observation.vote.is_some()).await;
        assert_eq!(observation.vote, Some(DownReason::Unanswered));
        assert!(!observation.refused);
        let after = at.since(alive);
        assert!(
            (MARK_DOWN..MARK_DOWN + PRECISION).contains(&after),
            "{after:?}"
        );
    });
}

#[test]
fn many_silent_nodes_are_voted_down_in_time_with_few_new_connections_at_once() {
    on_virtual_time(async {
        let fresh = Rc::<FreshConnections>::default();
        let nodes: Vec<_> = (0..1_000)
            .map(|number| Watch::with(fresh.clone(), &format!("10.0.0.{number}"), |_, _| ()))
            .collect();
        sleep(3 * TICK).await;
        let clock = &nodes[0].clock;
        let silent = clock.now();
        for node in &nodes {
            node.server.behaves(Manner::Hangs);
        }
        let mut beside = 0;
        while clock.now().since(silent) < MARK_DOWN + PRECISION {
            sleep(Duration::from_millis(10)).await;
            let open = nodes.iter().map(|node| node.server.open()).sum::<usize>();
            beside = beside.max(open.saturating_sub(nodes.len()));
        }
        assert!((AT_ONCE / 2..=AT_ONCE).contains(&beside), "{beside}");
        let down = nodes.iter().filter(|node| ever_voted_down(node)).count();
        assert_eq!(down, nodes.len());
    });
}

#[test]
fn flows_that_all_go_mute_at_once_are_no_vote_on_any_node() {
    on_virtual_time(async {
        let fresh = Rc::<FreshConnections>::default();
        let latency = Duration::from_millis(60);
        let nodes: Vec<_> = (0..1_000)
            .map(|number| {
                Watch::with(fresh.clone(), &format!("10.0.0.{number}"), |_, server| {
                    server.takes(latency);
                })
            })
            .collect();
        for _ in 0..5 {
            sleep(3 * TICK).await;
            for node in &nodes {
                node.server.mutes();
            }
        }
        sleep(2 * MARK_DOWN).await;
        let down = nodes.iter().filter(|node| ever_voted_down(node)).count();
        assert_eq!(down, 0);
    });
}

#[test]
fn a_resolver_that_hangs_is_no_silence_of_the_node() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.is_unknown(true);
        watch.server.dies();
        sleep(20 * TICK).await;
        assert!(!ever_voted_down(&watch));
        let trouble = watch.last().trouble.expect("trouble");
        assert!(
            trouble.contains("the resolver has not answered"),
            "{trouble}"
        );
        watch.server.is_unknown(false);
        let (_, observation) = watch.next(|observation| observation.vote.is_some()).await;
        assert_eq!(observation.vote, Some(DownReason::Refused));
    });
}

#[test]
fn a_late_answer_of_a_node_is_awaited_and_a_hang_is_voted_down_no_later() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        let late = PROBE_TIMEOUT + PROBE_TIMEOUT / 5;
        watch.server.takes(late);
        let answering = async || {
            let asked = watch.monitor.send(Refresh::default()).await.unwrap();
            asked.answering
        };
        // The monitor does not wait for the first, late answers.
        sleep(10 * TICK).await;
        for _ in 0..5 {
            assert!(answering().await);
        }
        let vote = watch.last().vote;
        assert_eq!(vote, None);
        watch.server.behaves(Manner::Hangs);
        let hung = watch.clock.now();
        let (at, _) = watch.next(|observation| observation.vote.is_some()).await;
        assert!(
            at.since(hung) <= MARK_DOWN + PRECISION,
            "{:?}",
            at.since(hung)
        );
        watch.server.behaves(Manner::Answers);
        watch.server.takes(Duration::from_micros(100));
        watch.next(|observation| observation.answering).await;
    });
}
