//! A keeper's going on without ZooKeeper while all keepers consent (RK-8): its registration, the requests for
//! consent, and its own consents.

use std::collections::BTreeSet;

use self::over::Over;
use super::consents::ConsentBook;
use super::failsafe_group::{Amendment, FailsafeGroup};
use super::failsafe_member::FailsafeMember;
use super::keeper_table::KeeperTable;
use super::lease_book::LeaseBook;
use crate::domain::failsafe::{ConsentContext, ConsentRefusal, ConsentRequest, Failsafe};
use crate::domain::identity::{KeeperProcess, Place};
use crate::domain::lease::Unacknowledged;
use crate::domain::node::{Generation, KeeperId, Moment};
use crate::domain::rehearsal::Rehearsals;

mod addresses;
pub mod over;

/// Everything about failsafe mode that one keeper knows.
#[derive(Debug)]
pub struct FailsafeState {
    me: KeeperProcess,
    /// The settings of failsafe mode; `None` if it is switched off.
    pub settings: Option<Failsafe>,
    /// This keeper's registration, without a list; `None` if failsafe mode is switched off.
    own: Option<FailsafeMember>,
    /// The members, and this keeper's failsafe list.
    pub group: FailsafeGroup,
    /// The consents received and given.
    pub consents: ConsentBook,
    /// The rehearsals with all members.
    pub rehearsals: Rehearsals,
}

/// A request for consent, to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentQuestion {
    /// Where the keeper that is asked listens, `host:port`.
    pub rest: String,
    /// The process that is asked.
    pub asked: KeeperProcess,
    /// The request.
    pub request: ConsentRequest,
}

impl FailsafeState {
    /// The state of the process `me`, which was started at `started`, listens at `rest` and runs at `place`.
    pub fn new(
        me: &KeeperProcess,
        settings: Option<Failsafe>,
        rest: &str,
        place: &Place,
        started: Moment,
    ) -> Self {
        let own = settings.map(|settings| FailsafeMember {
            rest: rest.to_owned(),
            nonce: Some(me.nonce.clone()),
            place: Some(place.clone()),
            asks: None,
            limit: settings.limit,
        });
        Self {
            me: me.clone(),
            settings,
            own,
            group: FailsafeGroup::new(me.clone()),
            consents: ConsentBook::new(started),
            rehearsals: Rehearsals::default(),
        }
    }

    /// The next write that makes this keeper's registration as it should be.
    pub fn amendment(&self) -> Option<Amendment> {
        self.group.amendment(self.own.as_ref())
    }

    /// Whether the others can ask this process, if it takes part. No heartbeat counts before.
    pub fn is_registered(&self) -> bool {
        self.settings.is_none() || self.group.has_registered()
    }

    /// Until when this keeper's consents bind it against the withdrawal in `generation`; `None` without failsafe mode.
    pub fn bound_until(&self, generation: Generation, keepers: &KeeperTable) -> Option<Moment> {
        let bound = |settings| self.consents.bound_until(generation, keepers, settings);
        self.settings.map(bound)
    }

    /// Adds this keeper's own consents to the ends of the leases of keepers that have not acknowledged.
    pub fn count_consents(&self, unacknowledged: &mut Unacknowledged, keepers: &KeeperTable) {
        if let Some(settings) = self.settings {
            self.consents.count(unacknowledged, keepers, settings);
        }
    }

    /// Answers another keeper's request, and notes the consent. `holds` is the newest generation that this keeper
    /// knows; `None` if it has not read ZooKeeper since its start.
    pub fn consent(
        &mut self,
        request: &ConsentRequest,
        holds: Option<Generation>,
        in_contact: bool,
        now: Moment,
    ) -> Result<KeeperProcess, ConsentRefusal> {
        let settings = self.settings.ok_or(ConsentRefusal::Off)?;
        let members = self.group.members();
        let asked = ConsentContext {
            me: &self.me,
            holds,
            in_contact,
            failsafe_group: &members,
        };
        asked.consents(request)?;
        if let Some((one, other)) = self.two_sharing(&members) {
            return Err(ConsentRefusal::SharedAddress(one, other));
        }
        self.consents
            .give(request.from.clone(), request.session, settings, now);
        Ok(self.me.clone())
    }

    /// Until when this keeper may go on at most; `None` if it has no lease to go on from, or failsafe mode is switched
    /// off.
    pub fn limit(&self, book: &LeaseBook) -> Option<Moment> {
        Some(book.lease().deadline()?.after(self.settings?.limit))
    }

    /// The requests for the consent of `others` to going on from `generation`. A keeper that cannot be asked counts as
    /// one that refuses.
    pub fn requests(
        &mut self,
        others: &BTreeSet<KeeperId>,
        session: i64,
        generation: Generation,
    ) -> Vec<ConsentQuestion> {
        if let Some((one, other)) = self.two_sharing(others) {
            let why = ConsentRefusal::SharedAddress(one.clone(), other).to_string();
            self.consents.forget_refusals();
            self.consents.cannot(one, why);
            return Vec::new();
        }
        let members = others.iter().chain([&self.me.id]);
        let failsafe_group: BTreeSet<KeeperId> = members.cloned().collect();
        let mut questions = Vec::new();
        for keeper in others {
            let Some(registration) = self.group.registration(keeper) else {
                continue;
            };
            let Some(nonce) = registration.nonce.clone() else {
                let why = "it cannot prove its consent: a former build";
                self.consents.cannot(keeper.clone(), why.to_owned());
                continue;
            };
            let asked = KeeperProcess::new(keeper.clone(), nonce);
            questions.push(ConsentQuestion {
                rest: registration.rest.clone(),
                request: ConsentRequest {
                    from: self.me.id.clone(),
                    nonce: Some(self.me.nonce.clone()),
                    to: Some(asked.clone()),
                    session,
                    generation,
                    failsafe_group: failsafe_group.clone(),
                },
                asked,
            });
        }
        questions
    }

    /// Until when all keepers on the list consent to this keeper's going on; `None` if not all of them do, or if this
    /// keeper knows that its state is superseded.
    pub fn consented_until(&self, book: &LeaseBook, now: Moment) -> Option<Moment> {
        let others = self.group.to_ask()?;
        if book.waits() || self.two_sharing(&others).is_some() {
            return None;
        }
        let lease = book.lease().deadline()?;
        let consents = self.consents.received();
        consents.until(&others, book.highest(), (lease, now), self.settings?)
    }

    /// Why this keeper does not go on by consent any more. `in_touch` says whether ZooKeeper answers.
    pub fn why_over(&self, book: &LeaseBook, in_touch: bool, now: Moment) -> Over<'_> {
        let refusals = self.consents.refusals();
        match (self.limit(book), self.group.to_ask()) {
            (None, _) => Over::Revoked,
            (Some(limit), _) if now >= limit => Over::Limit,
            _ if book.waits() => Over::Superseded,
            (_, None) => Over::NobodyKnown,
            _ if in_touch => Over::InTouch,
            (_, Some(asked)) if refusals.is_empty() => Over::Late(asked),
            _ => Over::Refused(refusals),
        }
    }
}

#[cfg(test)]
mod tests;
