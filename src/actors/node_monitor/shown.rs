//! The answers of a monitor for display: at once, without a probe.

use actix::prelude::*;

use super::NodeMonitor;
use crate::actors::messages::{InspectMonitor, LastSeen, MonitorState};

impl Handler<LastSeen> for NodeMonitor {
    type Result = MessageResult<LastSeen>;

    fn handle(&mut self, _: LastSeen, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.sighting.clone())
    }
}

impl Handler<InspectMonitor> for NodeMonitor {
    type Result = MessageResult<InspectMonitor>;

    fn handle(&mut self, _: InspectMonitor, _: &mut Self::Context) -> Self::Result {
        MessageResult(MonitorState {
            sighting: self.sighting.clone(),
            now: self.clock.now(),
            last_probe: self.last_probe,
            last_alive: self.liveness.last_alive(),
            consecutive_failures: self.consecutive_failures,
            probes: self.probes,
            failures: self.failures,
        })
    }
}
