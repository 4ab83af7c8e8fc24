//! Clusters of one group that overlap: two published clusters with one server, found by its address and port.
//!
//! Keepers whose files name or split a cluster differently make two clusters of its servers. A published cluster
//! claims the servers that its state names, if a keeper online has the cluster in its file.
//!
//! Of two published clusters with the same servers, one is managed. The first difference decides:
//! - the cluster whose change of primary was begun, if a keeper online has it;
//! - the cluster that more keepers online have in their files;
//! - the cluster with the higher generation.
//!
//! The cluster with the higher generation says which node is writable. All keepers read the same generations.
//!
//! A cluster that is not published takes over the state of a published one, if more keepers online have the former.

use std::collections::{BTreeMap, BTreeSet};

use super::addresses::{Addresses, known_addresses};
use super::node::{ClusterName, Generation, KeeperId, NodeAddr};
use super::published::Published;
use super::report::KeeperReport;
use super::verdict::voters;

/// Every name of a server: the node's name, and each address that its host resolves to.
pub fn places(node: &NodeAddr, resolved: &Addresses) -> BTreeSet<NodeAddr> {
    let addresses = known_addresses(node.host(), resolved).into_iter();
    let at = addresses.map(|ip| NodeAddr::new(ip.to_string(), node.port()));
    at.chain([node.clone()]).collect()
}

/// The servers that a published cluster claims, and its weight against other clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    nodes: BTreeMap<NodeAddr, BTreeSet<NodeAddr>>,
    primary: Option<NodeAddr>,
    /// The generation of the last change of its primary.
    generation: Generation,
    /// A change of its primary is under way.
    changing: bool,
    /// How many keepers online have the cluster in their files.
    keepers: usize,
}

/// Another published cluster that has nodes of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Its name.
    pub cluster: ClusterName,
    /// The nodes that both have, by their names in this cluster.
    pub nodes: BTreeSet<NodeAddr>,
    /// The other cluster's primary, by its name in this cluster if it is one of `nodes`.
    pub primary: Option<NodeAddr>,
    /// The other cluster has the higher generation, or this cluster is not published.
    pub newer: bool,
    /// The other cluster is the managed one of the two. If this cluster is not published, the other one is managed in
    /// these cases:
    /// - the other one is changing its primary;
    /// - no keeper online has the other one;
    /// - at least as many keepers online have the other one.
    pub managed: bool,
}

/// How a cluster is affected by another published one that has nodes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlapRole {
    /// This cluster is not published yet, and stays so while the other one is published.
    Unpublished,
    /// This cluster is not published yet, and takes over the published state of the other one.
    Heir,
    /// Both clusters are published, and the other one is managed: this cluster is not changed.
    Held,
    /// This cluster goes on without the nodes that belong to the other one.
    Without,
    /// This cluster is the managed one, and the other one is held.
    Managed,
}

/// Another cluster, which keepers hold because this published cluster has nodes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contender {
    /// Its name.
    pub cluster: ClusterName,
    /// The keepers that have it in their files.
    pub keepers: BTreeSet<KeeperId>,
}

/// A cluster that is not published, and that keepers online have in their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpublishedCluster {
    /// The names of its nodes, and their addresses where the names are addresses, from those keepers' reports.
    places: BTreeSet<NodeAddr>,
    keepers: usize,
}

/// The claims of all published clusters, and the other clusters that may conflict with them.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    published: BTreeMap<ClusterName, Claim>,
    /// An index of `published` by the names and addresses of the nodes.
    by_place: Places,
    /// Clusters that are not published.
    wishes: BTreeMap<ClusterName, UnpublishedCluster>,
    /// The same index of `wishes`.
    wished: Places,
    /// The clusters of this keeper's file: each node with the addresses of its host, and with all its names.
    listed: BTreeMap<ClusterName, BTreeMap<NodeAddr, (Addresses, BTreeSet<NodeAddr>)>>,
    /// The same index of `listed`.
    lists: Places,
    /// For each published cluster, the clusters that keepers hold because of it, each with these keepers.
    told: BTreeMap<ClusterName, BTreeMap<ClusterName, BTreeSet<KeeperId>>>,
    changes: u64,
}

type Places = BTreeMap<NodeAddr, BTreeSet<ClusterName>>;

fn enter(places: &mut Places, place: &NodeAddr, name: &ClusterName) {
    let names = places.entry(place.clone()).or_default();
    names.insert(name.clone());
}

fn strike(places: &mut Places, place: &NodeAddr, name: &ClusterName) {
    if let Some(names) = places.get_mut(place) {
        names.remove(name);
        if names.is_empty() {
            places.remove(place);
        }
    }
}

// === impl Claim ===

