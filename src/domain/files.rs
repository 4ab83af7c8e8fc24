//! Finds the keepers whose files differ from the others in the nodes of a cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{KeeperId, NodeAddr};
use super::report::KeeperReport;
use super::verdict::voters;

/// The text for a keeper whose file lacks the whole cluster.
const CLUSTER: &str = "the whole cluster";

/// Where the file of one keeper differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Nodes that the others have, and this keeper lacks.
    pub lacks: Vec<String>,
    /// Nodes that this keeper has, and most of the others lack.
    pub adds: Vec<String>,
}

/// The nodes that the keepers online have and one keeper's file lacks; `None` for the whole cluster.
type Lacks = Option<BTreeSet<NodeAddr>>;

/// The keepers online whose files differ. If more than half of the files have the same nodes, only the others differ.
/// Else every file differs that lacks something.
pub fn odd(
    keepers: &BTreeSet<KeeperId>,
    reports: &BTreeMap<KeeperId, KeeperReport>,
) -> BTreeMap<KeeperId, Difference> {
    let lacks: BTreeMap<&KeeperId, Lacks> = keepers
        .iter()
        .map(|keeper| (keeper, lacks(reports.get(keeper), keepers, reports)))
        .collect();
    let alike = |list: &&Lacks| lacks.values().filter(|it| it == list).count();
    let common = lacks.values().find(|list| alike(list) * 2 > keepers.len());
    let everything = Some(BTreeSet::new());
    let common = common.unwrap_or(&everything);
    let odd = lacks.iter().filter(|(_, list)| *list != common);
    odd.map(|(keeper, list)| {
        let difference = Difference {
            lacks: beyond(list, common),
            adds: beyond(common, list),
        };
        ((*keeper).clone(), difference)
    })
    .collect()
}

fn lacks(
    report: Option<&KeeperReport>,
    keepers: &BTreeSet<KeeperId>,
    reports: &BTreeMap<KeeperId, KeeperReport>,
) -> Lacks {
    let Some(report) = report else {
        return Some(BTreeSet::new());
    };
    let probed = |node: &&NodeAddr| voters(node, keepers, reports).next().is_some();
    let unprobed = report.unprobed.iter().filter(probed).cloned();
    (!report.absent).then(|| unprobed.collect())
}

/// The nodes that `list` lacks and `other` does not.
fn beyond(list: &Lacks, other: &Lacks) -> Vec<String> {
    match (list, other) {
        (None, Some(_)) => vec![CLUSTER.to_owned()],
        (_, None) => Vec::new(),
        (Some(list), Some(other)) => list.difference(other).map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Option<&[&str]> = None;

    /// The differing files of the keepers k1, k2, …: each with the nodes that it lacks, and those that it adds.
    /// `lists` has the nodes that each file lacks.
    fn told(lists: &[Option<&[&str]>]) -> Vec<(String, Vec<String>, Vec<String>)> {
        let reports = lists.iter().zip(1..).map(|(list, number)| {
            let nodes = list.unwrap_or_default().iter();
            let report = KeeperReport {
                unprobed: nodes.map(|host| NodeAddr::new(*host, 1)).collect(),
                absent: list.is_none(),
                ..KeeperReport::default()
            };
            (KeeperId::new(format!("k{number}")), report)
        });
        let reports: BTreeMap<_, _> = reports.collect();
        let keepers = reports.keys().cloned().collect();
        let odd = odd(&keepers, &reports).into_iter();
        odd.map(|(keeper, it)| (keeper.to_string(), it.lacks, it.adds))
            .collect()
    }

    fn of(keeper: &str, lacks: &[&str], adds: &[&str]) -> (String, Vec<String>, Vec<String>) {
        let texts = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect();
        (keeper.to_owned(), texts(lacks), texts(adds))
    }

    #[test]
    fn where_most_files_agree_only_the_odd_one_is_named_with_its_nodes() {
        // Two clusters swap a node in the third file.
        let swapped = told(&[Some(&["y"]), Some(&["y"]), Some(&["x"])]);
        assert_eq!(swapped, [of("k3", &["x:1"], &["y:1"])]);
        let more = told(&[Some(&["y"]), Some(&["y"]), Some(&[])]);
        assert_eq!(more, [of("k3", &[], &["y:1"])]);
        let less = told(&[Some(&[]), Some(&["x"]), Some(&[])]);
        assert_eq!(less, [of("k2", &["x:1"], &[])]);
        let absent = told(&[Some(&[]), WHOLE, Some(&[])]);
        assert_eq!(absent, [of("k2", &["the whole cluster"], &[])]);
        let alone = told(&[WHOLE, WHOLE, Some(&[])]);
        assert_eq!(alone, [of("k3", &[], &["the whole cluster"])]);
    }

    #[test]
    fn where_no_more_than_half_agree_every_file_that_lacks_something_is_named() {
        let two = told(&[Some(&["y"]), Some(&["x"])]);
        assert_eq!(two, [of("k1", &["y:1"], &[]), of("k2", &["x:1"], &[])]);
        let four = told(&[Some(&["y"]), Some(&["y"]), Some(&["x"]), Some(&["x"])]);
        assert_eq!(four.len(), 4);
        let three = told(&[Some(&["y"]), Some(&["x"]), Some(&[])]);
        assert_eq!(three, [of("k1", &["y:1"], &[]), of("k2", &["x:1"], &[])]);
    }

    #[test]
    fn files_that_agree_are_not_told_of_and_neither_are_nodes_that_nobody_has() {
        assert_eq!(told(&[Some(&[]), Some(&[]), Some(&[])]), []);
        assert_eq!(told(&[Some(&["x"]), Some(&["x"])]), []);
        assert_eq!(told(&[]), []);
    }
}
