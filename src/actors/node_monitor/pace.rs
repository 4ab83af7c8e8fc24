//! When a monitor probes: each tick, and earlier where that finds more.

use std::time::Duration;

use super::fast_probe::FastProbe;
use super::probe_schedule::ProbeSchedule;
use crate::domain::node::Moment;

/// The times of a monitor's probes.
#[derive(Debug)]
pub(super) struct Pace {
    tick: Duration,
    ticks: ProbeSchedule,
    pub(super) fast: FastProbe,
    /// When an event on the connection was last answered with a probe at once.
    hastened: Option<Moment>,
}

impl Pace {
    pub(super) fn new(tick: Duration, ticks: ProbeSchedule) -> Self {
        Self {
            tick,
            ticks,
            fast: FastProbe::default(),
            hastened: None,
        }
    }

    /// When the next probe is due: at the next tick, or before for a vote that needs a probe `by` then.
    pub(super) fn due(&self, by: Option<Moment>, now: Moment) -> Moment {
        let tick = self.ticks.next(now);
        let due = by.map_or(tick, |by| by.min(tick));
        self.fast
            .wait()
            .map_or(due, |wait| now.after(wait).min(due))
    }

    /// Whether an event on the connection is answered with a probe at once: at most once a tick.
    pub(super) fn hastens(&mut self, now: Moment) -> bool {
        let hastens = self
            .hastened
            .is_none_or(|last| now.since(last) >= self.tick);
        if hastens {
            self.hastened = Some(now);
        }
        hastens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::node::{ClusterName, NodeAddr};

    const TICK: Duration = Duration::from_secs(1);

    fn pace() -> Pace {
        let (cluster, addr) = (ClusterName::new("c"), NodeAddr::new("h", 1));
        Pace::new(TICK, ProbeSchedule::new(TICK, &cluster, &addr))
    }

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    #[test]
    fn a_probe_is_due_at_the_tick_unless_a_vote_needs_it_before_or_the_primary_is_away() {
        let mut pace = pace();
        let tick = pace.due(None, at(0));
        assert!(tick <= at(0).after(TICK));
        let now = Moment(tick.0.saturating_sub(Duration::from_millis(30)));
        assert_eq!(pace.due(Some(tick.after(TICK)), now), tick);
        assert_eq!(pace.due(Some(now), now), now);
        pace.fast.go_on();
        assert_eq!(pace.due(None, now), now.after(Duration::from_millis(10)));
        pace.fast.end();
        assert_eq!(pace.due(None, now), tick);
    }

    #[test]
    fn events_hasten_one_probe_each_tick() {
        let mut pace = pace();
        let hastened = [0, 1, 999, 1_000, 1_999, 2_000].map(|ms| pace.hastens(at(ms)));
        assert_eq!(hastened, [true, false, false, true, false, true]);
    }
}
