//! All that one decision is made from: what is seen, voted and published of one cluster at one moment.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::brake::Brake;
use super::claims::{Contender, Overlap};
use super::confirmation::Confirmation;
use super::drain::Drain;
use super::facts::{Link, Mode, NodeFacts, Sighting};
use super::group::OtherGroup;
use super::lease::Unacknowledged;
use super::liveness::Limits;
use super::looks::Looks;
use super::names::{Addresses, Identity, identity, known_addresses};
use super::node::{Epoch, KeeperId, Moment, NodeAddr};
use super::published::Published;
use super::rivals::Astray;
use super::sentinels::{AtNode, SentinelWatch};
use super::succession::Succession;
use super::verdict::Verdict;
use super::witness::Witness;

mod lag;
mod overlap;

/// One cluster as this keeper observes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Every configured node.
    pub nodes: BTreeMap<NodeAddr, ObservedNode>,
    /// Nodes that are published and that this keeper's file lacks.
    pub unlisted: BTreeMap<NodeAddr, Unlisted>,
    /// What is published; `None` before the first publication.
    pub published: Option<Published>,
    /// The epoch to act under.
    pub epoch: Epoch,
    /// Commands that failed lately, by node.
    pub failures: BTreeMap<NodeAddr, Failure>,
    /// Settings that could not be made lately, by node (RK-9). Apart from the others: they say nothing about fitness as a
    /// primary.
    pub setting_failures: BTreeMap<NodeAddr, Failure>,
    /// When a switchover was last given up in its course, and why. Apart from the others, too: what failed may not be the
    /// successor's, and a failover needs less of it.
    pub switch_failed: Option<(Moment, String)>,
    /// The node that this leadership made a primary last, as it confirmed, and when.
    pub promoted: Option<(NodeAddr, Moment)>,
    /// When this keeper learned of what is published, a withdrawal or a primary, by its own clock.
    pub published_at: Option<Moment>,
    /// Who may still answer from the state before the withdrawal (RK-2).
    pub unacknowledged: Unacknowledged,
    /// What an operator has asked this leader for.
    pub requested: Option<Requested>,
    /// How far HAProxies have followed the withdrawal, if this keeper leads and nobody is waited for otherwise (RK-10).
    pub drain: Option<Drain>,
    /// The process of the primary that was withdrawn is gone, and its clients with it (RK-10).
    pub old_gone: bool,
    /// What this keeper, which leads, knows of whether a primary that is voted down is down still (RK-2).
    pub confirmation: Confirmation,
    /// So many primaries of all clusters are silent at once that a majority has to confirm each (RK-11).
    pub brake: Option<Brake>,
    /// The times that votes depend on.
    pub limits: Limits,
    /// The change of primary that this keeper saw last; `None` if it saw none since it started.
    pub succession: Option<Succession>,
    /// The Sentinels that are there, and for how long they hold this keeper back.
    pub sentinels: SentinelWatch,
    /// What this keeper has seen of the published primary and its replicas, since it started (RK-6).
    pub witness: Witness,
    /// What the other keepers online tell of that.
    pub told: BTreeMap<KeeperId, Witness>,
    /// Other groups of keepers that look after these servers, in order (RK-12).
    pub other_groups: Vec<OtherGroup>,
    /// Names of other groups' keepers that this keeper met at the cluster's servers, and that do not lead to them (RK-12).
    pub astray: Vec<Astray>,
    /// Where this keeper, which leads, has looked for other groups; `None` if it does not lead (RK-12).
    pub looks: Option<Looks>,
    /// Other published clusters of this group that have nodes of this one.
    pub overlaps: Vec<Overlap>,
    /// Other clusters of this group that are held because this one is published with nodes of theirs.
    pub contenders: Vec<Contender>,
    /// Changes of primary within the last minute that somebody else made, as far as this leader knows (RK-12).
    pub outside_changes: usize,
    /// When the last one was seen.
    pub outside_changed: Option<Moment>,
    /// When this keeper first saw the breaker tripped that is published.
    pub breaker_since: Option<Moment>,
    /// An operator has acknowledged that.
    pub acknowledged: bool,
}

/// A node that this keeper does not probe, because its file lacks it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unlisted {
    /// What its host resolves to; empty if that is not known.
    pub addresses: Addresses,
    /// Online keepers that probe it.
    pub voters: usize,
}

