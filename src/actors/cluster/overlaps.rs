//! Other published clusters of this group that have nodes of this one.

use super::ClusterActor;
use crate::domain::claims::Overlap;
use crate::domain::observed::ClustersSeen;

impl ClusterActor {
    /// Lists the nodes of this cluster with their addresses, so that claims of other clusters to them are noticed.
    pub(super) fn list_nodes(&mut self) {
        let nodes = self.state.nodes_with_addresses();
        let mut claims = self.links.claims.borrow_mut();
        claims.list(&self.state.settings.name, nodes);
    }

    /// Takes in which other clusters have these nodes, and logs what is new.
    pub(super) fn look_at_claims(&mut self) {
        let claims = self.links.claims.borrow();
        if self.claims_seen == claims.changes() {
            return;
        }
        self.claims_seen = claims.changes();
        let name = &self.state.settings.name;
        let seen = ClustersSeen {
            overlaps: claims.overlaps(name),
            contenders: claims.contenders(name),
        };
        drop(claims);
        let before = std::mem::replace(&mut self.state.observed.clusters, seen);
        let _in_span = self.span.enter();
        let met = |known: &[Overlap], it: &Overlap| {
            known
                .iter()
                .any(|one| (&one.cluster, &one.nodes) == (&it.cluster, &it.nodes))
        };
        let seen = &self.state.observed.clusters;
        let overlaps = seen.overlaps.iter();
        for new in overlaps.filter(|it| !met(&before.overlaps, it)) {
            tracing::error!(
                other = %new.cluster, nodes = ?names(new),
                "two clusters have the same servers: another published cluster has nodes of this one"
            );
        }
        let overlapped = before.overlaps.iter();
        for gone in overlapped.filter(|it| !met(&seen.overlaps, it)) {
            tracing::info!(
                other = %gone.cluster, nodes = ?names(gone),
                "the other cluster does not have these nodes any more"
            );
        }
        let contenders = seen.contenders.iter();
        for new in contenders.filter(|it| !before.contenders.contains(it)) {
            let files_of: Vec<_> = new.keepers.iter().map(ToString::to_string).collect();
            tracing::error!(
                other = %new.cluster, ?files_of,
                "two clusters have the same servers: these keepers have nodes of this cluster in another one"
            );
        }
    }
}

fn names(overlap: &Overlap) -> Vec<String> {
    overlap.nodes.iter().map(ToString::to_string).collect()
}
