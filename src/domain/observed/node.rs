//! Questions about one node: which facts count for what.

use super::super::facts::{Mode, NodeFacts};
use super::super::hindrance::HindranceKind;
use super::super::node::{KeeperId, NodeAddr};
use super::ObservedNode;

impl ObservedNode {
    /// The keeper through which the node is seen and commanded; `None` if this keeper reaches the node, or no keeper
    /// does.
    pub fn through(&self) -> Option<&KeeperId> {
        self.relayed.as_ref().map(|relayed| &relayed.keeper)
    }

    /// The newest known facts of the node, read by this keeper or by another one. The node may be gone since.
    pub fn last_known(&self) -> Option<&NodeFacts> {
        let relayed = self.relayed.as_ref().map(|relayed| &relayed.facts);
        relayed.or(self.observation.facts.as_ref())
    }

    /// The facts of a node that answers and that no majority votes down, whatever kind of server it is.
    pub fn answering(&self) -> Option<&NodeFacts> {
        self.observation.named().filter(|_| !self.verdict.down())
    }

    /// The same for a node that runs as a plain server.
    pub fn live(&self) -> Option<&NodeFacts> {
        self.answering()
            .filter(|facts| facts.mode == Mode::Standalone)
    }

    /// The facts of a node that is live and serves its data set.
    pub fn online(&self) -> Option<&NodeFacts> {
        self.live().filter(|facts| !facts.loading)
    }

    /// The facts of a node that has its data still: it is online, or a script keeps it busy. A busy node says nothing
    /// of itself, but an operator can end the script, so its last facts count.
    pub fn holds(&self) -> Option<&NodeFacts> {
        let busy = self.observation.hindered(HindranceKind::Busy).is_some() && !self.verdict.down();
        let last = self.last_known().filter(|_| busy);
        self.online().or(last)
    }

    /// The node, with the reason why its state is in doubt, in words.
    pub(in crate::domain) fn why_undecided(&self, addr: &NodeAddr) -> (NodeAddr, String) {
        let words = match self.observation.named() {
            Some(facts) if facts.mode != Mode::Standalone => {
                "it is no plain Redis server".to_owned()
            }
            Some(facts) if facts.loading => "it is loading its data set".to_owned(),
            _ => self.observation.trouble_in_words(),
        };
        let silent = self.observation.probed && self.observation.named().is_none();
        match self.verdict.out_of_reach().filter(|_| silent) {
            Some(why) => (addr.clone(), format!("{words}; it {why}")),
            None => (addr.clone(), words),
        }
    }

    /// Whether the node may be alive or down: it gives no usable answer, and no majority finds it unfit as a primary.
    pub fn undecided(&self) -> bool {
        !self.verdict.unfit_as_primary()
            && self.observation.named().is_none_or(|facts| facts.loading)
    }
}
