//! Judges that a deposed primary that lives is demoted as soon as a keeper reaches it (RK-10).
//!
//! The demotion ends the connections of its clients. HAProxy no longer checks for sessions that a reload has left
//! behind.

use std::collections::BTreeMap;

use redis_keeper::domain::node::{ClusterName, NodeAddr};

use super::Oracle;
use crate::network::{Host, Network};
use crate::redis::Fleet;

/// How long a leader may take to demote a deposed primary while nothing is wrong, in microseconds.
///
/// The time covers a tick of the failover actor, and a synchronisation that comes first.
const DEMOTED_WITHIN: u64 = 5_000_000;

/// Deposed primaries that take writes, and since when nothing else is wrong, in microseconds.
pub(super) type Deposed = BTreeMap<(ClusterName, NodeAddr), u64>;

impl Oracle {
    /// Judges all servers.
    pub(crate) fn judge_deposed(&self, fleet: &Fleet, network: &Network, keepers: &[Host]) {
        let now = self.world.now();
        let mut all = self.deposed.borrow_mut();
        if self.rest.borrow().faults_under_way() {
            return all.clear();
        }
        let books = self.books.borrow();
        for server in fleet.servers() {
            let book = &books[&server.cluster];
            let published = book.published.as_ref();
            let primary = published.and_then(|published| published.primary.as_ref());
            let condition = server.condition();
            let takes_writes = condition.up
                && !condition.loading
                && condition.follows.as_ref() == Some(&server.addr)
                && book.processes.contains(&condition.run_id);
            let deposed = takes_writes && primary.is_some_and(|primary| *primary != server.addr);
            let reached = keepers.iter().all(|it| network.passes(*it, server.host));
            let key = (server.cluster.clone(), server.addr.clone());
            if !deposed || !reached {
                all.remove(&key);
                continue;
            }
            let since = *all.entry(key).or_insert(now);
            if now - since > DEMOTED_WITHIN {
                self.world.violated(format_args!(
                    "RK-10: {} takes writes for {} us though it was deposed and all keepers reach it",
                    server.addr,
                    now - since
                ));
            }
        }
    }
}
