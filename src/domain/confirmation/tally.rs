//! What keepers tell of a primary that they were asked about, and what that comes to.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use crate::domain::node::KeeperId;

/// What one keeper tells of the published primary of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The number under which it asks the others, if it does.
    pub asks: Option<u64>,
    /// Its answers, by who asks: a leader that is gone may still seem to.
    pub answers: BTreeMap<KeeperId, Answer>,
}

/// An answer to a question of another keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The number under which it was asked.
    pub number: u64,
    /// What came of it.
    pub finding: Finding,
}

impl Told {
    /// There is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What all voters together have found since they were asked, the leader included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Keepers online.
    pub voters: usize,
    /// Of these, by whose finding the primary serves nobody.
    pub unfit: usize,
    /// Those that have told nothing yet.
    pub untold: BTreeSet<KeeperId>,
}

impl Tally {
    pub(super) fn carries(&self, votes: usize) -> bool {
        votes * 2 > self.voters
    }

    /// A strict majority has no answer.
    pub(super) fn carried(&self) -> bool {
        self.carries(self.unfit)
    }

    /// No strict majority can come about any more.
    pub(super) fn lost(&self) -> bool {
        !self.carries(self.unfit + self.untold.len())
    }
}
