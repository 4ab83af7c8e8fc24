//! Which nodes may take over, and which of them is best (RK-6).

use std::collections::BTreeMap;
use std::fmt;

use super::compatibility::{Make, can_follow};
use super::facts::{Mode, NodeFacts};
use super::hindrance::HindranceKind;
use super::lineage::{held, lost_against, promotions_back};
use super::node::{Moment, NodeAddr};
use super::observed::{Observed, ObservedNode, Topology};
use super::policy::{Criterion, ElectionOrder, Policy};
use super::published::Published;

mod data;

/// The result of judging every node as a successor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Election {
    /// Eligible nodes, the best first.
    pub ranking: Vec<NodeAddr>,
    /// Why each of the others is not eligible.
    pub refusals: BTreeMap<NodeAddr, Ineligibility>,
    /// The cluster has data: the published state says so, or keys of the cluster's history were read at some node.
    pub has_data: bool,
}

/// Why a node is not promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ineligibility {
    /// The node is the primary that is being replaced.
    Replaced,
    /// A majority of the voters holds the node down.
    Down,
    /// Not a strict majority of the voters sees the node alive.
    NotSeenByMajority,
    /// A majority of the voters finds the node down, or loading or busy for too long. Once published, it would be
    /// withdrawn again at once.
    Unfit,
    /// The leader has no answer from the node. No other keeper has reported an answer since the last change either.
    NotAnswering(String),
    /// The node is a Redis Cluster node or a Sentinel.
    WrongMode,
    /// The node is the same server as another configured node.
    AliasOf(NodeAddr),
    /// The node is loading its data set.
    Loading,
    /// The node is shutting down.
    ShuttingDown,
    /// A script runs in the node, which takes no command meanwhile.
    Busy,
    /// The node's priority is 0.
    NeverByPriority,
    /// The node has never completed a synchronisation of this cluster's data.
    NeverSynced,
    /// The node holds another data set.
    OtherData,
    /// The node was started without any history, so nothing shows whether its data are the cluster's.
    HistoryUnknown,
    /// The node is empty, and nothing that keepers saw shows that it has lost nothing.
    Empty,
    /// The node is further behind than `max-lag-bytes` allows.
    TooFarBehind {
        /// Bytes behind the best known offset.
        behind: u64,
        /// `max-lag-bytes`.
        limit: u64,
    },
    /// Commands of this keeper would not be carried out at the node.
    NotCommandable(String),
    /// A command to the node failed under this leadership, and it is too early to try again.
    FailedLately(String),
}

