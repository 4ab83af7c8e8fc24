//! The node monitor on virtual time, with servers inside the process.

#[path = "fakes/clock.rs"]
mod clock;
#[path = "fakes/redis.rs"]
#[allow(dead_code)]
mod fake_redis;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use redis_keeper::actors::messages::{InspectMonitor, Refresh, Sighted};
use redis_keeper::actors::node_monitor::{MonitorSettings, NodeMonitor};
use redis_keeper::domain::facts::{DownReason, Role, Sighting};
use redis_keeper::domain::node::{ClusterName, Moment, NodeAddr};
use redis_keeper::ports::clock::LeaseClock;
use redis_keeper::ports::redis::Depth;
use tokio::time::sleep;

use clock::VirtualClock;
use fake_redis::{Deed, FakeRedis, FakeServer, Manner, replica_of};

const TICK: Duration = Duration::from_secs(1);
const MARK_DOWN: Duration = Duration::from_secs(3);
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// What timers of a millisecond's resolution may add.
const PRECISION: Duration = Duration::from_millis(3);

fn virtually(test: impl Future<Output = ()>) {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    };
    System::with_tokio_rt(runtime).block_on(test);
}

/// A monitor at work, and what it told.
struct Watch {
    redis: Rc<FakeRedis>,
    server: Rc<FakeServer>,
    clock: Arc<VirtualClock>,
    monitor: Addr<NodeMonitor>,
    told: Rc<RefCell<Vec<(Moment, Sighting)>>>,
}

impl Watch {
    fn of(host: &str, prepare: impl FnOnce(&FakeRedis, &FakeServer)) -> Self {
        let addr = NodeAddr::new(host, 6379);
        let redis = Rc::new(FakeRedis::default());
        let server = redis.server(&addr);
        prepare(&redis, &server);
        let clock = Arc::new(VirtualClock::new());
        let told = Rc::<RefCell<Vec<_>>>::default();
        let monitor = NodeMonitor::new(
            redis.clone(),
            ClusterName::new("c"),
            addr,
            MonitorSettings {
                tick: TICK,
                mark_down: MARK_DOWN,
                probe_timeout: PROBE_TIMEOUT,
                full_every: 10 * TICK,
                max_lag: Some(Duration::from_secs(5)),
                settings: false,
            },
            clock.clone(),
            {
                let (told, clock) = (told.clone(), clock.clone());
                Rc::new(move |news: Sighted| told.borrow_mut().push((clock.now(), news.sighting)))
            },
        )
        .start();
        Self {
            redis,
            server,
            clock,
            monitor,
            told,
        }
    }

    fn node(prepare: impl FnOnce(&FakeServer)) -> Self {
        Self::of("10.0.0.1", |_, server| prepare(server))
    }

    fn last(&self) -> Sighting {
        self.told
            .borrow()
            .last()
            .expect("something was told")
            .1
            .clone()
    }

    fn count(&self) -> usize {
        self.told.borrow().len()
    }

    /// The next sighting that is as wanted, with the moment it was told; within a minute.
    async fn next(&self, wanted: impl Fn(&Sighting) -> bool) -> (Moment, Sighting) {
        let from = self.count();
        for _ in 0..60_000 {
            let found = self.told.borrow()[from..]
                .iter()
                .find(|(_, sighting)| wanted(sighting))
                .cloned();
            if let Some(found) = found {
                return found;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("never told; last: {:?}", self.last());
    }

    /// Until just after a probe was answered.
    async fn probed(&self) -> Moment {
        self.server.take_deeds();
        loop {
            sleep(Duration::from_millis(1)).await;
            let deeds = self.server.take_deeds();
            if deeds.iter().any(|deed| matches!(deed, Deed::Probe(_))) {
                sleep(Duration::from_millis(1)).await;
                return self
                    .monitor
                    .send(InspectMonitor)
                    .await
                    .unwrap()
                    .last_alive
                    .unwrap();
            }
        }
    }
}

fn probes(deeds: &[Deed], depth: Depth) -> usize {
    deeds
        .iter()
        .filter(|deed| **deed == Deed::Probe(depth))
        .count()
}

#[test]
fn the_first_probe_is_told_whole() {
    virtually(async {
        let watch = Watch::node(|server| server.watched_by(&["sentinel-1 at 10.0.0.9"]));
        let (_, sighting) = watch.next(|_| true).await;
        let facts = sighting.facts.expect("facts");
        assert_eq!(facts.role, Role::Primary { online_replicas: 0 });
        assert_eq!(facts.sentinels, ["sentinel-1 at 10.0.0.9"]);
        assert!(sighting.probed && sighting.answering && sighting.vote.is_none());
        assert_eq!(sighting.addresses, ["10.0.0.1".parse().unwrap()].into());
    });
}

#[test]
fn a_first_probe_that_fails_is_told_too() {
    virtually(async {
        let watch = Watch::node(|server| server.behaves(Manner::Refuses));
        let (_, sighting) = watch.next(|_| true).await;
        assert!(sighting.probed && !sighting.answering);
        assert_eq!((sighting.facts, sighting.vote), (None, None));
        assert_eq!(sighting.trouble.as_deref(), Some("connection refused"));
    });
}

#[test]
fn one_probe_a_tick_and_now_and_then_a_full_one_and_no_news_is_not_told() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.next(|_| true).await;
        watch.server.take_deeds();
        for offset in 0..100 {
            watch.server.tells(|info| info.offset = Some(offset));
            sleep(TICK).await;
        }
        let deeds = watch.server.take_deeds();
        assert!((99..=101).contains(&deeds.len()), "{}", deeds.len());
        assert!((9..=11).contains(&probes(&deeds, Depth::Full)));
        assert_eq!(watch.count(), 1);
        let state = watch.monitor.send(InspectMonitor).await.unwrap();
        assert!(state.sighting.facts.unwrap().offset >= 98);
        assert_eq!(state.failures, 0);
    });
}

