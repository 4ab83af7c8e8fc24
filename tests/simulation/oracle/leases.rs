//! The committed heartbeats: they bound a keeper's answers, and the leader's waits.

use std::collections::BTreeMap;

use redis_keeper::domain::keepers::record::KeeperRecord;
use redis_keeper::domain::node::{Generation, KeeperId};
use redis_keeper::layout::paths;
use redis_keeper::layout::state::Document as _;

use crate::tree::{NodeEvent, Tree};

/// The last heartbeat of each keeper.
#[derive(Clone, Default)]
pub(super) struct Heartbeats(BTreeMap<String, Heartbeat>);

#[derive(Clone, Copy)]
pub(super) struct Heartbeat {
    /// When it was committed, in microseconds.
    pub(super) at: u64,
    pub(super) acknowledged: Generation,
}

/// A withdrawal, and the heartbeats up to it. A later heartbeat prolongs no lease unless its keeper has applied the
/// withdrawal (RK-3).
#[derive(Clone)]
pub(super) struct Withdrawal {
    pub(super) generation: Generation,
    pub(super) before: Heartbeats,
}

// === impl Heartbeats ===

impl Heartbeats {
    /// Notes the heartbeats among the changes. Returns whether a keeper acknowledges a higher generation than before.
    pub(super) fn note(&mut self, now: u64, tree: &Tree, changes: &[NodeEvent]) -> bool {
        let mut more = false;
        for change in changes {
            let NodeEvent::Set(path) = change else {
                continue;
            };
            let keeper = path.strip_prefix(paths::KEEPERS);
            let Some(keeper) = keeper.and_then(|path| path.strip_prefix('/')) else {
                continue;
            };
            let record = tree.get(path).map(|node| KeeperRecord::decode(&node.data));
            if let Some(Ok(record)) = record {
                let heartbeat = Heartbeat {
                    at: now,
                    acknowledged: record.acknowledged,
                };
                let before = self.0.insert(keeper.to_owned(), heartbeat);
                more |= before.is_none_or(|before| before.acknowledged < record.acknowledged);
            }
        }
        more
    }

    pub(super) fn of(&self, keeper: &KeeperId) -> Option<&Heartbeat> {
        self.0.get(keeper.as_str())
    }
}

// === impl Withdrawal ===

impl Withdrawal {
    /// A keeper other than `leader` that has not acknowledged the withdrawal and whose lease may still run.
    pub(super) fn waits_for(
        &self,
        leader: &str,
        now: u64,
        lease: u64,
        heartbeats: &Heartbeats,
    ) -> Option<&str> {
        let mut before = self.before.0.iter();
        let waits = |keeper: &str, before: &Heartbeat| {
            let last = &heartbeats.0[keeper];
            keeper != leader && last.acknowledged < self.generation && now < before.at + lease
        };
        before
            .find(|(keeper, before)| waits(keeper, before))
            .map(|(keeper, _)| keeper.as_str())
    }
}
