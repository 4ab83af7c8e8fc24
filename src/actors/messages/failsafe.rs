//! Messages about going on without ZooKeeper (RK-8).

use std::collections::{BTreeMap, BTreeSet};

use actix::Message;

use crate::domain::failsafe::{ConsentRefusal, ConsentRequest};
use crate::domain::identity::KeeperProcess;
use crate::domain::node::{KeeperId, Moment};
use crate::domain::rehearsal::{RehearsalRequest, Rehearsed};

/// A keeper's state in failsafe mode, for display (RK-8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailsafeReport {
    /// Whether the keeper answers by the consent of all, not by a lease.
    pub going_on: bool,
    /// The members of the failsafe group.
    pub failsafe_group: BTreeSet<KeeperId>,
    /// The failsafe list: the members that this keeper asks. `None` if the keeper may not go on yet.
    pub asks: Option<BTreeSet<KeeperId>>,
    /// Why other members refused their consent, as each said last; empty while ZooKeeper answers.
    pub refusals: BTreeMap<KeeperId, String>,
    /// The last rehearsal with each member. The entry for this keeper is about its own address.
    pub rehearsed: BTreeMap<KeeperId, Rehearsed>,
    /// When this report was made.
    pub now: Moment,
}

impl FailsafeReport {
    /// Whether the keeper could go on now, as far as it has tried. Both must hold:
    /// - its failsafe list is registered, and a heartbeat since then has earned a lease;
    /// - no rehearsal found an obstacle, neither with a member of the list nor at its own address.
    pub fn is_possible(&self) -> bool {
        let obstructed = self.rehearsed.values().any(|it| it.obstacle.is_some());
        self.asks.is_some() && !obstructed
    }
}

/// Another keeper → `ZkSession`: may I go on without ZooKeeper? Answers with the process that consents (RK-8).
#[derive(Debug, Message)]
#[rtype(result = "Result<KeeperProcess, ConsentRefusal>")]
pub struct AskConsent(pub ConsentRequest);

/// Another keeper → `ZkSession`: which process answers here? The answer binds this keeper to nothing (RK-8).
#[derive(Debug, Message)]
#[rtype(result = "KeeperProcess")]
pub struct Rehearse(pub RehearsalRequest);

/// HTTP → `ZkSession`: an operator says that this keeper does not run any more. So the others need not ask it without
/// ZooKeeper (RK-8).
#[derive(Debug, Message)]
#[rtype(result = "Result<(), NotDropped>")]
pub struct DropKeeper(pub KeeperId);

/// Why a keeper was not taken off the failsafe group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDropped {
    /// The keeper is not a member.
    #[error("it takes no part in failsafe")]
    Unregistered,
    /// The keeper is online.
    #[error("it is online: stop it first, and it takes itself off")]
    Online,
    /// ZooKeeper does not answer the keeper that got this request.
    #[error("ZooKeeper does not answer this keeper now")]
    NoContact,
    /// The write failed, or its outcome is unknown: look which keepers are registered.
    #[error("not known whether it was taken off: {0}")]
    Unknown(String),
}
