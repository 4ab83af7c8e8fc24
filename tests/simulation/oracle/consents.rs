//! Going on without ZooKeeper: only with the consent of all, which binds whoever gives it (RK-8).

use std::collections::BTreeMap;

use redis_keeper::domain::failsafe::ConsentRequest;
use redis_keeper::domain::node::{Generation, KeeperId};
use redis_keeper::layout::circle::Registration;
use redis_keeper::layout::paths;
use redis_keeper::layout::state::Document as _;

use super::answers::{PRECISION, Said};
use super::{Book, Oracle};
use crate::tree::Tree;

/// All consents given, and who is to be asked.
#[derive(Default)]
pub(super) struct Given {
    /// Whom each keeper has declared to ask, and since when, in microseconds.
    declared: BTreeMap<KeeperId, BTreeMap<KeeperId, u64>>,
    /// Where each says that it is reached.
    addresses: BTreeMap<KeeperId, String>,
    /// When a keeper was registered last.
    registered: BTreeMap<KeeperId, u64>,
    /// By asker and giver: when the newest request was sent that was consented to.
    sent: BTreeMap<(KeeperId, KeeperId), u64>,
    /// By giver: when consents were given, to whom and to what, newest last.
    binding: BTreeMap<String, Vec<(u64, KeeperId, Generation)>>,
}

impl Given {
    /// Notes who takes part.
    pub(super) fn note(&mut self, now: u64, tree: &Tree) {
        let registered = tree.children(paths::CIRCLE).unwrap_or_default();
        let read = registered.into_iter().filter_map(|id| {
            let id = KeeperId::new(id);
            let node = tree.get(&paths::registration(&id))?;
            let registration = Registration::decode(&node.data).ok()?;
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
    /// `giver` consents to a request that was sent at `sent`.
    pub(crate) fn consented(&self, giver: &str, request: &ConsentRequest, sent: u64) {
        let mut consents = self.consents.borrow_mut();
        let way = (request.from.clone(), KeeperId::new(giver));
        // An older request may arrive after a newer one.
        let newest = consents.sent.entry(way).or_insert(sent);
        *newest = sent.max(*newest);
        let binding = consents.binding.entry(giver.to_owned()).or_default();
        binding.push((self.world.now(), request.from.clone(), request.generation));
    }

    /// F, by a clock that drifts as much as any does here, in microseconds.
    fn consent_lasts(&self) -> u64 {
        self.consent + self.consent / 200 + 2 * PRECISION
    }

    /// A keeper that has no lease says yes: all whom it has declared have consented within F.
    pub(super) fn judge_consents(&self, said: &Said) {
        let consents = self.consents.borrow();
        let keeper = &said.keeper;
        let Some(declared) = consents.declared.get(keeper) else {
            let registered = consents.registered.get(keeper).copied().unwrap_or_default();
            if said.at <= registered + self.consent_lasts() {
                // It is leaving, and what was consented to before is not out yet.
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
            // What was consented to before both were declared to be asked is good until it is out.
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
            // What was consented to before it was declared to ask one more is good until it is out.
            let until = sent.max(Some(*since)).unwrap_or_default() + self.consent_lasts();
            if said.at > until {
                self.world.violated(format_args!(
                    "RK-8: {keeper} goes on without a lease {} us after the consent of {asked} was out",
                    said.at - until
                ));
            }
        }
    }

    /// Nobody is promoted by a leader whose consent to a state from before the withdrawal may still be relied on: by one that
    /// has not acknowledged it.
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
