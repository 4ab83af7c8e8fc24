//! A withdrawal by votes is confirmed once (RK-2): votes tell what was, and the primary may be back since.
//!
//! The leader asks the primary on a new connection, after an answer of its successor. What the leader finds is enough
//! when the primary does not answer and the leader reaches the successor itself. Else, and while many primaries are
//! silent at once (RK-11), the other keepers ask the primary, too, and a strict majority decides.
//!
//! So it is where another process than the published one answers the leader, as a replica or with data of another history:
//! the name or the route may lead elsewhere on the leader's host alone.

use std::collections::BTreeSet;
use std::time::Duration;

pub use self::tally::{Answer, Tally, Told};
use super::brake::Brake;
use super::liveness::Limits;
use super::node::{KeeperId, Moment, NodeAddr};

mod tally;

/// How long a confirmation is good for, once everything is known: a withdrawal follows at once, or not at all.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// How long the other keepers may take to tell what they find, where nothing has to be done meanwhile.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// When a primary that was reached is asked again, should votes stand against it still: they take a moment to be taken
/// back.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// So many failed confirmations within [`FLAPPING_WITHIN`] times the mark-down time are told.
const FLAPPING_AFTER: usize = 3;

/// In mark-down times.
const FLAPPING_WITHIN: u32 = 10;

/// What came of asking a node on a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It refused the connection.
    Refused,
    /// It gave no answer in time.
    Silent,
    /// It answered that it is loading its data set.
    Loading,
    /// It answered `BUSY`, as it has for `busy-seconds`.
    Busy,
    /// It answered.
    Answers,
    /// Another process than the published one answered, as a replica or with data of another history.
    Replaced,
    /// Nothing is known of it: this keeper had troubles of its own, or stood still.
    Unknown,
}

impl Finding {
    /// A primary of which this is found serves nobody.
    pub fn unfit(self) -> bool {
        self.serves_nobody() || self == Self::Replaced
    }

    /// As the log tells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Silent => "no answer",
            Self::Loading => "loading",
            Self::Busy => "busy with a script",
            Self::Answers => "answers",
            Self::Replaced => "another process answers",
            Self::Unknown => "not known",
        }
    }

    fn serves_nobody(self) -> bool {
        matches!(
            self,
            Self::Refused | Self::Silent | Self::Loading | Self::Busy
        )
    }
}

/// Whom the leader asks, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// The primary that is voted down.
    pub primary: NodeAddr,
    /// The node that would take over, which has to answer first.
    pub successor: NodeAddr,
    /// The keeper that reaches the successor, where the leader does not.
    pub through: Option<KeeperId>,
}

/// What the leader knows of whether the published primary, which is voted down, is down still.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confirmation {
    stage: Stage,
    /// The brake has held this primary already, since it was voted down (RK-11).
    braked: bool,
    /// The primary was withdrawn by votes: whether the successor had answered for the mark-down time.
    withdrawn: Option<bool>,
    /// Confirmations that failed lately, the newest last.
    failures: Vec<Failure>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing is known yet.
    #[default]
    Open,
    /// The leader has asked the primary.
    Asked(Own),
    /// The other keepers were asked to ask it, too.
    Polled {
        own: Own,
        poll: Poll,
        tally: Tally,
        /// Since when a strict majority has no answer.
        carried: Option<Moment>,
    },
    /// It was reached, by others than the leader if that found it `replaced`. Not asked again before then.
    Failed { until: Moment, replaced: bool },
    /// It is taken for confirmed, whatever is found.
    Granted,
}

/// What the leader found itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Own {
    finding: Finding,
    /// It reached the successor itself.
    alone: bool,
    /// The successor had answered for the mark-down time: the leader was not cut off from it.
    steady: bool,
    until: Moment,
}

/// A question to the other keepers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// Tells it from all others of this keeper.
    pub number: u64,
    /// When the answers are waited for no longer.
    pub until: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failure {
    at: Moment,
    steady: bool,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask the primary.
    Ask,
    /// Have the other keepers ask it.
    AskVoters,
    /// Wait, for this reason, until then at most.
    Wait(Reason, Moment),
    /// Withdraw it.
    Withdraw,
}

