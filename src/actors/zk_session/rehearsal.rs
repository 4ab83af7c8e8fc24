//! Tries, while ZooKeeper is well, whether the other keepers could be asked without it (RK-8).

use std::collections::BTreeSet;
use std::net::SocketAddr;

use actix::prelude::*;
use tokio::time::timeout;

use super::ZkSession;
use crate::actors::messages::Rehearse;
use crate::domain::identity::KeeperProcess;
use crate::domain::node::{KeeperId, Moment};
use crate::domain::rehearsal::{Advertised, RehearsalNews, RehearsalObstacle, RehearsalRequest};
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
        if self.failsafe.settings.is_none() {
            return;
        }
        if !self.phase.is_current() {
            return self.failsafe.rehearsals.pause();
        }
        let registered = self.failsafe.group.registered();
        let keepers =
            registered.filter_map(|keeper| Some((keeper, self.failsafe.group.advertised(keeper)?)));
        for keeper in self
            .failsafe
            .rehearsals
            .due(&self.identity.me, keepers, now)
        {
            self.rehearse_with(keeper, ctx);
        }
        // Obstacles of keepers that are no longer registered are dropped.
        self.publish_obstacles();
    }

    fn rehearse_with(&self, keeper: KeeperId, ctx: &mut Context<Self>) {
        let Some(advertised) = self.failsafe.group.advertised(&keeper) else {
            return;
        };
        let Advertised { rest, nonce } = advertised.clone();
        let to = nonce.map(|nonce| KeeperProcess::new(keeper.clone(), nonce));
        let request = to.filter(|_| keeper != self.identity.me.id);
        let request = request.map(|to| RehearsalRequest {
            from: self.identity.me.clone(),
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
            if act.failsafe.group.advertised(&keeper).as_ref() == Some(&advertised) {
                act.rehearsed(&keeper, asked.as_ref(), attempt);
            }
        }));
    }

    fn rehearsed(&mut self, keeper: &KeeperId, asked: Option<&KeeperProcess>, attempt: Attempt) {
        let now = self.dependencies.clock.now();
        let Attempt { addresses, answer } = attempt;
        let known = addresses.clone().unwrap_or_default();
        self.failsafe.rehearsals.resolved(keeper, known);
        let online = |it: &KeeperId| self.keepers.is_online(it);
        let outcome = if *keeper == self.identity.me.id {
            let here = &self.dependencies.settings.place;
            self.failsafe.own_address(addresses, here, online, now)
        } else {
            self.failsafe
                .rehearsed(keeper, asked, addresses, answer, online)
        };
        let rest = self
            .failsafe
            .group
            .registration(keeper)
            .map(|it| it.rest.clone());
        let rest = rest.unwrap_or_default();
        match self.failsafe.rehearsals.ended(keeper, outcome, now) {
            None => {}
            Some(RehearsalNews::Obstructed(why)) if *keeper == self.identity.me.id => {
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

    /// Shares the obstacles to going on without ZooKeeper, for the readiness check.
    fn publish_obstacles(&self) {
        let told = self.failsafe.obstacles();
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
        if request.to == self.identity.me && request.place.is_some() && elsewhere {
            self.failsafe
                .rehearsals
                .reached(self.dependencies.clock.now());
        }
        MessageResult(self.identity.me.clone())
    }
}
