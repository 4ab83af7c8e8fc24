//! A server that answers at a node's address, and does not say which process it is (RK-1, RK-7).
//!
//! An answer proves the life of the process that gave it. One that names no process, on a connection on which none has
//! named itself, is no proof that the published one lives: it may be another server with another password, a server of
//! another kind, or the published one itself, whose password was changed. Its replicas tell these apart: a primary that lives
//! keeps the links that it has.

use std::time::Duration;

use super::facts::{DownReason, Link, NodeFacts, Sighting};
use super::node::{Moment, NodeAddr};
use super::observed::{Observed, ObservedNode};

/// How far a time that a server tells in whole seconds may be off.
const A_SECOND: Duration = Duration::from_secs(1);

/// How much later than a primary ended its replica may seem to have lost it: both figures are of whole seconds.
const ABOUT_THE_SAME_TIME: Duration = Duration::from_secs(2);

/// Errors that Redis gives for a while to whom it knows: the first word of each.
const OF_ITS_OWN: [&str; 6] = [
    "BUSY",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
];

/// How it says that it has as many clients as it takes.
const FULL: &str = "max number of clients";

/// Whether the error tells of a state of Redis's own that passes, and nothing of which server it is.
pub fn is_passing(error: &str) -> bool {
    let code = error.split(' ').next();
    code.is_some_and(|code| OF_ITS_OWN.contains(&code)) || error.contains(FULL)
}

/// What answers does not say which process it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unproven {
    /// When a process last named itself there; when this keeper began to watch the node, if none has since.
    pub since: Moment,
    /// One has named itself then.
    pub known: bool,
    /// When the first of the last refusals in a row came since, if there was any: nobody listened, so the process had ended.
    pub refused: Option<Moment>,
    /// No plain Redis server answers so: what answers is none, whoever asks it.
    pub foreign: bool,
}

/// A replica that has lost its primary.
struct Lost {
    /// When, at the latest.
    at: Moment,
    /// It was linked before, since it started.
    linked: bool,
}

/// What the replica tells of its link; `None` if that is there, or is being made.
fn lost(sighting: &Sighting, facts: &NodeFacts) -> Option<Lost> {
    let upstream = facts.upstream().filter(|upstream| !upstream.syncing)?;
    match upstream.link {
        Link::Up => None,
        // So long before it was read.
        Link::Down { since } => Some(Lost {
            at: Moment(sighting.at.0.saturating_sub(since.unwrap_or_default())),
            linked: since.is_some(),
        }),
    }
}

impl Unproven {
    /// Whether what the replica has lost is the process that named itself last, for good.
    fn is_borne_out(&self, lost: &Lost) -> bool {
        let watched = lost.linked && lost.at.after(A_SECOND) >= self.since;
        let ended = self
            .refused
            .is_some_and(|refused| refused.after(ABOUT_THE_SAME_TIME) >= lost.at);
        match (self.known, self.foreign) {
            (true, foreign) => watched && (foreign || ended),
            // What it was before is not known, but it is none now.
            (false, foreign) => foreign,
        }
    }
}

impl Observed {
    /// This keeper's vote on a node (RK-1), as far as others can be told of it.
    pub fn vote(&self, addr: &NodeAddr, now: Moment) -> Option<DownReason> {
        let node = self.nodes.get(addr)?;
        let impostor = || {
            let due = self
                .impostor_from()
                .filter(|_| self.subject() == Some(addr));
            let reached = due.is_some_and(|due| due <= now);
            reached.then_some(DownReason::Impostor)
        };
        node.sighting.vote.or_else(impostor)
    }

    /// From when on this keeper votes the published primary down because another process answers in its place, if nothing
    /// changes:
    /// - What answers names no process.
    /// - Nobody listened there since the process named itself last, or no plain Redis server answers so. A server that lives
    ///   does neither.
    /// - Each replica that answers and follows it has lost it.
    /// - One of them lost it after the process named itself last here, and not later than this keeper was refused.
    /// - So it has been for the mark-down time.
    pub fn impostor_from(&self) -> Option<Moment> {
        let primary = self.subject()?;
        let unproven = self.nodes.get(primary)?.sighting.unproven?;
        let losses = self.lost_by_all(primary)?;
        let borne_out = losses.iter().any(|lost| unproven.is_borne_out(lost));
        let last = losses.iter().map(|lost| lost.at).max()?;
        borne_out.then(|| unproven.since.max(last).after(self.limits.mark_down))
    }

    /// The vote that this keeper casts for that reason, in words.
    pub(super) fn impostor_in_words(&self, now: Moment) -> Option<String> {
        let primary = self.subject()?;
        if self.vote(primary, now) != Some(DownReason::Impostor) {
            return None;
        }
        let trouble = self.nodes.get(primary)?.sighting.trouble.as_deref();
        Some(format!(
            "another process answers there, and not as the server: {}; its replicas have lost it",
            trouble.unwrap_or("it says nothing of itself")
        ))
    }

    /// The replicas that answer and follow the primary; `None` if one of them has it still.
    fn lost_by_all(&self, primary: &NodeAddr) -> Option<Vec<Lost>> {
        let others = self.nodes.iter().filter(|(addr, _)| *addr != primary);
        let current = |node: &ObservedNode| node.sighting.trouble.is_none();
        let followers =
            others.filter(|(addr, node)| current(node) && self.upstream_of(addr) == Some(primary));
        let told = followers.filter_map(|(_, node)| Some((&node.sighting, node.live()?)));
        told.map(|(sighting, facts)| lost(sighting, facts))
            .collect()
    }
}

#[cfg(test)]
mod tests;
