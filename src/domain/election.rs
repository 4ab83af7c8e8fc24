//! Who may take over, and who does it best (RK-6).

use std::collections::BTreeMap;
use std::fmt;

use super::compatibility::{Make, can_follow};
use super::facts::{Mode, NodeFacts};
use super::hindrance::HindranceKind;
use super::lineage::{generation_of, held, lost_against};
use super::node::{Moment, NodeAddr};
use super::observed::{Observed, ObservedNode};
use super::policy::{Criterion, ElectionOrder, Policy};
use super::published::Published;

mod data;

/// The outcome of looking at every node as a successor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Election {
    /// Eligible nodes, the best first.
    pub ranking: Vec<NodeAddr>,
    /// Why each of the others is not eligible.
    pub refusals: BTreeMap<NodeAddr, Refusal>,
    /// Some node holds, or held last, data of this history.
    pub has_data: bool,
}

/// Why a node is not promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is the primary being replaced.
    Replaced,
    /// A majority of the online keepers holds it down.
    Down,
    /// Not a strict majority of the online keepers sees it alive.
    NotSeenByMajority,
    /// A majority of the online keepers finds it down, or loading or busy for too long: it would be withdrawn again at once.
    Unfit,
    /// The leader has no answer from it, and no other keeper has told of one since the last change.
    NotAnswering(String),
    /// A Redis Cluster node or a Sentinel.
    WrongMode,
    /// It is the same server as another configured node.
    AliasOf(NodeAddr),
    /// It is loading its data set.
    Loading,
    /// It is about to end.
    ShuttingDown,
    /// A script runs in it: it takes no command.
    Busy,
    /// Its priority is 0.
    NeverByPriority,
    /// It has never completed a synchronisation of this cluster's data.
    NeverSynced,
    /// It holds another data set.
    OtherData,
    /// It was started without any history: whether its data are the cluster's is not known.
    HistoryUnknown,
    /// It is empty while the cluster has data, and was not seen linked to the primary, or is behind it.
    Empty,
    /// It is further behind than allowed.
    TooFarBehind {
        /// Bytes behind the best known offset.
        behind: u64,
        /// `max-lag-bytes`.
        limit: u64,
    },
    /// This keeper's commands would not be carried out there.
    NotCommandable(String),
    /// A command to it failed under this leadership.
    FailedLately(String),
}

impl Refusal {
    /// Whether it may pass by itself before long, or be overtaken by a verdict.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::NotAnswering(_)
                | Self::NotSeenByMajority
                | Self::Unfit
                | Self::Loading
                | Self::ShuttingDown
                | Self::Busy
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced => f.write_str("is the primary being replaced"),
            Self::Down => f.write_str("is held down by a majority of the keepers"),
            Self::NotSeenByMajority => {
                f.write_str("is not seen alive by a majority of the keepers")
            }
            Self::Unfit => {
                f.write_str("is found down, or loading or busy for too long, by a majority of the keepers")
            }
            Self::NotAnswering(why) => write!(f, "does not answer the leader: {why}"),
            Self::WrongMode => f.write_str("is no plain Redis server"),
            Self::AliasOf(other) => write!(f, "is the same server as {other}"),
            Self::Loading => f.write_str("is loading its data set"),
            Self::ShuttingDown => f.write_str("is shutting down"),
            Self::Busy => f.write_str("is busy with a script, and takes no command"),
            Self::NeverByPriority => f.write_str("has priority 0"),
            Self::NeverSynced => {
                f.write_str("has never completed a synchronisation of this cluster's data")
            }
            Self::OtherData => f.write_str("holds another data set"),
            Self::HistoryUnknown => f.write_str(
                "has started without any history (append-only file, or older than 7.0): whether its data are the \
                 cluster's, and what they lack, is not known. Whoever knows promotes it by hand (REPLICAOF NO ONE)",
            ),
            Self::Empty => f.write_str(
                "is empty while the cluster has had data, and no keeper has seen it lose nothing",
            ),
            Self::TooFarBehind { behind, limit } => {
                write!(
                    f,
                    "is {behind} bytes behind, more than max-lag-bytes {limit}"
                )
            }
            Self::NotCommandable(why) => write!(f, "cannot be commanded by this keeper: {why}"),
            Self::FailedLately(why) => write!(f, "failed a command under this leadership: {why}"),
        }
    }
}

