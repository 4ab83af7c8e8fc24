//! Failsafe mode: without ZooKeeper a keeper goes on only with the consent of all, and a consent binds its giver
//! (RK-8).

use std::collections::BTreeMap;

use redis_keeper::domain::failsafe::ConsentRequest;
use redis_keeper::domain::keepers::failsafe_member::FailsafeMember;
use redis_keeper::domain::node::{Generation, KeeperId};
use redis_keeper::layout::paths;
use redis_keeper::layout::state::Document as _;

use super::answers::{PRECISION, Said};
use super::{Book, Oracle};
use crate::tree::Tree;

/// All consents given, and the failsafe list of each keeper.
#[derive(Default)]
pub(super) struct Given {
    /// For each keeper: the keepers on its failsafe list, and since when each is there, in microseconds.
    declared: BTreeMap<KeeperId, BTreeMap<KeeperId, u64>>,
    /// The address that each keeper advertises.
    addresses: BTreeMap<KeeperId, String>,
    /// When each keeper was last registered, in microseconds.
    registered: BTreeMap<KeeperId, u64>,
    /// By asker and giver: when the newest request was sent to which the giver consented, in microseconds.
    sent: BTreeMap<(KeeperId, KeeperId), u64>,
    /// By giver: the time, the asker and the generation of each consent, the newest last.
    binding: BTreeMap<String, Vec<(u64, KeeperId, Generation)>>,
}

impl Given {
    /// Notes the registered members of the failsafe group.
    pub(super) fn note(&mut self, now: u64, tree: &Tree) {
        let registered = tree.children(paths::FAILSAFE_MEMBERS).unwrap_or_default();
        let read = registered.into_iter().filter_map(|id| {
            let id = KeeperId::new(id);
            let node = tree.get(&paths::registration(&id))?;
            let registration = FailsafeMember::decode(&node.data).ok()?;
            self.addresses.insert(id.clone(), registration.rest);
            let before = self.declared.get(&id);
            let since = |asked: &KeeperId| before.and_then(|before| before.get(asked)).copied();
            let asks = registration.asks?.into_iter();
            let asks = asks.map(|asked| (asked.clone(), since(&asked).unwrap_or(now)));
            let asks: BTreeMap<KeeperId, u64> = asks.collect();
            Some((id, asks))
        });
        let declared = read.collect();
        let before = std::mem::replace(&mut self.declared, declared);
        self.registered
            .extend(before.into_keys().map(|keeper| (keeper, now)));
    }
}

impl Oracle {
    /// Notes that `giver` consents to a request that was sent at `sent`.
    pub(crate) fn consented(&self, giver: &str, request: &ConsentRequest, sent: u64) {
        let mut consents = self.consents.borrow_mut();
        let way = (request.from.clone(), KeeperId::new(giver));
        // An older request may arrive after a newer one.
        let newest = consents.sent.entry(way).or_insert(sent);
        *newest = sent.max(*newest);
        let binding = consents.binding.entry(giver.to_owned()).or_default();
        binding.push((self.world.now(), request.from.clone(), request.generation));
    }

    /// How long a consent lasts (*F*) by the slowest clock of a run, in microseconds.
    fn consent_lasts(&self) -> u64 {
        self.consent + self.consent / 200 + 2 * PRECISION
    }

    /// Judges a yes without a lease: all keepers on the failsafe list have consented within *F*.
    pub(super) fn judge_consents(&self, said: &Said) {
        let consents = self.consents.borrow();
        let keeper = &said.keeper;
        let Some(declared) = consents.declared.get(keeper) else {
            let registered = consents.registered.get(keeper).copied().unwrap_or_default();
            if said.at <= registered + self.consent_lasts() {
                // The keeper is leaving, and consents that it got before still run.
                return;
            }
            return self.world.violated(format_args!(
                "RK-8: {keeper} goes on without a lease and takes no part"
            ));
        };
        let address = |keeper: &KeeperId| consents.addresses.get(keeper);
        for (asked, since) in declared.iter().filter(|(asked, _)| *asked != keeper) {
            let mut others = declared.iter().filter(|(other, _)| *other != asked);
            let twin = others.find(|(other, _)| address(other) == address(asked));
            // Consents from before both keepers were on the list run on for *F*.
            let out = |(_, declared): &(&KeeperId, &u64)| {
                said.at > since.max(*declared) + self.consent_lasts()
            };
            if let Some((twin, _)) = twin.filter(out) {
                self.world.violated(format_args!(
                    "RK-8: {keeper} goes on without a lease, though {asked} and {twin} have one address"
                ));
            }
            let way = (keeper.clone(), asked.clone());
            let sent = consents.sent.get(&way).copied();
            // Consents from before `asked` was on the list run on for *F*.
            let until = sent.max(Some(*since)).unwrap_or_default() + self.consent_lasts();
            if said.at > until {
                self.world.violated(format_args!(
                    "RK-8: {keeper} goes on without a lease {} us after the consent of {asked} was out",
                    said.at - until
                ));
            }
        }
    }

    /// Judges a promotion: no consent of its leader still binds that leader.
    ///
    /// A consent binds its giver if it was given to a state from before the withdrawal and the asker has not
    /// acknowledged the withdrawal.
    pub(super) fn judge_bound(&self, book: &Book, leader: &str) {
        let Some(withdrawal) = &book.withdrawal else {
            return;
        };
        let consents = self.consents.borrow();
        let given = consents.binding.get(leader);
        let heartbeats = self.heartbeats.borrow();
        let relied_on = |(_, asker, generation): &&(u64, KeeperId, Generation)| {
            let heartbeat = heartbeats.of(asker);
            *generation < withdrawal.generation
                && heartbeat.is_none_or(|it| it.acknowledged < withdrawal.generation)
        };
        let last = given.and_then(|given| given.iter().rev().find(relied_on));
        if let Some((at, _, generation)) = last
            && self.world.now() < at + self.consent
        {
            self.world.violated(format_args!(
                "RK-8: {leader} promotes {} us after it consented to generation {generation}",
                self.world.now() - at
            ));
        }
    }
}
