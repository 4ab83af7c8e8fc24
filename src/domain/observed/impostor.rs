//! This keeper's vote on the published primary while another process answers in its place (RK-1, RK-7).
//!
//! The replicas show it: a primary that lives keeps the links that it has.

use std::time::Duration;

use super::{Observed, ObservedNode, Topology};
use crate::domain::facts::{Link, NodeFacts};
use crate::domain::liveness::DownReason;
use crate::domain::node::{Moment, NodeAddr};
use crate::domain::observation::NodeObservation;
use crate::domain::unproven::Unproven;

/// How far off a time may be that a server gives in whole seconds.
const A_SECOND: Duration = Duration::from_secs(1);

/// How much later than its primary's end a replica may seem to have lost it: both figures are in whole seconds.
const ABOUT_THE_SAME_TIME: Duration = Duration::from_secs(2);

/// A replica that has lost its primary.
struct Lost {
    /// The latest moment at which the link was lost.
    at: Moment,
    /// The replica was linked before, since its start.
    linked: bool,
}

/// The loss that the replica's facts show; `None` if its link is up, or is being made.
fn lost(observation: &NodeObservation, facts: &NodeFacts) -> Option<Lost> {
    let upstream = facts.upstream().filter(|upstream| !upstream.syncing)?;
    match upstream.link {
        Link::Up => None,
        // The link went down this long before the facts were read.
        Link::Down { since } => Some(Lost {
            at: Moment(observation.at.0.saturating_sub(since.unwrap_or_default())),
            linked: since.is_some(),
        }),
    }
}

impl Unproven {
    /// Whether the replica has lost the very process that named itself last, for good.
    fn is_borne_out(&self, lost: &Lost) -> bool {
        let watched = lost.linked && lost.at.after(A_SECOND) >= self.since;
        let ended = self
            .refused
            .is_some_and(|refused| refused.after(ABOUT_THE_SAME_TIME) >= lost.at);
        match (self.known, self.foreign) {
            (true, foreign) => watched && (foreign || ended),
            // The former process is unknown, but no plain Redis server answers now.
            (false, foreign) => foreign,
        }
    }
}

impl Observed {
    /// This keeper's vote on a node (RK-1). For the published primary, the losses of its replicas may be the reason.
    pub fn vote(&self, addr: &NodeAddr, now: Moment) -> Option<DownReason> {
        let node = self.nodes.get(addr)?;
        let impostor = || {
            let due = self
                .impostor_from()
                .filter(|_| self.subject() == Some(addr));
            let reached = due.is_some_and(|due| due <= now);
            reached.then_some(DownReason::Impostor)
        };
        node.observation.vote.or_else(impostor)
    }

    /// From when on this keeper votes the published primary down because another process answers in its place, if
    /// nothing changes. All of these hold:
    /// - The answers name no process.
    /// - Nobody listened there since the process last named itself, or no plain Redis server gives such answers. A
    ///   server that lives does neither.
    /// - Each replica that answers and follows the primary has lost it.
    /// - One of these replicas lost the primary after the process last named itself here, and not later than this
    ///   keeper was refused. If no plain Redis server gives such answers, the refusal is not needed.
    /// - All this has lasted for the mark-down time.
    ///
    /// If no process ever named itself to this keeper at the node, the fourth condition is another: no plain Redis
    /// server gives such answers.
    pub fn impostor_from(&self) -> Option<Moment> {
        let primary = self.subject()?;
        let unproven = self.nodes.get(primary)?.observation.unproven?;
        let losses = self.lost_by_all(primary)?;
        let borne_out = losses.iter().any(|lost| unproven.is_borne_out(lost));
        let last = losses.iter().map(|lost| lost.at).max()?;
        borne_out.then(|| unproven.since.max(last).after(self.limits.mark_down))
    }

    /// This keeper's vote for that reason, in words.
    pub(in crate::domain) fn impostor_in_words(&self, now: Moment) -> Option<String> {
        let primary = self.subject()?;
        if self.vote(primary, now) != Some(DownReason::Impostor) {
            return None;
        }
        let trouble = self.nodes.get(primary)?.observation.trouble.as_deref();
        Some(format!(
            "another process answers there, and not as the server: {}; its replicas have lost it",
            trouble.unwrap_or("it says nothing of itself")
        ))
    }

    /// The losses of the replicas that answer and follow the primary; `None` if one of them still has its link.
    fn lost_by_all(&self, primary: &NodeAddr) -> Option<Vec<Lost>> {
        let topology = Topology::of(self);
        let others = self.nodes.iter().filter(|(addr, _)| *addr != primary);
        let current = |node: &ObservedNode| node.observation.trouble.is_none();
        let followers =
            others.filter(|(addr, node)| current(node) && topology.follows(addr, primary));
        let told = followers.filter_map(|(_, node)| Some((&node.observation, node.live()?)));
        told.map(|(observation, facts)| lost(observation, facts))
            .collect()
    }
}

#[cfg(test)]
mod tests;
