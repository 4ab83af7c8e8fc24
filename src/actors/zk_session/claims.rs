//! Which published clusters have which servers. The claim is noted in the same step that takes in the state. So no
//! answer for another cluster with the same servers is older than what this keeper acknowledges (RK-2, RK-3).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ZkSession;
use crate::domain::claims::{Claim, UnpublishedCluster};
use crate::domain::node::ClusterName;

/// How long no keeper online must have a cluster until it is given up: a keeper that is restarted is back sooner.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(10);

impl ZkSession {
    /// Notes what a cluster claims, and for which other clusters it is held. Returns the clusters of the file for
    /// which this is news.
    pub(super) fn note_claim(&mut self, name: &ClusterName) -> BTreeSet<ClusterName> {
        let mut claims = self.dependencies.claims.borrow_mut();
        let now = self.dependencies.clock.now();
        let Some(cluster) = self.clusters.get_mut(name) else {
            let mut news = claims.set(name, None);
            claims.unpublished(name, None);
            news.extend(claims.tell(name, &BTreeMap::new()));
            return news;
        };
        let online = self.keepers.online();
        // A keeper that is registered and silent, as after a crash, may have the cluster in its file.
        let away = self
            .failsafe
            .group
            .registered()
            .any(|it| !online.contains(it));
        let lately = cluster.was_had(&online, now, GIVEN_UP_AFTER);
        // Before the keepers online and their files are known, no cluster counts as given up.
        let unknown = !self.keepers.known() || self.keepers.relisting() || !cluster.known();
        let others = away || lately || unknown;
        let claim = cluster
            .published()
            .and_then(|state| Claim::of(state, &online, &cluster.reports, others));
        claims.unpublished(
            name,
            UnpublishedCluster::of(cluster.published(), &online, &cluster.reports),
        );
        let mut news = claims.set(name, claim);
        news.extend(claims.tell(name, &cluster.held(&online)));
        news.retain(|other| self.clusters.get(other).is_some());
        news
    }

    /// Does the same as [`note_claim`](Self::note_claim), and tells the clusters for which it is news.
    pub(super) fn claim(&mut self, name: &ClusterName) {
        for other in self.note_claim(name) {
            self.share(&other);
        }
    }

    /// Checks whether clusters that only other keepers have are given up: only time tells.
    pub(super) fn look_for_given_up(&mut self) {
        for name in self.clusters.unlisted().clone() {
            self.claim(&name);
        }
    }
}
