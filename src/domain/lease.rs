//! Until when a keeper may vouch for what it knows (RK-3), and how long others wait for that to be over (RK-2).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::node::{KeeperId, Moment};

/// The right to answer from the last applied state. Measured from the sending of the write that earned it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lease {
    /// The lease holds strictly before this moment; `None` before the first confirmed write.
    pub deadline: Option<Moment>,
    /// It was not earned by a heartbeat, but all keepers have consented to it (RK-8).
    pub consented: bool,
}

impl Lease {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Moment) -> bool {
        self.deadline.is_some_and(|deadline| now < deadline)
    }

    /// It does not hold from `now` on.
    pub fn end(&mut self, now: Moment) {
        self.deadline = self.deadline.min(Some(now));
    }

    /// How long it has been out at `now`; `None` if it never was held, zero while it holds.
    pub fn expired_for(&self, now: Moment) -> Option<Duration> {
        self.deadline.map(|deadline| now.since(deadline))
    }
}

/// The margin *m* for the drift of two clocks over a wait: the larger of 20 ms and 2 % of it.
pub fn margin(wait: Duration) -> Duration {
    (wait / 50).max(Duration::from_millis(20))
}

/// *L + m*: a keeper whose heartbeat node has not changed for so long, as seen by another, holds no lease.
pub fn outlasting(lease: Duration) -> Duration {
    lease.saturating_add(margin(lease))
}

/// Who may still answer from the state before a withdrawal: nobody else may be promoted or published until there is no
/// such keeper (RK-2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unacknowledged {
    /// Keepers that have not acknowledged it, and have not been silent for *L + m* either.
    pub keepers: BTreeSet<KeeperId>,
    /// This keeper itself has consented to others' going on, and may be relied on yet (RK-8).
    pub consents: bool,
    /// There may be such that this keeper never saw: they left before it came.
    pub strangers: bool,
    /// Keepers that have not acknowledged it, and are not waited for because they have been silent for long enough: when
    /// their leases were out.
    pub passed_over: BTreeMap<KeeperId, Moment>,
    /// Keepers that are not online and may go on by the consent of keepers that are not either (RK-8): until when. Told
    /// before a withdrawal, too: it would wait for them.
    pub going_on: BTreeMap<KeeperId, Moment>,
    /// When the last lease was out of any that are no longer known, left unseen, or were restarted.
    pub last_lease: Option<Moment>,
}

impl Unacknowledged {
    /// Nobody.
    pub fn is_empty(&self) -> bool {
        self.keepers.is_empty() && !self.strangers && !self.consents
    }

    /// The keeper may go on until then, if at all, in one of its sessions.
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
        if self.strangers {
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
