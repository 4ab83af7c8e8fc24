//! Finds servers of one cluster that could not follow each other (`check --live`).

use std::collections::BTreeMap;

use super::findings::Subject;
use crate::domain::compatibility::{Make, can_follow};
use crate::domain::facts::NodeFacts;
use crate::domain::node::{ClusterName, NodeAddr};

/// Warns of versions in the cluster that do not fit together; `None` if all fit.
pub(super) fn look(
    cluster: &ClusterName,
    facts: &BTreeMap<NodeAddr, NodeFacts>,
) -> Option<Subject> {
    let nodes = facts.iter();
    let nodes = nodes.map(|(addr, facts)| (addr.clone(), (facts.is_primary(), facts.make())));
    let left = left_behind(&nodes.collect());
    if left.is_empty() {
        return None;
    }
    let mut subject = Subject::new(format!("{cluster} versions"));
    for (newer, others) in left {
        let others: Vec<_> = others.iter().map(ToString::to_string).collect();
        subject = subject.warning(
            format!(
                "{newer} is newer: once it is promoted, {} cannot follow it, and loses its data if it tries",
                others.join(", ")
            ),
            "upgrade all replicas before the primary, and give those that are done a higher number as priority: it is preferred less (docs/upgrade.md)",
        );
    }
    Some(subject)
}

/// The replicas that other nodes could not follow once promoted, each with those nodes.
fn left_behind(nodes: &BTreeMap<NodeAddr, (bool, Make)>) -> BTreeMap<NodeAddr, Vec<NodeAddr>> {
    let replicas = nodes.iter().filter(|(_, (is_primary, _))| !is_primary);
    let left = replicas.map(|(addr, (_, make))| {
        let others = nodes.iter().filter(|(other, _)| *other != addr);
        let unable = others.filter(|(_, (_, other))| !can_follow(*other, *make));
        (
            addr.clone(),
            unable.map(|(other, _)| other.clone()).collect::<Vec<_>>(),
        )
    });
    left.filter(|(_, others)| !others.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::{Family, Version};

    #[test]
    fn a_replica_that_others_could_not_follow_is_named_with_them() {
        let make = |family, major| {
            let version = Version {
                major,
                ..Version::default()
            };
            (family, version)
        };
        let [a, b, c] = ["a", "b", "c"].map(|host| NodeAddr::new(host, 1));
        let old = make(Family::Redis, 7);
        let nodes = |b_is: Make| {
            BTreeMap::from([
                (a.clone(), (true, old)),
                (b.clone(), (false, b_is)),
                (c.clone(), (false, old)),
            ])
        };
        assert_eq!(left_behind(&nodes(old)), BTreeMap::new());
        let left = left_behind(&nodes(make(Family::Valkey, 9)));
        assert_eq!(
            left,
            BTreeMap::from([(b.clone(), vec![a.clone(), c.clone()])])
        );
    }
}
