//! The leader latch. The keeper with the lowest sequence number leads, once it has raised the epoch in a transaction
//! that checks its latch node.
//!
//! The leadership ends as soon as one of these happens:
//! - the connection is lost;
//! - the lease has run out;
//! - the latch node is gone;
//! - a guarded write is refused.

use futures::future::try_join_all;
use futures::{FutureExt, TryFutureExt};

use super::reading::{Event, PAUSE};
use super::writing::raise_epoch;
use super::{Phase, ZkSession};
use crate::actors::messages::{Leadership, Leading};
use crate::layout::paths::{self, LatchName};
use crate::ports::coordination::{CoordinationError, CreateKind};

/// The step under way towards leadership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Campaign {
    Idle,
    /// Own latch nodes are being created or deleted. The next read of the latch shows the outcome.
    Changing,
    /// The epoch is being raised, or the pause after a failure is running.
    Raising,
}

impl ZkSession {
    /// Takes the next step towards leadership, by the latch as it was read last.
    pub(super) fn campaign(&mut self) {
        let (Some(session), Some(line)) = (self.online(), &mut self.line) else {
            return;
        };
        let Some(standing) = &mut line.standing else {
            return;
        };
        // A keeper of the older program in this latch stays behind this keeper for as long as this keeper lives.
        for name in std::mem::take(&mut standing.foreign) {
            tracing::error!(
                name,
                "another program takes part in the leader latch: stop it"
            );
        }
        let first = standing.first;
        if !first && self.leadership.is_some() {
            return self.stop_leading("the latch node is gone");
        }
        if line.campaign != Campaign::Idle {
            return;
        }
        let changing = match standing.own.as_slice() {
            [] => {
                let latch = paths::latch(&self.identity.id, session.id());
                session
                    .create(&latch, b"", CreateKind::EphemeralSequential)
                    .map_ok(drop)
                    .boxed_local()
            }
            [own] => {
                let leased = self.lease_book.lease().holds(self.dependencies.clock.now());
                let current = self.phase == Phase::Current;
                if first && leased && current && self.leadership.is_none() {
                    let latch = own.path();
                    let raised = raise_epoch(session, latch.clone())
                        .map_ok(|epoch| Leadership { epoch, latch });
                    line.campaign = Campaign::Raising;
                    self.spawn(raised.map(Event::Raised));
                }
                return;
            }
            [_, extra @ ..] => try_join_all(
                extra
                    .iter()
                    .map(|latch| session.delete(&latch.path(), None)),
            )
            .map_ok(drop)
            .boxed_local(),
        };
        line.campaign = Campaign::Changing;
        self.spawn(changing.map(Event::LatchWritten));
    }

    pub(super) fn latch_written(&mut self, outcome: Result<(), CoordinationError>) {
        if let Err(error) = outcome {
            tracing::warn!(%error, "cannot take part in the leader latch yet");
            self.spawn(tokio::time::sleep(PAUSE).map(|()| Event::CampaignAgain));
        }
    }

    pub(super) fn raised(&mut self, outcome: Result<Leadership, CoordinationError>) {
        let Some(line) = &mut self.line else { return };
        match outcome {
            Ok(leadership) => {
                line.campaign = Campaign::Idle;
                if line
                    .standing
                    .as_ref()
                    .is_some_and(|standing| standing.first)
                {
                    tracing::info!(epoch = %leadership.epoch, keeper = %self.identity.id, "leading");
                    self.leadership = Some(leadership.clone());
                    (self.dependencies.leading)(Leading(Some(leadership)));
                    self.share_all();
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot begin to lead yet");
                self.spawn(tokio::time::sleep(PAUSE).map(|()| Event::CampaignAgain));
            }
        }
    }

    pub(super) fn campaign_again(&mut self) {
        if let Some(line) = &mut self.line {
            line.campaign = Campaign::Idle;
        }
        self.campaign();
    }

    /// Stops leading, if this keeper leads.
    pub(super) fn stop_leading(&mut self, why: &'static str) {
        if let Some(Leadership { epoch, .. }) = self.leadership.take() {
            tracing::warn!(%epoch, keeper = %self.identity.id, why, "not leading any more");
            self.stopped = Some((why, self.dependencies.clock.now()));
            (self.dependencies.leading)(Leading(None));
            self.share_all();
        }
    }

    /// The latch node that guards this keeper's writes.
    pub(super) fn latch(&self) -> Option<String> {
        let standing = self.line.as_ref()?.standing.as_ref()?;
        standing.own.first().map(LatchName::path)
    }
}