/// Why a primary that is voted down is not withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It has answered since.
    Answers,
    /// Another process answers the leader there, and too few others find the same.
    Elsewhere,
    /// The leader reaches it, or does not reach the successor: a majority of the keepers decides, of whom these have
    /// told nothing yet.
    Voters(BTreeSet<KeeperId>),
    /// Likewise, since so many primaries are silent at once (RK-11).
    Brake(Brake, BTreeSet<KeeperId>),
}

impl Reason {
    /// The same without what changes from moment to moment.
    #[must_use]
    pub fn lasting(&self) -> Self {
        match self {
            Self::Answers => Self::Answers,
            Self::Elsewhere => Self::Elsewhere,
            Self::Voters(_) => Self::Voters(BTreeSet::new()),
            Self::Brake(..) => Self::Brake(Brake::default(), BTreeSet::new()),
        }
    }
}

/// A primary that was voted down again and again, and answered whenever it was to be withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flapping {
    /// How often.
    pub times: usize,
    /// Within this time.
    pub within: Duration,
    /// When the first of these is too long ago to count.
    pub until: Moment,
}

impl Own {
    /// What the leader found is enough.
    fn confirms(&self) -> bool {
        self.finding.serves_nobody() && self.alone
    }

    fn is_replaced(&self) -> bool {
        self.finding == Finding::Replaced
    }
}

impl Confirmation {
    /// One that needs no question: what would be if there were nothing to be found.
    pub fn granted() -> Self {
        Self {
            stage: Stage::Granted,
            ..Self::default()
        }
    }

    /// The leader has asked the primary, `alone` if it reached the successor itself, which had been `steady`.
    pub fn found(&mut self, finding: Finding, alone: bool, steady: bool, now: Moment) {
        self.stage = Stage::Asked(Own {
            finding,
            alone,
            steady,
            until: now.after(GOOD_FOR),
        });
    }

    /// The other keepers are asked from now on. Not if what is to be decided has changed meanwhile.
    pub fn poll(&mut self, number: u64, brake: Option<Brake>, limits: Limits, now: Moment) {
        let Stage::Asked(own) = self.stage else {
            return;
        };
        self.braked |= own.confirms() && brake.is_some();
        let within = if own.confirms() {
            limits.probe_timeout
        } else {
            limits.probe_timeout.max(TOLD_WITHIN)
        };
        self.stage = Stage::Polled {
            own,
            poll: Poll {
                number,
                until: now.after(within),
            },
            tally: Tally::default(),
            carried: None,
        };
    }

    /// What the other keepers are asked now.
    pub fn polled(&self) -> Option<Poll> {
        match &self.stage {
            Stage::Polled { poll, .. } => Some(*poll),
            _ => None,
        }
    }

    /// What the leader found itself, for the tally.
    pub fn own_finding(&self) -> Finding {
        match &self.stage {
            Stage::Asked(own) | Stage::Polled { own, .. } => own.finding,
            Stage::Open | Stage::Failed { .. } | Stage::Granted => Finding::Unknown,
        }
    }

    /// Takes in what the keepers have told. Answers whether the confirmation has failed by that, or by the time.
    pub fn told(&mut self, told: Tally, limits: Limits, now: Moment) -> bool {
        let Stage::Polled {
            own,
            poll,
            tally,
            carried,
        } = &mut self.stage
        else {
            return false;
        };
        *tally = told;
        *carried = tally.carried().then(|| carried.unwrap_or(now));
        let late = now >= poll.until && !own.confirms();
        if carried.is_some() || !(tally.lost() || late) {
            return false;
        }
        let (steady, replaced) = (own.steady, own.is_replaced());
        if !replaced {
            self.failed(steady, limits, now);
        }
        self.stage = Stage::Failed {
            until: now.after(ASKED_AGAIN_AFTER),
            replaced,
        };
        true
    }

