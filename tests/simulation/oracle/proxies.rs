//! The drain: which servers the clients' HAProxies take for UP (RK-10).

use std::collections::BTreeSet;

use redis_keeper::domain::node::{ClusterName, NodeAddr};

use super::{Book, Oracle};
use crate::network::Host;
use crate::redis::Fleet;

/// How long a HAProxy may take to act, in microseconds.
///
/// The value is `drain-seconds` less a keeper's drift and the ticks of the virtual clock.
const DRAIN: u64 = 1_200_000 - 40_000;

/// The servers that are UP, each with its cluster and the host of the HAProxy.
pub(super) type Up = BTreeSet<(ClusterName, NodeAddr, Host)>;

impl Oracle {
    /// Notes that the HAProxy of a client takes a server for UP or DOWN from now on.
    pub(crate) fn proxy_says(&self, cluster: &ClusterName, node: &NodeAddr, host: Host, up: bool) {
        let key = (cluster.clone(), node.clone(), host);
        let mut all = self.up.borrow_mut();
        if up {
            all.insert(key);
        } else {
            all.remove(&key);
        }
    }

    /// Judges the drain when `node` becomes the primary; `made` says how.
    ///
    /// If the old primary still takes writes, one of these holds:
    ///
    /// - No HAProxy sends clients to the old primary any more.
    /// - Each HAProxy has had the time to notice.
    pub(super) fn judge_drain(
        &self,
        fleet: &Fleet,
        cluster: &ClusterName,
        book: &Book,
        node: &NodeAddr,
        made: &str,
    ) {
        let mut primaries = book.primaries.iter().rev();
        let (Some((withdrawn, None)), Some((since, Some(old)))) =
            (primaries.next(), primaries.next())
        else {
            return;
        };
        let passed = self.world.now().saturating_sub(*withdrawn);
        let takes_writes = fleet.serves_since(old, *since) && !fleet.holds_up_writes(old);
        if old == node || passed >= DRAIN || !takes_writes {
            return;
        }
        let up = self.up.borrow();
        let mut hosts = up
            .iter()
            .filter(|(its, server, _)| its == cluster && server == old);
        if let Some((_, _, host)) = hosts.next() {
            self.world.violated(format_args!(
                "RK-10: {node} was {made} {passed} us after the withdrawal of {old}, to which host {host} still sends clients"
            ));
        }
    }
}
