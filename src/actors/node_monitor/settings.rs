//! The settings of a monitor, and how much a probe asks.

use std::time::Duration;

use super::NodeMonitor;
use crate::domain::liveness::Limits;
use crate::ports::redis::Depth;

/// How and when a node is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonitorSettings {
    /// From one probe to the next (`tick-seconds`).
    pub tick: Duration,
    /// How long without a proof of life until this keeper votes the node down (`seconds-mark-down`).
    pub mark_down: Duration,
    /// How long a probe, its connection included, may take.
    pub probe_timeout: Duration,
    /// From one probe that asks everything to the next one.
    pub full_every: Duration,
    /// The lag behind its primary at which a replica's lag is reported, when it begins and when it ends
    /// (`max-lag-seconds`).
    pub max_lag: Option<Duration>,
    /// Whether each probe that asks everything reads the settings that keepers change, too (`write-safety`).
    pub settings: bool,
    /// How long the node may answer only `BUSY` until this keeper votes it down (`busy-seconds`); `None`: for ever.
    pub busy: Option<Duration>,
}

impl MonitorSettings {
    /// The times that votes depend on.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            mark_down: self.mark_down,
            probe_timeout: self.probe_timeout,
            busy: self.busy,
        }
    }
}

impl NodeMonitor {
    /// How much a full probe asks; `again` if the probe is full because its time has come.
    ///
    /// A full probe for another reason is usually waited for. Such a probe reads the settings only if they are
    /// wanted.
    pub(super) fn full(&mut self, again: bool) -> Depth {
        let wanted = self.requests.take_settings();
        // A server that has refused to tell its settings is not asked for them again on this connection.
        let refused = matches!(self.observation.min_replicas, Some(Err(_)));
        let known = again && (self.present.full_at.is_none() || !refused);
        if wanted || self.settings.settings || known {
            Depth::FullWithSettings
        } else {
            Depth::Full
        }
    }
}
