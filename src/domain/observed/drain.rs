//! Whether the leader waits for HAProxies to follow a withdrawal (RK-10).

use super::Observed;
use crate::domain::facts::NodeFacts;
use crate::domain::policy::Policy;
use crate::domain::published::Step;

impl Observed {
    /// Whether the leader has to wait for HAProxies before another node becomes the primary. All of these hold:
    /// - Every lease from before the withdrawal is over.
    /// - No leader has waited for this withdrawal before.
    /// - The old primary may still take writes.
    ///
    /// These take none, or need no wait:
    /// - a primary whose process is gone;
    /// - a primary that was demoted, or loads its data;
    /// - a primary that was started again: its clients had to connect anew;
    /// - a primary that is well: it is published again, unless it flapped.
    pub fn awaits_proxies(&self, policy: &Policy) -> bool {
        let Some(published) = &self.published else {
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
        // The successor was chosen with the withdrawal: the old primary flapped, and is not published again though it
        // is well.
        let flapped = intent.candidate.is_some();
        // A primary that this keeper does not even probe may serve, too.
        let seen = self.nodes.get(old);
        let may_serve = match seen.and_then(|node| Some((node.verdict, node.live()?))) {
            Some((verdict, facts)) => (verdict.unfit_as_primary() || flapped) && serves(facts),
            None => !self.withdrawal.old_gone,
        };
        // A candidate is persisted after the wait, so the wait is over. A switchover is different: it pauses writes
        // instead of waiting, unless it is interrupted before.
        let waited = intent.step == Step::Promoting && intent.switchover.is_none();
        may_serve && !waited && !policy.drain.is_zero() && self.withdrawal.unacknowledged.is_empty()
    }
}
