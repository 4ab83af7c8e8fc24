//! Consents to another keeper's going on without ZooKeeper, and what such a consent binds this keeper to (RK-8).

use std::time::Duration;

use actix::prelude::*;

use super::ZkSession;
use crate::actors::messages::AskConsent;
use crate::domain::failsafe::{ConsentContext, ConsentRefusal, bound_until};
use crate::domain::identity::KeeperProcess;
use crate::domain::lease::{Unacknowledged, outlasting};
use crate::domain::node::{Generation, Moment};

/// How many leases after its first confirmed heartbeat a keeper counts as being in contact with ZooKeeper. Until then
/// the keeper still consents, so that the others have time to reconnect, too. Such a consent binds as any other does.
const SETTLES_AFTER: u32 = 3;

impl ZkSession {
    /// Until when this keeper's consents forbid it to promote or publish another node than the primary that was
    /// withdrawn in `generation` (RK-2).
    ///
    /// A consent to a keeper that has acknowledged that generation since does not count: that keeper goes on from
    /// there, if at all.
    pub(super) fn bound_until(&self, generation: Generation) -> Option<Moment> {
        let failsafe = self.dependencies.settings.failsafe?;
        let older = self
            .consent_state
            .consented
            .iter()
            .filter(|((asker, session), _)| {
                let keepers = &self.keepers;
                !keepers.has_acknowledged(asker, *session, generation)
            });
        let last = older.map(|(_, at)| *at).max();
        Some(bound_until(last, self.consent_state.started, failsafe))
    }

    /// Adds this keeper's own consents to the ends of the leases of keepers that have not acknowledged.
    pub(super) fn count_consents(&self, unacknowledged: &mut Unacknowledged) {
        let Some(failsafe) = self.dependencies.settings.failsafe else {
            return;
        };
        let out = |at: Moment| at.after(outlasting(failsafe.consent));
        let consented = &self.consent_state.consented;
        for (keeper, lease) in &mut unacknowledged.expired_silently {
            let given = consented.iter().filter(|((asker, _), _)| asker == keeper);
            let last = given
                .map(|(_, at)| *at)
                .max()
                .unwrap_or(self.consent_state.started);
            *lease = out(last).max(*lease);
        }
        for ((asker, _), at) in consented {
            let known = unacknowledged.expired_silently.contains_key(asker);
            if !known && !self.keepers.is_online(asker) {
                unacknowledged.last_lease = unacknowledged.last_lease.max(Some(out(*at)));
            }
        }
    }

    fn in_contact(&self, now: Moment) -> bool {
        let settles: Duration = self.dependencies.settings.lease * SETTLES_AFTER;
        let settled = |since: Moment| now.since(since) >= settles;
        self.consent_state.contact.is_some_and(settled) && !self.out_of_touch(now)
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
        if self.dependencies.settings.failsafe.is_none() || self.phase.over() {
            return Err(ConsentRefusal::Off);
        }
        let asked = ConsentContext {
            me: &self.me,
            holds: self.was_current.then(|| self.holds()),
            in_contact: self.in_contact(now),
            failsafe_group: &self.failsafe_group.members(),
        };
        asked.consents(&request)?;
        if let Some((one, other)) = self.two_sharing(asked.failsafe_group) {
            return Err(ConsentRefusal::SharedAddress(one, other));
        }
        if let Some(failsafe) = self.dependencies.settings.failsafe {
            let out = |at: Moment| now >= at.after(outlasting(failsafe.consent));
            self.consent_state.consented.retain(|_, at| !out(*at));
        }
        let process = (request.from.clone(), request.session);
        self.consent_state.consented.insert(process, now);
        tracing::debug!(asker = %request.from, "consented");
        Ok(self.me.clone())
    }
}
