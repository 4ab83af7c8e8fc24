//! The answers of a monitor for display: at once, without a probe.

use actix::prelude::*;

use super::NodeMonitor;
use crate::actors::messages::{InspectMonitor, InspectObservation, MonitorState};

impl Handler<InspectObservation> for NodeMonitor {
    type Result = MessageResult<InspectObservation>;

    fn handle(&mut self, _: InspectObservation, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.observation.clone())
    }
}

impl Handler<InspectMonitor> for NodeMonitor {
    type Result = MessageResult<InspectMonitor>;

    fn handle(&mut self, _: InspectMonitor, _: &mut Self::Context) -> Self::Result {
        MessageResult(MonitorState {
            observation: self.observation.clone(),
            now: self.links.clock.now(),
            last_probe: self.figures.last_probe,
            last_alive: self.liveness.last_alive(),
            consecutive_failures: self.figures.consecutive_failures,
            probes: self.figures.probes,
            failures: self.figures.failures,
        })
    }
}
