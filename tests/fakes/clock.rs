//! The lease clock in virtual time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis_keeper::domain::node::Moment;
use redis_keeper::ports::clock::LeaseClock;
use tokio::time::Instant;

/// A clock that follows tokio's, paused or not.
pub(crate) struct VirtualClock {
    origin: Instant,
    suspended_millis: AtomicU64,
}

impl VirtualClock {
    /// A clock that reads 1,000 s now, so that a test may look back.
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            suspended_millis: AtomicU64::new(1_000_000),
        }
    }

    /// Suspends the machine for this time: the clock goes on, and timers do not.
    pub(crate) fn suspend(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).expect("less than an age");
        self.suspended_millis.fetch_add(millis, Ordering::Relaxed);
    }
}

impl LeaseClock for VirtualClock {
    fn now(&self) -> Moment {
        let suspended = Duration::from_millis(self.suspended_millis.load(Ordering::Relaxed));
        Moment(self.origin.elapsed() + suspended)
    }
}
