//! The consents that a keeper has received and given (RK-8).

use std::collections::BTreeMap;

use super::keeper_table::KeeperTable;
use crate::domain::failsafe::{Consents, Failsafe, bound_until};
use crate::domain::lease::{Unacknowledged, outlasting};
use crate::domain::node::{Generation, KeeperId, Moment};

/// All consents of a keeper's process. They outlive connections and sessions.
#[derive(Debug)]
pub struct ConsentBook {
    started: Moment,
    /// The consents of the other keepers.
    received: Consents,
    /// Why others do not consent, as each said last.
    refusals: BTreeMap<KeeperId, String>,
    /// The keepers, with their sessions, to which this keeper consented, and when last; as long as the consent binds.
    given: BTreeMap<(KeeperId, i64), Moment>,
}

impl ConsentBook {
    /// The book of a process that was started at `started`, and consented to nothing since.
    pub fn new(started: Moment) -> Self {
        Self {
            started,
            received: Consents::default(),
            refusals: BTreeMap::new(),
            given: BTreeMap::new(),
        }
    }

    /// The consents of the other keepers.
    pub fn received(&self) -> &Consents {
        &self.received
    }

    /// Why others do not consent, as each said last.
    pub fn refusals(&self) -> &BTreeMap<KeeperId, String> {
        &self.refusals
    }

    /// Takes in the answer of a keeper to the request for `generation` that was sent at `sent`. Answers whether the
    /// keeper consents.
    pub fn answered(
        &mut self,
        keeper: KeeperId,
        generation: Generation,
        sent: Moment,
        consents: Result<(), String>,
    ) -> bool {
        match consents {
            Ok(()) => {
                self.refusals.remove(&keeper);
                self.received.given(keeper, generation, sent);
                true
            }
            Err(why) => {
                self.refusals.insert(keeper, why);
                false
            }
        }
    }

    /// Notes that a keeper cannot consent.
    pub fn cannot(&mut self, keeper: KeeperId, why: String) {
        self.refusals.insert(keeper, why);
    }

    /// Forgets all refusals: they are from an outage that is over.
    pub fn forget_refusals(&mut self) {
        self.refusals.clear();
    }

    /// Forgets all consents of others: the clock has stood still, so it is not known when they were given.
    pub fn forget_received(&mut self) {
        self.received = Consents::default();
    }

    /// Notes that this keeper consents at `now` to the keeper that asks in this session.
    pub fn give(&mut self, asker: KeeperId, session: i64, failsafe: Failsafe, now: Moment) {
        let out = |at: Moment| now >= at.after(outlasting(failsafe.consent));
        self.given.retain(|_, at| !out(*at));
        self.given.insert((asker, session), now);
    }

    /// Until when the given consents forbid this keeper to promote or publish another node than the primary that was
    /// withdrawn in `generation` (RK-2).
    ///
    /// A consent to a keeper that has acknowledged that generation since does not count: that keeper goes on from
    /// there, if at all.
    pub fn bound_until(
        &self,
        generation: Generation,
        keepers: &KeeperTable,
        failsafe: Failsafe,
    ) -> Moment {
        let older = self
            .given
            .iter()
            .filter(|((asker, session), _)| !keepers.has_acknowledged(asker, *session, generation));
        let last = older.map(|(_, at)| *at).max();
        bound_until(last, self.started, failsafe)
    }

    /// Adds the given consents to the ends of the leases of keepers that have not acknowledged.
    pub fn count(
        &self,
        unacknowledged: &mut Unacknowledged,
        keepers: &KeeperTable,
        failsafe: Failsafe,
    ) {
        let out = |at: Moment| at.after(outlasting(failsafe.consent));
        for (keeper, lease) in &mut unacknowledged.expired_silently {
            let given = self.given.iter().filter(|((asker, _), _)| asker == keeper);
            let last = given.map(|(_, at)| *at).max().unwrap_or(self.started);
            *lease = out(last).max(*lease);
        }
        for ((asker, _), at) in &self.given {
            let known = unacknowledged.expired_silently.contains_key(asker);
            if !known && !keepers.is_online(asker) {
                unacknowledged.last_lease = unacknowledged.last_lease.max(Some(out(*at)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FAILSAFE: Failsafe = Failsafe {
        consent: Duration::from_millis(600),
        limit: Duration::from_secs(9),
    };

    fn at(milliseconds: u64) -> Moment {
        Moment(Duration::from_millis(milliseconds))
    }

    /// The table of a keeper that knows no other one.
    fn nobody() -> KeeperTable {
        let lease = Duration::from_millis(800);
        KeeperTable::new(KeeperId::new("a"), lease, Some(FAILSAFE))
    }

    fn given(consents: &[(&str, u64)]) -> ConsentBook {
        let mut book = ConsentBook::new(at(0));
        for (keeper, now) in consents {
            book.give(KeeperId::new(*keeper), 1, FAILSAFE, at(*now));
        }
        book
    }

    #[test]
    fn a_consent_binds_until_it_is_out_and_the_start_binds_as_a_consent_does() {
        let bound = |book: ConsentBook| book.bound_until(Generation(7), &nobody(), FAILSAFE);
        assert_eq!(bound(given(&[])), at(620));
        assert_eq!(bound(given(&[("b", 5_000), ("c", 4_900)])), at(5_620));
    }

    #[test]
    fn consents_to_silent_and_to_unknown_keepers_prolong_the_wait_for_them() {
        let (b, c) = (KeeperId::new("b"), KeeperId::new("c"));
        let mut unacknowledged = Unacknowledged {
            expired_silently: [(b.clone(), at(1_000)), (c.clone(), at(1_000))].into(),
            ..Unacknowledged::default()
        };
        given(&[("b", 900), ("z", 950)]).count(&mut unacknowledged, &nobody(), FAILSAFE);
        let ends = [(b, at(1_520)), (c, at(1_000))];
        assert_eq!(unacknowledged.expired_silently, ends.into());
        assert_eq!(unacknowledged.last_lease, Some(at(1_570)));
    }

    #[test]
    fn a_refusal_stands_until_the_keeper_consents_or_zookeeper_answers() {
        let mut book = ConsentBook::new(at(0));
        let b = KeeperId::new("b");
        let refused = || Err("it reaches ZooKeeper".to_owned());
        assert!(!book.answered(b.clone(), Generation(7), at(100), refused()));
        assert_eq!(book.refusals().len(), 1);
        assert!(book.answered(b.clone(), Generation(7), at(200), Ok(())));
        assert!(book.refusals().is_empty());
        book.cannot(b, "a former build".to_owned());
        book.forget_refusals();
        assert!(book.refusals().is_empty());
    }
}
