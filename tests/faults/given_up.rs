//! A child that fails again and again is given up, with the cause.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::System;
use keeper_site::net::Net;
use redis_keeper::adapters::embedded::Embedded;
use redis_keeper::app::{Daemon, DaemonError, Ports};
use redis_keeper::domain::identity::{Nonce, Place};
use tokio::time::timeout;

use super::clock::VirtualClock;
use super::faulty::{CAUSE, FaultyRedis};
use super::peers::OutOfReach;
use super::site::{config, front, trio};

#[test]
fn a_monitor_that_never_comes_up_ends_the_keeper_with_its_cause() {
    let paused = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build();
        runtime.expect("a runtime")
    };
    System::with_tokio_rt(paused).block_on(async {
        let net = Net::new();
        let redis = Rc::new(FaultyRedis::default());
        let nodes = trio(&redis.servers);
        redis.node.set(Some(nodes[1].clone()));
        let ports = Ports {
            redis,
            coordination: Rc::new(Embedded::new()),
            peers: Rc::new(OutOfReach),
            clock: Arc::new(VirtualClock::new()),
            seed: 1,
            nonce: Nonce::drawn(1),
            place: Place::new("here"),
        };
        let http = net.socket(17_380);
        let daemon = Daemon::start(&config(http, &nodes), ports, front(http));
        let end = timeout(Duration::from_mins(30), daemon.run(std::future::pending())).await;
        let failure = end.expect("it gave up").expect_err("it failed");
        let told = failure.to_string();
        assert!(matches!(failure, DaemonError::GaveUp(_)), "{told}");
        assert!(told.contains(&format!("node:{}", nodes[1])), "{told}");
        assert!(told.contains(CAUSE), "{told}");
    });
}
