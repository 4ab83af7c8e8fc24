//! Translates the names that other keepers write into the names of this keeper's file. Finds the nodes of the cluster
//! that the file lacks.
//!
//! Two names mean one node if they are equal, or if they have the same port and their hosts share an address.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::State;
use crate::actors::messages::{Decision, SharedState};
use crate::domain::addresses::{Addresses, Identity, identity};
use crate::domain::files::{Difference, odd};
use crate::domain::names::Names;
use crate::domain::node::{KeeperId, Moment, NodeAddr};
use crate::domain::observed::Unlisted;
use crate::domain::plan::{Action, StateChange};
use crate::domain::published::Published;
use crate::domain::report::KeeperReport;
use crate::domain::verdict::voters;

/// The pause until a name that did not resolve is looked up again.
const RESOLVE_AGAIN_AFTER: std::time::Duration = std::time::Duration::from_secs(10);

/// All nodes that a published state names or remembers.
fn spoken_of(state: &Published) -> impl Iterator<Item = &NodeAddr> {
    state.mentioned().chain(&state.known)
}

/// Names that this keeper's file does not have.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    /// The shared state as it was read, before any name was translated.
    received: Option<Arc<SharedState>>,
    names: Names,
    /// The addresses of hosts that the file does not name.
    resolved: BTreeMap<String, Addresses>,
    /// When each host was looked up last.
    asked: BTreeMap<String, Moment>,
    /// The hosts that did not resolve.
    unresolved: BTreeSet<String>,
}

impl State {
    /// Takes in the shared state. Returns it in the names of the file.
    pub(super) fn received(&mut self, shared: &Arc<SharedState>) -> Arc<SharedState> {
        self.foreign.names = self.read_names(shared);
        self.foreign.received = Some(Arc::clone(shared));
        self.localised(shared)
    }

    /// Translates the shared state again, once more is known of the addresses of hosts.
    pub(super) fn names_may_have_changed(&mut self) {
        let Some(received) = self.foreign.received.clone() else {
            return;
        };
        let names = self.read_names(&received);
        if names == self.foreign.names {
            return;
        }
        self.foreign.names = names;
        let shared = self.localised(&received);
        self.observed.published.clone_from(&shared.published);
        self.observed.last_failover = None;
        self.shared = Some(shared);
        self.note_unlisted();
    }

    fn read_names(&self, received: &SharedState) -> Names {
        let nodes = self.observed.nodes.iter();
        let listed = nodes
            .map(|(addr, node)| (addr, &node.observation.addresses))
            .collect();
        let published = received.published.iter();
        let states = published.flat_map(|state| {
            let remembered = state.known.iter().chain(state.deposed.keys());
            state.mentioned().chain(remembered)
        });
        let reports = received.reports.values();
        let reports = reports.flat_map(|report| {
            let witness = report.witness.iter();
            let seen = witness.flat_map(|it| {
                let primary = it.primary.iter().map(|read| &read.node);
                primary.chain(it.replicas.keys())
            });
            let told = report.unprobed.iter().chain(&report.unpublished);
            let told = told.chain(&report.unread);
            report.votes.keys().chain(told).chain(seen)
        });
        Names::of(states.chain(reports), &listed, &self.foreign.resolved)
    }

    fn localised(&self, received: &Arc<SharedState>) -> Arc<SharedState> {
        let names = &self.foreign.names;
        if names.is_plain() {
            return Arc::clone(received);
        }
        let mut shared = SharedState::clone(received);
        shared.published = shared.published.map(|state| names.localise(state));
        for report in shared.reports.values_mut() {
            *report = names.localise_report(report);
        }
        Arc::new(shared)
    }

    /// The nodes that the cluster has and this keeper's file lacks.
    ///
    /// A name of another file may mean a node of this file, of which this keeper is a voter (RK-1). So the name does
    /// not count as lacking while one of these is not resolved yet:
    /// - the name itself, at the port of a node of this file;
    /// - the host name of that node.
    pub(super) fn lacking(&self) -> BTreeSet<NodeAddr> {
        let Some(shared) = &self.shared else {
            return BTreeSet::new();
        };
        let me = &self.settings.keeper;
        let others = shared.reports.iter().filter(|(keeper, _)| *keeper != me);
        let told = others.flat_map(|(_, report)| report.votes.keys().chain(&report.unpublished));
        let own = |addr: &NodeAddr, at: &Addresses| {
            let mut nodes = self.observed.nodes.iter();
            nodes.any(|(own, node)| {
                let its = &node.observation.addresses;
                let settled = !at.is_empty() && node.observation.probed;
                !settled && identity((addr, at), (own, its)) == Identity::Unknown
            })
        };
        let unlisted = self.foreign.names.unlisted();
        let lacks = |addr: &&NodeAddr| unlisted.get(*addr).is_some_and(|at| !own(addr, at));
        let published = shared.published.iter().flat_map(spoken_of);
        published.chain(told).filter(lacks).cloned().collect()
    }

