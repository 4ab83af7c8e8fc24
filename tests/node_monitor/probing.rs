//! How often a monitor asks a node, for what, and over which connections.

use std::time::Duration;

use redis_keeper::actors::messages::{InspectMonitor, Refresh};
use redis_keeper::domain::node::NodeAddr;
use redis_keeper::domain::observation::NodeObservation;
use redis_keeper::ports::clock::LeaseClock;
use redis_keeper::ports::redis::Depth;
use tokio::time::sleep;

use crate::fake_redis::{Deed, Manner, replica_of};
use crate::time::on_virtual_time;
use crate::watch::{MARK_DOWN, PRECISION, PROBE_TIMEOUT, TICK, Watch, probes};

#[test]
fn one_probe_a_tick_and_now_and_then_a_full_one_and_no_news_is_not_told() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.next(|_| true).await;
        watch.server.take_deeds();
        for offset in 0..100 {
            watch.server.tells(|info| info.offset = Some(offset));
            sleep(TICK).await;
        }
        let deeds = watch.server.take_deeds();
        assert!((99..=101).contains(&deeds.len()), "{}", deeds.len());
        assert!((9..=11).contains(&probes(&deeds, Depth::FullWithSettings)));
        assert_eq!(watch.count(), 1);
        let state = watch.monitor.send(InspectMonitor).await.unwrap();
        assert!(state.observation.facts.unwrap().offset >= 98);
        assert_eq!(state.failures, 0);
    });
}

#[test]
fn a_connection_that_stays_silent_is_given_up() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Hangs);
        watch.next(|observation| observation.vote.is_some()).await;
        watch.server.take_deeds();
        sleep(10 * TICK).await;
        let deeds = watch.server.take_deeds();
        let connects = deeds.iter().filter(|deed| **deed == Deed::Connect).count();
        assert!((2..=4).contains(&connects), "{connects}");
    });
}

#[test]
fn a_cut_connection_is_replaced_at_once_and_is_no_news() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.cut();
        sleep(PRECISION).await;
        assert_eq!(
            watch.server.take_deeds(),
            [Deed::Connect, Deed::Probe(Depth::FullWithSettings)]
        );
        assert_eq!(watch.count(), 1);
    });
}

#[test]
fn a_node_that_cuts_every_connection_is_not_tried_without_end() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        for _ in 0..1_000 {
            watch.server.cut();
            sleep(Duration::from_millis(10)).await;
        }
        assert!(watch.server.take_deeds().len() < 60);
    });
}

#[test]
fn a_lost_primary_is_probed_fast_for_its_return_until_it_is_voted_down() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        for away in [15, 170, 1_400].map(Duration::from_millis) {
            sleep(TICK).await;
            watch.probed().await;
            watch.server.dies();
            sleep(away).await;
            watch
                .server
                .tells(|info| info.run_id = Some(format!("{away:?}")));
            watch.server.behaves(Manner::Loading);
            let loading =
                |seen: &NodeObservation| seen.facts.as_ref().is_some_and(|facts| facts.loading);
            let back = watch.clock.now();
            let (seen, _) = watch.next(loading).await;
            assert!(
                seen.since(back) < Duration::from_millis(52),
                "{:?}",
                seen.since(back)
            );
            watch.server.behaves(Manner::Answers);
            let loaded = watch.clock.now();
            let (seen, _) = watch.next(|seen| !loading(seen)).await;
            assert!(
                seen.since(loaded) < Duration::from_millis(52),
                "{:?}",
                seen.since(loaded)
            );
        }
        watch.probed().await;
        watch.server.dies();
        watch.next(|observation| observation.vote.is_some()).await;
        watch.server.take_deeds();
        sleep(TICK * 60).await;
        assert!(watch.server.take_deeds().len() < 70, "then each tick");
    });
}

#[test]
fn a_replica_that_went_away_is_asked_each_tick() {
    on_virtual_time(async {
        let primary = NodeAddr::new("10.0.0.9", 6379);
        let watch =
            Watch::node(|server| server.tells(|info| info.role = Some(replica_of(&primary))));
        watch.probed().await;
        watch.server.dies();
        sleep(MARK_DOWN).await;
        assert!(watch.server.take_deeds().len() <= 6);
    });
}

#[test]
fn a_refresh_reads_after_it_was_asked_and_is_shared() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.tells(|info| info.offset = Some(77));
        let asked = watch.clock.now();
        let (one, other) = futures::join!(
            watch.monitor.send(Refresh::default()),
            watch.monitor.send(Refresh::default())
        );
        let observation = one.unwrap();
        assert_eq!(observation.facts.as_ref().unwrap().offset, 77);
        assert!(observation.at >= asked && observation.at.since(asked) < PRECISION);
        assert_eq!(observation, other.unwrap());
        assert_eq!(watch.server.take_deeds(), [Deed::Probe(Depth::Full)]);
    });
}

#[test]
fn settings_are_read_when_they_are_asked_for_and_remembered_until_the_next_time() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        // The settings are also read with every probe that is due to read everything.
        assert!(matches!(watch.last().min_replicas, Some(Ok(_))));
        let refresh = Refresh { settings: true };
        let observation = watch.monitor.send(refresh).await.unwrap();
        let read = observation.min_replicas;
        assert!(matches!(read, Some(Ok(_))), "{read:?}");
        let deeds = watch.server.take_deeds();
        assert_eq!(deeds, [Deed::Probe(Depth::FullWithSettings)]);
        let plain = watch.monitor.send(Refresh::default()).await.unwrap();
        assert_eq!(plain.min_replicas, read);
        let deeds = watch.server.take_deeds();
        assert_eq!(deeds, [Deed::Probe(Depth::Full)]);
    });
}

#[test]
fn a_refresh_of_a_hung_node_ends_with_the_probe_timeout() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Hangs);
        let asked = watch.clock.now();
        let observation = watch.monitor.send(Refresh::default()).await.unwrap();
        assert!(!observation.answering);
        assert!(watch.clock.now().since(asked) < PROBE_TIMEOUT + PRECISION);
    });
}

#[test]
fn a_refresh_does_not_wait_for_a_slow_resolver() {
    on_virtual_time(async {
        let watch = Watch::of("redis-1", |redis, _| redis.name("redis-1", &["10.0.0.1"]));
        watch.probed().await;
        watch.redis.resolving.replace(Duration::from_hours(1));
        let asked = watch.clock.now();
        let observation = watch.monitor.send(Refresh::default()).await.unwrap();
        assert!(observation.at >= asked);
        assert!(watch.clock.now().since(asked) < Duration::from_millis(50) + PRECISION);
    });
}

#[test]
fn a_refresh_tells_of_the_server_that_the_name_means_now() {
    on_virtual_time(async {
        let watch = Watch::of("redis-1", |redis, _| redis.name("redis-1", &["10.0.0.1"]));
        watch.probed().await;
        let before = watch.monitor.send(Refresh::default()).await.unwrap();
        watch.redis.name("redis-1", &["10.0.0.2"]);
        watch.server.take_deeds();
        let asked = watch.clock.now();
        let observation = watch.monitor.send(Refresh::default()).await.unwrap();
        assert!(watch.clock.now().since(asked) < PRECISION);
        assert_ne!(observation.addresses, before.addresses);
        let deeds = watch.server.take_deeds();
        let connect = deeds.iter().rposition(|deed| *deed == Deed::Connect);
        assert!(connect.is_some(), "it leads to another server: {deeds:?}");
        let told = watch.told.borrow();
        assert!(
            told.iter()
                .all(|(_, told)| told.addresses == before.addresses || told.at == observation.at)
        );
    });
}
