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

use super::ZkSession;
use super::event::{Event, PAUSE};
use super::guarded_write::raise_epoch;
use crate::actors::messages::{Leadership, LeadershipChanged};
use crate::domain::keepers::latch::LatchView;
use crate::layout::paths;
use crate::ports::coordination::{CoordinationError, CreateKind};

/// A step towards leadership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Campaign {
    /// Own latch nodes are being created or deleted. The next read of the latch shows the outcome.
    Changing,
    /// The epoch is being raised, or the pause after a failure is running.
    Raising,
}

impl ZkSession {
    /// Takes in the names of all latch nodes.
    pub(super) fn latch_read(&mut self, names: Vec<String>) {
        let mut latches = Vec::new();
        for name in names {
            if let Some(latch) = paths::latch_name(&name) {
                latches.push(latch);
            } else {
                // A keeper of the older program in this latch stays behind this keeper for as long as this keeper lives.
                tracing::error!(
                    name,
                    "another program takes part in the leader latch: stop it"
                );
            }
        }
        if let Some(online) = self.phase.online_mut() {
            let session = online.connection.session.id();
            online.latch_view = Some(LatchView::of(session, latches));
            if online.campaign.get() == Some(&Campaign::Changing) {
                online.campaign.end();
            }
        }
        self.campaign();
    }

    /// Takes the next step towards leadership, by the latch as it was read last.
    pub(super) fn campaign(&mut self) {
        let current = self.phase.is_current();
        let Some(online) = self.phase.online_mut() else {
            return;
        };
        let session = online.session();
        let Some(latch_view) = &online.latch_view else {
            return;
        };
        let first = latch_view.first;
        if !first && self.leading.leads() {
            return self.stop_leading("the latch node is gone");
        }
        if online.campaign.is_under_way() {
            return;
        }
        let changing = match latch_view.own.as_slice() {
            [] => {
                let latch = paths::latch(&self.identity.me.id, session.id());
                session
                    .create(&latch, b"", CreateKind::EphemeralSequential)
                    .map_ok(drop)
                    .boxed_local()
            }
            [own] => {
                let leased = self.lease_book.lease().holds(self.dependencies.clock.now());
                if first && leased && current && !self.leading.leads() {
                    let latch = paths::latch_path(own);
                    let raised = raise_epoch(session, latch.clone())
                        .map_ok(|epoch| Leadership { epoch, latch });
                    online.campaign.begin(Campaign::Raising);
                    self.spawn(raised.map(Event::Raised));
                }
                return;
            }
            [_, extra @ ..] => try_join_all(
                extra
                    .iter()
                    .map(|latch| session.delete(&paths::latch_path(latch), None)),
            )
            .map_ok(drop)
            .boxed_local(),
        };
        online.campaign.begin(Campaign::Changing);
        self.spawn(changing.map(Event::LatchWritten));
    }

    pub(super) fn latch_written(&mut self, outcome: Result<(), CoordinationError>) {
        if let Err(error) = outcome {
            tracing::warn!(%error, "cannot take part in the leader latch yet");
            self.spawn(tokio::time::sleep(PAUSE).map(|()| Event::CampaignAgain));
        }
    }

    pub(super) fn raised(&mut self, outcome: Result<Leadership, CoordinationError>) {
        let Some(online) = self.phase.online_mut() else {
            return;
        };
        match outcome {
            Ok(leadership) => {
                online.campaign.end();
                if online
                    .latch_view
                    .as_ref()
                    .is_some_and(|latch_view| latch_view.first)
                {
                    tracing::info!(epoch = %leadership.epoch, keeper = %self.identity.me.id, "leading");
                    self.leading.begin(leadership.clone());
                    (self.dependencies.leading)(LeadershipChanged(Some(leadership)));
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
        if let Some(online) = self.phase.online_mut() {
            online.campaign.end();
        }
        self.campaign();
    }

    /// Stops leading, if this keeper leads.
    pub(super) fn stop_leading(&mut self, why: &'static str) {
        if !self.leading.leads() {
            return;
        }
        let now = self.dependencies.clock.now();
        if let Some(epoch) = self.leading.stop(why, now) {
            tracing::warn!(%epoch, keeper = %self.identity.me.id, why, "not leading any more");
            (self.dependencies.leading)(LeadershipChanged(None));
            self.share_all();
        }
    }

    /// The latch node that guards this keeper's writes.
    pub(super) fn latch(&self) -> Option<String> {
        self.phase.latch_view()?.own.first().map(paths::latch_path)
    }
}