/// A planned change of primary that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// The node to switch to; `None` for the best.
    pub to: Option<NodeAddr>,
    /// Why, in the operator's words.
    pub reason: String,
}

/// One node: what this keeper sees and what all keepers vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedNode {
    /// What this keeper's monitor sees.
    pub sighting: Sighting,
    /// What the online keepers hold of it.
    pub verdict: Verdict,
    /// What another keeper read of it since the published generation, if this one has no answer from it. That keeper can
    /// carry out what is to be done there.
    pub elsewhere: Option<Elsewhere>,
}

/// What another keeper read of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// Who.
    pub keeper: KeeperId,
    /// What.
    pub facts: NodeFacts,
}

/// A node on which a command failed under the present leadership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When it failed last.
    pub at: Moment,
    /// How often in a row.
    pub times: u32,
    /// Why it failed last.
    pub why: String,
    /// How often in a row it failed because the server ended the connection.
    pub cuts: u32,
    /// Keepers through which it failed, where the leader did not reach the node itself.
    pub through: BTreeSet<KeeperId>,
}

impl Failure {
    /// When the node may be commanded again: 1 s after the first failure, doubling up to 30 s; up to 2 s while there is no
    /// primary, and everybody waits. At once if the server merely ended the connection, and not too often.
    pub fn retry_at(&self, urgent: bool) -> Moment {
        if (1..=50).contains(&self.cuts) {
            return self.at;
        }
        let seconds = 1_u64 << self.times.saturating_sub(1).min(5);
        let most = if urgent { 2 } else { 30 };
        self.at.after(Duration::from_secs(seconds.min(most)))
    }
}

impl ObservedNode {
    /// The keeper through which the node is seen and commanded; `None` if this one reaches it, or nobody does.
    pub fn through(&self) -> Option<&KeeperId> {
        self.elsewhere.as_ref().map(|elsewhere| &elsewhere.keeper)
    }

    /// The newest facts known of it, its own or another keeper's; it may be gone since.
    pub fn last_known(&self) -> Option<&NodeFacts> {
        let elsewhere = self.elsewhere.as_ref().map(|elsewhere| &elsewhere.facts);
        elsewhere.or(self.sighting.facts.as_ref())
    }

    /// The facts of a node that answers and is not held down by the majority, whatever kind of server it is.
    pub fn answering(&self) -> Option<&NodeFacts> {
        self.sighting.named().filter(|_| !self.verdict.down())
    }

    /// The same of a node that runs as a plain server.
    pub fn live(&self) -> Option<&NodeFacts> {
        self.answering()
            .filter(|facts| facts.mode == Mode::Standalone)
    }

    /// The facts of a node that is live and serves its data set.
    pub fn online(&self) -> Option<&NodeFacts> {
        self.live().filter(|facts| !facts.loading)
    }

    /// The node with what is known of it, in words.
    pub(super) fn doubt(&self, addr: &NodeAddr) -> (NodeAddr, String) {
        let words = match self.sighting.named() {
            Some(facts) if facts.mode != Mode::Standalone => {
                "it is no plain Redis server".to_owned()
            }
            Some(facts) if facts.loading => "it is loading its data set".to_owned(),
            _ => self.sighting.trouble_in_words(),
        };
        let silent = self.sighting.probed && self.sighting.named().is_none();
        match self.verdict.out_of_reach().filter(|_| silent) {
            Some(why) => (addr.clone(), format!("{words}; it {why}")),
            None => (addr.clone(), words),
        }
    }

    /// Neither answering nor held down by the majority: it may be either.
    pub fn undecided(&self) -> bool {
        !self.verdict.unfit_as_primary() && self.sighting.named().is_none_or(|facts| facts.loading)
    }
}

