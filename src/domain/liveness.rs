//! The vote of one keeper on one node (RK-1), as a function of what its probes met and of time.
//!
//! The monitor reports what it sent, what came back, and when its own timers were late. The monitor arms one timer,
//! for [`Liveness::next_change`]: a vote is cast at the very moment it is due, not at the next tick.

use std::time::Duration;

use super::node::Moment;

pub use down_reason::DownReason;

mod down_reason;

/// How long before the mark-down moment a node that refuses connections is probed for the last time.
const LAST_LOOK: Duration = Duration::from_millis(10);

/// The connection that a probe was sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// A connection that was opened for this probe, or beside it while its answer was owed.
    NewConnection,
    /// A connection that was open before. Its flow can go mute while the node lives: a relay, a firewall or a
    /// translation of addresses has forgotten the flow.
    OldConnection,
}

/// The times that a vote depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long without proof of life until a node is down (`seconds-mark-down`).
    pub mark_down: Duration,
    /// How long a probe waits for its answer. A timer that is later than this shows that this keeper was stalled.
    pub probe_timeout: Duration,
    /// How long a node may answer nothing but `BUSY` until it is down as a primary (`busy-seconds`); `None`: for ever.
    pub busy: Option<Duration>,
}

/// The knowledge of one node's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Liveness {
    limits: Limits,
    /// The last proof of life, or when the node began to be watched.
    alive: Moment,
    /// A proof of life has come.
    seen: bool,
    /// How a probe failed that was sent after that.
    evidence: Option<DownReason>,
    /// When the last probe was sent.
    sent: Option<Moment>,
    /// Only probes sent from here on count as evidence: this keeper was stalled before.
    fresh_from: Moment,
    loading: Option<ErrorStreak>,
    busy: Option<ErrorStreak>,
}

/// A node that answers the same error again and again: `LOADING`, or `BUSY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ErrorStreak {
    /// When the node first answered this error.
    since: Moment,
    /// The error answered a probe that counts as evidence.
    fresh: bool,
}

impl Liveness {
    /// A node that is watched from `began` on. `began` counts as its first proof of life.
    pub fn new(limits: Limits, began: Moment) -> Self {
        Self {
            limits,
            alive: began,
            seen: false,
            evidence: None,
            sent: None,
            fresh_from: began,
            loading: None,
            busy: None,
        }
    }

    /// Records that a probe is sent at `now`.
    pub fn sent(&mut self, now: Moment) {
        self.sent = Some(now);
    }

    /// Records a reply that was read at `now`, an error included. A reply is a proof of life. The reply ends any vote
    /// except those for loading and for being busy.
    pub fn answered(&mut self, now: Moment, loading: bool) {
        self.alive_at(now);
        self.loading = loading.then(|| ErrorStreak::go_on(self.loading, now));
    }

    /// Records whether that reply was `BUSY`.
    pub fn busy(&mut self, now: Moment, busy: bool) {
        self.busy = busy.then(|| ErrorStreak::go_on(self.busy, now));
    }

    /// Records a sign of life that says nothing else, such as a reply that came too late for its probe.
    pub fn alive_at(&mut self, now: Moment) {
        self.alive = now;
        self.seen = true;
        self.evidence = None;
    }

    /// Records that the last probe failed through the node's doing. Failures of this host are no evidence, and are
    /// not recorded.
    ///
    /// Two failures of an old connection are no evidence, for a node that answers on a new connection is alive (RK-1):
    /// - silence;
    /// - its end, if this keeper was stalled since the last proof of life. The connection may have ended long ago, by a
    ///   `CLIENT KILL` or by a relay, and the node was not asked since.
    pub fn failed(&mut self, reason: DownReason, via: Via) {
        let stalled = self.fresh_from > self.alive;
        let says_nothing = match reason {
            DownReason::Unanswered => true,
            DownReason::Closed => stalled,
            _ => false,
        };
        if via == Via::OldConnection && says_nothing {
            return;
        }
        if self
            .sent
            .is_some_and(|sent| sent >= self.fresh_from && sent >= self.alive)
        {
            self.evidence = Some(reason);
        }
    }

