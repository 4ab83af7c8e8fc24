//! Which answers prove that the process lives that named itself last (RK-1).
//!
//! A process names itself once on each connection, by its run id. What is answered on a connection before that may be
//! another's answer.

use super::NodeMonitor;
use crate::domain::node::Moment;
use crate::domain::unproven::{Unproven, is_passing};

/// What is known of who answers.
#[derive(Debug)]
pub(super) struct Proof {
    /// When the node began to be watched.
    began: Moment,
    /// When a process last said what it is, on a connection on which it has named itself.
    named: Option<Moment>,
    /// One has named itself on the present connection.
    here: bool,
    /// When the first of the last refusals in a row came, since then.
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

    /// What comes now comes on another connection.
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
    /// Nobody listens.
    pub(super) fn refused(&mut self) {
        if !self.sighting.refused {
            self.proof.refused = Some(self.clock.now());
        }
    }

    /// The process has said what it is.
    pub(super) fn proven(&mut self, at: Moment) {
        self.proof.named(at);
        if self.sighting.unproven.take().is_some_and(|it| it.known) {
            tracing::info!(cluster = %self.cluster, node = %self.addr, "what answers there says again which process it is");
        }
    }

    /// An answer says nothing of the process that gave it; no plain Redis server answers so if it is `foreign`.
    pub(super) fn unnamed(&mut self, foreign: bool) {
        if self.proof.here {
            return;
        }
        let said = self.sighting.trouble.as_deref();
        let passing = said.is_some_and(is_passing);
        let unproven = (!passing).then(|| self.proof.unproven(foreign));
        if self.sighting.unproven.is_none() && unproven.is_some_and(|it| it.known) {
            tracing::warn!(
                cluster = %self.cluster, node = %self.addr, said,
                "what answers there does not say which process it is: another server, or one whose password was changed"
            );
        }
        self.sighting.unproven = unproven;
    }
}
