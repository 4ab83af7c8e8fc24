//! Probes a primary that went away, and may come back within the mark-down time, more often than each tick.
//!
//! The primary may come back with less data than its replicas hold. Then the replicas follow it within a second and
//! copy the loss (RK-7).

use std::time::Duration;

use super::NodeMonitor;
use crate::domain::observation::NodeObservation;

const FIRST: Duration = Duration::from_millis(10);
/// The longest pause between two such probes. A primary that stays away costs one refused connection for each of
/// them, until it is voted down.
const LONGEST: Duration = Duration::from_millis(50);

/// Whether probes come faster than the ticks.
#[derive(Debug, Default)]
pub(super) struct FastProbe {
    /// The pause until the next probe; none if the next probe waits for its tick.
    pause: Option<Duration>,
    /// Whether the last probe failed with evidence against the node: a refused or closed connection, but not silence.
    pub(super) failed: bool,
}

impl FastProbe {
    /// Makes the next pause longer, since the primary is still away: 10 ms, 15 ms, 22 ms, and so on up to 50 ms.
    pub(super) fn go_on(&mut self) {
        self.pause = Some(self.pause.map_or(FIRST, |wait| (wait * 3 / 2).min(LONGEST)));
    }

    pub(super) fn end(&mut self) {
        self.pause = None;
    }

    /// The pause until the next probe, if that does not wait for its tick.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.pause
    }
}

impl NodeMonitor {
    /// Whether a primary that is not voted down yet is away, for one of these reasons:
    /// - the last probe failed with evidence, such as a refused or closed connection;
    /// - the node loads its data set.
    pub(super) fn may_come_back(&self) -> bool {
        let NodeObservation {
            facts,
            vote,
            answering,
            ..
        } = &self.observation;
        facts.as_ref().is_some_and(|facts| {
            let away = if *answering {
                facts.loading
            } else {
                self.pace.fast.failed
            };
            facts.is_primary() && vote.is_none() && away
        })
    }
}
