//! Tries, while ZooKeeper is well, whether the other keepers could be asked without it (RK-8).

use std::collections::BTreeSet;
use std::net::SocketAddr;

use actix::prelude::*;
use tokio::time::timeout;

use super::ZkSession;
use crate::actors::messages::Rehearse;
use crate::domain::identity::KeeperProcess;
use crate::domain::node::{KeeperId, Moment};
use crate::domain::rehearsal::{
    Address, Addresses, Advertised, RehearsalNews, RehearsalObstacle, RehearsalRequest, answered,
    own_address, sharing, two_sharing,
};
use crate::domain::timing::rehearsal::{ANSWERS_WITHIN, RESOLVES_WITHIN};

/// The findings of one attempt.
struct Attempt {
    addresses: Result<BTreeSet<SocketAddr>, String>,
    /// The process that answered, or the obstacle; `None` if no process was to be asked.
    answer: Option<Result<KeeperProcess, RehearsalObstacle>>,
}

impl ZkSession {
    /// Tries the keepers that are due, this keeper's own address among them.
    pub(super) fn rehearse(&mut self, now: Moment, ctx: &mut Context<Self>) {
        if self.dependencies.settings.failsafe.is_none() {
            return;
        }
        if !self.phase.is_current() {
            return self.rehearsals.pause();
        }
        let registered = self.failsafe_group.registered();
        let keepers =
            registered.filter_map(|keeper| Some((keeper, self.failsafe_group.advertised(keeper)?)));
        for keeper in self.rehearsals.due(&self.me, keepers, now) {
            self.rehearse_with(keeper, ctx);
        }
        // Obstacles of keepers that are no longer registered are dropped.
        self.publish_obstacles();
    }

    fn rehearse_with(&self, keeper: KeeperId, ctx: &mut Context<Self>) {
        let Some(advertised) = self.failsafe_group.advertised(&keeper) else {
            return;
        };
        let Advertised { rest, nonce } = advertised.clone();
        let to = nonce.map(|nonce| KeeperProcess::new(keeper.clone(), nonce));
        let request = to.filter(|_| keeper != self.me.id);
        let request = request.map(|to| RehearsalRequest {
            from: self.me.clone(),
            place: Some(self.dependencies.settings.place.clone()),
            to,
        });
        let asked = request.as_ref().map(|request| request.to.clone());
        let peers = self.dependencies.peers.clone();
        let attempt = async move {
            let addresses = timeout(RESOLVES_WITHIN, peers.resolve(&rest)).await;
            let late = || Err(format!("no answer within {RESOLVES_WITHIN:?}"));
            let addresses = addresses.unwrap_or_else(|_| late());
            let answer = match request.filter(|_| addresses.is_ok()) {
                None => None,
                Some(request) => {
                    let late = || {
                        RehearsalObstacle::Unreachable(format!(
                            "no answer within {ANSWERS_WITHIN:?}"
                        ))
                    };
                    let answer = timeout(ANSWERS_WITHIN, peers.rehearse(&rest, &request)).await;
                    Some(answer.unwrap_or_else(|_| Err(late())))
                }
            };
            Attempt { addresses, answer }
        };
        let attempt = attempt.into_actor(self);
        ctx.spawn(attempt.map(move |attempt, act, _| {
            // The address or the process has changed meanwhile: the attempt says nothing of the new one.
            if act.failsafe_group.advertised(&keeper).as_ref() == Some(&advertised) {
                act.rehearsed(&keeper, asked.as_ref(), attempt);
            }
        }));
    }

    fn rehearsed(&mut self, keeper: &KeeperId, asked: Option<&KeeperProcess>, attempt: Attempt) {
        let now = self.dependencies.clock.now();
        let Attempt { addresses, answer } = attempt;
        let known = addresses.clone().unwrap_or_default();
        self.rehearsals.resolved(keeper, known);
        let outcome = if *keeper == self.me.id {
            self.look_at_own_address(addresses, now)
        } else {
            self.look_at(keeper, asked, addresses, answer)
        };
        let rest = self
            .failsafe_group
            .registration(keeper)
            .map(|it| it.rest.clone());
        let rest = rest.unwrap_or_default();
        match self.rehearsals.ended(keeper, outcome, now) {
            None => {}
            Some(RehearsalNews::Obstructed(why)) if *keeper == self.me.id => {
                tracing::warn!(%rest, %why, "failsafe: other keepers cannot reach this one");
            }
            Some(RehearsalNews::Obstructed(why)) => {
                tracing::warn!(%keeper, %rest, %why, "failsafe: a keeper cannot be asked for its consent");
            }
            Some(RehearsalNews::Clear) => {
                tracing::info!(%keeper, %rest, "failsafe: the keeper can be asked for its consent again");
            }
        }
    }

