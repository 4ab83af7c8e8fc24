//! A withdrawal by votes is confirmed once (RK-2): votes describe the past, and the primary may be back since.
//!
//! First the successor has to answer. Then the leader asks the primary on a new connection. The leader's own finding
//! suffices if the primary serves nobody and the leader reaches the successor itself. Otherwise the other keepers ask
//! the primary, too, and a strict majority decides. The majority also decides:
//! - while many primaries are silent at once, for one probe timeout at most (RK-11);
//! - if another process than the published one answers the leader, as a replica or with data of another history. The
//!   name or the route may lead elsewhere from the leader's host alone.

use std::collections::BTreeSet;
use std::time::Duration;

pub use self::poll::{PollAnswer, PollResult, PollState};
use super::brake::Brake;
use super::liveness::Limits;
use super::node::{KeeperId, Moment, NodeAddr};
use super::timing::facts::CONFIRMATION_GOOD_FOR;

mod poll;

/// For how long the leader waits for the other keepers' findings at least, where the primary may still serve.
const POLL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long after an answer a primary is asked again if it is still voted down: votes take a moment to be taken back.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A primary is flapping after this many failed confirmations within [`FLAPPING_WITHIN`] mark-down times.
const FLAPPING_AFTER: usize = 3;

/// The period for [`FLAPPING_AFTER`], in mark-down times.
const FLAPPING_WITHIN: u32 = 10;

/// The result of asking a node on a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The node refused the connection.
    Refused,
    /// The node gave no answer in time.
    Silent,
    /// The node answered that it is loading its data set.
    Loading,
    /// The node answered `BUSY`, and has done so for `busy-seconds`.
    Busy,
    /// The node answered, and serves.
    Answers,
    /// Another process than the published one answered, as a replica or with data of another history.
    Replaced,
    /// This keeper learned nothing of the node: it had a failure of its own, or stood still.
    Unknown,
}

impl Finding {
    /// Whether the finding counts for a withdrawal: no published primary serves there.
    pub fn unfit(self) -> bool {
        self.serves_nobody() || self == Self::Replaced
    }

    /// The word for the log.
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

/// The leader's question: which primary to ask, and for which successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// The primary that is voted down.
    pub primary: NodeAddr,
    /// The node that would take over, which has to answer before the primary is asked.
    pub successor: NodeAddr,
    /// The keeper that reaches the successor, where the leader does not.
    pub through: Option<KeeperId>,
}

/// The leader's knowledge of whether the published primary, which is voted down, is still down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confirmation {
    stage: Stage,
    /// The brake has held this primary once since it was voted down (RK-11).
    braked: bool,
    /// `Some` after a withdrawal by votes: whether the successor had answered for the mark-down time.
    withdrawn: Option<bool>,
    /// Recent confirmations that failed, the newest last.
    failures: Vec<FailedConfirmation>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Stage {
    /// No finding is known yet.
    #[default]
    Open,
    /// The leader has asked the primary.
    Asked(Own),
    /// The leader has asked the other keepers to ask the primary, too.
    Polled {
        own: Own,
        poll: Poll,
        poll_result: PollResult,
        /// Since when a strict majority finds no primary there that serves.
        carried: Option<Moment>,
    },
    /// The confirmation failed: no majority found the primary unfit. The leader does not ask again before `until`.
    /// With `replaced`, another process had answered the leader.
    Failed { until: Moment, replaced: bool },
    /// The withdrawal counts as confirmed without any question.
    Granted,
}

/// The leader's own finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Own {
    finding: Finding,
    /// The leader reached the successor itself.
    alone: bool,
    /// The successor had answered for the mark-down time: the leader was not cut off from it.
    steady: bool,
    until: Moment,
}

/// A question to the other keepers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// A number that no other question of this keeper has.
    pub number: u64,
    /// Until when the leader waits for answers.
    pub until: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FailedConfirmation {
    at: Moment,
    steady: bool,
}

/// The leader's next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Ask the primary.
    Ask,
    /// Have the other keepers ask the primary.
    AskVoters,
    /// Wait for this reason, at most until this moment.
    Wait(ConfirmationReason, Moment),
    /// Withdraw the primary.
    Withdraw,
}

/// Why a primary that is voted down is not withdrawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfirmationReason {
    /// The last confirmation failed: no majority found the primary unfit any more.
    Answers,
    /// Another process answers the leader there, and too few other keepers find the same.
    Elsewhere,
    /// The leader reaches the primary, or does not reach the successor. So a majority of the keepers decides. These
    /// keepers have not reported yet.
    Voters(BTreeSet<KeeperId>),
    /// A majority decides, since many primaries are silent at once (RK-11). These keepers have not reported yet.
    Brake(Brake, BTreeSet<KeeperId>),
}

impl ConfirmationReason {
    /// The same reason, without the parts that change from moment to moment.
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

/// A primary that was voted down again and again, and answered each time that it was to be withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flapping {
    /// How many times.
    pub times: usize,
    /// Within which time.
    pub within: Duration,
    /// When the flapping ends unless another confirmation fails: fewer than three failures count from then on.
    pub until: Moment,
}

impl Own {
    /// Whether the leader's own finding suffices for a withdrawal.
    fn confirms(&self) -> bool {
        self.finding.serves_nobody() && self.alone
    }

