//! Translates names of nodes: during a rename, keepers whose files name a node differently still mean one node.

use std::collections::{BTreeMap, BTreeSet};

use super::addresses::{Addresses, Identity, identity, known_addresses};
use super::node::NodeAddr;
use super::published::Published;
use super::report::KeeperReport;
use super::task::{Task, TaskCommand};

/// Translates other keepers' names of nodes into the names of this keeper's file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Other names of nodes that the file has, each with the name in the file.
    own: BTreeMap<NodeAddr, NodeAddr>,
    /// Nodes that the file lacks, with the addresses of their hosts; empty if unknown.
    unlisted: BTreeMap<NodeAddr, Addresses>,
}

impl Names {
    /// Translates the names in `mentioned` that the file lacks. `listed` is the file, with the addresses of its
    /// hosts; `resolved` has the addresses of other hosts.
    pub fn of<'a>(
        mentioned: impl IntoIterator<Item = &'a NodeAddr>,
        listed: &BTreeMap<&NodeAddr, &Addresses>,
        resolved: &BTreeMap<String, Addresses>,
    ) -> Self {
        let mut names = Self::default();
        let foreign = mentioned
            .into_iter()
            .filter(|addr| !listed.contains_key(addr));
        for addr in foreign {
            let nothing = Addresses::new();
            let at = resolved.get(addr.host()).unwrap_or(&nothing);
            let same = |(own, its): &(&&NodeAddr, &&Addresses)| {
                identity((addr, at), (**own, **its)) == Identity::Same
            };
            let mut meant = listed.iter().filter(same).map(|(own, _)| *own);
            match (meant.next(), meant.next()) {
                (Some(own), None) => {
                    names.own.insert(addr.clone(), own.clone());
                }
                (None, _) => {
                    let known = known_addresses(addr.host(), at);
                    names.unlisted.insert(addr.clone(), known);
                }
                // A name that leads to several nodes names none.
                (Some(_), Some(_)) => {
                    names.unlisted.insert(addr.clone(), Addresses::new());
                }
            }
        }
        names
    }

    /// Whether no name needs a translation.
    pub fn is_plain(&self) -> bool {
        self.own.is_empty()
    }

    /// Nodes that the file lacks.
    pub fn unlisted(&self) -> &BTreeMap<NodeAddr, Addresses> {
        &self.unlisted
    }

    /// The node's name in the file; `addr` itself if the file lacks the node.
    fn own(&self, addr: &NodeAddr) -> NodeAddr {
        self.own.get(addr).unwrap_or(addr).clone()
    }

    /// A published state in the names of the file.
    pub fn localise(&self, mut state: Published) -> Published {
        rename(&mut state, &|addr| self.own(addr));
        state
    }

    /// A report in the names of the file.
    pub fn localise_report(&self, report: &KeeperReport) -> KeeperReport {
        let set = |nodes: &BTreeSet<NodeAddr>| nodes.iter().map(|addr| self.own(addr)).collect();
        let mut told = report.clone();
        told.votes = report
            .votes
            .iter()
            .map(|(addr, why)| (self.own(addr), *why))
            .collect();
        told.refused = set(&report.refused);
        told.unprobed = set(&report.unprobed);
        told.unpublished = set(&report.unpublished);
        told.unread = set(&report.unread);
        told.asks = set(&report.asks);
        if let Some(fresh) = &mut told.fresh {
            let nodes = std::mem::take(&mut fresh.nodes);
            fresh.nodes = nodes
                .into_iter()
                .map(|(addr, facts)| (self.own(&addr), facts))
                .collect();
        }
        if let Some(witness) = &mut told.witness {
            if let Some(primary) = &mut witness.primary {
                primary.node = self.own(&primary.node);
            }
            let replicas = std::mem::take(&mut witness.replicas);
            witness.replicas = replicas
                .into_iter()
                .map(|(addr, seen)| (self.own(&addr), seen))
                .collect();
        }
        for Task { node, command, .. } in told.tasks.values_mut() {
            *node = self.own(node);
            if let TaskCommand::Follow(primary) = command {
                *primary = self.own(primary);
            }
        }
        told
    }

    /// A state that this keeper has made from `before`, in the names of `before`. So a node keeps its name while it
    /// is published, whatever the leaders' files call it.
    pub fn keep(&self, before: &Published, mut state: Published) -> Published {
        if self.is_plain() {
            return state;
        }
        let intent = before.intent.as_ref();
        let first = before
            .primary
            .iter()
            .chain(intent.and_then(|it| it.old.as_ref()));
        let others = before.replicas.iter().chain(&before.known);
        let mut published = BTreeMap::new();
        for addr in first.chain(others) {
            published
                .entry(self.own(addr))
                .or_insert_with(|| addr.clone());
        }
        rename(&mut state, &|addr| {
            published.get(addr).unwrap_or(addr).clone()
        });
        state
    }
}