impl Claim {
    /// The claim of a cluster. `None` if nothing is published, or if the cluster is given up. A cluster is given up
    /// once no keeper online has it, and no absent keeper that may have it is expected back (`others`).
    ///
    /// Nodes that the state only remembers count while a keeper online probes them there.
    pub fn of(
        state: &Published,
        online: &BTreeSet<KeeperId>,
        reports: &BTreeMap<KeeperId, KeeperReport>,
        others: bool,
    ) -> Option<Self> {
        let has = |keeper: &&KeeperId| reports.get(*keeper).is_none_or(|report| !report.absent);
        let keepers = online.iter().filter(has).count();
        let probed = |node: &&NodeAddr| voters(node, online, reports).next().is_some();
        let remembered = state.known.iter().filter(probed);
        let nothing = Addresses::new();
        let called = |node: &NodeAddr| {
            let resolved = state.addresses.get(node.host()).unwrap_or(&nothing);
            (node.clone(), places(node, resolved))
        };
        (state.is_begun() && (others || keepers > 0)).then(|| Self {
            nodes: state.mentioned().chain(remembered).map(called).collect(),
            primary: state.primary.clone(),
            generation: state.generation,
            changing: state.intent.is_some(),
            keepers,
        })
    }
}

impl Claim {
    /// Orders two published clusters: the greater one is managed.
    fn weight(&self) -> impl Ord {
        let begun = self.changing && self.keepers > 0;
        (begun, self.keepers, self.generation)
    }

    /// Whether the cluster of `unpublished` takes over from this one, because more keepers online have it. Two cases prevent
    /// that:
    /// - this cluster is changing its primary, and finishes the change first;
    /// - no keeper online has this cluster: those that have it may be about to return.
    fn yields_to(&self, unpublished: &UnpublishedCluster) -> bool {
        !self.changing && self.keepers > 0 && unpublished.keepers > self.keepers
    }
}

// === impl UnpublishedCluster ===

impl UnpublishedCluster {
    /// The wish for a cluster that is not published. `None` if it is published, or if no keeper online reports it.
    pub fn of(
        state: Option<&Published>,
        online: &BTreeSet<KeeperId>,
        reports: &BTreeMap<KeeperId, KeeperReport>,
    ) -> Option<Self> {
        if state.is_some_and(Published::is_begun) {
            return None;
        }
        let told = online.iter().filter_map(|keeper| reports.get(keeper));
        let has = told.filter(|report| !report.unpublished.is_empty());
        let files: Vec<_> = has.map(|report| &report.unpublished).collect();
        let nothing = Addresses::new();
        (!files.is_empty()).then(|| Self {
            places: files
                .iter()
                .flat_map(|nodes| nodes.iter().flat_map(|node| places(node, &nothing)))
                .collect(),
            keepers: files.len(),
        })
    }
}

// === impl Claims ===

impl Claims {
    /// A counter that rises whenever the answers of [`Self::overlaps`] and [`Self::contenders`] may change.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Records the present claim of a cluster. Returns the other clusters of this keeper's file that share a server
    /// with its old or new claim.
    pub fn set(&mut self, name: &ClusterName, claim: Option<Claim>) -> BTreeSet<ClusterName> {
        let before = self.published.get(name);
        if before == claim.as_ref() {
            return BTreeSet::new();
        }
        let all = |claim: &Claim| -> BTreeSet<NodeAddr> {
            claim.nodes.values().flatten().cloned().collect()
        };
        let old = before.map(all).unwrap_or_default();
        let new = claim.as_ref().map(all).unwrap_or_default();
        for place in old.difference(&new) {
            strike(&mut self.by_place, place, name);
        }
        for place in new.difference(&old) {
            enter(&mut self.by_place, place, name);
        }
        match claim {
            Some(claim) => self.published.insert(name.clone(), claim),
            None => self.published.remove(name),
        };
        self.changes += 1;
        let lists = old.union(&new).filter_map(|place| self.lists.get(place));
        lists
            .flatten()
            .filter(|other| *other != name)
            .cloned()
            .collect()
    }

    /// Records the keepers that have a cluster that is not published.
    pub fn unpublished(&mut self, name: &ClusterName, unpublished: Option<UnpublishedCluster>) {
        let before = self.wishes.get(name);
        if before == unpublished.as_ref() {
            return;
        }
        for place in before.iter().flat_map(|it| &it.places) {
            strike(&mut self.wished, place, name);
        }
        for place in unpublished.iter().flat_map(|it| &it.places) {
            enter(&mut self.wished, place, name);
        }
        match unpublished {
            Some(unpublished) => self.wishes.insert(name.clone(), unpublished),
            None => self.wishes.remove(name),
        };
        self.changes += 1;
    }

