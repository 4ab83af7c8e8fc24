//! The keepers' findings about a primary that the leader asked about, and their count.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::domain::node::KeeperId;

/// A keeper's questions and answers about the published primary of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollState {
    /// The number of this keeper's own question to the others, if it asks.
    pub asks: Option<u64>,
    /// The answers, by the keeper that asked: a deposed leader may still seem to ask.
    pub answers: BTreeMap<KeeperId, PollAnswer>,
}

/// An answer to a question of another keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollAnswer {
    /// The number of the question.
    pub number: u64,
    /// The result.
    pub finding: Finding,
}

impl PollState {
    /// Whether there is neither a question nor an answer.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The findings of all voters since the question, the leader included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollResult {
    /// How many voters there are: keepers online that probe the primary.
    pub voters: usize,
    /// How many voters find no primary there that serves ([`Finding::unfit`]).
    pub unfit: usize,
    /// Voters that have not reported yet.
    pub untold: BTreeSet<KeeperId>,
}

impl PollResult {
    pub(super) fn carries(&self, votes: usize) -> bool {
        votes * 2 > self.voters
    }

    /// A strict majority finds no primary there that serves.
    pub(super) fn carried(&self) -> bool {
        self.carries(self.unfit)
    }

    /// No strict majority can come about any more.
    pub(super) fn lost(&self) -> bool {
        !self.carries(self.unfit + self.untold.len())
    }
}
