//! In which clusters and nodes the files of the keepers differ, in words.

use std::collections::{BTreeMap, BTreeSet};

use super::Clusters;
use crate::domain::node::{KeeperId, NodeAddr};
use crate::domain::verdict::voters;

/// How many differences are shown for each keeper.
const SHOWN: usize = 20;

impl Clusters {
    /// The clusters and nodes that the file of each keeper online lacks. A cluster that no keeper has is given up and
    /// not shown.
    pub fn differences(&self, online: &BTreeSet<KeeperId>) -> BTreeMap<String, Vec<String>> {
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut tell = |keeper: &KeeperId, lacks: String| {
            let lines = told.entry(keeper.to_string()).or_default();
            if lines.len() < SHOWN {
                lines.push(lacks);
            }
        };
        for (name, copy) in self.iter() {
            let absent = |keeper: &KeeperId| copy.reports.get(keeper).is_some_and(|it| it.absent);
            let given_up = online.iter().all(absent);
            for keeper in online.iter().filter(|_| !given_up) {
                let Some(report) = copy.reports.get(keeper) else {
                    continue;
                };
                if report.absent {
                    tell(keeper, format!("cluster {name}"));
                }
                let probed =
                    |node: &&NodeAddr| voters(node, online, &copy.reports).next().is_some();
                for node in report.unprobed.iter().filter(probed) {
                    tell(keeper, format!("{node} of cluster {name}"));
                }
            }
        }
        told
    }

    /// For each keeper online: nodes of its clusters that are published in another cluster, too.
    pub fn overlaps(&self, online: &BTreeSet<KeeperId>) -> BTreeMap<String, Vec<String>> {
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, copy) in self.iter() {
            let reports = copy.reports.iter();
            for (keeper, report) in reports.filter(|(keeper, _)| online.contains(*keeper)) {
                for (other, nodes) in &report.overlaps {
                    let lines = told.entry(keeper.to_string()).or_default();
                    let nodes = nodes.iter().map(|node| {
                        format!("{node} of cluster {name} is published in cluster {other}")
                    });
                    lines.extend(nodes.take(SHOWN.saturating_sub(lines.len())));
                }
            }
        }
        told
    }
}
