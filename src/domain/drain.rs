//! The wait for HAProxies to follow a withdrawal (RK-10).
//!
//! No keeper calls the old primary writable any more, yet its clients stay: each HAProxy acts at its next check. The
//! old primary may go on taking writes if it is silent, or refuses keepers, or serves some keepers. Then no node is
//! promoted or published until each HAProxy that keepers heard asking:
//! - says itself that the server is DOWN, or
//! - has had the time to find out (`drain-seconds`).
//!
//! If the process of the old primary is gone, it takes no writes, and the leader does not wait.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::node::{Generation, KeeperId, Moment};

/// A backend of a HAProxy process, as its checks name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proxy {
    /// The name that HAProxy gives itself, by default the name of its host. Several HAProxies may have the same name.
    pub name: String,
    /// The backend that the server belongs to.
    pub backend: String,
    /// The address that its checks come from, if known.
    pub address: Option<IpAddr>,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            backend,
            address,
        } = self;
        write!(f, "{name}/{backend}")?;
        address.map_or(Ok(()), |address| write!(f, " at {address}"))
    }
}

/// A keeper's answer to the leader: which HAProxies that keeper heard asking about a withdrawn primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyReport {
    /// The withdrawal.
    pub generation: Generation,
    /// HAProxies that asked about it within `drain-seconds` before, and have not said DOWN since the leader asked.
    pub up: BTreeSet<Proxy>,
    /// HAProxies that have said DOWN since the leader asked.
    pub down: BTreeSet<Proxy>,
    /// More HAProxies asked than this keeper remembers, or some that do not name themselves.
    pub more: bool,
}

/// How far HAProxies have followed a withdrawal, as far as the leader knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// Since when no keeper calls the withdrawn primary writable: each has acknowledged, or its lease is over.
    pub since: Moment,
    /// The end of the last lease of a silent keeper that a HAProxy without a DOWN may have asked; `None` without such
    /// a keeper.
    pub last_lease: Option<Moment>,
    /// Keepers that the leader has asked, and that have not reported yet.
    pub untold: BTreeSet<KeeperId>,
    /// HAProxies that may still call the old primary UP.
    pub up: BTreeSet<Proxy>,
    /// There are more HAProxies than the keepers remember or can tell apart.
    pub more: bool,
}

impl Drain {
    /// Until when no node is promoted; `None` if there is nothing to wait for.
    ///
    /// `drain` counts from `since` while a known HAProxy has not said DOWN, or a keeper has not reported. If only
    /// HAProxies of a silent keeper are left, `drain` counts from the end of that keeper's lease.
    pub fn until(&self, drain: Duration) -> Option<Moment> {
        let begun = if self.untold.is_empty() && self.up.is_empty() && !self.more {
            self.last_lease?
        } else {
            self.since
        };
        Some(begun.after(drain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_millis(1_200);

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    fn drain() -> Drain {
        Drain {
            since: at(5_000),
            last_lease: None,
            untold: [].into(),
            up: [].into(),
            more: false,
        }
    }

    fn proxy() -> Proxy {
        Proxy {
            name: "lb1".to_owned(),
            backend: "cache".to_owned(),
            address: Some([10, 0, 0, 5].into()),
        }
    }

    #[test]
    fn where_no_haproxy_asks_nobody_waits() {
        assert_eq!(drain().until(DRAIN), None);
    }

    #[test]
    fn a_haproxy_that_is_up_a_keeper_that_has_not_told_and_a_crowd_have_the_whole_time() {
        let cases = [
            Drain {
                up: [proxy()].into(),
                ..drain()
            },
            Drain {
                untold: [KeeperId::new("keeper-2")].into(),
                ..drain()
            },
            Drain {
                more: true,
                ..drain()
            },
        ];
        for case in cases {
            assert_eq!(case.until(DRAIN), Some(at(6_200)));
        }
    }

    #[test]
    fn those_that_only_a_silent_keeper_heard_have_it_from_the_end_of_its_lease() {
        let silent = Drain {
            last_lease: Some(at(4_100)),
            ..drain()
        };
        assert_eq!(silent.until(DRAIN), Some(at(5_300)));
    }

    #[test]
    fn a_haproxy_reads_as_its_name_backend_and_address() {
        assert_eq!(proxy().to_string(), "lb1/cache at 10.0.0.5");
    }
}