impl Ineligibility {
    /// Whether the refusal may end soon: by itself, or because a majority comes to hold the node down.
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

impl fmt::Display for Ineligibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced => f.write_str("is the primary to be replaced"),
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

/// Judges every node but `replaced` as a successor for the data history `lineage` (newest replication id first).
pub fn elect(
    topology: &Topology<'_>,
    policy: &Policy,
    lineage: &[String],
    replaced: Option<&NodeAddr>,
    now: Moment,
) -> Election {
    let observed = topology.observed();
    let known = || {
        observed
            .nodes
            .iter()
            .filter_map(|(addr, node)| Some((addr, node.last_known()?)))
    };
    let published = observed.published.as_ref();
    let stranger = |facts| published.is_some_and(|published| published.is_stranger(facts));
    let ours = |addr, facts| {
        promotions_back(facts, lineage).is_some() || replaced == Some(addr) && !stranger(facts)
    };
    let published_data = published.is_some_and(|published| published.has_data);
    let electorate = Electorate {
        observed,
        policy,
        lineage,
        replaced,
        now,
        topology,
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

/// The data against which each node is judged.
struct Electorate<'a> {
    observed: &'a Observed,
    policy: &'a Policy,
    lineage: &'a [String],
    replaced: Option<&'a NodeAddr>,
    now: Moment,
    topology: &'a Topology<'a>,
    has_data: bool,
}

impl<'a> Electorate<'a> {
    fn eligible(
        &self,
        addr: &NodeAddr,
        node: &'a ObservedNode,
    ) -> Result<&'a NodeFacts, Ineligibility> {
        if self.replaced == Some(addr) {
            return Err(Ineligibility::Replaced);
        }
        if node.verdict.down() {
            return Err(Ineligibility::Down);
        }
        if !node.verdict.seen_by_majority() {
            return Err(Ineligibility::NotSeenByMajority);
        }
        if node.verdict.unfit_as_primary() {
            return Err(Ineligibility::Unfit);
        }
        let facts = node
            .observation
            .named()
            .ok_or_else(|| Ineligibility::NotAnswering(node.observation.trouble_in_words()))?;
        if facts.mode != Mode::Standalone {
            return Err(Ineligibility::WrongMode);
        }
        if let Some(other) = self.topology.aliases().get(addr) {
            return Err(Ineligibility::AliasOf((*other).clone()));
        }
        if facts.loading {
            return Err(Ineligibility::Loading);
        }
        if facts.shutting_down.is_some() {
            return Err(Ineligibility::ShuttingDown);
        }
        if node.observation.hindered(HindranceKind::Busy).is_some() {
            return Err(Ineligibility::Busy);
        }
        if priority(addr, facts, self.policy) == 0 && !self.observed.promoted_by_hand(addr, facts) {
            return Err(Ineligibility::NeverByPriority);
        }
        self.holds_the_data(addr, facts)?;
        if let Some(why) = node.observation.not_commandable() {
            return Err(Ineligibility::NotCommandable(why.to_owned()));
        }
        match self.observed.failed_lately(addr, self.now) {
            Some(failure) => Err(Ineligibility::FailedLately(failure.why.clone())),
            None => Ok(facts),
        }
    }

    /// The order to rank by: usually the configured order.
    ///
    /// A node that still holds the data comes first, if the replaced primary has lost data, or is a server of another
    /// deployment (RK-7). Other nodes may have copied the loss.
    fn standard(&self) -> Ranking {
        let known = |addr| self.observed.nodes.get(addr)?.observation.facts.as_ref();
        let published = self.observed.published.as_ref();
        let process = published.and_then(Published::process);
        let lossy = self.replaced.and_then(known).is_some_and(|primary| {
            let mut online = self.observed.all_online();
            published.is_some_and(|published| published.is_stranger(primary))
                || online.any(|(_, other)| lost_against(primary, other, self.lineage, process))
        });
        if lossy {
            Ranking::by_data()
        } else {
            Ranking::of(self.policy)
        }
    }
}

/// How two eligible nodes are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranking {
    order: ElectionOrder,
    /// A node with more of the data comes first, even if it refuses writes.
    data_first: bool,
}

impl Ranking {
    /// The order that the operator has configured.
    pub(super) fn of(policy: &Policy) -> Self {
        Self {
            order: policy.election_order,
            data_first: false,
        }
    }

    /// The order that loses no data for any preference.
    pub(super) fn by_data() -> Self {
        Self {
            order: ElectionOrder::default(),
            data_first: true,
        }
    }
}

/// The sort key of a node: the better node sorts first. The key compares, in this order:
/// 1. The newer history, since offsets of different histories cannot be compared.
/// 2. The node that can write its disk: Redis refuses every write otherwise. With `data_first` this comes after 3.
/// 3. The criteria of `standard`.
/// 4. The smaller name.
///
/// The criteria compare:
/// - By offset: more of that history, then more written since, then a node that is a primary already.
/// - By priority: the lower number.
/// - By uptime: fewer other nodes that could not follow the node, then the longer uptime.
pub(super) fn merit<'a>(
    observed: &Observed,
    (addr, facts): (&'a NodeAddr, &NodeFacts),
    lineage: &[String],
    policy: &Policy,
    standard: Ranking,
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
    let Ranking { order, data_first } = standard;
    let ranks = order.criteria().map(rank);
    (history, refuses && !data_first, ranks, refuses, addr)
}

/// Nodes that cannot follow this one, because they are older or of another make (RK-6).
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
