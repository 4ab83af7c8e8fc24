//! Why something is left undone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::claims::Part;
use crate::domain::confirmation::{Flapping, Reason};
use crate::domain::drain::Proxy;
use crate::domain::election::Refusal;
use crate::domain::facts::{Mode, ServerFailover};
use crate::domain::group::OtherGroup;
use crate::domain::hindrance::HindranceKind;
use crate::domain::lease::Unacknowledged;
use crate::domain::node::{ClusterName, Generation, KeeperId, NodeAddr};
use crate::domain::rivals::Astray;

use super::hindered::Then;

/// A reason why nothing (more) is done about a cluster or a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Whether these nodes are up is not known yet, and what is known of them.
    Undecided(Vec<(NodeAddr, String)>),
    /// The primary is voted down, and its withdrawal is not confirmed: why (RK-2).
    Unconfirmed(NodeAddr, Reason),
    /// The primary was voted down again and again, and answered each time.
    Flapping(NodeAddr, Flapping),
    /// These keepers may still answer from the state before the withdrawal (RK-2).
    Unacknowledged(Unacknowledged),
    /// These keepers are silent and may go on without ZooKeeper: a change of primary waits for them, once begun (RK-2).
    SilentKeepers {
        /// For how long each may yet. Passes by itself: see [`Hold::same_as`].
        left: BTreeMap<KeeperId, Duration>,
        /// The primary is withdrawn already.
        withdrawn: bool,
    },
    /// The withdrawn primary may still take writes, and HAProxies may send clients to it (RK-10).
    Draining {
        /// The primary that was withdrawn.
        node: NodeAddr,
        /// HAProxies that were heard asking and have not said DOWN since.
        up: BTreeSet<Proxy>,
        /// Keepers that have not told what they have heard.
        untold: BTreeSet<KeeperId>,
        /// How long they have yet. Passes by itself: see [`Hold::same_as`].
        left: Duration,
        /// The setting.
        drain: Duration,
    },
    /// No node of the cluster is up.
    NoNodeUp,
    /// No node may be promoted; why not, for each.
    NoneEligible {
        /// The primary to be replaced.
        replaced: Option<NodeAddr>,
        /// Why each node is refused.
        refusals: BTreeMap<NodeAddr, Refusal>,
    },
    /// A Sentinel works on this cluster: two managers would fight. No command is sent; what it has done is published.
    SentinelAtWork {
        /// Where it was found.
        node: NodeAddr,
        /// Name and host of its connections.
        sentinel: String,
        /// How long it has yet to replace the primary, which is down. Passes by itself: see [`Hold::same_as`].
        left: Option<Duration>,
    },
    /// A Sentinel watches this cluster, and holds nothing: it let its time pass, or came when a change was begun.
    SentinelPassedOver {
        /// Where it was found.
        node: NodeAddr,
        /// Name and host of its connections.
        sentinel: String,
    },
    /// Clients listen on the channel of Sentinels that are not known to be Sentinels. Holds nothing.
    SentinelChannel {
        /// Where.
        node: NodeAddr,
        /// How many.
        clients: usize,
    },
    /// Another group of keepers looks after the same servers: each would undo what the other does (RK-12).
    OtherGroup(Box<OtherGroup>),
    /// Another published cluster of this group has nodes of this one.
    Overlaps {
        /// The other cluster.
        cluster: ClusterName,
        /// The nodes.
        nodes: BTreeSet<NodeAddr>,
        /// What follows from it here.
        part: Part,
    },
    /// Keepers have nodes of this published cluster in another one, which is held. Holds nothing here.
    Contended {
        /// The other cluster.
        cluster: ClusterName,
        /// The keepers.
        keepers: BTreeSet<KeeperId>,
    },
    /// Somebody else changed the primary again and again: nothing is undone for a while (RK-12).
    ChangedFromOutside {
        /// For how long yet. Passes by itself: see [`Hold::same_as`].
        left: Duration,
    },
    /// The node is not a plain Redis server.
    WrongMode(NodeAddr, Mode),
    /// Two configured nodes are one server.
    SameServer(NodeAddr, NodeAddr),
    /// The node replicates from a server that is not configured.
    ReplicatesFromOutside {
        /// The node.
        node: NodeAddr,
        /// Whom it follows.
        primary: NodeAddr,
    },
    /// Somebody has the node fail over by Redis's own command: it takes no writes, and refuses commands.
    FailingOver {
        /// The node.
        node: NodeAddr,
        /// How far that is.
        state: ServerFailover,
        /// Whom it follows already, if that is not configured. Otherwise it holds nothing.
        outside: Option<NodeAddr>,
    },
    /// Names of other groups' keepers that do not lead to them. They hold nothing (RK-12).
    Astray {
        /// One of them.
        first: Box<Astray>,
        /// So many others.
        more: usize,
    },
    /// A node with data of its own that shares no history with the primary kept.
    Unrelated {
        /// The primary that is kept, or would be.
        kept: NodeAddr,
        /// The other.
        other: NodeAddr,
    },
    /// The node says that it follows the primary, and is linked to another server: its own host leads it there.
    FollowsAnother {
        /// The node.
        node: NodeAddr,
        /// The primary that it names.
        primary: NodeAddr,
    },
    /// Another process answers at the published address, with data of another history (RK-7).
    Stranger {
        /// The address.
        node: NodeAddr,
    },
    /// The primary came back with less data than another node had, which may still be read (RK-7).
    CameBackBehind {
        /// The primary.
        node: NodeAddr,
        /// Who had more.
        holder: NodeAddr,
    },
    /// The primary was restarted, and a node that has not been read since may hold more (RK-7).
    CameBack {
        /// The primary.
        node: NodeAddr,
        /// Who may hold more.
        holder: NodeAddr,
    },
    /// The primary is back as another process, and another node was promoted by hand meanwhile and written to.
    BothWentOn {
        /// The primary.
        primary: NodeAddr,
        /// The other.
        other: NodeAddr,
    },
    /// A replica that does not answer at the moment, or failed a command, may hold more of the data than the best of the others (RK-6).
    MayHoldMore {
        /// The replica.
        node: NodeAddr,
        /// Why it cannot take over now.
        doubt: String,
        /// The best of the others.
        best: NodeAddr,
        /// By how many bytes more, as it was last read; `None` of another history.
        bytes: Option<u64>,
    },
    /// A node that matters is not in this keeper's file.
    NotInFile {
        /// The node.
        node: NodeAddr,
        /// How many keepers online have it in theirs: one of them is to lead.
        voters: usize,
    },
    /// The primary is shutting down, and takes no writes while it waits for replicas that lag; nobody takes over, and why.
    ShuttingDown {
        /// The primary.
        node: NodeAddr,
        /// For how long yet, at most. Passes by itself: see [`Hold::same_as`].
        left: Duration,
        /// Why nobody takes over.
        why: String,
    },
    /// The primary is loading its data set.
    PrimaryLoading(NodeAddr),
    /// A command to the node failed; it is tried again later.
    FailedLately {
        /// The node.
        node: NodeAddr,
        /// Why it failed.
        why: String,
    },
    /// This keeper's commands would not be carried out at these nodes, for this reason: none of them is promoted or repointed.
    NotCommandable {
        /// The nodes.
        nodes: Vec<NodeAddr>,
        /// Why.
        why: String,
        /// They are all nodes of the cluster: no failover is possible.
        all: bool,
    },
    /// The node lives, and answers errors of its own instead of serving. Holds nothing.
    Hindered {
        /// The node.
        node: NodeAddr,
        /// What keeps it from serving.
        kind: HindranceKind,
        /// What it answers.
        said: String,
        /// What follows from that.
        then: Then,
    },
    /// The primary refuses every write, because too few replicas are in touch with it. Holds nothing.
    RefusesForReplicas {
        /// The primary.
        node: NodeAddr,
        /// How many replicas it demands.
        to_write: u32,
        /// How many are in touch with it.
        in_touch: usize,
    },
    /// The node that would take over would refuse every write for that reason. Holds nothing.
    WouldRefuseForReplicas {
        /// The primary.
        primary: NodeAddr,
        /// Who would take over from it.
        node: NodeAddr,
        /// How many replicas that one demands.
        to_write: u32,
        /// How many it would have.
        replicas: usize,
    },
    /// The replica follows the primary, but its link is down.
    NotLinked(NodeAddr),
    /// More replicas wait for their turn (`parallel-syncs`).
    ReplicasWaiting(Vec<NodeAddr>),
    /// The switchover asked for is not begun, or was called off, and why.
    NoSwitchover(String),
    /// The primary is down, but it took over only a moment ago (`failover-cooldown-seconds`).
    CoolingDown {
        /// The primary.
        node: NodeAddr,
        /// Whom it replaced, if anybody.
        replaced: Option<NodeAddr>,
        /// The generation in which it took over.
        generation: Generation,
        /// How long it stays yet. Passes by itself: see [`Hold::same_as`].
        left: Duration,
        /// The setting.
        cooldown: Duration,
    },
    /// The `min-replicas` settings of a node cannot be kept right (RK-9): why.
    MinReplicasOutOfReach {
        /// The node.
        node: NodeAddr,
        /// Why.
        why: String,
    },
    /// The primary is not told to demand replicas before it has as many (RK-9).
    TooFewReplicas {
        /// The primary.
        node: NodeAddr,
        /// How many it is to demand.
        demanded: u32,
        /// How many it has.
        online: usize,
    },
}

