//! Until when this keeper may vouch for what it knows (RK-3).

use super::node::Moment;

/// The right to answer from the last applied state. Measured from the sending of the write that earned it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lease {
    /// The lease holds strictly before this moment; `None` before the first confirmed write.
    pub deadline: Option<Moment>,
}

impl Lease {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Moment) -> bool {
        self.deadline.is_some_and(|deadline| now < deadline)
    }

    /// How long it has been out at `now`; `None` if it never was held, zero while it holds.
    pub fn expired_for(&self, now: Moment) -> Option<std::time::Duration> {
        self.deadline.map(|deadline| now.since(deadline))
    }
}
