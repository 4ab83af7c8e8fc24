//! Clocks that measure leases.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::domain::node::Moment;
use crate::ports::clock::LeaseClock;

/// Time since the machine started, suspension included (`CLOCK_BOOTTIME`). So the lease of a keeper ends while its
/// machine is suspended. Source: <https://man7.org/linux/man-pages/man2/clock_gettime.2.html>.
#[derive(Debug, Clone, Copy, Default)]
pub struct BootClock;

impl LeaseClock for BootClock {
    fn now(&self) -> Moment {
        let time = clock_gettime(ClockId::Boottime);
        Moment(
            Duration::from_secs(time.tv_sec.unsigned_abs())
                + Duration::from_nanos(time.tv_nsec.unsigned_abs()),
        )
    }
}

/// Follows tokio's clock, virtual time included: for tests and simulation.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock(tokio::time::Instant);

impl TokioClock {
    /// A clock whose origin is now.
    pub fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl LeaseClock for TokioClock {
    fn now(&self) -> Moment {
        Moment(self.0.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_does_not_go_back() {
        let first = BootClock.now();
        assert!(first > Moment::default());
        assert!(BootClock.now() >= first);
    }

    #[tokio::test(start_paused = true)]
    async fn the_tokio_clock_follows_virtual_time() {
        let clock = TokioClock::new();
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(clock.now(), Moment(Duration::from_hours(1)));
    }
}
