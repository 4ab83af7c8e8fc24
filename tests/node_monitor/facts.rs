//! The facts that a monitor reports, and when: after the first probe, at changes of the role, and with addresses of
//! names.

use std::time::Duration;

use redis_keeper::actors::messages::Reconnect;
use redis_keeper::domain::facts::Role;
use redis_keeper::domain::node::NodeAddr;
use redis_keeper::domain::observation::{ConnectionState, NodeObservation};
use redis_keeper::ports::clock::LeaseClock;
use redis_keeper::ports::redis::Depth;
use tokio::time::sleep;

use crate::fake_redis::{Deed, Manner, replica_of};
use crate::time::on_virtual_time;
use crate::watch::{TICK, Watch, probes};

#[test]
fn the_first_probe_is_told_whole() {
    on_virtual_time(async {
        let watch = Watch::node(|server| server.watched_by(&["sentinel-a1b2c3d4 at 10.0.0.9"]));
        let (_, observation) = watch.next(|_| true).await;
        let facts = observation.facts.expect("facts");
        assert_eq!(facts.role, Role::Primary { online_replicas: 0 });
        assert_eq!(facts.sentinels, ["sentinel-a1b2c3d4 at 10.0.0.9"]);
        assert!(observation.probed && observation.answering && observation.vote.is_none());
        assert_eq!(observation.addresses, ["10.0.0.1".parse().unwrap()].into());
    });
}

#[test]
fn a_first_probe_that_fails_is_told_too() {
    on_virtual_time(async {
        let watch = Watch::node(|server| server.behaves(Manner::Refuses));
        let (_, observation) = watch.next(|_| true).await;
        assert!(observation.probed && !observation.answering);
        assert_eq!((observation.facts, observation.vote), (None, None));
        assert_eq!(observation.trouble.as_deref(), Some("connection refused"));
    });
}

#[test]
fn a_change_of_role_is_told_at_the_next_tick() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.next(|_| true).await;
        let primary = NodeAddr::new("10.0.0.2", 6379);
        watch
            .server
            .tells(|info| info.role = Some(replica_of(&primary)));
        let (_, observation) = watch.next(|_| true).await;
        let facts = observation.facts.unwrap();
        assert_eq!(facts.upstream().unwrap().primary, primary);
        assert_eq!(
            observation.upstream_addresses,
            ["10.0.0.2".parse().unwrap()].into()
        );
    });
}

#[test]
fn falling_behind_is_told_once_in_each_direction() {
    on_virtual_time(async {
        let primary = NodeAddr::new("10.0.0.2", 6379);
        let role = |heard| {
            let mut role = replica_of(&primary);
            if let Role::Replica(upstream) = &mut role {
                upstream.last_io = heard;
            }
            Some(role)
        };
        let watch =
            Watch::node(|server| server.tells(|info| info.role = role(Some(Duration::ZERO))));
        watch.next(|_| true).await;
        let seconds = |heard| Some(Duration::from_secs(heard));
        let heard = [1, 4, 5, 6, 60, 1, 2].map(seconds);
        for heard in heard.into_iter().chain([None, seconds(1)]) {
            watch.server.tells(|info| info.role = role(heard));
            watch.probed().await;
        }
        let told = watch.told.borrow();
        let heard: Vec<_> = told
            .iter()
            .map(|(_, observation)| {
                let facts = observation.facts.as_ref().unwrap();
                facts
                    .upstream()
                    .unwrap()
                    .last_io
                    .map(|heard| heard.as_secs())
            })
            .collect();
        // The replica lags once it is further behind than the limit, or if it does not say how far.
        assert_eq!(heard, [Some(0), Some(6), Some(1), None, Some(1)]);
    });
}

#[test]
fn host_names_are_resolved_before_the_facts_are_told() {
    on_virtual_time(async {
        let primary = NodeAddr::new("redis-2", 6379);
        let watch = Watch::of("redis-1", |redis, server| {
            redis.name("redis-1", &["10.0.0.1"]);
            redis.name("redis-2", &["10.0.0.2"]);
            *redis.resolving.borrow_mut() = Duration::from_millis(20);
            server.tells(|info| info.role = Some(replica_of(&primary)));
        });
        let (_, observation) = watch.next(|observation| observation.facts.is_some()).await;
        assert_eq!(observation.addresses, ["10.0.0.1".parse().unwrap()].into());
        assert_eq!(
            observation.upstream_addresses,
            ["10.0.0.2".parse().unwrap()].into()
        );
    });
}