    /// The nodes of the file that the published state does not name.
    pub(super) fn unpublished(&self) -> BTreeSet<NodeAddr> {
        let Some(shared) = &self.shared else {
            return BTreeSet::new();
        };
        let published: BTreeSet<&NodeAddr> = shared.published.iter().flat_map(spoken_of).collect();
        let nodes = self.observed.nodes.keys();
        nodes
            .filter(|addr| !published.contains(addr))
            .cloned()
            .collect()
    }

    /// Updates what is known of nodes that are published and not in the file.
    pub(super) fn note_unlisted(&mut self) {
        self.observed.unlisted.clear();
        let Some(shared) = &self.shared else { return };
        let Some(published) = &shared.published else {
            return;
        };
        let me = &self.settings.keeper;
        for addr in spoken_of(published) {
            if let Some(addresses) = self.foreign.names.unlisted().get(addr) {
                let others = voters(addr, &shared.keepers, &shared.reports);
                let unlisted = Unlisted {
                    addresses: addresses.clone(),
                    voters: others.filter(|(keeper, _)| *keeper != me).count(),
                };
                self.observed.unlisted.insert(addr.clone(), unlisted);
            }
        }
        // A node that is only remembered, and that no keeper has in its file any more, was taken out.
        let remembered: BTreeSet<&NodeAddr> = published.mentioned().collect();
        let kept = |addr: &NodeAddr, it: &Unlisted| it.voters > 0 || remembered.contains(addr);
        self.observed.unlisted.retain(|addr, it| kept(addr, it));
    }

    /// The hosts that the file does not name and that are due to be resolved.
    pub(in crate::actors::cluster) fn begin_resolving(&mut self, now: Moment) -> Vec<String> {
        let unlisted = self.foreign.names.unlisted().iter();
        let unknown = unlisted.filter(|(_, addresses)| addresses.is_empty());
        let hosts: BTreeSet<String> = unknown.map(|(addr, _)| addr.host().to_owned()).collect();
        let asked = &mut self.foreign.asked;
        let due = |host: &String| {
            let last = asked.insert(host.clone(), now);
            let lately = last.filter(|last| now.since(*last) < RESOLVE_AGAIN_AFTER);
            if let Some(lately) = lately {
                asked.insert(host.clone(), lately);
            }
            lately.is_none()
        };
        hosts.into_iter().filter(due).collect()
    }

    /// Notes that a host did not resolve. Answers whether that is news.
    pub(in crate::actors::cluster) fn unresolved(&mut self, host: &str) -> bool {
        self.foreign.unresolved.insert(host.to_owned())
    }

    /// Notes the addresses of a host.
    pub(in crate::actors::cluster) fn resolved(&mut self, host: String, addresses: Addresses) {
        self.foreign.unresolved.remove(&host);
        self.foreign.resolved.insert(host, addresses);
        self.names_may_have_changed();
    }

    /// The decision in the published names: a node keeps its name for as long as it is published.
    pub(super) fn in_published_names(&self, mut decision: Decision) -> Decision {
        let received = self.foreign.received.as_ref();
        let Some(before) = received.and_then(|received| received.published.as_ref()) else {
            return decision;
        };
        let state = match &mut decision.plan.action {
            // A new primary is published by the name in its leader's file, so that old names die out.
            Some(Action::Write { change, .. }) if *change == StateChange::Publish => None,
            Some(
                Action::Write { state, .. }
                | Action::Promote { state, .. }
                | Action::Switch { state, .. },
            ) => Some(state),
            _ => None,
        };
        if let Some(state) = state {
            *state = self.foreign.names.keep(before, std::mem::take(state));
        }
        decision
    }

    /// The keepers online whose files differ from those of most keepers, with the difference.
    pub(in crate::actors::cluster) fn differing_files(&self) -> BTreeMap<KeeperId, Difference> {
        let shared = self.shared.as_ref();
        shared
            .map(|shared| odd(&shared.keepers, &shared.reports))
            .unwrap_or_default()
    }

    /// The nodes of the cluster that the file of each keeper online lacks, though other keepers have them.
    pub(in crate::actors::cluster) fn differences(&self) -> BTreeMap<String, Vec<String>> {
        let Some(shared) = &self.shared else {
            return BTreeMap::new();
        };
        let (keepers, reports) = (&shared.keepers, &shared.reports);
        let online = reports
            .iter()
            .filter(|(keeper, _)| keepers.contains(*keeper));
        let lacks = |report: &KeeperReport| -> Vec<String> {
            if report.absent {
                return vec!["the whole cluster".to_owned()];
            }
            let nodes = report.unprobed.iter();
            let probed = nodes.filter(|addr| voters(addr, keepers, reports).next().is_some());
            probed.map(ToString::to_string).collect()
        };
        let told = online.map(|(keeper, report)| (keeper.to_string(), lacks(report)));
        told.filter(|(_, lacks)| !lacks.is_empty()).collect()
    }
}