/// Redis's own default for `replica-priority`.
const DEFAULT_PRIORITY: u32 = 100;

/// Looks at every node but `replaced` as a successor of the data history `lineage` (newest id first).
pub fn elect(
    observed: &Observed,
    policy: &Policy,
    lineage: &[String],
    replaced: Option<&NodeAddr>,
    now: Moment,
) -> Election {
    let known = || {
        observed
            .nodes
            .iter()
            .filter_map(|(addr, node)| Some((addr, node.last_known()?)))
    };
    let published = observed.published.as_ref();
    let stranger = |facts| published.is_some_and(|published| published.is_stranger(facts));
    let ours = |addr, facts| {
        generation_of(facts, lineage).is_some() || replaced == Some(addr) && !stranger(facts)
    };
    let published_data = published.is_some_and(|published| published.has_data);
    let electorate = Electorate {
        observed,
        policy,
        lineage,
        replaced,
        now,
        aliases: observed.aliases(),
        has_data: published_data
            || known().any(|(addr, facts)| facts.keys > 0 && ours(addr, facts)),
    };
    let mut election = Election {
        has_data: electorate.has_data,
        ..Election::default()
    };
    let mut eligible = Vec::new();
    for (addr, node) in &observed.nodes {
        match electorate.eligible(addr, node) {
            Ok(facts) => eligible.push((addr, facts)),
            Err(refusal) => {
                election.refusals.insert(addr.clone(), refusal);
            }
        }
    }
    let standard = electorate.standard();
    eligible.sort_by_cached_key(|(addr, facts)| {
        merit(observed, (*addr, *facts), lineage, policy, standard)
    });
    election.ranking = eligible.into_iter().map(|(addr, _)| addr.clone()).collect();
    election
}

/// What one node is measured against.
struct Electorate<'a> {
    observed: &'a Observed,
    policy: &'a Policy,
    lineage: &'a [String],
    replaced: Option<&'a NodeAddr>,
    now: Moment,
    aliases: BTreeMap<&'a NodeAddr, &'a NodeAddr>,
    has_data: bool,
}

impl<'a> Electorate<'a> {
    fn eligible(&self, addr: &NodeAddr, node: &'a ObservedNode) -> Result<&'a NodeFacts, Refusal> {
        if self.replaced == Some(addr) {
            return Err(Refusal::Replaced);
        }
        if node.verdict.down() {
            return Err(Refusal::Down);
        }
        if !node.verdict.seen_by_majority() {
            return Err(Refusal::NotSeenByMajority);
        }
        if node.verdict.unfit_as_primary() {
            return Err(Refusal::Unfit);
        }
        let facts = node
            .sighting
            .named()
            .ok_or_else(|| Refusal::NotAnswering(node.sighting.trouble_in_words()))?;
        if facts.mode != Mode::Standalone {
            return Err(Refusal::WrongMode);
        }
        if let Some(other) = self.aliases.get(addr) {
            return Err(Refusal::AliasOf((*other).clone()));
        }
        if facts.loading {
            return Err(Refusal::Loading);
        }
        if facts.shutting_down.is_some() {
            return Err(Refusal::ShuttingDown);
        }
        if node.sighting.hindered(HindranceKind::Busy).is_some() {
            return Err(Refusal::Busy);
        }
        if priority(addr, facts, self.policy) == 0 && !self.observed.promoted_by_hand(addr, facts) {
            return Err(Refusal::NeverByPriority);
        }
        self.holds_the_data(addr, facts)?;
        if let Some(why) = node.sighting.not_commandable() {
            return Err(Refusal::NotCommandable(why.to_owned()));
        }
        match self.observed.failed_lately(addr, self.now) {
            Some(failure) => Err(Refusal::FailedLately(failure.why.clone())),
            None => Ok(facts),
        }
    }

    /// The configured order; but where the primary being replaced lost data, or is a stranger, whoever still holds it comes first (RK-7):
    /// others may have copied the loss.
    fn standard(&self) -> Standard {
        let known = |addr| self.observed.nodes.get(addr)?.sighting.facts.as_ref();
        let published = self.observed.published.as_ref();
        let process = published.and_then(Published::process);
        let lossy = self.replaced.and_then(known).is_some_and(|primary| {
            let mut online = self.observed.all_online();
            published.is_some_and(|published| published.is_stranger(primary))
                || online.any(|(_, other)| lost_against(primary, other, self.lineage, process))
        });
        if lossy {
            Standard::by_data()
        } else {
            Standard::of(self.policy)
        }
    }
}

/// By what the better of two eligible nodes is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standard {
    order: ElectionOrder,
    /// Before anything else counts who holds more of the data.
    data_first: bool,
}

