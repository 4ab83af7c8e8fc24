//! Whether the members of the failsafe group can be reached at their addresses (RK-8).

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::FailsafeState;
use crate::domain::identity::{KeeperProcess, Place};
use crate::domain::node::{KeeperId, Moment};
use crate::domain::rehearsal::{
    Address, Addresses, RehearsalObstacle, answered, own_address, sharing, two_sharing,
};

/// The addresses to which an advertised name resolves, or why it does not.
type Resolved = Result<BTreeSet<SocketAddr>, String>;

impl FailsafeState {
    /// The address of each of `keepers`.
    fn addresses<'a>(&'a self, keepers: impl Iterator<Item = &'a KeeperId>) -> Addresses<'a> {
        let address = |keeper: &'a KeeperId| {
            let registration = self.group.registration(keeper)?;
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
    pub fn two_sharing(&self, keepers: &BTreeSet<KeeperId>) -> Option<(KeeperId, KeeperId)> {
        let members = keepers.iter().chain([&self.me.id]);
        let addresses = self.addresses(members);
        two_sharing(&addresses).map(|(one, other)| (one.clone(), other.clone()))
    }

    /// The obstacle for a keeper that has the same address as another member.
    fn shares(
        &self,
        keeper: &KeeperId,
        online: impl Fn(&KeeperId) -> bool,
    ) -> Result<(), RehearsalObstacle> {
        let addresses = self.addresses(self.group.registered());
        let Some(other) = sharing(keeper, &addresses) else {
            return Ok(());
        };
        let online = |it: &KeeperId| *it == self.me.id || online(it);
        Err(RehearsalObstacle::shared(keeper, other, online))
    }

    /// The outcome of a rehearsal with another keeper. `asked` is the process that was asked; `None` if it has no
    /// nonce. `online` says which keepers are.
    pub fn rehearsed(
        &self,
        keeper: &KeeperId,
        asked: Option<&KeeperProcess>,
        resolved: Resolved,
        answer: Option<Result<KeeperProcess, RehearsalObstacle>>,
        online: impl Fn(&KeeperId) -> bool,
    ) -> Result<(), RehearsalObstacle> {
        let asked = asked.ok_or(RehearsalObstacle::FormerBuild)?;
        resolved.map_err(RehearsalObstacle::Unresolved)?;
        self.shares(keeper, online)?;
        let by =
            answer.unwrap_or_else(|| Err(RehearsalObstacle::Unreachable("not asked".to_owned())));
        answered(asked, by?, &self.me)
    }

    /// Whether keepers elsewhere can reach this one, as far as it can know. `here` is the place of this process, and
    /// `online` says which keepers are.
    pub fn own_address(
        &self,
        resolved: Resolved,
        here: &Place,
        online: impl Fn(&KeeperId) -> bool,
        now: Moment,
    ) -> Result<(), RehearsalObstacle> {
        self.shares(&self.me.id, online)?;
        let registered = || self.group.registered();
        let elsewhere = registered().any(|other| {
            let registration = self.group.registration(other);
            let place = registration.and_then(|it| it.place.as_ref());
            place.is_some_and(|place| place != here)
        });
        let alone = registered().all(|other| *other == self.me.id);
        if alone || self.rehearsals.is_reached(now) {
            return Ok(());
        }
        own_address(&resolved.map_err(RehearsalObstacle::Unresolved)?, elsewhere)
    }

    /// The obstacles to going on without ZooKeeper, in words.
    pub fn obstacles(&self) -> Vec<String> {
        let told = self.rehearsals.reported_obstacles().map(|(keeper, why)| {
            let registration = self.group.registration(keeper);
            let rest = registration.map_or("", |it| it.rest.as_str());
            format!("{keeper} ({rest}): {why}")
        });
        told.collect()
    }
}
