//! The registration of a member of the failsafe group (RK-8).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::identity::{Nonce, Place};
use crate::domain::node::KeeperId;

/// The registration of a member of the failsafe group. The registration outlives the keeper's session. So a leader
/// knows whether a keeper that it cannot hear would have asked it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailsafeMember {
    /// Where the keeper's HTTP interface listens, `host:port`.
    pub rest: String,
    /// The nonce of the process that holds the id. `None` from a keeper of a former build, which cannot prove its
    /// consent.
    pub nonce: Option<Nonce>,
    /// Where that process runs.
    pub place: Option<Place>,
    /// All keepers that this keeper asks before it goes on without a lease, and itself. `None` if the keeper asks
    /// none, and does not go on.
    pub asks: Option<BTreeSet<KeeperId>>,
    /// *D*: how long the keeper goes on at most after its lease.
    pub limit: Duration,
}
