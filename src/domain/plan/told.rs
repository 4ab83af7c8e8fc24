//! A plan as it is told: it claims nothing of nodes that it does not know.

use super::Plan;
use crate::domain::observed::Observed;

impl Plan {
    /// The plan in words, which names the nodes that it was made without knowing. A node that
    /// is voted down is known to be down.
    pub fn told(&self, observed: &Observed) -> String {
        if self.action.is_some() || !self.holds.is_empty() {
            return self.to_string();
        }
        let unknown = observed.nodes.iter().filter(|(_, node)| {
            let told = node.elsewhere.is_some() || node.sighting.named().is_some();
            !told && !node.verdict.down()
        });
        let unknown = unknown
            .map(|(addr, node)| format!("{addr} ({})", node.sighting.trouble_in_words()))
            .collect::<Vec<_>>();
        if unknown.is_empty() {
            return self.to_string();
        }
        format!(
            "{self}, as far as is known; not known: {}",
            unknown.join(", ")
        )
    }
}
