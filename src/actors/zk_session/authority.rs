//! The leader, as far as this session knows it, for display.

use super::ZkSession;
use super::phase::{Phase, Progress};
use crate::domain::authority::{Absence, Authority, Vacancy, WhoLeads};
use crate::domain::keepers::record::KeeperRecord;
use crate::domain::node::{KeeperId, Moment};

impl ZkSession {
    pub(super) fn who_leads(&self) -> WhoLeads {
        let now = self.dependencies.clock.now();
        WhoLeads {
            authority: self.authority(now),
            stopped: self.leading.stopped(now),
        }
    }

    fn authority(&self, now: Moment) -> Authority {
        // The latch that was read counts only while a heartbeat's lease holds.
        let lease = self.lease_book.lease();
        let vouched = lease.holds(now);
        match &self.phase {
            Phase::Refused | Phase::Left => Authority::Nobody(Vacancy::Ended),
            Phase::Connecting | Phase::Disconnected(_) => Authority::Away(self.absence(now)),
            Phase::Joining(_) => Authority::Nobody(Vacancy::Reading),
            Phase::Online(online) => match online.progress {
                Progress::Reading(_) => Authority::Nobody(Vacancy::Reading),
                Progress::Current(_)
                    if !vouched && self.lease_book.ever_read() && lease.deadline().is_some() =>
                {
                    Authority::Away(self.absence(now))
                }
                Progress::Current(_) => self.leader(),
            },
        }
    }

    fn leader(&self) -> Authority {
        if let Some(epoch) = self.leading.epoch() {
            return Authority::Leads(epoch);
        }
        let Some(latch_view) = self.phase.latch_view() else {
            return Authority::Nobody(Vacancy::Reading);
        };
        match &latch_view.leader {
            None => Authority::Nobody(Vacancy::Empty),
            Some(_) if latch_view.first => Authority::Nobody(Vacancy::Beginning),
            Some(latch) => Authority::Follows {
                leader: latch.keeper.clone(),
                rest: self
                    .keepers
                    .announcement(&latch.keeper)
                    .map(|record| record.rest.clone()),
            },
        }
    }

    fn absence(&self, now: Moment) -> Absence {
        let others = self.keepers.announcements();
        let others = others.filter(|(id, _)| **id != self.identity.me.id);
        let rest = |(id, record): (&KeeperId, Option<&KeeperRecord>)| {
            Some((id.clone(), record?.rest.clone()))
        };
        let lease = *self.dependencies.lease.borrow();
        Absence {
            place: self.dependencies.coordination.describe(),
            contact: self.contact.last(now),
            failsafe: lease.is_consented() && lease.holds(now),
            others: others.filter_map(rest).collect(),
        }
    }
}
