//! Failsafe mode: keepers go on without ZooKeeper while all of them consent (RK-8).
//!
//! A keeper whose lease is about to end asks every keeper on its failsafe list. The keeper goes on answering from its
//! last state as long as all of them consent. A keeper that consented publishes no other primary until one of these
//! holds:
//! - its consent has run out;
//! - the asker has acknowledged the withdrawal.
//!
//! So the promise of RK-2 depends on two keepers only: one that answers, and a leader that it has asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::identity::{KeeperProcess, Nonce};
use super::lease::outlasting;
use super::node::{Generation, KeeperId, Moment};

/// The settings of failsafe mode, which all keepers must share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failsafe {
    /// *F*: how long a consent lasts, from the moment at which the asker sent its request.
    pub consent: Duration,
    /// *D*: how long a keeper goes on at most, from the end of its lease.
    pub limit: Duration,
}

/// One keeper's request for another keeper's consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentRequest {
    /// The asker.
    pub from: KeeperId,
    /// The nonce of the asker's process; `None` from a keeper of a former build.
    pub nonce: Option<Nonce>,
    /// The process that is asked; `None` from a keeper of a former build.
    pub to: Option<KeeperProcess>,
    /// The last ZooKeeper session of the asker; 0 if it has none.
    pub session: i64,
    /// The asker answers from states up to this generation.
    pub generation: Generation,
    /// All keepers that the asker asks, and the asker itself.
    pub failsafe_group: BTreeSet<KeeperId>,
}

/// Why a keeper does not consent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsentRefusal {
    /// The request names no process, so any process may be meant.
    #[error("the request does not name the process that is asked: the asker is of a former build")]
    NoAddressee,
    /// Another process was asked.
    #[error("{asked} was asked, and {is} answers")]
    OtherProcess {
        /// The process that the asker means.
        asked: KeeperProcess,
        /// The process that answers.
        is: KeeperProcess,
    },
    /// Two keepers advertise one address: a request may reach either of them.
    #[error("{0} and {1} have the same address")]
    SharedAddress(KeeperId, KeeperId),
    /// The keeper would consent to itself.
    #[error("{0} would consent to itself")]
    Myself(KeeperId),
    /// The keeper has not read ZooKeeper since its start, so it does not know which state it held before.
    #[error("it has not read ZooKeeper since it was started")]
    NeverRead,
    /// The keeper reaches ZooKeeper. A keeper that does not reach ZooKeeper is to fall silent.
    #[error("it reaches ZooKeeper")]
    InContact,
    /// The keeper holds another generation.
    #[error("it holds generation {holds}, not {asked}")]
    OtherGeneration {
        /// The generation that the keeper holds.
        holds: Generation,
        /// The generation that the asker holds.
        asked: Generation,
    },
    /// The keeper knows a keeper that the asker does not ask.
    #[error("{0} would have to be asked, too")]
    Unasked(KeeperId),
    /// Failsafe mode is switched off at the keeper.
    #[error("failsafe is switched off there")]
    Off,
}

/// The knowledge of a keeper that is asked.
#[derive(Debug, Clone, Copy)]
pub struct ConsentContext<'a> {
    /// The process of the keeper.
    pub me: &'a KeeperProcess,
    /// The generation that it holds; `None` if it has not read ZooKeeper since its start.
    pub holds: Option<Generation>,
    /// The keeper reaches ZooKeeper.
    pub in_contact: bool,
    /// The keepers that it would ask itself, and itself.
    pub failsafe_group: &'a BTreeSet<KeeperId>,
}

impl ConsentContext<'_> {
    /// Whether the keeper consents, else why not.
    pub fn consents(&self, request: &ConsentRequest) -> Result<(), ConsentRefusal> {
        self.is_meant_by(request)?;
        let holds = self.holds.ok_or(ConsentRefusal::NeverRead)?;
        if self.in_contact {
            return Err(ConsentRefusal::InContact);
        }
        let asked = request.generation;
        if holds != asked {
            return Err(ConsentRefusal::OtherGeneration { holds, asked });
        }
        match self
            .failsafe_group
            .difference(&request.failsafe_group)
            .next()
        {
            Some(unasked) => Err(ConsentRefusal::Unasked(unasked.clone())),
            None => Ok(()),
        }
    }

    /// Whether the request means this process, and comes from another one.
    fn is_meant_by(&self, request: &ConsentRequest) -> Result<(), ConsentRefusal> {
        let me = self.me;
        if request.from == me.id || request.nonce.as_ref() == Some(&me.nonce) {
            return Err(ConsentRefusal::Myself(me.id.clone()));
        }
        match &request.to {
            None => Err(ConsentRefusal::NoAddressee),
            Some(asked) if asked != me => Err(ConsentRefusal::OtherProcess {
                asked: asked.clone(),
                is: me.clone(),
            }),
            Some(_) => Ok(()),
        }
    }
}