    /// Whether a timer due at `due` that fires `now` shows that this keeper was stalled.
    pub fn is_stall(&self, due: Moment, now: Moment) -> bool {
        now.since(due) > self.limits.probe_timeout
    }

    /// Records that this keeper did nothing between `due` and `now`. A vote that stood before stays. Any other vote
    /// needs a probe that is sent from now on.
    pub fn stalled(&mut self, due: Moment, now: Moment) {
        self.fresh_from = now;
        if self.down_from().is_some_and(|from| from >= due) {
            self.evidence = None;
        }
        if self.loading_from().is_some_and(|from| from >= due)
            && let Some(loading) = &mut self.loading
        {
            loading.fresh = false;
        }
        if self.busy_from().is_some_and(|from| from >= due)
            && let Some(busy) = &mut self.busy
        {
            busy.fresh = false;
        }
    }

    /// The vote at `now`.
    pub fn vote(&self, now: Moment) -> Option<DownReason> {
        let reached = |from: Option<Moment>| from.is_some_and(|from| from <= now);
        if reached(self.down_from()) {
            self.evidence
        } else if reached(self.loading_from()) {
            Some(DownReason::Loading)
        } else if reached(self.busy_from()) {
            Some(DownReason::Busy)
        } else {
            None
        }
    }

    /// The next moment after `now` at which the vote changes, if nothing is heard until then.
    pub fn next_change(&self, now: Moment) -> Option<Moment> {
        // Once the node counts as down, loading or busy makes no difference.
        let down = self.down_from();
        let before = |at: &Moment| down.is_none_or(|down| *at < down);
        let loading = self.loading_from().filter(before);
        let busy = self.busy_from().filter(before);
        [down, loading, busy]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    /// When a probe has to be sent besides the ticks; `None` if ticks suffice:
    /// - at once in the beginning, and after a stall;
    /// - so early before the mark-down moment that its failure counts then;
    /// - once more just before that moment, if the node refuses: a refusal is quick, and a server is quickly back.
    pub fn probe_by(&self) -> Option<Moment> {
        let quick = matches!(
            self.evidence,
            Some(DownReason::Refused | DownReason::Closed)
        );
        let in_time = self.before_mark_down(self.limits.probe_timeout);
        let last_look = self.before_mark_down(LAST_LOOK.min(self.limits.probe_timeout));
        let owed = |at: &Moment| self.sent.is_none_or(|sent| sent < *at);
        [self.fresh_from, in_time]
            .into_iter()
            .find(owed)
            .or_else(|| Some(last_look).filter(|at| quick && owed(at)))
    }

    /// The last proof of life, if one came.
    pub fn last_alive(&self) -> Option<Moment> {
        self.seen.then_some(self.alive)
    }

    fn before_mark_down(&self, span: Duration) -> Moment {
        self.alive.after(self.limits.mark_down.saturating_sub(span))
    }

    fn down_from(&self) -> Option<Moment> {
        self.evidence
            .map(|_| self.alive.after(self.limits.mark_down))
    }

    fn loading_from(&self) -> Option<Moment> {
        self.loading
            .filter(|loading| loading.fresh)
            .map(|loading| loading.since.after(self.limits.mark_down))
    }

    fn busy_from(&self) -> Option<Moment> {
        let busy = self.busy.filter(|busy| busy.fresh)?;
        Some(busy.since.after(self.limits.busy?))
    }
}

impl ErrorStreak {
    /// The spell that is seen at `now`: the `known` one goes on, or a new one begins.
    fn go_on(known: Option<Self>, now: Moment) -> Self {
        Self {
            since: known.map_or(now, |known| known.since),
            fresh: true,
        }
    }
}

#[cfg(test)]
mod tests;
