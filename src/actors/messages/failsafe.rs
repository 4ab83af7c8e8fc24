//! What is said about going on without ZooKeeper (RK-8).

use std::collections::{BTreeMap, BTreeSet};

use actix::Message;

use crate::domain::failsafe::{ConsentRequest, Refusal};
use crate::domain::identity::KeeperProcess;
use crate::domain::node::{KeeperId, Moment};
use crate::domain::rehearsal::{RehearsalRequest, Rehearsed};

/// A keeper's part in failsafe, for display (RK-8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailsafeReport {
    /// It answers by the consent of all, not by a lease.
    pub going_on: bool,
    /// Everyone registered to take part.
    pub circle: BTreeSet<KeeperId>,
    /// Whom it has to ask; `None`: it may not go on yet.
    pub asks: Option<BTreeSet<KeeperId>>,
    /// Why others refused their consent, as each said last; empty while ZooKeeper answers.
    pub refusals: BTreeMap<KeeperId, String>,
    /// How the last rehearsal with each keeper went; with this one itself: what is known of its own address.
    pub rehearsed: BTreeMap<KeeperId, Rehearsed>,
    /// When this was told.
    pub now: Moment,
}

impl FailsafeReport {
    /// Whether the keeper could go on now, as far as it has tried: it has declared whom it asks, and none of them, nor its
    /// own address, was found to be out of reach.
    pub fn is_possible(&self) -> bool {
        let obstructed = self.rehearsed.values().any(|it| it.obstacle.is_some());
        self.asks.is_some() && !obstructed
    }
}

/// Another keeper → `ZkSession`: may I go on without ZooKeeper? Answers with the process that consents. (RK-8)
#[derive(Debug, Message)]
#[rtype(result = "Result<KeeperProcess, Refusal>")]
pub struct AskConsent(pub ConsentRequest);

/// Another keeper → `ZkSession`: who answers here? Answers with this process, and binds it to nothing. (RK-8)
#[derive(Debug, Message)]
#[rtype(result = "KeeperProcess")]
pub struct Rehearse(pub RehearsalRequest);

/// HTTP → `ZkSession`: an operator says that this keeper does not run any more, so it need not be asked without ZooKeeper
/// (RK-8).
#[derive(Debug, Message)]
#[rtype(result = "Result<(), NotDropped>")]
pub struct DropKeeper(pub KeeperId);

/// Why a keeper was not taken off the circle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDropped {
    /// It takes no part.
    #[error("it takes no part in failsafe")]
    Unregistered,
    /// It is online.
    #[error("it is online: stop it first, and it takes itself off")]
    Online,
    /// ZooKeeper does not answer the keeper that was asked.
    #[error("ZooKeeper does not answer this keeper now")]
    NoContact,
    /// It failed, or may have: look who is registered.
    #[error("not known whether it was taken off: {0}")]
    Unknown(String),
}
