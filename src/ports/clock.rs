//! The clock that leases are measured with.

use crate::domain::node::Moment;

/// A monotonic clock that goes on counting while the machine is suspended (`CLOCK_BOOTTIME`). The trait lets
/// simulations drive it. All keepers measure every deadline that safety depends on with this clock.
pub trait LeaseClock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Moment;
}
