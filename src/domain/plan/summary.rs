//! A plan in words that names the nodes of which nothing is known.

use super::Plan;
use crate::domain::node::Moment;
use crate::domain::observed::Observed;

impl Plan {
    /// The plan in words, with the nodes that were unknown when it was made. A node that is voted down is known to be
    /// down.
    pub fn summary(&self, observed: &Observed, now: Moment) -> String {
        if self.action.is_some() || !self.holds.is_empty() {
            return self.at(now).to_string();
        }
        let unknown = observed.nodes.iter().filter(|(_, node)| {
            let known = node.relayed.is_some() || node.observation.named().is_some();
            !known && !node.verdict.down()
        });
        let unknown = unknown
            .map(|(addr, node)| format!("{addr} ({})", node.observation.trouble_in_words()))
            .collect::<Vec<_>>();
        if unknown.is_empty() {
            return self.at(now).to_string();
        }
        format!(
            "{}, as far as is known; not known: {}",
            self.at(now),
            unknown.join(", ")
        )
    }
}
