//! How long a node's facts count, while later probes bring none that are newer.

use std::time::Duration;

use super::super::liveness::Limits;
use super::super::node::Moment;
use super::NodeObservation;

/// How long facts count: the mark-down time, after which a silent node would be voted down. The least is the time of
/// two probes.
pub fn facts_hold(tick: Duration, limits: Limits) -> Duration {
    limits.mark_down.max(2 * tick + limits.probe_timeout)
}

impl NodeObservation {
    /// Since when the facts are older than `limit`, if a probe sent after that moment brought none. Time alone makes
    /// no facts old: a keeper that was frozen has asked nothing.
    pub fn outdated_since(&self, limit: Duration) -> Option<Moment> {
        let since = self.at.after(limit);
        let outdated = self.facts.is_some() && !self.tells() && self.probe_sent > since;
        outdated.then_some(since)
    }

    /// The last probe was answered with facts.
    pub(super) fn tells(&self) -> bool {
        self.answering && self.trouble.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::plan::tests::builder::{addr, cluster};
    use super::*;

    #[test]
    fn facts_hold_as_long_as_silence_would_and_for_two_probes_at_least() {
        let seconds = Duration::from_secs;
        let limits = |mark_down| Limits {
            mark_down: seconds(mark_down),
            probe_timeout: seconds(1),
            busy: None,
        };
        assert_eq!(facts_hold(seconds(1), limits(5)), seconds(5));
        assert_eq!(facts_hold(seconds(4), limits(5)), seconds(9));
    }

    #[test]
    fn facts_are_old_by_a_probe_that_brought_none_and_never_by_time_alone() {
        let cluster = cluster().primary("a").replica("b", "a").published("a");
        let mut node = cluster.observed.nodes[&addr("b")].observation.clone();
        let limit = Duration::from_secs(5);
        let sent = |observation: &mut NodeObservation, seconds| {
            observation.probe_sent = observation.at.after(Duration::from_secs(seconds));
        };
        sent(&mut node, 60);
        assert!(node.outdated_since(limit).is_none(), "it was answered");
        node.trouble = Some("NOPERM".to_owned());
        sent(&mut node, 5);
        assert!(node.outdated_since(limit).is_none());
        sent(&mut node, 6);
        assert!(node.outdated_since(limit).is_some(), "answered with errors");
        (node.answering, node.trouble) = (false, Some("refused".to_owned()));
        assert!(node.outdated_since(limit).is_some(), "not answered");
        assert!(
            NodeObservation::unknown(Moment::default())
                .outdated_since(limit)
                .is_none()
        );
    }
}