/// Why a consent from `by` does not count as that of `asked`, the process that `me` asked; `None` if it counts.
pub fn unproven(asked: &KeeperProcess, by: &KeeperProcess, me: &KeeperProcess) -> Option<String> {
    if by.nonce == me.nonce || by.id == me.id {
        return Some("this keeper itself answers at its address".to_owned());
    }
    (by != asked).then(|| format!("{by} answers at its address, not {asked}"))
}

/// The consents that a keeper has received.
#[derive(Debug, Clone, Default)]
pub struct Consents {
    generation: Generation,
    /// For each keeper that consented: when the newest request that it granted was sent.
    given: BTreeMap<KeeperId, Moment>,
}

impl Consents {
    /// Records that `by` has consented to the request for `generation` that was sent at `sent`.
    pub fn given(&mut self, by: KeeperId, generation: Generation, sent: Moment) {
        if generation != self.generation {
            (self.generation, self.given) = (generation, BTreeMap::new());
        }
        let newest = self.given.entry(by).or_insert(sent);
        *newest = sent.max(*newest);
    }

    /// Until when a keeper that holds `generation` and asks `others` may go on. `None` while one of `others` has not
    /// consented. `lease` is the end of the keeper's lease, past or future. The keeper's consent to itself counts
    /// from `now`.
    pub fn until(
        &self,
        others: &BTreeSet<KeeperId>,
        generation: Generation,
        (lease, now): (Moment, Moment),
        failsafe: Failsafe,
    ) -> Option<Moment> {
        let mut until = lease.after(failsafe.limit).min(now.after(failsafe.consent));
        for keeper in others {
            let sent = self.given.get(keeper)?;
            until = until.min(sent.after(failsafe.consent));
        }
        (others.is_empty() || generation == self.generation).then_some(until)
    }
}

