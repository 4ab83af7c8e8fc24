//! A monitor at work, and its reports.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use redis_keeper::actors::messages::{InspectMonitor, NodeObserved};
use redis_keeper::actors::node_monitor::{
    FreshConnections, MonitorLinks, MonitorSettings, NodeMonitor,
};
use redis_keeper::domain::node::{ClusterName, Moment, NodeAddr};
use redis_keeper::domain::observation::NodeObservation;
use redis_keeper::ports::clock::LeaseClock;
use redis_keeper::ports::redis::Depth;
use tokio::time::sleep;

use crate::clock::VirtualClock;
use crate::fake_redis::{Deed, FakeRedis, FakeServer};

pub(crate) const TICK: Duration = Duration::from_secs(1);
pub(crate) const MARK_DOWN: Duration = Duration::from_secs(3);
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// The most that timers with a resolution of a millisecond add.
pub(crate) const PRECISION: Duration = Duration::from_millis(3);

/// A monitor at work, with all its reports.
pub(crate) struct Watch {
    pub(crate) redis: Rc<FakeRedis>,
    pub(crate) server: Rc<FakeServer>,
    pub(crate) clock: Arc<VirtualClock>,
    pub(crate) monitor: Addr<NodeMonitor>,
    pub(crate) told: Rc<RefCell<Vec<(Moment, NodeObservation)>>>,
}

impl Watch {
    pub(crate) fn of(host: &str, prepare: impl FnOnce(&FakeRedis, &FakeServer)) -> Self {
        Self::with(Rc::default(), host, prepare)
    }

    /// A monitor of a process with several; they share `fresh`.
    pub(crate) fn with(
        fresh: Rc<FreshConnections>,
        host: &str,
        prepare: impl FnOnce(&FakeRedis, &FakeServer),
    ) -> Self {
        let addr = NodeAddr::new(host, 6379);
        let redis = Rc::new(FakeRedis::default());
        let server = redis.server(&addr);
        prepare(&redis, &server);
        let clock = Arc::new(VirtualClock::new());
        let told = Rc::<RefCell<Vec<_>>>::default();
        let settings = MonitorSettings {
            tick: TICK,
            mark_down: MARK_DOWN,
            probe_timeout: PROBE_TIMEOUT,
            full_every: 10 * TICK,
            max_lag: Some(Duration::from_secs(5)),
            settings: false,
            busy: None,
        };
        let links = MonitorLinks {
            redis: redis.clone(),
            clock: clock.clone(),
            fresh,
            observed: {
                let (told, clock) = (told.clone(), clock.clone());
                Rc::new(move |news: NodeObserved| {
                    told.borrow_mut().push((clock.now(), news.observation));
                })
            },
            met: None,
        };
        let monitor = NodeMonitor::new(ClusterName::new("c"), addr, settings, links).start();
        Self {
            redis,
            server,
            clock,
            monitor,
            told,
        }
    }

    pub(crate) fn node(prepare: impl FnOnce(&FakeServer)) -> Self {
        Self::of("10.0.0.1", |_, server| prepare(server))
    }

    pub(crate) fn last(&self) -> NodeObservation {
        self.told
            .borrow()
            .last()
            .expect("something was told")
            .1
            .clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.told.borrow().len()
    }

    /// Waits up to a minute for a report as wanted. Returns the report and its time.
    pub(crate) async fn next(
        &self,
        wanted: impl Fn(&NodeObservation) -> bool,
    ) -> (Moment, NodeObservation) {
        let from = self.count();
        for _ in 0..60_000 {
            let found = self.told.borrow()[from..]
                .iter()
                .find(|(_, observation)| wanted(observation))
                .cloned();
            if let Some(found) = found {
                return found;
            }
            sleep(Duration::from_millis(1)).await;
        }
        panic!("never told; last: {:?}", self.last());
    }

    /// Waits until just after a probe was answered.
    pub(crate) async fn probed(&self) -> Moment {
        self.server.take_deeds();
        loop {
            sleep(Duration::from_millis(1)).await;
            let deeds = self.server.take_deeds();
            if deeds.iter().any(|deed| matches!(deed, Deed::Probe(_))) {
                sleep(Duration::from_millis(1)).await;
                let state = self.monitor.send(InspectMonitor).await.unwrap();
                if let Some(alive) = state.last_alive {
                    return alive;
                }
            }
        }
    }
}

pub(crate) fn probes(deeds: &[Deed], depth: Depth) -> usize {
    deeds
        .iter()
        .filter(|deed| **deed == Deed::Probe(depth))
        .count()
}