    fn look_at(
        &self,
        keeper: &KeeperId,
        asked: Option<&KeeperProcess>,
        addresses: Result<BTreeSet<SocketAddr>, String>,
        answer: Option<Result<KeeperProcess, RehearsalObstacle>>,
    ) -> Result<(), RehearsalObstacle> {
        let asked = asked.ok_or(RehearsalObstacle::FormerBuild)?;
        addresses.map_err(RehearsalObstacle::Unresolved)?;
        if let Some(other) = sharing(keeper, &self.addresses(self.failsafe_group.registered())) {
            return Err(self.shared(keeper, other));
        }
        let by =
            answer.unwrap_or_else(|| Err(RehearsalObstacle::Unreachable("not asked".to_owned())));
        answered(asked, by?, &self.me)
    }

    /// Whether keepers elsewhere can reach this one, as far as it can know.
    fn look_at_own_address(
        &self,
        addresses: Result<BTreeSet<SocketAddr>, String>,
        now: Moment,
    ) -> Result<(), RehearsalObstacle> {
        if let Some(other) = sharing(
            &self.me.id,
            &self.addresses(self.failsafe_group.registered()),
        ) {
            return Err(self.shared(&self.me.id, other));
        }
        let here = Some(&self.dependencies.settings.place);
        let registered = || self.failsafe_group.registered();
        let elsewhere = registered().any(|other| {
            let registration = self.failsafe_group.registration(other);
            let place = registration.and_then(|it| it.place.as_ref());
            place.is_some() && place != here
        });
        let alone = registered().all(|other| *other == self.me.id);
        if alone || self.rehearsals.is_reached(now) {
            return Ok(());
        }
        own_address(
            &addresses.map_err(RehearsalObstacle::Unresolved)?,
            elsewhere,
        )
    }

    /// The obstacle of two keepers that have one address.
    fn shared(&self, keeper: &KeeperId, other: &KeeperId) -> RehearsalObstacle {
        let online = |it: &KeeperId| *it == self.me.id || self.keepers.is_online(it);
        RehearsalObstacle::shared(keeper, other, online)
    }

    /// The address of each of `keepers`.
    fn addresses<'a>(&'a self, keepers: impl Iterator<Item = &'a KeeperId>) -> Addresses<'a> {
        let address = |keeper: &'a KeeperId| {
            let registration = self.failsafe_group.registration(keeper)?;
            let address = Address {
                rest: &registration.rest,
                resolved: self.rehearsals.addresses(keeper),
            };
            Some((keeper, address))
        };
        keepers.filter_map(address).collect()
    }

    /// Two of `keepers`, or this keeper and another one, that have one address. A failsafe group with such members
    /// does not go on.
    pub(super) fn two_sharing(&self, keepers: &BTreeSet<KeeperId>) -> Option<(KeeperId, KeeperId)> {
        let members = keepers.iter().chain([&self.me.id]);
        let addresses = self.addresses(members);
        two_sharing(&addresses).map(|(one, other)| (one.clone(), other.clone()))
    }

    /// Shares the obstacles to going on without ZooKeeper, for the readiness check.
    fn publish_obstacles(&self) {
        let told = self.rehearsals.reported_obstacles().map(|(keeper, why)| {
            let registration = self.failsafe_group.registration(keeper);
            let rest = registration.map_or("", |it| it.rest.as_str());
            format!("{keeper} ({rest}): {why}")
        });
        let told: Vec<String> = told.collect();
        self.dependencies.obstacles.send_if_modified(|before| {
            let changed = **before != told[..];
            if changed {
                *before = told.into();
            }
            changed
        });
    }
}

impl Handler<Rehearse> for ZkSession {
    type Result = MessageResult<Rehearse>;

    fn handle(&mut self, Rehearse(request): Rehearse, _: &mut Self::Context) -> Self::Result {
        let elsewhere = request.place.as_ref() != Some(&self.dependencies.settings.place);
        if request.to == self.me && request.place.is_some() && elsewhere {
            self.rehearsals.reached(self.dependencies.clock.now());
        }
        MessageResult(self.me.clone())
    }
}
