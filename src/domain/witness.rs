//! A keeper's own record of the published primary's process and of its replicas, since the keeper started (RK-6).
//!
//! A replica has exactly the data that its primary had at the replica's offset, as long as it is the process that was
//! linked. So an empty replica has lost nothing if both conditions hold:
//! - the keeper has seen that process linked;
//! - its offset is not behind the last offset that was read of the primary.
//!
//! A replica that *came back* empty is another process, and shows nothing.

use std::collections::BTreeMap;

use super::facts::{Link, NodeFacts, Upstream};
use super::lineage::RelatedHistories;
use super::node::{Moment, NodeAddr};
use super::observation::NodeObservation;
use super::published::Published;

/// The record of one keeper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witness {
    /// The published primary, or the one that was withdrawn last, if this keeper has read it.
    pub primary: Option<LastRead>,
    /// Nodes that the keeper has seen as replicas of the cluster.
    pub replicas: BTreeMap<NodeAddr, SeenReplica>,
    /// Histories that the keeper has seen to continue the cluster's. They are not part of its report.
    pub related: RelatedHistories,
    /// Histories that replicas stream which name the primary, while the primary was not read to have them. They are
    /// not part of the report.
    pub(crate) strange: BTreeMap<NodeAddr, Stream>,
}

/// A history that a replica streams and that its primary was not read to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    history: String,
    /// When it was first read at the replica.
    seen: Moment,
    /// The primary was read since, and does not have the history: the replica's host leads it to another server.
    elsewhere: bool,
}

/// The last reading of a primary's process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRead {
    /// The primary.
    pub node: NodeAddr,
    /// The run id of its process.
    pub run_id: String,
    /// The greatest offset that was read.
    pub offset: u64,
}

/// The process that was last seen as a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenReplica {
    /// Its run id.
    pub run_id: String,
    /// The process was linked to the primary's process.
    pub linked: bool,
}

impl Witness {
    /// A linked replica has the replication id of its primary, and a primary has a new id before any replica can. So
    /// a replica that was read before its primary, and has another id, is linked to something else.
    pub(super) fn look_at_stream(
        &mut self,
        (observation, primary): (&NodeObservation, &NodeFacts),
        names: bool,
        (addr, at, facts): (&NodeAddr, Moment, &NodeFacts),
    ) {
        if !names || primary.histories().any(|id| id == facts.replication_id) {
            self.strange.remove(addr);
            return;
        }
        let linked = |upstream: &Upstream| upstream.link == Link::Up && !upstream.syncing;
        if !facts.upstream().is_some_and(linked) || facts.loading {
            return;
        }
        let begun = || Stream {
            history: facts.replication_id.clone(),
            seen: at,
            elsewhere: false,
        };
        let stream = self.strange.entry(addr.clone()).or_insert_with(begun);
        if stream.history != facts.replication_id {
            *stream = begun();
        }
        stream.elsewhere |= observation.at > stream.seen;
    }

    /// Replicas that stream histories which the primary was not read to have, while it was not read again since.
    pub(super) fn doubted(&self) -> BTreeMap<NodeAddr, String> {
        let strange = self.strange.iter();
        let doubted = strange.filter(|(_, stream)| !stream.elsewhere);
        let histories = doubted.map(|(addr, stream)| (addr.clone(), stream.history.clone()));
        histories.collect()
    }

    /// Whether these facts are of a replica that streams a history which the primary was found not to have.
    pub(super) fn is_elsewhere(&self, addr: &NodeAddr, facts: &NodeFacts) -> bool {
        let known = self.strange.get(addr).filter(|it| it.elsewhere);
        let same = known.is_some_and(|it| it.history == facts.replication_id);
        same && facts.upstream().is_some()
    }

    /// The record of the primary, if it is about the process that is published, or was published last.
    pub(super) fn knows(&self, published: &Published) -> Option<&LastRead> {
        let primary = self.primary.as_ref()?;
        let same = published.subject() == Some(&primary.node);
        (same && published.is_process(&primary.run_id)).then_some(primary)
    }
}
