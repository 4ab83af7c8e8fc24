//! Published nodes that this keeper cannot judge, since its file lacks them.

use std::collections::BTreeSet;

use super::Observed;
use crate::domain::listed::listed;
use crate::domain::node::NodeAddr;

impl Observed {
    /// The published nodes, apart from `replaced`, that an election of this keeper does not consider. One of them may
    /// hold more data than any node of this keeper's file (RK-6).
    pub(in crate::domain) fn not_considered(
        &self,
        replaced: Option<&NodeAddr>,
    ) -> BTreeSet<NodeAddr> {
        let unlisted = self.unlisted.keys();
        let unlisted = unlisted.filter(|addr| Some(*addr) != replaced);
        unlisted.cloned().collect()
    }
}

/// The end of a sentence about an election that did not consider these nodes; empty if there are none.
pub(in crate::domain) fn not_considered_in_words(nodes: &BTreeSet<NodeAddr>) -> String {
    if nodes.is_empty() {
        return String::new();
    }
    format!(
        "; not considered, since this keeper's file lacks it: {}",
        listed(nodes)
    )
}

#[cfg(test)]
mod tests {
    use crate::domain::explain::explain;
    use crate::domain::observed::Unlisted;
    use crate::domain::plan::tests::builder::{Cluster, NOW, addr, cluster};
    use crate::domain::story::choice;

    const WORDS: &str = "; not considered, since this keeper's file lacks it: c:6379";

    /// `cluster`, whose published state names the node `name` that this keeper's file lacks.
    fn lacking(mut cluster: Cluster, name: &str) -> Cluster {
        let unlisted = Unlisted::default();
        cluster.observed.unlisted.insert(addr(name), unlisted);
        cluster
    }

    fn pair() -> Cluster {
        let cluster = cluster().primary("a").replica("b", "a").published("a");
        lacking(cluster, "c")
    }

    #[test]
    fn an_explanation_names_a_published_replica_that_this_keepers_file_lacks() {
        let cluster = pair();
        let told = explain(&cluster.observed, &cluster.policy, NOW);
        let expected = format!("b:6379 would take over{WORDS}");
        assert_eq!(told.sentence, expected);
        let held = told.held_back("no keeper leads".to_owned());
        assert!(held.sentence.ends_with(WORDS), "{}", held.sentence);
    }

    #[test]
    fn a_choice_names_what_this_keepers_file_lacks_but_not_the_old_primary() {
        let cluster = pair().silent("a").down("a").withdrawn("a");
        let cluster = lacking(cluster, "a");
        let chosen = choice(&addr("b"), &cluster.observed, &cluster.policy, NOW);
        let words = chosen.expect("it answers").to_string();
        assert!(words.ends_with(WORDS), "{words}");
    }
}
