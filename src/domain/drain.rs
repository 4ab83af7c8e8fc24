//! Waiting until HAProxies have followed a withdrawal (RK-10).
//!
//! Keepers that call nobody writable any more do not stop a client: its HAProxy acts at its next check. If the process of the
//! old primary is gone, nobody writes to it. If it is merely silent, refuses keepers, or some see it serve, it may live on with
//! clients that still have theirs: then nobody is promoted or published until each HAProxy that was heard asking says itself that the
//! server is DOWN, or has had the time to find out (`drain-seconds`).

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::facts::NodeFacts;
use super::node::{Generation, KeeperId, Moment};
use super::observed::Observed;
use super::policy::Policy;
use super::published::Step;

/// One backend of one HAProxy process, as its checks name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proxy {
    /// The name that HAProxy gives itself: by default that of its host, so it need not be its alone.
    pub name: String,
    /// The backend that the server belongs to.
    pub backend: String,
    /// Where its checks come from, if that is known.
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

/// What one keeper has heard of a withdrawn primary from HAProxies, once the leader asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The withdrawal.
    pub generation: Generation,
    /// Those that asked for it within `drain-seconds` before, and have not said that it is DOWN since.
    pub up: BTreeSet<Proxy>,
    /// Those that have said so since.
    pub down: BTreeSet<Proxy>,
    /// There were more than this keeper remembers, or some that do not name themselves: a crowd.
    pub more: bool,
}

/// How far HAProxies have followed a withdrawal, as the leader knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// Since when no keeper calls the withdrawn primary writable: all have acknowledged, or fell silent long enough ago.
    pub since: Moment,
    /// When the last lease was out of keepers that fell silent and may have been asked by others than those that say DOWN;
    /// `None` if there are none.
    pub last_lease: Option<Moment>,
    /// Keepers that are to tell what they have heard, and have not yet.
    pub untold: BTreeSet<KeeperId>,
    /// HAProxies that may not know yet.
    pub up: BTreeSet<Proxy>,
    /// There are more than the keepers remember or can tell apart.
    pub more: bool,
}

impl Drain {
    /// Until when nobody is promoted. HAProxies that only a silent keeper has heard have `drain` from the end of its
    /// lease; if all others have said DOWN, that is all there is to wait for.
    pub fn until(&self, drain: Duration) -> Option<Moment> {
        let begun = if self.untold.is_empty() && self.up.is_empty() && !self.more {
            self.last_lease?
        } else {
            self.since
        };
        Some(begun.after(drain))
    }
}

/// Whether it has to be waited for HAProxies before another node becomes the primary: every lease from before the withdrawal
/// is out, it was not waited before, and the old primary may still take writes. One that is gone takes none, nor does one
/// that was demoted or loads its data; the clients of one that was started again had to connect anew; and one that is well is
/// published again, unless it flapped.
pub fn wanted(observed: &Observed, policy: &Policy) -> bool {
    let Some(published) = &observed.published else {
        return false;
    };
    let Some(intent) = &published.intent else {
        return false;
    };
    let serves =
        |facts: &NodeFacts| facts.is_primary() && !facts.loading && published.withdrew(facts);
    let Some(old) = &intent.old else {
        return false;
    };
    // It is not published again though it is well.
    let flapped = intent.candidate.is_some();
    // One that this keeper does not even probe may serve as well.
    let seen = observed.nodes.get(old);
    let may_serve = match seen.and_then(|node| Some((node.verdict, node.live()?))) {
        Some((verdict, facts)) => (verdict.unfit_as_primary() || flapped) && serves(facts),
        None => !observed.old_gone,
    };
    // A candidate is persisted once it was waited, but for a switchover: that holds up writes instead, unless it was
    // interrupted before.
    let waited = intent.step == Step::Promoting && intent.switchover.is_none();
    may_serve && !waited && !policy.drain.is_zero() && observed.unacknowledged.is_empty()
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
