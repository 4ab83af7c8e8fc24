//! Origins of data that this keeper has seen, and that a node no longer names.

use std::collections::BTreeMap;

use super::{Observed, ObservedNode};
use crate::domain::lineage::{Origin, promotions_back};
use crate::domain::node::NodeAddr;

impl Observed {
    /// The origins of nodes whose facts name no history of the lineage, as this keeper has seen them.
    pub(super) fn traces(&self) -> BTreeMap<NodeAddr, Origin> {
        let lineage = self.published.as_ref().map(|it| &it.lineage);
        let trace = |(addr, node): (&NodeAddr, &ObservedNode)| {
            let facts = node.observation.facts.as_ref()?;
            let unknown = promotions_back(facts, lineage?).is_none();
            let origin = self
                .witnesses
                .own
                .related
                .origin(facts)
                .filter(|_| unknown)?;
            Some((addr.clone(), origin.clone()))
        };
        self.nodes.iter().filter_map(trace).collect()
    }
}