impl Hold {
    /// Whether anything is left undone for this reason.
    pub(in crate::domain) fn blocks(&self) -> bool {
        !matches!(
            self,
            Self::NotCommandable { .. }
                | Self::Hindered { .. }
                | Self::RefusesForReplicas { .. }
                | Self::WouldRefuseForReplicas { .. }
                | Self::SentinelPassedOver { .. }
                | Self::SentinelChannel { .. }
                | Self::Contended { .. }
                | Self::Astray { .. }
                | Self::FailingOver { outside: None, .. }
                | Self::Overlaps {
                    part: Part::Without | Part::Managed,
                    ..
                }
        )
    }

    /// Whether the node, should it take over, would take no writes for this reason.
    pub(in crate::domain) fn mars(&self, successor: &NodeAddr) -> bool {
        match self {
            Self::Hindered { node, kind, .. } => {
                node == successor && *kind == HindranceKind::Misconf
            }
            Self::WouldRefuseForReplicas { node, .. } => node == successor,
            _ => false,
        }
    }

    /// Whether it is the same reason, however much time has passed.
    pub fn same_as(&self, other: &Self) -> bool {
        let timeless = |hold: &Self| {
            let mut hold = hold.clone();
            match &mut hold {
                Self::CoolingDown { left, .. }
                | Self::Draining { left, .. }
                | Self::ShuttingDown { left, .. }
                | Self::ChangedFromOutside { left } => {
                    *left = Duration::ZERO;
                }
                Self::Hindered {
                    then: Then::Switchover(_, left),
                    ..
                } => *left = Duration::ZERO,
                Self::SentinelAtWork { left, .. } => *left = left.map(|_| Duration::ZERO),
                Self::SilentKeepers { left, .. } => {
                    *left = left.keys().map(|it| (it.clone(), Duration::ZERO)).collect();
                }
                Self::Unconfirmed(_, reason) => *reason = reason.lasting(),
                _ => {}
            }
            hold
        };
        // Clients may take names as fast as they like.
        let astray = |hold: &Self| matches!(hold, Self::Astray { .. });
        astray(self) && astray(other) || timeless(self) == timeless(other)
    }
}