#[test]
fn a_change_of_role_is_told_at_the_next_tick() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.next(|_| true).await;
        let primary = NodeAddr::new("10.0.0.2", 6379);
        watch
            .server
            .tells(|info| info.role = Some(replica_of(&primary)));
        let (_, sighting) = watch.next(|_| true).await;
        let facts = sighting.facts.unwrap();
        assert_eq!(facts.upstream().unwrap().primary, primary);
        assert_eq!(
            sighting.upstream_addresses,
            ["10.0.0.2".parse().unwrap()].into()
        );
    });
}

#[test]
fn a_dead_node_is_voted_down_exactly_at_the_mark_down_moment() {
    virtually(async {
        let watch = Watch::node(|_| ());
        let alive = watch.probed().await;
        watch.server.dies();
        let (first, sighting) = watch.next(|_| true).await;
        assert!(
            !sighting.answering && first.since(alive) < 3 * PRECISION,
            "noticed at once"
        );
        let (at, sighting) = watch.next(|sighting| sighting.vote.is_some()).await;
        assert_eq!(sighting.vote, Some(DownReason::Refused));
        assert!(at.since(alive) >= MARK_DOWN);
        assert!(
            at.since(alive) < MARK_DOWN + PRECISION,
            "{:?}",
            at.since(alive)
        );
    });
}

#[test]
fn a_hung_node_is_voted_down_exactly_at_the_mark_down_moment() {
    virtually(async {
        let watch = Watch::node(|_| ());
        let alive = watch.probed().await;
        watch.server.behaves(Manner::Hangs);
        let (at, sighting) = watch.next(|sighting| sighting.vote.is_some()).await;
        assert_eq!(sighting.vote, Some(DownReason::Unanswered));
        assert!(at.since(alive) >= MARK_DOWN);
        assert!(
            at.since(alive) < MARK_DOWN + PRECISION,
            "{:?}",
            at.since(alive)
        );
    });
}

#[test]
fn a_hung_node_that_goes_on_is_seen_alive_at_once() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Hangs);
        watch.next(|sighting| sighting.vote.is_some()).await;
        let went_on = watch.clock.now();
        watch.server.behaves(Manner::Answers);
        let (at, _) = watch.next(|sighting| sighting.vote.is_none()).await;
        assert!(at.since(went_on) < PRECISION, "{:?}", at.since(went_on));
    });
}

#[test]
fn a_connection_that_stays_silent_is_given_up() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Hangs);
        sleep(10 * TICK).await;
        let deeds = watch.server.take_deeds();
        let connects = deeds.iter().filter(|deed| **deed == Deed::Connect).count();
        assert!((2..=4).contains(&connects), "{connects}");
    });
}

#[test]
fn a_cut_connection_is_replaced_at_once_and_is_no_news() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.cut();
        sleep(PRECISION).await;
        assert_eq!(
            watch.server.take_deeds(),
            [Deed::Connect, Deed::Probe(Depth::Full)]
        );
        assert_eq!(watch.count(), 1);
    });
}

