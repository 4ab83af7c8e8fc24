//! Which published clusters of this group have which servers: one server in two clusters is found by its address and port.
//!
//! Keepers whose files name or split a cluster differently make two clusters of its servers. A cluster that is published, and
//! that a keeper online has in its file, claims the servers that it speaks of. Of two published clusters with the same servers:
//! - one is managed: the one whose change of primary was begun, else the one that more keepers online have, else the newer one;
//! - the newer one, whose primary was changed last, says which node is writable. Generations tell, which all keepers read alike.
//!
//! A cluster that is not published, and that more keepers online have, takes over what is published in the other one's name.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{Addresses, known_addresses, mentioned};
use super::node::{ClusterName, Generation, KeeperId, NodeAddr};
use super::published::Published;
use super::verdict::{Report, voters};

/// All that a server is called: the node's name, and each address that its host resolves to.
pub fn places(node: &NodeAddr, resolved: &Addresses) -> BTreeSet<NodeAddr> {
    let addresses = known_addresses(node.host(), resolved).into_iter();
    let at = addresses.map(|ip| NodeAddr::new(ip.to_string(), node.port()));
    at.chain([node.clone()]).collect()
}

/// What a published cluster claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    nodes: BTreeMap<NodeAddr, BTreeSet<NodeAddr>>,
    primary: Option<NodeAddr>,
    /// When its primary was changed last, in the order of coordination.
    generation: Generation,
    /// A change of its primary is under way.
    changing: bool,
    /// Keepers online that have it in their files.
    keepers: usize,
}

/// Another published cluster that has nodes of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// Its name.
    pub cluster: ClusterName,
    /// The nodes, by their names here.
    pub nodes: BTreeSet<NodeAddr>,
    /// Its primary; by the name that it has here, if it is one of these nodes.
    pub primary: Option<NodeAddr>,
    /// Its primary was changed after this cluster's, or this one is not published.
    pub newer: bool,
    /// It is the one of the two that is managed. If this one is not published, more keepers online have the other one, or as many.
    pub managed: bool,
}

/// What follows for a cluster from another published one that has nodes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It is not published yet, and is not while the other one is.
    Unpublished,
    /// It is not published yet, and takes over what the other one is published with.
    Heir,
    /// It is published, too: nothing is changed.
    Held,
    /// It goes on without these nodes.
    Without,
    /// It is the one that is managed: the other one is held.
    Managed,
}

/// Another cluster of which keepers say that this published one has nodes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contender {
    /// Its name.
    pub cluster: ClusterName,
    /// The keepers that have it.
    pub keepers: BTreeSet<KeeperId>,
}

/// A cluster that is not published, and that keepers online have in their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What its nodes are called in their reports.
    places: BTreeSet<NodeAddr>,
    keepers: usize,
}

/// The claims of all published clusters.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    published: BTreeMap<ClusterName, Claim>,
    /// The same, by what their nodes are called.
    by_place: Places,
    /// Those that are not published.
    wishes: BTreeMap<ClusterName, Wish>,
    /// The same, by what their nodes are called.
    wished: Places,
    /// The clusters of this keeper's file: their nodes, what those resolve to, and all that they are called.
    listed: BTreeMap<ClusterName, BTreeMap<NodeAddr, (Addresses, BTreeSet<NodeAddr>)>>,
    /// What those nodes are called, and by which clusters.
    lists: Places,
    /// Clusters that keepers hold because of others: each of the others with those, and their keepers.
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
    /// What a cluster claims; `None` if nothing is published, or the cluster is given up: no keeper online has it, and `others` are
    /// not expected back, which may have it.
    ///
    /// Nodes that the state only remembers count while a keeper online probes them there.
    pub fn of(
        state: &Published,
        online: &BTreeSet<KeeperId>,
        reports: &BTreeMap<KeeperId, Report>,
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
            nodes: mentioned(state).chain(remembered).map(called).collect(),
            primary: state.primary.clone(),
            generation: state.generation,
            changing: state.intent.is_some(),
            keepers,
        })
    }
}

impl Claim {
    /// Of two published clusters, the greater one is managed.
    fn weight(&self) -> impl Ord {
        let begun = self.changing && self.keepers > 0;
        (begun, self.keepers, self.generation)
    }

    /// Whether the cluster of that wish takes over from this one. What was begun is finished first, and a cluster that nobody
    /// has now is given up first: those who have it may be about to come back.
    fn yields_to(&self, wish: &Wish) -> bool {
        !self.changing && self.keepers > 0 && wish.keepers > self.keepers
    }
}

// === impl Wish ===

impl Wish {
    /// Who has a cluster that is not published; `None` if it is published, or no keeper online has told that it has it.
    pub fn of(
        state: Option<&Published>,
        online: &BTreeSet<KeeperId>,
        reports: &BTreeMap<KeeperId, Report>,
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
    /// Counts changes of what [`Self::overlaps`] and [`Self::contenders`] answer.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Takes in what a cluster claims now. Answers the other clusters of this keeper's file that it touches, or touched before.
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

    /// Takes in who has a cluster that is not published.
    pub fn wish(&mut self, name: &ClusterName, wish: Option<Wish>) {
        let before = self.wishes.get(name);
        if before == wish.as_ref() {
            return;
        }
        for place in before.iter().flat_map(|it| &it.places) {
            strike(&mut self.wished, place, name);
        }
        for place in wish.iter().flat_map(|it| &it.places) {
            enter(&mut self.wished, place, name);
        }
        match wish {
            Some(wish) => self.wishes.insert(name.clone(), wish),
            None => self.wishes.remove(name),
        };
        self.changes += 1;
    }

    /// Takes in for which published clusters keepers hold the cluster `name`. Answers those of which that has changed.
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

    /// Forgets clusters that are there no more.
    pub fn retain(&mut self, there: impl Fn(&ClusterName) -> bool) {
        let names = self.published.keys().chain(self.wishes.keys());
        let gone: Vec<_> = names.filter(|name| !there(name)).cloned().collect();
        for name in gone {
            self.set(&name, None);
            self.wish(&name, None);
        }
    }

    /// Takes in the nodes of a cluster in this keeper's file, and what they resolve to.
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
        let wish = self.wishes.get(name);
        for (node, (_, places)) in self.listed.get(name).into_iter().flatten() {
            let others = places.iter().filter_map(|place| self.by_place.get(place));
            let others: BTreeSet<_> = others.flatten().filter(|other| *other != name).collect();
            for other in others {
                let Some(claim) = self.published.get(other) else {
                    continue;
                };
                let newer = own.is_none_or(|own| claim.generation > own.generation);
                if claim.keepers == 0 && !newer {
                    // Overtaken, and about to be given up.
                    continue;
                }
                let overlap = met.entry(other).or_insert_with(|| Overlap {
                    cluster: other.clone(),
                    nodes: BTreeSet::new(),
                    primary: claim.primary.clone(),
                    newer,
                    managed: match own {
                        Some(own) => claim.weight() > own.weight(),
                        None => !wish.is_some_and(|wish| claim.yields_to(wish)),
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

    /// Whether another cluster that has its primary is managed instead of this published one, or is to take over from it.
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
            let heir = |wish: &Wish| own.yields_to(wish);
            self.published.get(other).is_some_and(heavier)
                || self.wishes.get(other).is_some_and(heir)
        })
    }
}

#[cfg(test)]
mod tests;
