//! Answers to the HTTP checks, and the reasons: may clients write to this node, or read from it?

use std::fmt;
use std::time::Duration;

use super::facts::{Link, Mode, NodeFacts};
use super::group::OtherGroup;
use super::lineage::{lost_against, promotions_back};
use super::node::{ClusterName, Moment, NodeAddr};
use super::observed::{Observed, ObservedNode, Unlisted};
use super::policy::Policy;
use super::published::Published;

mod groups;

/// The outcome of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// Yes.
    Yes,
    /// No: a statement as firm as a yes.
    No,
    /// This keeper may not or cannot say; another keeper may.
    Unknown,
    /// The cluster has no such node.
    NoSuchNode,
}

/// The reason for an answer, worded as a sentence about the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Yes: it is the published primary.
    Primary,
    /// Yes, to reading: it is a replica in good order.
    Replica,
    /// Yes, to reading: it is a replica without a link to its primary, within `max-stale-seconds`.
    StaleReplica,
    /// No: the check names the first node, and its server is at the second.
    Misnamed(NodeAddr, NodeAddr),
    /// No: another node is the published primary.
    NotPrimary(NodeAddr),
    /// No: no primary is published.
    NoPrimary,
    /// No: the node refuses this many of the voters. Of the published primary only.
    RefusedByMajority {
        /// Voters whose connections the node refuses.
        refused: usize,
        /// Voters.
        keepers: usize,
    },
    /// No: this many of the keepers online vote the node down. Never of the published primary.
    Down {
        /// Votes.
        votes: usize,
        /// Keepers online.
        keepers: usize,
    },
    /// No: it is the published primary, but says it is a replica.
    DemotedFromOutside,
    /// No: it is a Redis Cluster node or a Sentinel.
    WrongMode,
    /// No: no Redis server answers there.
    Foreign(String),
    /// No: it loads its data set.
    Loading,
    /// No: its first synchronisation has not ended.
    Syncing,
    /// No: its link to the primary has been down for this long; `None`: since it started.
    LinkDown(Option<Duration>),
    /// No: it has not heard its primary for this long; `None`: for an unreadable time.
    Lagging(Option<Duration>),
    /// No: it says it is a primary, and is not the published one (RK-7).
    UnpublishedPrimary,
    /// No: it follows a server outside the cluster, or none that is known.
    Stray,
    /// Unknown: the published primary refuses this keeper's connections; others may see it serve.
    RefusedHere,
    /// Unknown: another process answers this keeper at the published address, as a replica or with data of another
    /// history (RK-7).
    Stranger,
    /// Unknown: it is another process than the published one, with less data than this other node holds, which
    /// answers (RK-7).
    CameBackBehind(NodeAddr),
    /// Unknown: another group of keepers manages the cluster, and the two groups publish different primaries (RK-12).
    OtherGroup(Box<OtherGroup>),
    /// Unknown: another cluster of the group has nodes of this one, and published another primary, or none, later.
    OtherCluster(ClusterName),
    /// Unknown: this keeper's file lacks the node, and other keepers may have it.
    NotInFile,
    /// Unknown: this node may be the published primary, which this keeper's file lacks under its published name.
    MayBe(NodeAddr),
    /// Unknown: the node does not tell this keeper its state, or has not for too long; it may tell other keepers.
    Unread(String),
    /// Unknown: this keeper has not probed it yet.
    Unprobed,
    /// Unknown: this keeper has not read the cluster's state yet, or nobody has published one.
    NoState,
    /// Unknown: this keeper's lease has run out, or it never had one.
    NoLease,
    /// Unknown: the cluster's actor gave no answer in time.
    NotAnswering,
    /// The cluster has no such node.
    NoSuchNode,
}

