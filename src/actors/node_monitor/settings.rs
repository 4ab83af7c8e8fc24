//! How a node is watched, and how much it is asked.

use std::time::Duration;

use super::NodeMonitor;
use crate::domain::liveness::Limits;
use crate::ports::redis::Depth;

/// When a node is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonitorSettings {
    /// From one probe to the next (`tick-seconds`).
    pub tick: Duration,
    /// Time without proof of life until this keeper votes the node down (`seconds-mark-down`).
    pub mark_down: Duration,
    /// How long a probe, its connection included, may take.
    pub probe_timeout: Duration,
    /// From one probe that asks everything to the next.
    pub full_every: Duration,
    /// A replica that begins or ends to be this far behind its primary is reported (`max-lag-seconds`).
    pub max_lag: Option<Duration>,
    /// Keepers hold settings there: ask for them, too, whenever everything is asked (`write-safety`).
    pub settings: bool,
    /// How long the node may answer nothing but `BUSY` until this keeper votes it down (`busy-seconds`); `None`: for ever.
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
    /// What a probe asks that asks everything, `again` if because its time has come. Others than that are often waited for: they
    /// ask for settings only if these are wanted.
    pub(super) fn full(&mut self, again: bool) -> Depth {
        let wanted = std::mem::take(&mut self.settings_wanted);
        // A server that has refused to tell them is asked no more on this connection.
        let refused = matches!(self.sighting.min_replicas, Some(Err(_)));
        let known = again && (self.full_at.is_none() || !refused);
        if wanted || self.settings.settings || known {
            Depth::FullWithSettings
        } else {
            Depth::Full
        }
    }
}
