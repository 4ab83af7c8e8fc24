//! Whether this keeper leads.

use std::time::Duration;

use crate::actors::messages::Leadership;
use crate::domain::leadership_transfer::LeadershipTransfer;
use crate::domain::node::{Epoch, Moment};

/// This keeper's leadership, and its record of stepping down.
#[derive(Debug, Default)]
pub(super) struct Leading {
    leadership: Option<Leadership>,
    stopped: Option<Stopped>,
    pub(super) transfer: LeadershipTransfer,
}

/// The end of a leadership.
#[derive(Debug)]
struct Stopped {
    why: &'static str,
    at: Moment,
}

impl Leading {
    pub(super) fn begin(&mut self, leadership: Leadership) {
        self.leadership = Some(leadership);
    }

    /// Ends the leadership, if there is one, and returns its epoch.
    pub(super) fn stop(&mut self, why: &'static str, at: Moment) -> Option<Epoch> {
        let Leadership { epoch, .. } = self.leadership.take()?;
        self.stopped = Some(Stopped { why, at });
        Some(epoch)
    }

    pub(super) fn leadership(&self) -> Option<&Leadership> {
        self.leadership.as_ref()
    }

    pub(super) fn leads(&self) -> bool {
        self.leadership.is_some()
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.leadership.as_ref().map(|leadership| leadership.epoch)
    }

    /// Why this keeper stopped leading the last time, and how long ago.
    pub(super) fn stopped(&self, now: Moment) -> Option<(&'static str, Duration)> {
        let stopped = self.stopped.as_ref()?;
        Some((stopped.why, now.since(stopped.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leadership_ends_once_and_the_reason_is_kept() {
        let at = |seconds| Moment(Duration::from_secs(seconds));
        let mut leading = Leading::default();
        assert_eq!(leading.stop("the connection is lost", at(1)), None);
        assert_eq!(leading.stopped(at(1)), None);
        leading.begin(Leadership {
            epoch: Epoch(3),
            latch: "/leader/a".to_owned(),
        });
        assert_eq!(leading.stop("the session is over", at(2)), Some(Epoch(3)));
        assert_eq!(leading.stop("the connection is lost", at(3)), None);
        let ago = Duration::from_secs(3);
        assert_eq!(leading.stopped(at(5)), Some(("the session is over", ago)));
        assert!(!leading.leads());
    }
}