    /// Records the published clusters because of which keepers hold the cluster `name`. Returns those for which this
    /// changed.
    pub fn tell(
        &mut self,
        name: &ClusterName,
        held: &BTreeMap<ClusterName, BTreeSet<KeeperId>>,
    ) -> BTreeSet<ClusterName> {
        let mut changed = BTreeSet::new();
        for (other, told) in &mut self.told {
            if !held.contains_key(other) && told.remove(name).is_some() {
                changed.insert(other.clone());
            }
        }
        self.told.retain(|_, told| !told.is_empty());
        for (other, keepers) in held {
            let told = self.told.entry(other.clone()).or_default();
            if told.insert(name.clone(), keepers.clone()).as_ref() != Some(keepers) {
                changed.insert(other.clone());
            }
        }
        self.changes += u64::from(!changed.is_empty());
        changed
    }

    /// Forgets clusters that no longer exist.
    pub fn retain(&mut self, there: impl Fn(&ClusterName) -> bool) {
        let names = self.published.keys().chain(self.wishes.keys());
        let gone: Vec<_> = names.filter(|name| !there(name)).cloned().collect();
        for name in gone {
            self.set(&name, None);
            self.unpublished(&name, None);
        }
    }

    /// Records the nodes of a cluster in this keeper's file, with the addresses of their hosts.
    pub fn list<'a>(
        &mut self,
        name: &ClusterName,
        nodes: impl Iterator<Item = (&'a NodeAddr, &'a Addresses)> + Clone,
    ) {
        let before = self.listed.entry(name.clone()).or_default();
        let mut known = before.iter();
        let same = |(node, resolved): (&NodeAddr, &Addresses)| {
            known
                .next()
                .is_some_and(|(own, (its, _))| (own, its) == (node, resolved))
        };
        if nodes.clone().all(same) && known.next().is_none() {
            return;
        }
        for place in before.values().flat_map(|(_, places)| places) {
            strike(&mut self.lists, place, name);
        }
        let listed = nodes.map(|(node, resolved)| {
            let called = places(node, resolved);
            for place in &called {
                enter(&mut self.lists, place, name);
            }
            (node.clone(), (resolved.clone(), called))
        });
        *before = listed.collect();
        self.changes += 1;
    }

    /// The other published clusters that have nodes of the cluster `name`, as this keeper's file [lists](Self::list) them.
    pub fn overlaps(&self, name: &ClusterName) -> Vec<Overlap> {
        let mut met: BTreeMap<&ClusterName, Overlap> = BTreeMap::new();
        let own = self.published.get(name);
        let unpublished = self.wishes.get(name);
        for (node, (_, places)) in self.listed.get(name).into_iter().flatten() {
            let others = places.iter().filter_map(|place| self.by_place.get(place));
            let others: BTreeSet<_> = others.flatten().filter(|other| *other != name).collect();
            for other in others {
                let Some(claim) = self.published.get(other) else {
                    continue;
                };
                let newer = own.is_none_or(|own| claim.generation > own.generation);
                if claim.keepers == 0 && !newer {
                    // A newer cluster has its servers, and no keeper has it: it is about to be given up.
                    continue;
                }
                let overlap = met.entry(other).or_insert_with(|| Overlap {
                    cluster: other.clone(),
                    nodes: BTreeSet::new(),
                    primary: claim.primary.clone(),
                    newer,
                    managed: match own {
                        Some(own) => claim.weight() > own.weight(),
                        None => {
                            !unpublished.is_some_and(|unpublished| claim.yields_to(unpublished))
                        }
                    },
                });
                overlap.nodes.insert(node.clone());
                let primary = claim.primary.as_ref();
                let called = primary.and_then(|primary| claim.nodes.get(primary));
                if called.is_some_and(|called| !called.is_disjoint(places)) {
                    overlap.primary = Some(node.clone());
                }
            }
        }
        met.into_values().collect()
    }

    /// The other clusters that keepers hold because of the cluster `name`.
    pub fn contenders(&self, name: &ClusterName) -> Vec<Contender> {
        let told = self.told.get(name).into_iter().flatten();
        told.map(|(cluster, keepers)| Contender {
            cluster: cluster.clone(),
            keepers: keepers.clone(),
        })
        .collect()
    }

    /// Whether another cluster is managed in place of the published cluster `name`, or is to take over from it. Only
    /// clusters that have its primary count.
    pub fn outweighed(&self, name: &ClusterName) -> bool {
        let Some(own) = self.published.get(name) else {
            return false;
        };
        let primary = own.primary.iter().filter_map(|it| own.nodes.get(it));
        let places = primary.flatten();
        let indices = [&self.by_place, &self.wished, &self.lists];
        let others = places.flat_map(|place| indices.map(|index| index.get(place)));
        let mut others = others.flatten().flatten().filter(|other| *other != name);
        others.any(|other| {
            let heavier = |claim: &Claim| claim.weight() > own.weight();
            let heir = |unpublished: &UnpublishedCluster| own.yields_to(unpublished);
            self.published.get(other).is_some_and(heavier)
                || self.wishes.get(other).is_some_and(heir)
        })
    }
}

#[cfg(test)]
mod tests;
