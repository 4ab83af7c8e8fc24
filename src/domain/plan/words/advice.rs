//! The words of holds that a person can end. Each way comes with its cost, the harmless one first.

use std::fmt;

use crate::domain::node::NodeAddr;

/// A node follows a server that no file names. Most often that server is the cluster's own primary.
pub(super) fn from_outside(
    f: &mut fmt::Formatter<'_>,
    node: &NodeAddr,
    primary: &NodeAddr,
) -> fmt::Result {
    write!(
        f,
        "{node} replicates from {primary}, which is not configured here, and is left alone. If {primary} belongs to this \
         cluster, add it to nodes in the files of all keepers: nothing is lost. Only if it does not: REPLICAOF NO ONE at {node} \
         parts the two, and {node} lacks from then on what is written to {primary}"
    )
}

/// Two nodes have data of different origin.
pub(super) fn unrelated(
    f: &mut fmt::Formatter<'_>,
    kept: &NodeAddr,
    other: &NodeAddr,
) -> fmt::Result {
    write!(
        f,
        "{other} holds data of its own that shares no history with {kept}: it is not made its replica and loses nothing. Look which \
         data are the cluster's, and copy the others first. settle-unrelated: true, or an emptied {other}, makes it follow {kept}: \
         what only {other} holds is lost"
    )
}

/// The same server has two names.
pub(super) fn same_server(
    f: &mut fmt::Formatter<'_>,
    alias: &NodeAddr,
    node: &NodeAddr,
) -> fmt::Result {
    write!(
        f,
        "{alias} and {node} are one server under two names: remove one of them from the files of all keepers, {alias} rather than \
         {node}. Until then it counts as one node, and is no replica of itself"
    )
}

/// A Redis Sentinel is at work.
pub(super) fn stop_sentinel(
    f: &mut fmt::Formatter<'_>,
    node: &NodeAddr,
    sentinel: &str,
) -> fmt::Result {
    write!(
        f,
        "a Redis Sentinel is at work on {node} ({sentinel}), and the keepers command nothing: stop all Sentinels of this cluster, and \
         keepers fail over alone; or leave it to them and take the cluster out of the files, and HAProxies that ask keepers for it \
         have no server any more"
    )
}

/// The effect of an acknowledgement by an operator.
pub(super) const ACKNOWLEDGE: &str = "or until POST /admin/clusters/NAME/acknowledge (needs admin-operations: true), by which keepers act at \
     once on what they find; stop whoever changes it first. A dead primary is still replaced";

/// The possible cost of taking a keeper off the failsafe group.
pub(super) const TAKE_OFF: &str = "bring it back. Only if its process does not run: take it off (DELETE /admin/keepers/ID, which needs \
     admin-operations: true). One that runs all the same may go on calling the former primary writable beside the next";
