//! Until when a keeper may vouch for its state (RK-3), and how long other keepers wait for the end of that time
//! (RK-2).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::node::{KeeperId, Moment};

/// The right to answer from the last applied state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lease {
    /// No write was confirmed yet.
    #[default]
    None,
    /// A confirmed heartbeat has earned the lease. The lease counts from the sending of that heartbeat, and holds
    /// strictly before this moment.
    Earned(Moment),
    /// All keepers have consented to the lease, and no heartbeat earned it (RK-8). The lease holds strictly before this
    /// moment.
    Consented(Moment),
}

impl Lease {
    /// The lease holds strictly before this moment; `None` if there never was one.
    pub fn deadline(&self) -> Option<Moment> {
        match *self {
            Self::None => None,
            Self::Earned(deadline) | Self::Consented(deadline) => Some(deadline),
        }
    }

    /// Whether all keepers have consented to the lease, and no heartbeat earned it (RK-8).
    pub fn is_consented(&self) -> bool {
        matches!(self, Self::Consented(_))
    }

    /// Whether the lease holds at `now`.
    pub fn holds(&self, now: Moment) -> bool {
        self.deadline().is_some_and(|deadline| now < deadline)
    }

    /// Ends the lease at `now`, if it holds for longer.
    pub fn end(&mut self, now: Moment) {
        if let Self::Earned(deadline) | Self::Consented(deadline) = self {
            *deadline = now.min(*deadline);
        }
    }

    /// How long the lease has been over at `now`; zero while it holds, `None` if there never was one.
    pub fn expired_for(&self, now: Moment) -> Option<Duration> {
        self.deadline().map(|deadline| now.since(deadline))
    }
}

/// The margin *m* for the drift of two clocks over a wait: the larger of 20 ms and 2 % of the wait.
pub fn margin(wait: Duration) -> Duration {
    (wait / 50).max(Duration::from_millis(20))
}

/// *L + m*: a keeper holds no lease once another keeper has seen no change of its heartbeat node for this long.
pub fn outlasting(lease: Duration) -> Duration {
    lease.saturating_add(margin(lease))
}

/// The keepers that may still answer from before a withdrawal. While there are any, no other node may be promoted or
/// published (RK-2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unacknowledged {
    /// Keepers that have not acknowledged the withdrawal, and are not out either.
    pub keepers: BTreeSet<KeeperId>,
    /// Keepers to which this keeper has consented may still rely on its consent (RK-8).
    pub consents: bool,
    /// Unknown keepers may still answer: they left before this keeper led.
    pub possible_unseen_keepers: bool,
    /// Keepers that have not acknowledged the withdrawal, and are out: they have been silent for long enough. Each
    /// with the moment since which it is out.
    pub expired_silently: BTreeMap<KeeperId, Moment>,
    /// Keepers that are not online, and may go on by the consent of keepers that have not acknowledged (RK-8): each
    /// until this moment. Known before a withdrawal, too, since it would wait for them. Then keepers online count as
    /// acknowledging.
    pub going_on: BTreeMap<KeeperId, Moment>,
    /// Since when the last of these keepers is out: those that are no longer known, left unseen, or were restarted.
    pub last_lease: Option<Moment>,
}

impl Unacknowledged {
    /// Whether there is no such keeper left.
    pub fn is_empty(&self) -> bool {
        self.keepers.is_empty() && !self.possible_unseen_keepers && !self.consents
    }

    /// Records that `keeper` may go on in one of its sessions until this moment; `None` if it may not.
    pub fn goes_on(&mut self, keeper: &KeeperId, until: Option<Moment>) {
        if let Some(until) = until {
            let last = self.going_on.entry(keeper.clone()).or_insert(until);
            *last = until.max(*last);
        }
    }
}

impl fmt::Display for Unacknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = self.keepers.iter().map(KeeperId::as_str).collect();
        if self.possible_unseen_keepers {
            names.push("any that left just before this one led");
        }
        if self.consents {
            names.push("those whom this keeper allowed to go on without ZooKeeper");
        }
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_two_percent_and_at_least_twenty_milliseconds() {
        let waits =
            [100, 800, 1_000, 5_000].map(|ms| margin(Duration::from_millis(ms)).as_millis());
        assert_eq!(waits, [20, 20, 20, 100]);
    }
}