    /// The primary is voted down no longer. Answers whether a confirmation has failed by that: it was under way, and the
    /// votes were taken back sooner than it was known what all keepers find. Votes come and go one by one, so within a
    /// mark-down time that counts once.
    pub fn over(&mut self, limits: Limits, now: Moment) -> bool {
        self.braked = false;
        let under_way = match &self.stage {
            Stage::Asked(own) | Stage::Polled { own, .. } => {
                Some(own.steady).filter(|_| !own.is_replaced())
            }
            Stage::Failed { .. } => return false,
            Stage::Open | Stage::Granted => None,
        };
        self.stage = Stage::Open;
        let last = self.failures.last();
        let counted = last.is_some_and(|last| now.since(last.at) < limits.mark_down);
        let Some(steady) = under_way.filter(|_| !counted) else {
            return false;
        };
        self.failed(steady, limits, now);
        true
    }

    /// The primary is withdrawn. What is known of it from before is kept: it may be back before another is promoted.
    pub fn withdrawn(&mut self) {
        self.braked = false;
        self.withdrawn = match std::mem::take(&mut self.stage) {
            Stage::Asked(own) | Stage::Polled { own, .. } => Some(own.steady),
            Stage::Open | Stage::Failed { .. } | Stage::Granted => None,
        };
    }

    /// The primary that was withdrawn is published again: it answered before another was promoted. That is as good as a
    /// confirmation that failed: its clients had to do without it.
    pub fn called_off(&mut self, limits: Limits, now: Moment) {
        if let Some(steady) = self.withdrawn.take() {
            self.failed(steady, limits, now);
        }
    }

    fn failed(&mut self, steady: bool, limits: Limits, now: Moment) {
        self.failures
            .retain(|failure| now.since(failure.at) < limits.mark_down * FLAPPING_WITHIN);
        self.failures.push(Failure { at: now, steady });
    }

    /// What is to be done about a primary that is voted down, and that somebody can replace.
    pub fn next(&self, brake: Option<Brake>, limits: Limits, now: Moment) -> Next {
        match &self.stage {
            Stage::Granted => Next::Withdraw,
            Stage::Failed { until, replaced } if now < *until => {
                let reason = if *replaced {
                    Reason::Elsewhere
                } else {
                    Reason::Answers
                };
                Next::Wait(reason, *until)
            }
            Stage::Asked(own) if now < own.until => {
                let silent = own.finding == Finding::Silent;
                let brakes = brake.is_some() && silent && !self.braked;
                let flaps = !own.is_replaced() && self.answers_too_often(limits, now);
                if own.confirms() && !brakes || flaps {
                    Next::Withdraw
                } else {
                    Next::AskVoters
                }
            }
            Stage::Polled {
                own,
                poll,
                tally,
                carried,
            } if now < carried.unwrap_or(poll.until).after(GOOD_FOR) => {
                let held = own.confirms() && now >= poll.until;
                if carried.is_some() || held {
                    return Next::Withdraw;
                }
                let untold = tally.untold.clone();
                let reason = match brake.filter(|_| own.confirms()) {
                    Some(brake) => Reason::Brake(brake, untold),
                    None => Reason::Voters(untold),
                };
                Next::Wait(reason, poll.until)
            }
            _ => Next::Ask,
        }
    }

    /// The primary flaps, which is told.
    pub fn flapping(&self, limits: Limits, now: Moment) -> Option<Flapping> {
        let within = limits.mark_down * FLAPPING_WITHIN;
        let lately = self.lately(limits, now);
        let first = lately.clone().rev().nth(FLAPPING_AFTER - 1)?;
        Some(Flapping {
            times: lately.count(),
            within,
            until: first.at.after(within),
        })
    }

    /// It has been voted down, and was reached after all, so often that it is replaced though it answers: its clients
    /// had to do without it each time. Failures at the end of a cut that took the successor, too, do not count.
    pub fn answers_too_often(&self, limits: Limits, now: Moment) -> bool {
        let steady = self
            .lately(limits, now)
            .filter(|failure| failure.steady)
            .count();
        steady >= FLAPPING_AFTER
    }

    fn lately(
        &self,
        limits: Limits,
        now: Moment,
    ) -> impl DoubleEndedIterator<Item = &Failure> + Clone {
        let within = limits.mark_down * FLAPPING_WITHIN;
        let failures = self.failures.iter();
        failures.filter(move |failure| now.since(failure.at) < within)
    }
}

#[cfg(test)]
mod tests;
