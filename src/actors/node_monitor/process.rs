//! The server process that this keeper is connected to, and how that connection ended (RK-10).

use super::NodeMonitor;
use super::probe::{NoAnswer, Probed};
use crate::domain::liveness::DownReason;
use crate::domain::node::Moment;
use crate::domain::observation::{ConnectionState, ProcessConnection};
use crate::ports::redis::ProbeFailure;

impl NodeMonitor {
    /// Notes that the process has named itself on the present connection.
    pub(super) fn connected_to(&mut self, run_id: &str) {
        let state = ConnectionState::Open;
        let known = self.observation.facts.as_ref();
        if known.is_some_and(|facts| facts.run_id != run_id) {
            self.retry();
        }
        match &mut self.observation.process {
            // The run id is not copied at each probe.
            Some(process) if process.run_id == run_id => process.state = state,
            process => {
                *process = Some(ProcessConnection {
                    run_id: run_id.to_owned(),
                    state,
                });
            }
        }
    }

    /// Notes that the peer has ended the connection in order.
    pub(super) fn closed_by_peer(&mut self) {
        if let Some(process) = &mut self.observation.process {
            process.state = ConnectionState::ClosedByPeer;
        }
    }

    /// Takes in that a probe, `sent` then, has ended. The process stays known in three cases:
    /// - the present connection was answered;
    /// - the present connection was silent, and is kept;
    /// - no connection was left, and the new one was refused.
    ///
    /// In any other case a new connection was made, or may have been made. The process behind that one is not known
    /// yet.
    pub(super) fn probed_process(&mut self, sent: Moment, was_connected: bool, probed: &Probed) {
        self.observation.probe_sent = sent;
        let known = match &probed.outcome {
            Ok(_) => was_connected && !probed.replaced,
            Err(NoAnswer::Failed(ProbeFailure::Evidence(DownReason::Refused, _), _)) => {
                !was_connected
            }
            Err(NoAnswer::Failed(..)) => false,
            Err(NoAnswer::Silent(_)) => was_connected && probed.connection.is_some(),
        };
        if !known {
            self.observation.process = None;
        }
    }
}
