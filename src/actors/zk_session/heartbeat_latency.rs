//! How long ZooKeeper takes to confirm a heartbeat, compared with the lease that the heartbeat earns (RK-3).
//!
//! A lease counts from the sending of its heartbeat. The next heartbeat is sent only after this one is confirmed. So
//! leases run out between heartbeats as soon as a confirmation takes more than half of a lease.
//!
//! Example: with a lease of 0.8 s, a confirmation after 0.41 s is late.

use std::time::Duration;

use metrics::Gauge;

/// How many heartbeats in a row must be confirmed in time until it is logged that they are.
const IN_TIME_AGAIN: u32 = 10;

/// How fast heartbeats were confirmed lately.
pub(super) struct HeartbeatLatency {
    lease: Duration,
    /// `Some` after a late heartbeat: how many were in time since.
    late: Option<u32>,
    gauge: Gauge,
}

/// A change to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Late,
    InTime,
}

// === impl HeartbeatLatency ===

impl HeartbeatLatency {
    /// The pace for leases of this length.
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            lease,
            late: None,
            gauge: metrics::gauge!("redis_keeper_session_heartbeat_seconds"),
        }
    }

    /// Takes in a heartbeat that was confirmed after this time.
    pub(super) fn confirmed(&mut self, took: Duration) {
        self.gauge.set(took.as_secs_f64());
        let lease = self.lease;
        match self.news(took) {
            Some(News::Late) => tracing::warn!(
                ?took,
                ?lease,
                "ZooKeeper confirmed a heartbeat after more than half of lease-seconds: leases run out between heartbeats, writability checks answer 500 meanwhile, and a failover may not end; make ZooKeeper faster or lease-seconds longer"
            ),
            Some(News::InTime) => {
                tracing::info!(?took, ?lease, "ZooKeeper confirms heartbeats in time again");
            }
            None => {}
        }
    }

    fn news(&mut self, took: Duration) -> Option<News> {
        if took * 2 > self.lease {
            return self.late.replace(0).is_none().then_some(News::Late);
        }
        let in_time = self.late.as_mut()?;
        *in_time += 1;
        if *in_time < IN_TIME_AGAIN {
            return None;
        }
        self.late = None;
        Some(News::InTime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_confirmations_are_told_once_until_ten_in_a_row_were_in_time() {
        let mut heartbeat_latency = HeartbeatLatency::new(Duration::from_millis(800));
        let mut news = |took| heartbeat_latency.news(Duration::from_millis(took));
        assert_eq!(news(400), None);
        assert_eq!(news(401), Some(News::Late));
        assert_eq!(news(900), None, "told already");
        for _ in 0..9 {
            assert_eq!(news(10), None);
        }
        assert_eq!(news(500), None, "it goes on");
        for _ in 0..9 {
            assert_eq!(news(10), None);
        }
        assert_eq!(news(10), Some(News::InTime));
        assert_eq!(news(10), None);
        assert_eq!(news(500), Some(News::Late));
    }
}
