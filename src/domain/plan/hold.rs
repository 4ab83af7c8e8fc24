//! The reasons why something is left undone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::claims::OverlapRole;
use crate::domain::confirmation::{ConfirmationReason, Flapping};
use crate::domain::drain::Proxy;
use crate::domain::election::Ineligibility;
use crate::domain::facts::{Mode, ServerFailover};
use crate::domain::group::OtherGroup;
use crate::domain::hindrance::HindranceKind;
use crate::domain::lease::Unacknowledged;
use crate::domain::node::{ClusterName, Generation, KeeperId, Moment, NodeAddr};
use crate::domain::rivals::Astray;

use super::hindrance::HindranceAction;

/// A reason why nothing (more) is done about a cluster or a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// The keepers do not know yet whether these nodes are up. Each comes with what is known of it.
    Undecided(Vec<(NodeAddr, String)>),
    /// The primary is voted down, and its withdrawal is not confirmed, for this reason (RK-2).
    Unconfirmed(NodeAddr, ConfirmationReason),
    /// The primary flaps: it was voted down again and again, and answered each time.
    Flapping(NodeAddr, Flapping),
    /// These keepers may still answer from the state before the withdrawal (RK-2).
    Unacknowledged(Unacknowledged),
    /// These keepers are silent and may go on without ZooKeeper. A change of primary would wait for them, or waits
    /// (RK-2).
    SilentKeepers {
        /// Until when each keeper may go on. [`Hold::same_as`] ignores the time.
        until: BTreeMap<KeeperId, Moment>,
        /// The primary is withdrawn already.
        withdrawn: bool,
    },
    /// The withdrawn primary may still take writes, and HAProxies may send clients to it (RK-10).
    Draining {
        /// The primary that was withdrawn.
        node: NodeAddr,
        /// HAProxies that keepers heard asking, and that have not said DOWN since.
        up: BTreeSet<Proxy>,
        /// Keepers that have not reported yet which HAProxies they heard.
        untold: BTreeSet<KeeperId>,
        /// Until when the leader waits at most. [`Hold::same_as`] ignores the time.
        until: Moment,
        /// The setting `drain-seconds`.
        drain: Duration,
    },
    /// No node of the cluster is up.
    NoNodeUp,
    /// No node may be promoted. Each node comes with its refusal.
    NoneEligible {
        /// The primary to be replaced.
        replaced: Option<NodeAddr>,
        /// Why each node is refused.
        refusals: BTreeMap<NodeAddr, Ineligibility>,
    },
    /// A Sentinel works on this cluster. Two managers would fight, so keepers send no command, and only publish the
    /// Sentinel's changes.
    SentinelAtWork {
        /// The node where keepers found the Sentinel.
        node: NodeAddr,
        /// The name and host of the Sentinel's connections.
        sentinel: String,
        /// Until when the Sentinel may replace the primary, which is down. [`Hold::same_as`] ignores the time.
        until: Option<Moment>,
    },
    /// A Sentinel watches this cluster: it let its time pass, or came after a change was begun. Leaves nothing
    /// undone.
    SentinelPassedOver {
        /// The node where keepers found the Sentinel.
        node: NodeAddr,
        /// The name and host of the Sentinel's connections.
        sentinel: String,
    },
    /// Clients that are not known to be Sentinels listen on the Sentinels' channel. Leaves nothing undone.
    SentinelChannel {
        /// The node where they listen.
        node: NodeAddr,
        /// How many clients listen.
        clients: usize,
    },
    /// Another group of keepers manages the same servers: each group would undo the changes of the other (RK-12).
    OtherGroup(Box<OtherGroup>),
    /// Another published cluster of this group has nodes of this one.
    Overlaps {
        /// The other cluster.
        cluster: ClusterName,
        /// The nodes.
        nodes: BTreeSet<NodeAddr>,
        /// The consequence for this cluster.
        part: OverlapRole,
    },
    /// Keepers have nodes of this published cluster in another one, which is held. Leaves nothing undone here.
    Contended {
        /// The other cluster.
        cluster: ClusterName,
        /// The keepers with the other cluster in their files.
        keepers: BTreeSet<KeeperId>,
    },
    /// Another manager or a person changed the primary again and again: keepers undo nothing for a while (RK-12).
    ChangedFromOutside {
        /// Until when the breaker holds.
        until: Moment,
    },
    /// The node is not a plain Redis server.
    WrongMode(NodeAddr, Mode),
    /// Two configured nodes are one server.
    SameServer(NodeAddr, NodeAddr),
    /// The node replicates from a server that is not configured.
    ReplicatesFromOutside {
        /// The node.
        node: NodeAddr,
        /// The server that the node follows.
        primary: NodeAddr,
    },
    /// Somebody has the node fail over by Redis's own `FAILOVER` command: the node takes no writes, and refuses
    /// commands.
    FailingOver {
        /// The node.
        node: NodeAddr,
        /// How far the node's failover is.
        state: ServerFailover,
        /// The server that the node follows already, if it is not configured. If `None`, the hold leaves nothing
        /// undone.
        outside: Option<NodeAddr>,
    },
    /// Names of other groups' keepers that do not lead to these keepers. Such names leave nothing undone (RK-12).
    Astray {
        /// The first of these names.
        first: Box<Astray>,
        /// How many others there are.
        more: usize,
    },
    /// A node has data of its own, and shares no history with the primary that is kept.
    Unrelated {
        /// The primary that is kept, or would be.
        kept: NodeAddr,
        /// The node with other data.
        other: NodeAddr,
    },
    /// The node says that it follows the primary, but is linked to another server: the node's own host leads it
    /// there.
    FollowsAnother {
        /// The node.
        node: NodeAddr,
        /// The primary that it names.
        primary: NodeAddr,
    },
    /// Another process answers at the published address, with data of another history (RK-7).
    Stranger {
        /// The published address.
        node: NodeAddr,
    },
    /// The primary came back with less data than another node had, and that node may still be read (RK-7).
    CameBackBehind {
        /// The primary.
        node: NodeAddr,
        /// The node that had more.
        holder: NodeAddr,
    },
    /// The primary was restarted. A node that has not been read since may hold more (RK-7).
    CameBack {
        /// The primary.
        node: NodeAddr,
        /// The node that may hold more.
        holder: NodeAddr,
    },
    /// The primary is back as another process. Meanwhile another node was promoted by hand and written to.
    BothWentOn {
        /// The primary.
        primary: NodeAddr,
        /// The node that was promoted.
        other: NodeAddr,
    },
    /// A replica that does not answer at the moment, or failed a command, may hold more of the data than any other
    /// (RK-6).
    MayHoldMore {
        /// The replica.
        node: NodeAddr,
        /// Why the replica cannot take over now.
        why_undecided: String,
        /// The best of the other nodes.
        best: NodeAddr,
        /// How many bytes more the replica had when last read; `None` if it has a newer history.
        bytes: Option<u64>,
    },
    /// The file of this keeper lacks a node that the decision needs.
    NotInFile {
        /// The node.
        node: NodeAddr,
        /// How many keepers online have the node in their files. The leader is to be one of them.
        voters: usize,
    },
    /// The primary is shutting down, and takes no writes while it waits for replicas that lag. No node takes over.
    ShuttingDown {
        /// The primary.
        node: NodeAddr,
        /// Until when the shutdown lasts at most. [`Hold::same_as`] ignores the time.
        until: Moment,
        /// Why no node takes over.
        why: String,
    },
    /// The primary is loading its data set.
    PrimaryLoading(NodeAddr),
    /// A command to the node failed. The leader tries again later.
    FailedLately {
        /// The node.
        node: NodeAddr,
        /// Why it failed.
        why: String,
    },
    /// This keeper's commands would not be carried out at these nodes, for this reason. So this keeper can neither
    /// promote nor repoint them.
    NotCommandable {
        /// The nodes.
        nodes: Vec<NodeAddr>,
        /// Why.
        why: String,
        /// Whether these are all nodes of the cluster: no failover is possible then.
        all: bool,
    },
    /// The node lives, and answers with errors instead of serving. Leaves nothing undone.
    Hindered {
        /// The node.
        node: NodeAddr,
        /// The kind of error.
        kind: HindranceKind,
        /// The node's answer.
        said: String,
        /// The consequence.
        then: HindranceAction,
    },
    /// The primary refuses every write, because too few replicas are in touch with it. Leaves nothing undone.
    RefusesForReplicas {
        /// The primary that refuses.
        node: NodeAddr,
        /// How many replicas it demands.
        to_write: u32,
        /// How many are in touch with it.
        in_touch: usize,
    },
    /// The successor would refuse every write, for the same reason. Leaves nothing undone.
    WouldRefuseForReplicas {
        /// The primary.
        primary: NodeAddr,
        /// The successor.
        node: NodeAddr,
        /// How many replicas the successor demands.
        to_write: u32,
        /// How many replicas the successor would have.
        replicas: usize,
    },
    /// The replica follows the primary, but its link is down.
    NotLinked(NodeAddr),
    /// More replicas wait to be repointed (`parallel-syncs`).
    ReplicasWaiting(Vec<NodeAddr>),
    /// The switchover that was asked for is not begun, or was called off, for this reason.
    NoSwitchover(String),
    /// The primary is down, but took over only a moment ago (`failover-cooldown-seconds`).
    CoolingDown {
        /// The primary.
        node: NodeAddr,
        /// The primary before, if there was one.
        replaced: Option<NodeAddr>,
        /// The generation in which the primary was published.
        generation: Generation,
        /// When the cool-down ends.
        until: Moment,
        /// The setting `failover-cooldown-seconds`.
        cooldown: Duration,
    },
    /// The leader cannot bring the `min-replicas` settings of a node to the right values (RK-9).
    MinReplicasOutOfReach {
        /// The node.
        node: NodeAddr,
        /// Why.
        why: String,
    },
    /// The leader does not set `min-replicas-to-write` at the primary before enough replicas are online (RK-9).
    TooFewReplicas {
        /// The primary.
        node: NodeAddr,
        /// How many replicas the primary is to demand.
        demanded: u32,
        /// How many replicas are online.
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
                    part: OverlapRole::Without | OverlapRole::Managed,
                    ..
                }
        )
    }

    /// Whether `successor`, once it took over, would take no writes for this reason.
    pub(in crate::domain) fn mars(&self, successor: &NodeAddr) -> bool {
        match self {
            Self::Hindered { node, kind, .. } => {
                node == successor && *kind == HindranceKind::Misconf
            }
            Self::WouldRefuseForReplicas { node, .. } => node == successor,
            _ => false,
        }
    }

    /// Whether both are the same reason, apart from what may change while the reason lasts: its end, and the keepers
    /// that have not reported.
    pub fn same_as(&self, other: &Self) -> bool {
        let lasting = |hold: &Self| {
            let mut hold = hold.clone();
            match &mut hold {
                Self::Draining { until, .. }
                | Self::ShuttingDown { until, .. }
                | Self::SentinelAtWork {
                    until: Some(until), ..
                }
                | Self::Hindered {
                    then: HindranceAction::Switchover(_, until),
                    ..
                } => *until = Moment::default(),
                Self::SilentKeepers { until, .. } => {
                    for until in until.values_mut() {
                        *until = Moment::default();
                    }
                }
                Self::Unconfirmed(_, reason) => *reason = reason.lasting(),
                _ => {}
            }
            hold
        };
        // Clients may change their names as fast as they like, so any two such holds are the same.
        let astray = |hold: &Self| matches!(hold, Self::Astray { .. });
        astray(self) && astray(other) || lasting(self) == lasting(other)
    }
}
