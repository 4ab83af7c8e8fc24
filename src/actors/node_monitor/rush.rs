//! A primary that went away and may come back within the mark-down time is asked more often than each tick: if it comes
//! back with less data than its replicas hold, they follow it within a second and copy the loss (RK-7).

use std::time::Duration;

use super::NodeMonitor;
use crate::domain::facts::Sighting;

const FIRST: Duration = Duration::from_millis(10);
/// A primary that stays away costs a refused connection this often, until it is voted down.
const LONGEST: Duration = Duration::from_millis(50);

/// How soon to ask again.
#[derive(Debug, Default)]
pub(super) struct Rush(Option<Duration>);

impl Rush {
    /// The primary is away still: less and less often.
    pub(super) fn go_on(&mut self) {
        self.0 = Some(self.0.map_or(FIRST, |wait| (wait * 3 / 2).min(LONGEST)));
    }

    pub(super) fn end(&mut self) {
        self.0 = None;
    }

    /// Until the next probe, if that is not to wait for the tick.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.0
    }
}

impl NodeMonitor {
    /// A primary that is not voted down yet refuses connections, or loads its data set.
    pub(super) fn may_come_back(&self) -> bool {
        let Sighting {
            facts,
            vote,
            answering,
            ..
        } = &self.sighting;
        facts.as_ref().is_some_and(|facts| {
            let away = if *answering {
                facts.loading
            } else {
                self.refused
            };
            facts.is_primary() && vote.is_none() && away
        })
    }
}
