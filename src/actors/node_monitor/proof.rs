//! Which answers prove that the process that named itself last still lives (RK-1).
//!
//! A process names itself once on each connection, by its run id. An answer before that may come from another
//! process.

use super::NodeMonitor;
use crate::domain::node::Moment;
use crate::domain::unproven::{Unproven, is_passing};

/// The state of the proof that the known process still answers.
#[derive(Debug)]
pub(super) struct Proof {
    /// When this monitor began to watch the node.
    began: Moment,
    /// When a process last answered on a connection on which it has named itself.
    named: Option<Moment>,
    /// Whether a process has named itself on the present connection.
    here: bool,
    /// When the last row of refusals began, if there was one since a process last named itself.
    refused: Option<Moment>,
}

impl Proof {
    pub(super) fn new(began: Moment) -> Self {
        Self {
            began,
            named: None,
            here: false,
            refused: None,
        }
    }

    /// Notes that the next answer comes on another connection.
    pub(super) fn on_another_connection(&mut self) {
        self.here = false;
    }

    /// Whether a process has named itself on the present connection.
    pub(super) fn is_here(&self) -> bool {
        self.here
    }

    fn named(&mut self, at: Moment) {
        self.named = Some(at);
        self.here = true;
        self.refused = None;
    }

    fn unproven(&self, foreign: bool) -> Unproven {
        Unproven {
            since: self.named.unwrap_or(self.began),
            known: self.named.is_some(),
            refused: self.refused,
            foreign,
        }
    }
}

impl NodeMonitor {
    /// Notes a refusal: no process listens at the port.
    pub(super) fn refused(&mut self) {
        if !self.observation.refused {
            self.proof.refused = Some(self.links.clock.now());
        }
    }

    /// Notes that the process has named itself.
    pub(super) fn proven(&mut self, at: Moment) {
        self.proof.named(at);
        if self.observation.unproven.take().is_some_and(|it| it.known) {
            tracing::info!(cluster = %self.cluster, node = %self.addr, "what answers there says again which process it is");
        }
    }

    /// Notes an answer that names no process. With `foreign`, the answer is one that no plain Redis server gives.
    pub(super) fn unnamed(&mut self, foreign: bool) {
        if self.proof.here {
            return;
        }
        let said = self.observation.trouble.as_deref();
        let passing = said.is_some_and(is_passing);
        let unproven = (!passing).then(|| self.proof.unproven(foreign));
        if self.observation.unproven.is_none() && unproven.is_some_and(|it| it.known) {
            tracing::warn!(
                cluster = %self.cluster, node = %self.addr, said,
                "the answers do not say which process gives them: another server, or one whose password or certificate was changed"
            );
        }
        self.observation.unproven = unproven;
    }
}