    fn is_replaced(&self) -> bool {
        self.finding == Finding::Replaced
    }
}

impl Confirmation {
    /// A confirmation that needs no question, for plans of an assumed failure.
    pub fn granted() -> Self {
        Self {
            stage: Stage::Granted,
            ..Self::default()
        }
    }

    /// Takes in the leader's finding. The leader reached the successor itself if `alone`. The successor had answered
    /// for the mark-down time if `steady`.
    pub fn found(&mut self, finding: Finding, alone: bool, steady: bool, now: Moment) {
        self.stage = Stage::Asked(Own {
            finding,
            alone,
            steady,
            until: now.after(CONFIRMATION_GOOD_FOR),
        });
    }

    /// Begins the question `number` to the other keepers. Does nothing if the leader has not just asked the primary
    /// itself.
    pub fn poll(&mut self, number: u64, brake: Option<Brake>, limits: Limits, now: Moment) {
        let Stage::Asked(own) = self.stage else {
            return;
        };
        self.braked |= own.confirms() && brake.is_some();
        let within = if own.confirms() {
            limits.probe_timeout
        } else {
            limits.probe_timeout.max(POLL_TIMEOUT)
        };
        self.stage = Stage::Polled {
            own,
            poll: Poll {
                number,
                until: now.after(within),
            },
            poll_result: PollResult::default(),
            carried: None,
        };
    }

    /// The question that the other keepers are asked now.
    pub fn polled(&self) -> Option<Poll> {
        match &self.stage {
            Stage::Polled { poll, .. } => Some(*poll),
            _ => None,
        }
    }

    /// The leader's own finding, to be counted with the others.
    pub fn own_finding(&self) -> Finding {
        match &self.stage {
            Stage::Asked(own) | Stage::Polled { own, .. } => own.finding,
            Stage::Open | Stage::Failed { .. } | Stage::Granted => Finding::Unknown,
        }
    }

    /// Takes in the keepers' findings. Returns whether the confirmation has failed: no majority can come about any
    /// more, or the time is over.
    pub fn take_poll_result(&mut self, told: PollResult, limits: Limits, now: Moment) -> bool {
        let Stage::Polled {
            own,
            poll,
            poll_result,
            carried,
        } = &mut self.stage
        else {
            return false;
        };
        *poll_result = told;
        *carried = poll_result.carried().then(|| carried.unwrap_or(now));
        let late = now >= poll.until && !own.confirms();
        if carried.is_some() || !(poll_result.lost() || late) {
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

    /// Takes in that the primary is not voted down any more. Returns whether a confirmation has failed by that: a
    /// confirmation was under way, and the votes were taken back before all findings were known. If another process
    /// answered, nothing failed.
    ///
    /// Votes come and go one by one, so failures within one mark-down time count once.
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

    /// Takes in that the primary is withdrawn. Keeps the earlier failures: the primary may be back before another is
    /// promoted.
    pub fn withdrawn(&mut self) {
        self.braked = false;
        self.withdrawn = match std::mem::take(&mut self.stage) {
            Stage::Asked(own) | Stage::Polled { own, .. } => Some(own.steady),
            Stage::Open | Stage::Failed { .. } | Stage::Granted => None,
        };
    }

    /// Takes in that the withdrawn primary is published again: it answered before another node was promoted. The
    /// return counts as a failed confirmation, since the clients were without a primary.
    pub fn called_off(&mut self, limits: Limits, now: Moment) {
        if let Some(steady) = self.withdrawn.take() {
            self.failed(steady, limits, now);
        }
    }

    fn failed(&mut self, steady: bool, limits: Limits, now: Moment) {
        self.failures
            .retain(|failure| now.since(failure.at) < limits.mark_down * FLAPPING_WITHIN);
        self.failures.push(FailedConfirmation { at: now, steady });
    }

    /// The next step for a primary that is voted down, and that another node can replace.
    pub fn next(&self, brake: Option<Brake>, limits: Limits, now: Moment) -> Next {
        match &self.stage {
            Stage::Granted => Next::Withdraw,
            Stage::Failed { until, replaced } if now < *until => {
                let reason = if *replaced {
                    ConfirmationReason::Elsewhere
                } else {
                    ConfirmationReason::Answers
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
                poll_result,
                carried,
            } if now < carried.unwrap_or(poll.until).after(CONFIRMATION_GOOD_FOR) => {
                let held = own.confirms() && now >= poll.until;
                if carried.is_some() || held {
                    return Next::Withdraw;
                }
                let untold = poll_result.untold.clone();
                let reason = match brake.filter(|_| own.confirms()) {
                    Some(brake) => ConfirmationReason::Brake(brake, untold),
                    None => ConfirmationReason::Voters(untold),
                };
                Next::Wait(reason, poll.until)
            }
            _ => Next::Ask,
        }
    }

    /// The flapping of the primary, if it flaps, for a hold that says so.
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

    /// Whether the primary is withdrawn though it answers, because it flaps: three times its clients were without it.
    /// A failure at the end of a cut that hid the successor, too, does not count.
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
    ) -> impl DoubleEndedIterator<Item = &FailedConfirmation> + Clone {
        let within = limits.mark_down * FLAPPING_WITHIN;
        let failures = self.failures.iter();
        failures.filter(move |failure| now.since(failure.at) < within)
    }
}

#[cfg(test)]
mod tests;
