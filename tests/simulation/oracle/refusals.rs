//! Judges that no published primary that serves is refused for long (RK-3).

use std::collections::{BTreeMap, BTreeSet};

use redis_keeper::actors::cluster_api::Ruling;
use redis_keeper::domain::node::{ClusterName, KeeperId, NodeAddr};

use super::{Oracle, Said};
use crate::network::{Host, Network};
use crate::redis::Fleet;

/// The time that a sample and a keeper's next probe add, in microseconds.
const NOTICED_WITHIN: u64 = 500_000;

/// The published primaries that are refused, and since when, in microseconds.
///
/// The key names the keeper that refuses firmly. `None` stands for two facts together: no keeper calls the primary
/// writable, and a keeper that knows the published state refuses.
pub(super) type Refused = BTreeMap<(ClusterName, Option<KeeperId>), (NodeAddr, u64)>;

impl Oracle {
    /// Judges the answers of all keepers about all nodes.
    ///
    /// A keeper whose connections are refused may refuse. So a primary is judged only under these conditions:
    ///
    /// - No way between `keepers` and the primary resets connections; the ways may be silent.
    /// - `client` reaches the primary.
    pub(crate) fn judge_refusals(
        &self,
        fleet: &Fleet,
        (network, keepers, client): (&Network, &[Host], Host),
        said: &[Said],
    ) {
        let now = self.world.now();
        // An answer may be as old as a lease.
        let limit = self.times.mark_down.max(self.lease) + NOTICED_WITHIN;
        let mut all = self.refused.borrow_mut();
        for (cluster, book) in self.books.borrow().iter() {
            let published = book.published.as_ref();
            let primary = published.and_then(|published| published.primary.as_ref());
            let serving = primary.and_then(|primary| {
                let server = fleet.server(primary)?;
                let condition = server.condition();
                let reset = keepers.iter().any(|it| network.resets(*it, server.host));
                let reached = network.passes(client, server.host) && !reset;
                let is_primary = condition.follows.as_ref() == Some(primary);
                let runs = condition.up && !condition.loading;
                // The vote of a keeper that was cut off from ZooKeeper, or has died, stands until its session ends (RK-1).
                let stale = self.voted_down_by_silent(book, primary);
                (runs && is_primary && reached && !stale).then_some(primary)
            });
            let of = |it: &&Said| it.cluster == *cluster && Some(&it.node) == serving;
            let answers = said.iter().filter(of);
            let called = answers.clone().any(|it| it.ruling == Ruling::Yes);
            // Without ZooKeeper no keeper learns of a publication.
            let generation = published.map(|published| published.generation);
            let knows = |it: &&Said| it.generation.is_none() || it.generation == generation;
            let mut knowing = answers.filter(knows);
            let firmly = knowing.clone().filter(|it| it.firmly);
            let firmly = firmly.map(|it| Some(it.keeper.clone()));
            let all_refuse = !called && knowing.any(|it| it.refuses);
            let by: BTreeSet<_> = firmly.chain(all_refuse.then_some(None)).collect();
            all.retain(|(its, who), _| its != cluster || by.contains(who));
            let Some(primary) = serving else { continue };
            for who in by {
                let begun = || (primary.clone(), now);
                let key = (cluster.clone(), who.clone());
                let (refused, since) = all.entry(key).or_insert_with(begun);
                if refused != primary {
                    (*refused, *since) = begun();
                }
                if now - *since > limit {
                    let who = who.map_or_else(|| "all".to_owned(), |keeper| keeper.to_string());
                    self.world.violated(format_args!(
                        "RK-3: {primary} of {cluster} is published and serves, and has been refused for {} us by {who}",
                        now - *since
                    ));
                }
            }
        }
    }
}