impl Standard {
    /// What the operator has configured.
    pub(super) fn of(policy: &Policy) -> Self {
        Self {
            order: policy.election_order,
            data_first: false,
        }
    }

    /// Nothing of the data is to be lost for a preference.
    pub(super) fn by_data() -> Self {
        Self {
            order: ElectionOrder::default(),
            data_first: true,
        }
    }
}

/// Sorts the better node first: newer history, because offsets of different ones can not be compared; then whoever can write its
/// disk, for another refuses every write; then by the order of `standard`; then the smaller name.
/// - By offset: who holds more of that history; of equals, who was written to since.
/// - By uptime: of two that differ in it, only the one comes first that more of the others can follow.
pub(super) fn merit<'a>(
    observed: &Observed,
    (addr, facts): (&'a NodeAddr, &NodeFacts),
    lineage: &[String],
    policy: &Policy,
    standard: Standard,
) -> impl Ord + use<'a> {
    let (history, extent) = held(facts, lineage).unwrap_or((usize::MAX, facts.offset));
    let rank = |criterion| match criterion {
        Criterion::Offset => [
            u128::from(u64::MAX - extent) << 64 | u128::from(u64::MAX - facts.offset),
            u128::from(!facts.is_primary()),
        ],
        Criterion::Priority => [u128::from(priority(addr, facts, policy)), 0],
        Criterion::Uptime => [
            left_behind(observed, addr, facts).len() as u128,
            u128::MAX - facts.uptime.as_nanos(),
        ],
    };
    let refuses = facts.refuses_for_its_disk();
    let Standard { order, data_first } = standard;
    let ranks = order.criteria().map(rank);
    (history, refuses && !data_first, ranks, refuses, addr)
}

/// Nodes that cannot follow this one: they are older, or of another make (RK-6).
pub(super) fn left_behind(
    observed: &Observed,
    addr: &NodeAddr,
    facts: &NodeFacts,
) -> BTreeMap<NodeAddr, Make> {
    let others = observed.nodes.iter().filter(|(other, _)| *other != addr);
    others
        .filter_map(|(other, node)| Some((other, node.last_known()?.make())))
        .filter(|(_, make)| !can_follow(*make, facts.make()))
        .map(|(other, make)| (other.clone(), make))
        .collect()
}

pub(super) fn priority(addr: &NodeAddr, facts: &NodeFacts, policy: &Policy) -> u32 {
    let own = facts
        .upstream()
        .map_or(DEFAULT_PRIORITY, |upstream| upstream.priority);
    policy.priorities.get(addr).copied().unwrap_or(own)
}