impl Observed {
    /// The cluster as it is seen when a node that does not answer this keeper is seen through another that it does answer, and
    /// when histories count for what this keeper has seen them to go on from.
    /// Nodes of other clusters are not there.
    pub(super) fn through_others(&self) -> Cow<'_, Self> {
        let unseen = |node: &ObservedNode| !node.sighting.answering && node.elsewhere.is_some();
        let foreign = self.foreign();
        let traces = self.traces();
        if foreign.is_empty() && !self.nodes.values().any(unseen) && traces.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut observed = self.clone();
        for (addr, origin) in traces {
            let node = observed.nodes.get_mut(&addr);
            if let Some(facts) = node.and_then(|node| node.sighting.facts.as_mut()) {
                facts.trace_to(origin);
            }
        }
        observed.nodes.retain(|addr, _| !foreign.contains(addr));
        for node in observed.nodes.values_mut().filter(|node| unseen(node)) {
            let Some(Elsewhere { facts, .. }) = &node.elsewhere else {
                continue;
            };
            let sighting = &mut node.sighting;
            let upstream = facts.upstream().map(|upstream| upstream.primary.host());
            let literal = upstream.and_then(|host| host.parse::<IpAddr>().ok());
            sighting.upstream_addresses = literal.into_iter().collect();
            sighting.facts = Some(facts.clone());
            sighting.answering = true;
            // It was read since.
            sighting.at = sighting.at.max(self.published_at.unwrap_or_default());
            sighting.trouble = None;
            sighting.hindrance = None;
            sighting.login_refused = None;
            sighting.unproven = None;
            sighting.outdated = None;
            sighting.min_replicas = None;
            // Whoever reads it commands it, too.
            sighting.commandable = None;
        }
        Cow::Owned(observed)
    }

    /// The failure for which the node is left alone now. What failed through one keeper may be tried through another.
    pub(super) fn failed_lately(&self, addr: &NodeAddr, now: Moment) -> Option<&Failure> {
        let failure = self.failures.get(addr)?;
        let through = self.nodes.get(addr).and_then(ObservedNode::through);
        let untried = through.is_some_and(|keeper| !failure.through.contains(keeper));
        (now < failure.retry_at(self.has_no_primary()) && !untried).then_some(failure)
    }

    /// A primary is withdrawn, and no other published yet.
    pub(super) fn has_no_primary(&self) -> bool {
        let published = self.published.as_ref();
        published.is_some_and(|it| it.primary.is_none() && it.intent.is_some())
    }

    /// Takes the time of Sentinels that are seen.
    pub fn watch_sentinels(&mut self, now: Moment) {
        let seen = |(addr, node): (&NodeAddr, &ObservedNode)| {
            let facts = node.sighting.named()?;
            Some(AtNode {
                node: addr.clone(),
                sentinel: facts.sentinels.first()?.clone(),
            })
        };
        let sentinel = self.nodes.iter().find_map(seen);
        let primary = self.published.as_ref().and_then(|it| it.primary.as_ref());
        let primary = primary.and_then(|primary| self.nodes.get(primary));
        let down = primary.is_some_and(|node| node.verdict.unfit_as_primary());
        self.sentinels.look(sentinel, down, now);
    }

    /// Whether the published node `primary`, which this keeper's file lacks, may be the node `addr` of the file by another name.
    pub fn may_be(&self, primary: &NodeAddr, addr: &NodeAddr) -> bool {
        let Some((unlisted, node)) = self.unlisted.get(primary).zip(self.nodes.get(addr)) else {
            return false;
        };
        let own = (addr, &node.sighting.addresses);
        identity((primary, &unlisted.addresses), own) == Identity::Unknown
    }

    /// The facts of `addr` if it is configured, live and serving.
    pub fn online(&self, addr: &NodeAddr) -> Option<&NodeFacts> {
        self.nodes.get(addr)?.online()
    }

    /// Nodes that are live and serving, with their facts, in address order.
    pub fn all_online(&self) -> impl Iterator<Item = (&NodeAddr, &NodeFacts)> {
        self.nodes
            .iter()
            .filter_map(|(addr, node)| Some((addr, node.online()?)))
    }

    /// Whether `replica` follows `target`: by name, or by resolved address and port, or — whatever name it uses — because
    /// it streams the history that `target` alone of the primaries produces.
    pub fn follows(&self, replica: &NodeAddr, target: &NodeAddr) -> bool {
        self.upstream_of(replica) == Some(target)
    }

    /// The configured node that `replica` follows, if it is a replica of one; of several names of one server, the one that
    /// stands for it. Not one that it names only, and is not linked to.
    pub fn upstream_of(&self, replica: &NodeAddr) -> Option<&NodeAddr> {
        self.named_by(replica)
            .filter(|_| !self.is_astray_by_itself(replica))
    }

    /// Whether the replica is linked to another server than the one it names: see [`Witness`].
    pub(super) fn is_astray_by_itself(&self, replica: &NodeAddr) -> bool {
        let known = self.nodes.get(replica);
        let facts = known.and_then(|node| node.sighting.facts.as_ref());
        facts.is_some_and(|facts| self.witness.is_elsewhere(replica, facts))
    }

    /// The configured node that `replica` says it follows.
    pub(super) fn named_by(&self, replica: &NodeAddr) -> Option<&NodeAddr> {
        let sighting = &self.nodes.get(replica)?.sighting;
        let facts = sighting.facts.as_ref()?;
        let upstream = facts.upstream()?;
        let named = self.nodes.keys().find(|addr| **addr == upstream.primary);
        let resolved = || {
            self.nodes.iter().find(|(addr, node)| {
                addr.port() == upstream.primary.port()
                    && !node
                        .sighting
                        .addresses
                        .is_disjoint(&sighting.upstream_addresses)
            })
        };
        let streamed = || {
            let up = upstream.link == Link::Up;
            self.nodes.iter().find(|(_, node)| {
                let primary = node
                    .sighting
                    .facts
                    .as_ref()
                    .filter(|facts| facts.is_primary());
                up && primary.is_some_and(|primary| primary.replication_id == facts.replication_id)
            })
        };
        let found = named.or_else(|| resolved().or_else(streamed).map(|(addr, _)| addr))?;
        // A name that leads elsewhere, too, may lead the replica there.
        let elsewhere = |stands: &NodeAddr| self.places(stands).len() != self.places(found).len();
        let stands = self.aliases().get(found).copied();
        Some(stands.filter(|it| !elsewhere(it)).unwrap_or(found))
    }

    /// Where the node is, as far as its host's addresses are known here.
    fn places(&self, addr: &NodeAddr) -> Addresses {
        let nothing = Addresses::new();
        let node = self.nodes.get(addr);
        let resolved = node.map_or(&nothing, |node| &node.sighting.addresses);
        known_addresses(addr.host(), resolved)
    }

    /// The primary at the end of the chain that `replica` follows, within the cluster. `None` for a loop or an end
    /// outside.
    pub fn root_of<'a>(&'a self, replica: &'a NodeAddr) -> Option<&'a NodeAddr> {
        let mut at = replica;
        for _ in 0..self.nodes.len() {
            match self.upstream_of(at) {
                Some(next) => at = next,
                None => break,
            }
        }
        let is_primary = |addr| {
            self.nodes
                .get(addr)?
                .sighting
                .facts
                .as_ref()
                .map(NodeFacts::is_primary)
        };
        (is_primary(at) == Some(true)).then_some(at)
    }

    /// How many servers hold the cluster's data when all are up: the configured nodes, further names aside.
    pub fn data_nodes(&self) -> usize {
        self.nodes.len() - self.aliases().len()
    }

    /// Configured nodes that are one server under two names: each further name with the one that stands for it. That is the one with
    /// the fewest addresses, since another may lead elsewhere, too; of equals the name of the published or withdrawn primary, else
    /// the first.
    pub fn aliases(&self) -> BTreeMap<&NodeAddr, &NodeAddr> {
        let primary = self.published.as_ref().and_then(|published| {
            let withdrawn = || published.intent.as_ref()?.old.as_ref();
            published.primary.as_ref().or_else(withdrawn)
        });
        let mut by_run_id: BTreeMap<&str, Vec<&NodeAddr>> = BTreeMap::new();
        for (addr, node) in &self.nodes {
            if let Some(facts) = node.live() {
                by_run_id.entry(&facts.run_id).or_default().push(addr);
            }
        }
        let mut aliases = BTreeMap::new();
        for names in by_run_id.values().filter(|names| names.len() > 1) {
            let first = names
                .iter()
                .min_by_key(|name| (self.places(name).len(), Some(**name) != primary));
            let Some(stands) = first else { continue };
            aliases.extend(
                names
                    .iter()
                    .filter(|name| *name != stands)
                    .map(|name| (*name, *stands)),
            );
        }
        aliases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_node_is_left_alone_for_a_second_then_twice_as_long_up_to_half_a_minute() {
        let waits = [1, 2, 3, 4, 5, 6, 7, 1_000].map(|times| {
            let (at, why) = (Moment(Duration::from_secs(5)), String::new());
            let failure = Failure {
                at,
                times,
                why,
                cuts: 0,
                through: BTreeSet::new(),
            };
            failure.retry_at(false).since(at).as_secs()
        });
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    }
}
