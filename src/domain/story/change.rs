//! A change of primary that is under way, with the figures that this keeper measures of it.

use super::{Done, View};
use crate::domain::lineage::extent;
use crate::domain::node::{Generation, Moment, NodeAddr};
use crate::domain::observed::{Observed, ObservedNode};
use crate::domain::published::{Intent, Published};

/// A change of primary that is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct PrimaryChange {
    old: Option<NodeAddr>,
    /// The run id of the withdrawn process.
    process: Option<String>,
    pub(super) switchover: bool,
    /// When the old primary was last known to be writable.
    writable_until: Option<Moment>,
    /// The old primary's data as last read: the replication id, and the bytes of that history.
    held: Option<(String, u64)>,
    /// The candidate, and how many of those bytes it lacks.
    pub(super) lacks: Option<(NodeAddr, u64)>,
}

impl PrimaryChange {
    pub(super) fn begun(intent: &Intent, observed: Option<&Observed>, now: Moment) -> Self {
        let old = intent.old.as_ref();
        let node = old.and_then(|old| observed?.nodes.get(old));
        let observation = node.map(|node| &node.observation);
        let facts = observation.and_then(|observation| observation.facts.as_ref());
        // If another process answers by now, nothing shows until when the withdrawn process answered.
        let facts = facts.filter(|facts| {
            facts.is_primary() && intent.old_run_id.as_ref() == Some(&facts.run_id)
        });
        let observation = observation.filter(|_| facts.is_some());
        Self {
            old: intent.old.clone(),
            process: intent.old_run_id.clone(),
            switchover: intent.switchover.is_some(),
            writable_until: observation.and_then(|it| match (it.answering, it.unproven) {
                (true, None) => Some(now),
                (true, Some(_)) => None,
                (false, _) => it.last_alive,
            }),
            held: facts.map(|facts| (facts.replication_id.clone(), facts.offset)),
            lacks: None,
        }
    }

    /// Takes in that `node` is about to be promoted.
    pub(super) fn chosen(&mut self, node: &NodeAddr, observed: &Observed) {
        let facts = observed.nodes.get(node).and_then(ObservedNode::last_known);
        self.lacks = self.held.as_ref().and_then(|(history, bytes)| {
            let has = extent(facts?, history)?;
            Some((node.clone(), bytes.saturating_sub(has)))
        });
    }

    pub(super) fn done(self, primary: &NodeAddr, generation: Generation, view: View<'_>) -> Done {
        let published = view.observed.published.as_ref();
        let process = published.and_then(|published| published.run_id.as_ref());
        let same_address = self.old.as_ref() == Some(primary);
        let another_process = same_address && self.is_of_another(process);
        let lacks = self.lacks.filter(|(node, _)| node == primary);
        Done {
            another_process,
            to: primary.clone(),
            switchover: self.switchover,
            generation,
            not_writable: self.writable_until.map(|at| view.now.since(at)),
            lacked: lacks.map(|(_, bytes)| bytes),
            from: self.old,
        }
    }

    /// Whether the withdrawn process is known, and is not this one.
    fn is_of_another(&self, process: Option<&String>) -> bool {
        self.process.is_some() && self.process.as_ref() != process
    }

    /// Whether `published` calls the change off: the primary is the process that was withdrawn.
    pub(super) fn is_called_off(&self, published: &Published) -> bool {
        let same_address = self.old.is_some() && self.old == published.primary;
        same_address && !self.is_of_another(published.run_id.as_ref())
    }
}
