//! One decision of a run, and everything that guards the action.

use std::collections::BTreeMap;

use super::Driver;
use crate::actors::messages::{Decide, Leadership, Reads};
use crate::domain::node::NodeAddr;
use crate::domain::plan::Action;
use crate::domain::story::Choice;

/// An action, with everything that guards it.
pub(super) struct Decided {
    pub(super) action: Action,
    pub(super) version: Option<i32>,
    pub(super) leadership: Leadership,
    /// The run id of the server process that answered at each node.
    pub(super) run_ids: BTreeMap<NodeAddr, String>,
    /// Why this node is to be promoted.
    pub(super) choice: Option<Choice>,
}

impl Decided {
    /// Whether this was decided under the same leadership as `first`, about the same servers at these nodes.
    pub(super) fn confirms(&self, first: &Self, nodes: &[&NodeAddr]) -> bool {
        let same = |node: &&NodeAddr| self.run_ids.get(node) == first.run_ids.get(node);
        self.leadership == first.leadership && nodes.iter().all(same)
    }
}

impl Driver {
    /// Decides the next action from facts that are read now. While writes are held up, only the successor is read.
    ///
    /// `None` if there is nothing to do, or if this keeper does not lead.
    pub(super) async fn decide(&self) -> Option<Decided> {
        let paused = self.paused.borrow().as_ref().map(|it| it.successor.clone());
        self.decide_after(paused.map_or(Reads::All, Reads::Only))
            .await
    }

    pub(super) async fn decide_after(&self, reads: Reads) -> Option<Decided> {
        let decision = self.cluster.send(Decide { reads }).await.ok()?;
        Some(Decided {
            action: decision.plan.action?,
            version: decision.version,
            leadership: decision.leading?,
            run_ids: decision.run_ids,
            choice: decision.choice,
        })
    }
}
