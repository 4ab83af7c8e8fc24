//! The clock that leases are measured with.

use crate::domain::node::Moment;

/// A monotonic clock that goes on counting while the machine is suspended (`CLOCK_BOOTTIME`), behind a trait so that
/// simulations drive it. Every deadline that safety rests on is measured with it, in all keepers.
pub trait LeaseClock: Send + Sync {
    /// Now.
    fn now(&self) -> Moment;
}