#[test]
fn a_name_that_has_moved_is_followed_on_a_new_connection() {
    on_virtual_time(async {
        let watch = Watch::of("redis-1", |redis, _| redis.name("redis-1", &["10.0.0.1"]));
        watch.next(|observation| observation.facts.is_some()).await;
        let connections = async |after: Duration| {
            watch.server.take_deeds();
            sleep(after).await;
            let deeds = watch.server.take_deeds();
            deeds.iter().filter(|deed| **deed == Deed::Connect).count()
        };
        assert_eq!(connections(60 * TICK).await, 0);
        watch.redis.name("redis-1", &["10.0.0.1", "10.0.0.2"]);
        assert_eq!(connections(60 * TICK).await, 0, "it has one address more");
        watch.redis.name("redis-1", &["10.0.0.3"]);
        assert_eq!(connections(60 * TICK).await, 1);
        watch.monitor.do_send(Reconnect);
        assert_eq!(
            connections(60 * TICK).await,
            1,
            "as soon as somebody finds it has moved"
        );
    });
}

#[test]
fn a_resolver_that_hangs_delays_facts_but_no_sign_of_life() {
    on_virtual_time(async {
        let watch = Watch::of("redis-1", |redis, _| redis.name("redis-1", &["10.0.0.1"]));
        watch.next(|observation| observation.facts.is_some()).await;
        watch.redis.resolving.replace(Duration::from_hours(1));
        sleep(120 * TICK).await;
        let told = watch.told.borrow();
        assert!(
            told.iter()
                .all(|(_, observation)| observation.vote.is_none())
        );
        assert_eq!(
            told.last().unwrap().1.addresses,
            ["10.0.0.1".parse().unwrap()].into()
        );
        let deeds = watch.server.take_deeds();
        assert!(probes(&deeds, Depth::Tick) > 90, "{}", deeds.len());
    });
}

#[test]
fn a_new_primary_and_its_addresses_are_told_together() {
    on_virtual_time(async {
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
            .filter_map(|(_, observation)| {
                let host = observation
                    .facts
                    .as_ref()?
                    .upstream()?
                    .primary
                    .host()
                    .to_owned();
                let address = observation
                    .upstream_addresses
                    .first()
                    .map(ToString::to_string);
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

#[test]
fn a_process_that_ended_its_connection_is_told_until_another_is_connected_to() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        let (_, observation) = watch.next(|_| true).await;
        let first = observation.process.expect("a process");
        assert_eq!(first.state, ConnectionState::Open);
        assert_eq!(first.run_id, observation.facts.expect("facts").run_id);
        watch.server.dies();
        let (_, observation) = watch.next(|observation| observation.vote.is_some()).await;
        let closed = observation.process.expect("it is remembered");
        assert_eq!(closed.state, ConnectionState::ClosedByPeer);
        assert_eq!(closed.run_id, first.run_id);
        watch
            .server
            .tells(|info| info.run_id = Some("another".to_owned()));
        watch.server.behaves(Manner::Answers);
        let (_, observation) = watch.next(|observation| observation.answering).await;
        let second = observation.process.expect("a process");
        assert_eq!(second.state, ConnectionState::Open);
        assert_eq!(second.run_id, "another");
    });
}

#[test]
fn a_connection_stays_open_while_its_process_is_silent_until_it_is_given_up() {
    on_virtual_time(async {
        let watch = Watch::node(|_| ());
        watch.next(|_| true).await;
        watch.server.behaves(Manner::Hangs);
        let (_, observation) = watch.next(|observation| !observation.answering).await;
        let process = observation.process.expect("a process");
        assert_eq!(process.state, ConnectionState::Open);
        watch
            .next(|observation| observation.process.is_none())
            .await;
    });
}

#[test]
fn a_name_that_is_known_late_after_a_restart_is_looked_up_again_within_seconds() {
    on_virtual_time(async {
        let watch = Watch::of("redis-1", |redis, _| redis.name("redis-1", &["10.0.0.1"]));
        watch.next(|observation| observation.facts.is_some()).await;
        for _ in 0..3 {
            watch.probed().await;
        }
        watch.redis.name("redis-1", &["10.0.0.2"]);
        let moved = watch.clock.now();
        let known = |observation: &NodeObservation| {
            observation.addresses == ["10.0.0.2".parse().unwrap()].into()
        };
        let (at, _) = watch.next(known).await;
        assert!(
            at.since(moved) <= Duration::from_secs(2),
            "{:?}",
            at.since(moved)
        );
    });
}
