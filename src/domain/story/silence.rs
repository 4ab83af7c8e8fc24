//! How long a node has been silent, and what follows.

use std::fmt;
use std::time::Duration;

use super::super::liveness::{DownReason, Limits};
use super::super::observed::ObservedNode;
use super::super::verdict::Verdict;

/// A silence that is shorter has no event: a single probe may be lost.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// How long a silence lasts before its event: 1 s, or half of the mark-down time if that is shorter.
pub(super) fn patience(limits: Limits) -> Duration {
    WORTH_TELLING.min(limits.mark_down / 2)
}

/// The silence of a node, to be displayed in words: `refused for 1.0 s, down at 5.0 s if 2 of 3 keepers agree`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceStory {
    /// The result of the last probe: a refusal, or the trouble in words.
    what: String,
    lasts: Duration,
    /// The mark-down time; `None` if the node was never seen alive, so that the end of that time is not known.
    mark_down: Option<Duration>,
    /// How many votes are needed, and how many keepers vote.
    votes: Option<(usize, usize)>,
}

impl SilenceStory {
    pub(super) fn of(node: &ObservedNode, lasts: Duration, mark_down: Option<Duration>) -> Self {
        let observation = &node.observation;
        let what = match &observation.trouble {
            _ if observation.refused => "refused".to_owned(),
            Some(trouble) => trouble.clone(),
            None => "no answer".to_owned(),
        };
        let Verdict {
            keepers, min_votes, ..
        } = node.verdict;
        let needed = (keepers / 2 + 1).max(min_votes);
        Self {
            what,
            lasts,
            mark_down,
            votes: (keepers > 0).then_some((needed, keepers)),
        }
    }
}

impl fmt::Display for SilenceStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasts = self.lasts.as_secs_f64();
        write!(f, "{} for {lasts:.1} s", self.what)?;
        let Some(mark_down) = self.mark_down else {
            return f.write_str(", not seen alive before");
        };
        write!(f, ", down at {:.1} s", mark_down.as_secs_f64())?;
        match self.votes {
            Some((1, 1)) | None => Ok(()),
            Some((needed, keepers)) => write!(f, " if {needed} of {keepers} keepers agree"),
        }
    }
}

/// The reason of a vote in a few words.
pub fn reason(reason: DownReason) -> &'static str {
    match reason {
        DownReason::Refused => "refused",
        DownReason::Closed => "closed",
        DownReason::Unanswered => "unanswered",
        DownReason::Loading => "loading",
        DownReason::Impostor => "another process answers",
        DownReason::Busy => "busy with a script",
    }
}
