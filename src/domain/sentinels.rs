//! For how long a Redis Sentinel that watches a cluster holds the keepers back.
//!
//! Two managers would undo each other's failovers, so a Sentinel holds the cluster. But any client can imitate the
//! names of a Sentinel's connections, which are all that a keeper sees. No client may stop failovers for ever. So a
//! Sentinel has a limited time to replace a primary that is down; then the keepers go on without it.

use super::node::{Moment, NodeAddr};
use super::timing::managers::{SENTINEL_GONE_AFTER, SENTINEL_TIMEOUT};

/// A Sentinel at a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtNode {
    /// The node.
    pub node: NodeAddr,
    /// The Sentinel's name and host.
    pub sentinel: String,
}

/// A keeper's record of Sentinels at one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SentinelWatch {
    /// The Sentinel seen last, and when.
    last: Option<(AtNode, Moment)>,
    /// Since when a majority of the keepers finds the published primary down.
    down_since: Option<Moment>,
    /// The Sentinels that were seen have let their time pass.
    idle: bool,
}

/// Whether Sentinels hold the keepers back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentinelHold {
    /// Until the Sentinels are gone.
    Holds,
    /// Until this moment at most.
    HoldsUntil(Moment),
    /// Not any more: the Sentinels have let their time pass.
    PassedOver,
}

impl SentinelWatch {
    /// Records what is seen now: a Sentinel at any node, and whether the published primary is down.
    pub fn look(&mut self, seen: Option<AtNode>, primary_down: bool, now: Moment) {
        let remembered = self
            .last
            .take()
            .filter(|(_, at)| now < at.after(SENTINEL_GONE_AFTER));
        self.last = seen.map(|seen| (seen, now)).or(remembered);
        let sentinel = self.last.is_some();
        self.down_since = primary_down.then(|| self.down_since.unwrap_or(now));
        self.idle = match self.down_since {
            Some(since) => self.idle || (sentinel && now >= since.after(SENTINEL_TIMEOUT)),
            None => self.idle && sentinel,
        };
    }

    /// A Sentinel that counts as present, and when it is forgotten unless it is seen again.
    pub fn there(&self) -> Option<(&AtNode, Moment)> {
        let (sentinel, at) = self.last.as_ref()?;
        Some((sentinel, at.after(SENTINEL_GONE_AFTER)))
    }

    /// Whether a Sentinel that is there holds the keepers back.
    pub fn hold(&self) -> SentinelHold {
        match self.down_since {
            _ if self.idle => SentinelHold::PassedOver,
            Some(since) => SentinelHold::HoldsUntil(since.after(SENTINEL_TIMEOUT)),
            None => SentinelHold::Holds,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(1_000 + seconds))
    }

    fn sentinel() -> AtNode {
        AtNode {
            node: NodeAddr::new("10.0.0.1", 6379),
            sentinel: "sentinel-a1b2c3d4 at 10.0.0.9".to_owned(),
        }
    }

    #[test]
    fn a_sentinel_that_opens_its_connections_anew_is_not_gone_meanwhile() {
        let mut watch = SentinelWatch::default();
        watch.look(Some(sentinel()), false, at(0));
        for seconds in 1..5 {
            watch.look(None, false, at(seconds));
            let there = watch
                .there()
                .map(|(sentinel, until)| (sentinel.clone(), until));
            assert_eq!(there, Some((sentinel(), at(5))));
        }
        watch.look(None, false, at(5));
        assert_eq!(watch.there(), None);
    }

    #[test]
    fn a_sentinel_holds_a_cluster_and_has_a_minute_to_replace_a_primary_that_is_down() {
        let mut watch = SentinelWatch::default();
        watch.look(Some(sentinel()), false, at(0));
        watch.look(Some(sentinel()), false, at(500));
        assert_eq!(watch.hold(), SentinelHold::Holds);
        for seconds in [500, 530, 559] {
            watch.look(Some(sentinel()), true, at(seconds));
            assert_eq!(watch.hold(), SentinelHold::HoldsUntil(at(560)));
        }
        watch.look(Some(sentinel()), true, at(560));
        assert_eq!(watch.hold(), SentinelHold::PassedOver);
    }

    #[test]
    fn once_passed_over_it_holds_nothing_until_it_is_gone() {
        let mut watch = SentinelWatch::default();
        watch.look(Some(sentinel()), true, at(0));
        watch.look(Some(sentinel()), true, at(60));
        watch.look(Some(sentinel()), false, at(61));
        assert_eq!(
            watch.hold(),
            SentinelHold::PassedOver,
            "replicas are repointed"
        );
        watch.look(None, false, at(70));
        watch.look(Some(sentinel()), false, at(80));
        assert_eq!(watch.hold(), SentinelHold::Holds);
    }

    #[test]
    fn coming_and_going_prolongs_nothing() {
        let mut watch = SentinelWatch::default();
        for seconds in 0..60 {
            watch.look((seconds % 2 == 0).then(sentinel), true, at(seconds));
        }
        watch.look(Some(sentinel()), true, at(60));
        assert_eq!(watch.hold(), SentinelHold::PassedOver);
    }

    #[test]
    fn a_primary_that_is_back_gives_it_its_time_anew() {
        let mut watch = SentinelWatch::default();
        watch.look(Some(sentinel()), true, at(0));
        watch.look(Some(sentinel()), false, at(59));
        watch.look(Some(sentinel()), true, at(60));
        assert_eq!(watch.hold(), SentinelHold::HoldsUntil(at(120)));
    }
}