impl Reason {
    /// The outcome of the answer.
    pub fn ruling(&self) -> Ruling {
        match self {
            Self::Primary | Self::Replica | Self::StaleReplica => Ruling::Yes,
            Self::Misnamed(..)
            | Self::NotPrimary(_)
            | Self::NoPrimary
            | Self::RefusedByMajority { .. }
            | Self::Down { .. }
            | Self::DemotedFromOutside
            | Self::WrongMode
            | Self::Foreign(_)
            | Self::Loading
            | Self::Syncing
            | Self::LinkDown(_)
            | Self::Lagging(_)
            | Self::UnpublishedPrimary
            | Self::Stray => Ruling::No,
            Self::RefusedHere
            | Self::Stranger
            | Self::CameBackBehind(_)
            | Self::OtherGroup(_)
            | Self::OtherCluster(_)
            | Self::NotInFile
            | Self::MayBe(_)
            | Self::Unread(_)
            | Self::Unprobed
            | Self::NoState
            | Self::NoLease
            | Self::NotAnswering => Ruling::Unknown,
            Self::NoSuchNode => Ruling::NoSuchNode,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary => f.write_str("it is the primary"),
            Self::Replica => f.write_str("it is a replica in good order"),
            Self::StaleReplica => f.write_str(
                "it is a replica without a link to its primary, within max-stale-seconds",
            ),
            Self::Misnamed(named, at) => write!(
                f,
                "the check names {named}, and its server is at {at}: give the server in HAProxy the name of the node at its address"
            ),
            Self::NotPrimary(primary) => write!(f, "the primary is {primary}"),
            Self::NoPrimary => f.write_str("the cluster has no primary now"),
            Self::RefusedByMajority { refused, keepers } => {
                write!(
                    f,
                    "it refuses the connections of {refused} of {keepers} keepers"
                )
            }
            Self::Down { votes, keepers } => {
                write!(f, "{votes} of {keepers} keepers online vote it down")
            }
            Self::DemotedFromOutside => {
                f.write_str("it is the published primary, but says it is a replica")
            }
            Self::WrongMode => f.write_str("it is not a plain Redis server"),
            Self::Foreign(trouble) => write!(f, "it answers, but not as a Redis server: {trouble}"),
            Self::Unread(trouble) => {
                write!(f, "this keeper cannot read its state: {trouble}")
            }
            Self::Loading => f.write_str("it is loading its data set"),
            Self::Syncing => f.write_str("its first synchronisation has not ended"),
            Self::LinkDown(None) => {
                f.write_str("it has not been linked to its primary since it started")
            }
            Self::LinkDown(Some(span)) => {
                let seconds = span.as_secs();
                write!(f, "its link to its primary has been down for {seconds} s")
            }
            Self::Lagging(None) => f.write_str("it does not say when it last heard its primary"),
            Self::Lagging(Some(span)) => {
                write!(f, "it has not heard its primary for {} s", span.as_secs())
            }
            Self::UnpublishedPrimary => {
                f.write_str("it says it is a primary, but is not the published one")
            }
            Self::Stray => f.write_str("it does not follow the cluster's primary"),
            Self::RefusedHere => f.write_str(
                "it is the published primary, and refuses this keeper's connections: another keeper may reach it",
            ),
            Self::Stranger => f.write_str(
                "another process answers this keeper at the published address, as a replica or with data of another history",
            ),
            Self::CameBackBehind(holder) => write!(
                f,
                "it came back as another process, with less data than {holder} holds: what is written to it would be lost"
            ),
            Self::OtherGroup(other) => {
                write!(
                    f,
                    "two groups of keepers disagree on the primary: see {other}"
                )
            }
            Self::OtherCluster(cluster) => write!(
                f,
                "cluster {cluster}, which has nodes of this one, has another primary or none since: each server belongs to one cluster, the same in the files of all keepers"
            ),
            Self::NotInFile => f.write_str(
                "this keeper's file lacks it, and other keepers have it: their files differ",
            ),
            Self::MayBe(primary) => write!(
                f,
                "the primary is {primary}, which this keeper's file lacks: it may be this node by another name"
            ),
            Self::Unprobed => f.write_str("this keeper has not probed it yet"),
            Self::NoState => f.write_str("this keeper knows no state of the cluster yet"),
            Self::NoLease => f.write_str(
                "this keeper holds no lease: it cannot confirm that what it knows is still true",
            ),
            Self::NotAnswering => f.write_str("the keeper's own actor did not answer in time"),
            Self::NoSuchNode => f.write_str("the cluster has no such node"),
        }
    }
}

