//! The announcements of keepers, and the settings that all keepers must share.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::confirmation::PollState;
use crate::domain::failsafe::Failsafe;
use crate::domain::node::{ClusterName, Generation};

/// What a keeper announces of itself in its heartbeat node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperRecord {
    /// Where the keeper's HTTP interface listens, `host:port`.
    pub rest: String,
    /// Version of the program.
    pub version: String,
    /// Host name and process id.
    pub process: String,
    /// How long the keeper answers at most after a heartbeat that was confirmed.
    pub lease: Duration,
    /// The settings of failsafe mode; `None` if the keeper does not go on without ZooKeeper (RK-8).
    pub failsafe: Option<Failsafe>,
    /// The keeper answers from no state older than this generation, so it acknowledges every withdrawal up to it
    /// (RK-2).
    pub acknowledged: Generation,
    /// The keeper's questions to the others about published primaries, and its answers, for all clusters at once
    /// (RK-2). `None` from a keeper that can neither ask nor answer.
    pub polls: Option<BTreeMap<ClusterName, PollState>>,
}

/// The settings that all keepers must share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedSettings {
    /// How long a keeper answers after a heartbeat that was confirmed.
    pub lease: Duration,
    /// The settings of failsafe mode; `None` if keepers do not go on without ZooKeeper (RK-8).
    pub failsafe: Option<Failsafe>,
}

impl KeeperRecord {
    /// The part of the announcement that all keepers must share.
    pub fn settings(&self) -> SharedSettings {
        SharedSettings {
            lease: self.lease,
            failsafe: self.failsafe,
        }
    }
}

impl SharedSettings {
    /// The differences from the `shared` settings, in words.
    pub fn differences(&self, shared: &Self) -> String {
        let consent = |it: &Self| it.failsafe.map(|it| it.consent.as_secs_f64());
        let limit = |it: &Self| it.failsafe.map(|it| it.limit.as_secs_f64());
        let on = |it: &Self| it.failsafe.is_some();
        let (here, there) = (self.lease.as_secs_f64(), shared.lease.as_secs_f64());
        let mut told = Vec::new();
        if self.lease != shared.lease {
            told.push(format!("lease-seconds is {here} here and {there}"));
        }
        if on(self) != on(shared) {
            told.push(format!("failsafe is {} here and {}", on(self), on(shared)));
        }
        let names = ["failsafe-consent-seconds", "failsafe-max-seconds"];
        let values = [
            [consent(self), consent(shared)],
            [limit(self), limit(shared)],
        ];
        for (name, values) in names.iter().zip(values) {
            if let [Some(here), Some(there)] = values
                && here.to_bits() != there.to_bits()
            {
                told.push(format!("{name} is {here} here and {there}"));
            }
        }
        told.join(", ")
    }
}
