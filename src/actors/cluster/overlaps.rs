//! Other published clusters of this group that have nodes of this one.

use super::ClusterActor;
use super::state::State;
use crate::domain::claims::{Contender, Overlap};

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
        let overlaps = claims.overlaps(name);
        let contenders = claims.contenders(name);
        drop(claims);
        let (before, were) = self.state.take_overlaps(overlaps, contenders);
        let _in_span = self.span.enter();
        let met = |known: &[Overlap], it: &Overlap| {
            known
                .iter()
                .any(|one| (&one.cluster, &one.nodes) == (&it.cluster, &it.nodes))
        };
        let observed = &self.state.observed;
        for new in observed.overlaps.iter().filter(|it| !met(&before, it)) {
            tracing::error!(
                other = %new.cluster, nodes = ?names(new),
                "two clusters have the same servers: another published cluster has nodes of this one"
            );
        }
        for gone in before.iter().filter(|it| !met(&observed.overlaps, it)) {
            tracing::info!(
                other = %gone.cluster, nodes = ?names(gone),
                "the other cluster does not have these nodes any more"
            );
        }
        for new in observed.contenders.iter().filter(|it| !were.contains(it)) {
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

impl State {
    /// Takes in which other clusters have nodes of this one. Returns what was known before.
    fn take_overlaps(
        &mut self,
        overlaps: Vec<Overlap>,
        contenders: Vec<Contender>,
    ) -> (Vec<Overlap>, Vec<Contender>) {
        let observed = &mut self.observed;
        (
            std::mem::replace(&mut observed.overlaps, overlaps),
            std::mem::replace(&mut observed.contenders, contenders),
        )
    }
}