#[test]
fn a_node_that_cuts_every_connection_is_not_tried_without_end() {
    virtually(async {
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
fn a_primary_that_went_away_is_seen_within_moments_of_its_return_until_it_is_voted_down() {
    virtually(async {
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
            let loading = |seen: &Sighting| seen.facts.as_ref().is_some_and(|facts| facts.loading);
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
        watch.next(|sighting| sighting.vote.is_some()).await;
        watch.server.take_deeds();
        sleep(TICK * 60).await;
        assert!(watch.server.take_deeds().len() < 70, "then each tick");
    });
}

#[test]
fn a_replica_that_went_away_is_asked_each_tick() {
    virtually(async {
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
fn an_error_reply_is_proof_of_life_and_told_as_trouble() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Errors("BUSY Redis is busy"));
        sleep(60 * TICK).await;
        let sighting = watch.last();
        assert_eq!(sighting.trouble.as_deref(), Some("BUSY Redis is busy"));
        assert!(sighting.vote.is_none() && sighting.answering && sighting.facts.is_some());
    });
}

#[test]
fn loading_is_told_at_once_and_voted_on_after_the_mark_down_time() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Loading);
        let (since, sighting) = watch.next(|_| true).await;
        assert!(sighting.facts.unwrap().loading && sighting.vote.is_none());
        let (at, sighting) = watch.next(|sighting| sighting.vote.is_some()).await;
        assert_eq!(sighting.vote, Some(DownReason::Loading));
        assert!(at.since(since) >= MARK_DOWN && at.since(since) < MARK_DOWN + PRECISION);
    });
}

#[test]
fn failures_of_this_host_are_never_a_vote() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::HostFails);
        watch.server.cut();
        sleep(60 * TICK).await;
        let sighting = watch.last();
        assert!(
            sighting.vote.is_none() && !sighting.answering,
            "{sighting:?}"
        );
    });
}

#[test]
fn after_a_suspension_nothing_is_voted_before_a_fresh_probe() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.dies();
        watch.next(|sighting| !sighting.answering).await;
        watch.server.behaves(Manner::Answers);
        watch.clock.suspend(100 * TICK);
        sleep(10 * TICK).await;
        let told = watch.told.borrow();
        assert!(told.iter().all(|(_, sighting)| sighting.vote.is_none()));
        assert!(told.last().unwrap().1.answering);
    });
}

#[test]
fn after_a_suspension_a_dead_node_is_voted_down_within_a_tick() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.dies();
        watch.next(|sighting| !sighting.answering).await;
        watch.clock.suspend(100 * TICK);
        let resumed = watch.clock.now();
        let (at, _) = watch.next(|sighting| sighting.vote.is_some()).await;
        assert!(
            at.since(resumed) <= TICK + PRECISION,
            "{:?}",
            at.since(resumed)
        );
    });
}

#[test]
fn a_slow_answer_is_proof_of_life_even_when_it_is_always_late() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch
            .server
            .takes(PROBE_TIMEOUT + Duration::from_millis(200));
        sleep(30 * TICK).await;
        let told = watch.told.borrow();
        assert!(told.iter().all(|(_, sighting)| sighting.vote.is_none()));
    });
}

#[test]
fn a_refresh_reads_after_it_was_asked_and_is_shared() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.tells(|info| info.offset = Some(77));
        let asked = watch.clock.now();
        let (one, other) = futures::join!(
            watch.monitor.send(Refresh::default()),
            watch.monitor.send(Refresh::default())
        );
        let sighting = one.unwrap();
        assert_eq!(sighting.facts.as_ref().unwrap().offset, 77);
        assert!(sighting.at >= asked && sighting.at.since(asked) < PRECISION);
        assert_eq!(sighting, other.unwrap());
        assert_eq!(watch.server.take_deeds(), [Deed::Probe(Depth::Full)]);
    });
}

#[test]
fn settings_are_read_when_they_are_asked_for_and_remembered_until_the_next_time() {
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        assert_eq!(watch.last().min_replicas, None);
        let refresh = Refresh { settings: true };
        let sighting = watch.monitor.send(refresh).await.unwrap();
        let read = sighting.min_replicas;
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
    virtually(async {
        let watch = Watch::node(|_| ());
        watch.probed().await;
        watch.server.behaves(Manner::Hangs);
        let asked = watch.clock.now();
        let sighting = watch.monitor.send(Refresh::default()).await.unwrap();
        assert!(!sighting.answering);
        assert!(watch.clock.now().since(asked) < PROBE_TIMEOUT + PRECISION);
    });
}

