//! The figures of a monitor's probes, for display and for the metrics.

use std::time::Duration;

use metrics::Histogram;

use crate::domain::node::{ClusterName, Moment};

/// How many probes there were, and the last one.
pub(super) struct Figures {
    latency: Histogram,
    /// The last probe that ended: when it was sent, and how long until its answer or failure.
    pub(super) last_probe: Option<(Moment, Duration)>,
    /// Probes that failed since the last one that was answered.
    pub(super) consecutive_failures: u64,
    pub(super) probes: u64,
    pub(super) failures: u64,
}

impl Figures {
    pub(super) fn of(cluster: &ClusterName) -> Self {
        Self {
            latency: metrics::histogram!(
                "redis_keeper_probe_duration_seconds", "cluster" => cluster.to_string()
            ),
            last_probe: None,
            consecutive_failures: 0,
            probes: 0,
            failures: 0,
        }
    }

    /// Counts a probe that was answered after this time.
    pub(super) fn answered(&mut self, took: Duration) {
        self.latency.record(took);
        self.consecutive_failures = 0;
    }

    /// Counts a probe that was not answered.
    pub(super) fn failed(&mut self, cluster: &ClusterName, reason: &'static str) {
        self.consecutive_failures += 1;
        self.failures += 1;
        metrics::counter!(
            "redis_keeper_probe_failures_total",
            "cluster" => cluster.to_string(), "reason" => reason
        )
        .increment(1);
    }
}
