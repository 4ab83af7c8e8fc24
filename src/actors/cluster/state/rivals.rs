//! Other groups of keepers, as keepers of this group have met them (RK-12).

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::State;
use crate::actors::messages::SharedState;
use crate::domain::group::OtherGroup;
use crate::domain::node::NodeAddr;

impl State {
    /// Takes in the other groups that this keeper has met. Together with those that keepers of its group have met,
    /// they hold the cluster.
    ///
    /// Returns what was known before, if that has changed.
    pub(in crate::actors::cluster) fn own_rivals(
        &mut self,
        met: Vec<OtherGroup>,
    ) -> Option<Vec<OtherGroup>> {
        self.met = met;
        let nothing = SharedState::default();
        let shared = self.shared.as_deref().unwrap_or(&nothing);
        let mut known = self.met.clone();
        let online = shared.keepers.iter();
        for report in online.filter_map(|keeper| shared.reports.get(keeper)) {
            for other in &report.other_groups {
                if known.iter().all(|it| it.group != other.group) {
                    known.push(other.clone());
                }
            }
        }
        known.sort();
        (known != self.observed.groups.managing)
            .then(|| std::mem::replace(&mut self.observed.groups.managing, known))
    }

    /// The other groups that look after this cluster.
    pub(in crate::actors::cluster) fn other_groups(&self) -> &[OtherGroup] {
        &self.observed.groups.managing
    }

    /// Every configured node, and the addresses that its host name resolves to.
    pub(in crate::actors::cluster) fn nodes_with_addresses(
        &self,
    ) -> impl Iterator<Item = (&NodeAddr, &BTreeSet<IpAddr>)> + Clone {
        let nodes = self.observed.nodes.iter();
        nodes.map(|(addr, node)| (addr, &node.observation.addresses))
    }
}