#[test]
fn falling_behind_is_told_once_in_each_direction() {
    virtually(async {
        let primary = NodeAddr::new("10.0.0.2", 6379);
        let role = |heard: u64| {
            let mut role = replica_of(&primary);
            if let Role::Replica(upstream) = &mut role {
                upstream.last_io = Some(Duration::from_secs(heard));
            }
            Some(role)
        };
        let watch = Watch::node(|server| server.tells(|info| info.role = role(0)));
        watch.next(|_| true).await;
        for heard in [1, 4, 5, 6, 60, 1, 2] {
            watch.server.tells(|info| info.role = role(heard));
            watch.probed().await;
        }
        let told = watch.told.borrow();
        let heard: Vec<_> = told
            .iter()
            .map(|(_, sighting)| {
                let facts = sighting.facts.as_ref().unwrap();
                facts.upstream().unwrap().last_io.unwrap().as_secs()
            })
            .collect();
        assert_eq!(heard, [0, 5, 1]);
    });
}

#[test]
fn host_names_are_resolved_before_the_facts_are_told() {
    virtually(async {
        let primary = NodeAddr::new("redis-2", 6379);
        let watch = Watch::of("redis-1", |redis, server| {
            redis.name("redis-1", &["10.0.0.1"]);
            redis.name("redis-2", &["10.0.0.2"]);
            *redis.resolving.borrow_mut() = Duration::from_millis(20);
            server.tells(|info| info.role = Some(replica_of(&primary)));
        });
        let (_, sighting) = watch.next(|sighting| sighting.facts.is_some()).await;
        assert_eq!(sighting.addresses, ["10.0.0.1".parse().unwrap()].into());
        assert_eq!(
            sighting.upstream_addresses,
            ["10.0.0.2".parse().unwrap()].into()
        );
    });
}

#[test]
fn a_resolver_that_hangs_delays_facts_but_no_sign_of_life() {
    virtually(async {
        let watch = Watch::of("redis-1", |redis, _| redis.name("redis-1", &["10.0.0.1"]));
        watch.next(|sighting| sighting.facts.is_some()).await;
        watch.redis.resolving.replace(Duration::from_hours(1));
        sleep(120 * TICK).await;
        let told = watch.told.borrow();
        assert!(told.iter().all(|(_, sighting)| sighting.vote.is_none()));
        assert_eq!(
            told.last().unwrap().1.addresses,
            ["10.0.0.1".parse().unwrap()].into()
        );
        let deeds = watch.server.take_deeds();
        assert!(probes(&deeds, Depth::Tick) > 90, "{}", deeds.len());
    });
}

#[test]
fn a_refresh_does_not_wait_for_the_resolver() {
    virtually(async {
        let watch = Watch::of("redis-1", |redis, _| redis.name("redis-1", &["10.0.0.1"]));
        watch.probed().await;
        watch.redis.resolving.replace(Duration::from_hours(1));
        let asked = watch.clock.now();
        let sighting = watch.monitor.send(Refresh::default()).await.unwrap();
        assert!(sighting.at >= asked);
        assert!(watch.clock.now().since(asked) < PRECISION);
    });
}

#[test]
fn a_new_primary_and_its_addresses_are_told_together() {
    virtually(async {
        let watch = Watch::of("10.0.0.1", |redis, server| {
            redis.name("redis-2", &["10.0.0.2"]);
            redis.name("redis-3", &["10.0.0.3"]);
            redis.resolving.replace(Duration::from_millis(20));
            server.tells(|info| info.role = Some(replica_of(&NodeAddr::new("redis-2", 1))));
        });
        watch.probed().await;
        for host in ["redis-3", "gone", "10.0.0.4"] {
            watch
                .server
                .tells(|info| info.role = Some(replica_of(&NodeAddr::new(host, 1))));
            watch.probed().await;
        }
        sleep(TICK).await;
        let told: Vec<_> = watch
            .told
            .borrow()
            .iter()
            .filter_map(|(_, sighting)| {
                let host = sighting
                    .facts
                    .as_ref()?
                    .upstream()?
                    .primary
                    .host()
                    .to_owned();
                let address = sighting.upstream_addresses.first().map(ToString::to_string);
                Some((host, address.unwrap_or_default()))
            })
            .collect();
        let expected = [
            ("redis-2", "10.0.0.2"),
            ("redis-3", "10.0.0.3"),
            ("gone", ""),
            ("10.0.0.4", "10.0.0.4"),
        ];
        assert_eq!(
            told,
            expected.map(|(host, ip)| (host.to_owned(), ip.to_owned()))
        );
    });
}