fn rename(state: &mut Published, name: &dyn Fn(&NodeAddr) -> NodeAddr) {
    let set = |nodes: &BTreeSet<NodeAddr>| nodes.iter().map(name).collect();
    state.primary = state.primary.as_ref().map(name);
    state.replicas = set(&state.replicas);
    state.known = set(&state.known);
    let deposed = std::mem::take(&mut state.deposed);
    state.deposed = deposed
        .into_iter()
        .map(|(addr, it)| (name(&addr), it))
        .collect();
    let former = std::mem::take(&mut state.former_min_replicas);
    state.former_min_replicas = former
        .into_iter()
        .map(|(addr, it)| (name(&addr), it))
        .collect();
    if let Some(intent) = &mut state.intent {
        for node in [
            &mut intent.old,
            &mut intent.switchover,
            &mut intent.candidate,
        ] {
            *node = node.as_ref().map(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::liveness::DownReason;

    fn at(host: &str) -> NodeAddr {
        NodeAddr::new(host, 6379)
    }

    fn ips<const N: usize>(ips: [&str; N]) -> Addresses {
        ips.map(|ip| ip.parse().expect("an address")).into()
    }

    /// The file has `redis-1`, which resolves to 10.0.0.1, and 10.0.0.2.
    fn names(mentioned: &[NodeAddr]) -> Names {
        let (one, two) = (at("redis-1"), at("10.0.0.2"));
        let (first, second) = (ips(["10.0.0.1"]), Addresses::new());
        let listed = [(&one, &first), (&two, &second)].into();
        let resolved = [("b".to_owned(), ips(["10.0.0.2"]))].into();
        Names::of(mentioned, &listed, &resolved)
    }

    #[test]
    fn a_node_is_what_it_resolves_to_by_whatever_name() {
        let mentioned = [
            at("10.0.0.1"),
            at("b"),
            at("10.0.0.9"),
            at("x"),
            at("redis-1"),
        ];
        let names = names(&mentioned);
        let own = mentioned
            .iter()
            .map(|addr| names.own(addr).host().to_owned());
        let own: Vec<String> = own.collect();
        assert_eq!(own, ["redis-1", "10.0.0.2", "10.0.0.9", "x", "redis-1"]);
        let lacks = [
            (at("10.0.0.9"), ips(["10.0.0.9"])),
            (at("x"), Addresses::new()),
        ];
        assert_eq!(*names.unlisted(), lacks.into());
    }

    #[test]
    fn a_name_that_leads_to_several_nodes_names_none_of_them() {
        let (one, two) = (at("10.0.0.1"), at("10.0.0.2"));
        let nothing = Addresses::new();
        let listed = [(&one, &nothing), (&two, &nothing)].into();
        let resolved = [("redis".to_owned(), ips(["10.0.0.1", "10.0.0.2"]))].into();
        let names = Names::of([&at("redis"), &at("::ffff:10.0.0.1")], &listed, &resolved);
        assert_eq!(*names.unlisted(), [(at("redis"), Addresses::new())].into());
        assert_eq!(names.own(&at("::ffff:10.0.0.1")), one, "the same address");
    }

    #[test]
    fn what_others_write_is_read_by_the_names_of_the_file_and_kept_in_theirs() {
        let shared = Published {
            primary: Some(at("10.0.0.1")),
            replicas: [at("b")].into(),
            known: [at("10.0.0.1"), at("b")].into(),
            ..Published::default()
        };
        let names = names(&[at("10.0.0.1"), at("b")]);
        let mut here = names.localise(shared.clone());
        assert_eq!(here.primary, Some(at("redis-1")));
        assert_eq!(here.replicas, [at("10.0.0.2")].into());
        here.has_data = true;
        let written = names.keep(&shared, here);
        let expected = Published {
            has_data: true,
            ..shared
        };
        assert_eq!(written, expected);
        let report = KeeperReport {
            votes: [(at("10.0.0.1"), DownReason::Refused)].into(),
            ..KeeperReport::default()
        };
        let told = names.localise_report(&report);
        assert!(told.votes.contains_key(&at("redis-1")));
    }
}
