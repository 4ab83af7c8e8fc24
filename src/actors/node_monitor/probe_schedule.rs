//! The times of a monitor's ticks.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::domain::node::{ClusterName, Moment, NodeAddr};

/// The grid of all monitors' ticks. A process with thousands of monitors wakes at most once in this time for all of
/// them: to wake costs more than to probe.
const GRID: Duration = Duration::from_millis(100);

/// The ticks of one monitor: one in each period, at a place on the grid that spreads the monitors evenly.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProbeSchedule {
    period: Duration,
    phase: Duration,
}

impl ProbeSchedule {
    pub(super) fn new(period: Duration, cluster: &ClusterName, addr: &NodeAddr) -> Self {
        let mut hasher = DefaultHasher::new();
        (cluster, addr).hash(&mut hasher);
        let places = (period.as_nanos() / GRID.as_nanos()).clamp(1, u128::from(u32::MAX));
        let place = u128::from(hasher.finish()) % places;
        Self {
            period,
            // The place is below `places`, which fits into a `u32`.
            phase: GRID * u32::try_from(place).unwrap_or(0),
        }
    }

    /// The first tick after `now`.
    pub(super) fn next(&self, now: Moment) -> Moment {
        let period = self.period.as_nanos().max(1);
        let phase = self.phase.as_nanos() % period;
        let periods = (now.0.as_nanos() + period - phase) / period;
        let nanos = periods * period + phase;
        Moment(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn slots(period: Duration, port: u16) -> ProbeSchedule {
        ProbeSchedule::new(period, &ClusterName::new("c"), &NodeAddr::new("h", port))
    }

    proptest! {
        #[test]
        fn the_next_tick_is_ahead_within_one_period_and_on_the_grid(
            now in 0_u64..10_000_000_000_000, millis in 1_u64..5_000, port in 1_u16..,
        ) {
            let period = Duration::from_millis(millis);
            let now = Moment(Duration::from_nanos(now));
            let slots = slots(period, port);
            let next = slots.next(now);
            prop_assert!(next > now && next.since(now) <= period);
            prop_assert_eq!(slots.next(next), next.after(period));
        }
    }

    #[test]
    fn monitors_spread_over_the_slots_of_a_period() {
        let mut load = BTreeMap::new();
        for port in 1..=2_000 {
            let next = slots(Duration::from_secs(1), port).next(Moment::default());
            assert_eq!(next.0.as_nanos() % GRID.as_nanos(), 0);
            *load.entry(next).or_insert(0) += 1;
        }
        assert_eq!(load.len(), 10);
        assert!(
            load.values().all(|count| (150..250).contains(count)),
            "{load:?}"
        );
    }
}