/// Until when the consents that a keeper may have given bind it: those that it knows of, and those from before its
/// start.
pub fn bound_until(last_given: Option<Moment>, started: Moment, failsafe: Failsafe) -> Moment {
    let last = last_given.map_or(started, |given| given.max(started));
    last.after(outlasting(failsafe.consent))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILSAFE: Failsafe = Failsafe {
        consent: Duration::from_millis(800),
        limit: Duration::from_secs(10),
    };

    fn at(milliseconds: u64) -> Moment {
        Moment(Duration::from_millis(milliseconds))
    }

    fn process(id: &str, bits: u64) -> KeeperProcess {
        KeeperProcess::new(KeeperId::new(id), Nonce::drawn(bits))
    }

    fn ids(names: &[&str]) -> BTreeSet<KeeperId> {
        names.iter().map(|name| KeeperId::new(*name)).collect()
    }

    fn until(consents: &Consents, others: &[&str]) -> Option<Moment> {
        let now = at(20_000);
        consents.until(&ids(others), Generation(5), (at(1_000), now), FAILSAFE)
    }

    #[test]
    fn all_must_consent_and_the_oldest_consent_counts_from_its_sending() {
        let mut consents = Consents::default();
        consents.given(KeeperId::new("b"), Generation(5), at(900));
        assert_eq!(until(&consents, &["b", "c"]), None, "c has not consented");
        consents.given(KeeperId::new("c"), Generation(5), at(700));
        assert_eq!(until(&consents, &["b", "c"]), Some(at(1_500)));
        consents.given(KeeperId::new("c"), Generation(5), at(600));
        assert_eq!(
            until(&consents, &["b", "c"]),
            Some(at(1_500)),
            "an older one"
        );
    }

    #[test]
    fn consents_to_another_generation_are_none() {
        let mut consents = Consents::default();
        consents.given(KeeperId::new("b"), Generation(4), at(900));
        assert_eq!(until(&consents, &["b"]), None);
        consents.given(KeeperId::new("c"), Generation(5), at(900));
        assert_eq!(until(&consents, &["b", "c"]), None, "b consented to 4");
    }

    #[test]
    fn no_consent_leads_past_the_limit() {
        let mut consents = Consents::default();
        consents.given(KeeperId::new("b"), Generation(5), at(10_900));
        assert_eq!(until(&consents, &["b"]), Some(at(11_000)));
    }

    #[test]
    fn a_keeper_that_is_alone_consents_to_itself_no_longer_than_others_would() {
        let until = |now| {
            let alone = BTreeSet::new();
            let times = (at(1_000), at(now));
            Consents::default().until(&alone, Generation(5), times, FAILSAFE)
        };
        assert_eq!(until(900), Some(at(1_700)));
        assert_eq!(until(10_900), Some(at(11_000)));
    }

    #[test]
    fn who_consented_or_was_just_started_is_bound_for_longer_than_a_consent_lasts() {
        assert_eq!(bound_until(None, at(100), FAILSAFE), at(920));
        assert_eq!(bound_until(Some(at(500)), at(100), FAILSAFE), at(1_320));
    }

    #[test]
    fn a_keeper_consents_only_to_its_own_state_and_only_if_it_has_no_zookeeper_itself() {
        let failsafe_group = ids(&["a", "b"]);
        let me = process("b", 2);
        let request = |generation, failsafe_group: &[&str]| ConsentRequest {
            from: KeeperId::new("a"),
            nonce: Some(Nonce::drawn(1)),
            to: Some(me.clone()),
            session: 7,
            generation: Generation(generation),
            failsafe_group: ids(failsafe_group),
        };
        let asked = ConsentContext {
            me: &me,
            holds: Some(Generation(5)),
            in_contact: false,
            failsafe_group: &failsafe_group,
        };
        let same = request(5, &["a", "b"]);
        assert_eq!(asked.consents(&same), Ok(()));
        let other = asked.consents(&request(4, &["a", "b"])).unwrap_err();
        assert_eq!(other.to_string(), "it holds generation 5, not 4");
        let fewer = asked.consents(&request(5, &["a"])).unwrap_err();
        assert_eq!(fewer, ConsentRefusal::Unasked(KeeperId::new("b")));
        let fresh = ConsentContext {
            holds: None,
            ..asked
        };
        assert_eq!(fresh.consents(&same), Err(ConsentRefusal::NeverRead));
        let connected = ConsentContext {
            in_contact: true,
            ..asked
        };
        assert_eq!(connected.consents(&same), Err(ConsentRefusal::InContact));
    }

    #[test]
    fn only_the_very_process_that_is_asked_consents_and_never_to_itself() {
        let (failsafe_group, me) = (ids(&["a", "b"]), process("b", 2));
        let request = |from: &str, nonce, to| ConsentRequest {
            from: KeeperId::new(from),
            nonce,
            to,
            session: 7,
            generation: Generation(5),
            failsafe_group: failsafe_group.clone(),
        };
        let asked = ConsentContext {
            me: &me,
            holds: Some(Generation(5)),
            in_contact: false,
            failsafe_group: &failsafe_group,
        };
        let drawn = |bits| Some(Nonce::drawn(bits));
        let meant = request("a", drawn(1), Some(me.clone()));
        assert_eq!(asked.consents(&meant), Ok(()));
        let myself = Err(ConsentRefusal::Myself(KeeperId::new("b")));
        for own in [
            request("b", drawn(2), Some(me.clone())),
            request("b", drawn(3), Some(me.clone())),
            request("a", drawn(2), Some(me.clone())),
            request("b", None, None),
        ] {
            assert_eq!(asked.consents(&own), myself, "{own:?}");
        }
        let former = request("a", None, None);
        assert_eq!(asked.consents(&former), Err(ConsentRefusal::NoAddressee));
        for other in [process("b", 9), process("c", 2), process("c", 3)] {
            let refused = asked.consents(&request("a", drawn(1), Some(other.clone())));
            let is = me.clone();
            assert_eq!(
                refused,
                Err(ConsentRefusal::OtherProcess { asked: other, is })
            );
        }
    }

    #[test]
    fn an_answer_counts_only_from_the_process_that_was_asked() {
        let (me, asked) = (process("a", 1), process("b", 2));
        assert_eq!(unproven(&asked, &asked, &me), None);
        for myself in [&me, &process("a", 7), &process("b", 1)] {
            let why = unproven(&asked, myself, &me).unwrap();
            assert_eq!(why, "this keeper itself answers at its address");
        }
        for other in [process("b", 3), process("c", 2)] {
            let why = unproven(&asked, &other, &me).unwrap();
            assert!(why.ends_with("not b (process 0000000000000002)"), "{why}");
        }
    }
}
