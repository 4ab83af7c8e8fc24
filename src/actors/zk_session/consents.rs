//! Consents to another keeper's going on without ZooKeeper (RK-8).

use std::time::Duration;

use actix::prelude::*;

use super::ZkSession;
use crate::actors::messages::AskConsent;
use crate::domain::failsafe::ConsentRefusal;
use crate::domain::identity::KeeperProcess;
use crate::domain::node::{Generation, Moment};

/// How many leases after its first confirmed heartbeat a keeper counts as being in contact with ZooKeeper. Until then
/// the keeper still consents, so that the others have time to reconnect, too. Such a consent binds as any other does.
const SETTLES_AFTER: u32 = 3;

impl ZkSession {
    fn in_contact(&self, now: Moment) -> bool {
        let settles: Duration = self.dependencies.settings.lease * SETTLES_AFTER;
        let settled = self
            .contact
            .lasts(now)
            .is_some_and(|lasts| lasts >= settles);
        settled && !self.out_of_touch(now)
    }

    /// The newest generation that this keeper knows.
    fn holds(&self) -> Generation {
        let published = self.clusters.newest_generation();
        self.lease_book.highest().max(published)
    }
}

impl Handler<AskConsent> for ZkSession {
    type Result = Result<KeeperProcess, ConsentRefusal>;

    fn handle(&mut self, AskConsent(request): AskConsent, _: &mut Self::Context) -> Self::Result {
        let now = self.dependencies.clock.now();
        if self.phase.over() {
            return Err(ConsentRefusal::Off);
        }
        let holds = self.lease_book.ever_read().then(|| self.holds());
        let in_contact = self.in_contact(now);
        let me = self.failsafe.consent(&request, holds, in_contact, now)?;
        tracing::debug!(asker = %request.from, "consented");
        Ok(me)
    }
}