/// The inputs of the answers about one cluster.
#[derive(Debug, Clone, Copy)]
pub struct Serving<'a> {
    /// The cluster.
    pub observed: &'a Observed,
    /// Its rules.
    pub policy: &'a Policy,
    /// The votes of the other keepers are as current as a lease is. Without ZooKeeper they are from before it went
    /// away, and so is their count until all are read again. Then only this keeper's own observation counts.
    pub votes_current: bool,
    /// The present.
    pub now: Moment,
}

impl Serving<'_> {
    /// Whether `addr` is the one node that may be written to. To be asked only under a valid lease.
    pub fn writable(&self, addr: &NodeAddr, node: &ObservedNode) -> Reason {
        self.beyond_the_group(addr, self.within_the_group(addr, node))
    }

    /// The answer `reason`, unless another group of keepers or another cluster knows better.
    fn beyond_the_group(&self, addr: &NodeAddr, reason: Reason) -> Reason {
        if let Some(other) = groups::disagreement(self.observed, addr, &reason) {
            return Reason::OtherGroup(Box::new(other.clone()));
        }
        let other = match &reason {
            Reason::Primary => self.observed.contradicted(addr),
            Reason::NotPrimary(_) | Reason::NoPrimary => self.observed.proclaimed(addr),
            _ => None,
        };
        other.map_or(reason, |other| Reason::OtherCluster(other.clone()))
    }

    /// Whether `addr`, which this keeper's file lacks, may be written to. The published primary serves for as long as
    /// it is published (RK-3). A keeper online that has the node in its file knows better; while there is none, each
    /// keeper answers for it.
    pub fn unlisted(&self, addr: &NodeAddr, unlisted: &Unlisted) -> Reason {
        let published = self.observed.published.as_ref();
        let primary = published.and_then(|it| it.primary.as_ref());
        if primary != Some(addr) || unlisted.voters > 0 || unlisted.addresses.is_empty() {
            return Reason::NotInFile;
        }
        self.beyond_the_group(addr, Reason::Primary)
    }

    /// Whether `addr` is the one node that may be written to, by this group and this cluster alone.
    fn within_the_group(&self, addr: &NodeAddr, node: &ObservedNode) -> Reason {
        let Some(published) = &self.observed.published else {
            return Reason::NoState;
        };
        match &published.primary {
            None => Reason::NoPrimary,
            Some(primary) if primary != addr && self.observed.may_be(primary, addr) => {
                Reason::MayBe(primary.clone())
            }
            Some(primary) if primary != addr => Reason::NotPrimary(primary.clone()),
            Some(_) => self.published_primary(published, node),
        }
    }

    /// The answer about the published primary, which serves for as long as it is published (RK-3). No other node may
    /// take writes meanwhile, and its silence towards keepers says nothing of its clients. The exceptions are what a
    /// client would find, too:
    /// - The primary itself says that it is loading, is a replica, or is no plain server. That answer counts for the
    ///   mark-down time.
    /// - The primary refuses a majority of the voters: nobody listens.
    /// - The primary refuses this keeper alone: another keeper may know better.
    /// - Another process answers this keeper, as a replica or as a server of another deployment (RK-7): another
    ///   keeper may know better.
    /// - Another process answers this keeper, with less data than a node holds that answers. Its new writes would be
    ///   lost once the leader replaces it.
    fn published_primary(&self, published: &Published, node: &ObservedNode) -> Reason {
        let (observation, verdict) = (&node.observation, &node.verdict);
        match observation.facts_within(self.policy.mark_down, self.now) {
            _ if self.votes_current && verdict.refused_by_majority() => Reason::RefusedByMajority {
                refused: verdict.refused,
                keepers: verdict.keepers,
            },
            Some(facts) if facts.loading => Reason::Loading,
            Some(facts) if published.is_replaced_by(facts) => Reason::Stranger,
            Some(facts) if facts.mode != Mode::Standalone => Reason::WrongMode,
            Some(facts) if !facts.is_primary() => Reason::DemotedFromOutside,
            _ if observation.refused => Reason::RefusedHere,
            Some(facts) => {
                let holder = self.holder_of_more(published, facts);
                holder.map_or(Reason::Primary, |it| Reason::CameBackBehind(it.clone()))
            }
            None => Reason::Primary,
        }
    }

    /// A node that holds data which the primary has lost. `None` unless the primary is another process than the
    /// published one.
    fn holder_of_more(&self, published: &Published, primary: &NodeFacts) -> Option<&NodeAddr> {
        let process = published.process().filter(|it| *it != primary.run_id);
        process?;
        let holds_more = |node: &ObservedNode| {
            let other = node.holds();
            other.is_some_and(|other| lost_against(primary, other, &published.lineage, process))
        };
        let mut nodes = self.observed.nodes.iter();
        let holder = nodes.find(|(_, node)| holds_more(node));
        holder.map(|(addr, _)| addr)
    }

    /// Whether `addr` may be read from: the primary, or a replica that is fresh enough.
    pub fn readable(&self, addr: &NodeAddr, node: &ObservedNode) -> Reason {
        let Some(published) = &self.observed.published else {
            return Reason::NoState;
        };
        let as_primary = self.writable(addr, node);
        if matches!(
            as_primary,
            Reason::Primary
                | Reason::OtherGroup(_)
                | Reason::RefusedHere
                | Reason::Stranger
                | Reason::CameBackBehind(_)
                | Reason::RefusedByMajority { .. }
        ) {
            return as_primary;
        }
        if let Some(down) = self.down(node) {
            return down;
        }
        let observation = &node.observation;
        let Some(facts) = observation.proven() else {
            let trouble = observation.trouble_in_words();
            let foreign = observation.unproven.is_some_and(|it| it.foreign);
            return match (observation.probed, foreign && observation.answering) {
                (false, _) => Reason::Unprobed,
                (true, true) => Reason::Foreign(trouble),
                (true, false) => Reason::Unread(trouble),
            };
        };
        if facts.mode != Mode::Standalone {
            return Reason::WrongMode;
        }
        if facts.loading {
            return Reason::Loading;
        }
        let Some(upstream) = facts.upstream() else {
            return Reason::UnpublishedPrimary;
        };
        if promotions_back(facts, &published.lineage).is_none() {
            let first_sync = upstream.syncing || upstream.link != Link::Up;
            return if first_sync {
                Reason::Syncing
            } else {
                Reason::Stray
            };
        }
        match upstream.link {
            Link::Up => match self.policy.max_lag {
                Some(limit) if upstream.lags(limit) => Reason::Lagging(upstream.last_io),
                _ => Reason::Replica,
            },
            Link::Down { since } => {
                // A replica without a link since its start has data from before the start.
                let age = self.now.since(observation.at);
                let stale = since.unwrap_or(facts.uptime).saturating_add(age);
                let within_bounds = published.primary.is_none() || stale <= self.policy.max_stale;
                if within_bounds {
                    Reason::StaleReplica
                } else {
                    Reason::LinkDown(since.map(|_| stale))
                }
            }
        }
    }

    fn down(&self, node: &ObservedNode) -> Option<Reason> {
        let (votes, keepers) = match node.observation.vote {
            _ if self.votes_current => (node.verdict.unreachable, node.verdict.keepers),
            Some(reason) if !reason.is_alive() => (1, 1),
            _ => (0, 1),
        };
        let down = !self.votes_current || node.verdict.down();
        (votes > 0 && down).then_some(Reason::Down { votes, keepers })
    }
}

#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod tests;
