//! Clusters that ZooKeeper has and this keeper's file lacks. This keeper follows them as any other, for two purposes:
//! - its report says that it is no voter there (RK-1);
//! - this keeper knows whether others are voters there.

use std::collections::{BTreeMap, BTreeSet};

use super::ZkSession;
use crate::domain::node::{ClusterName, KeeperId, NodeAddr};
use crate::domain::verdict::{KeeperReport, voters};

/// How many such clusters are followed at most. A file that lacks more is that of another group.
const MOST: usize = 1_000;

/// How many differences are shown for each keeper.
const SHOWN: usize = 20;

impl ZkSession {
    /// Takes in the names of all clusters.
    pub(super) fn clusters_listed(&mut self, names: Vec<String>) {
        let names: BTreeSet<ClusterName> = names.into_iter().map(ClusterName::new).collect();
        let file = &self.dependencies.settings.clusters;
        let unlisted = names.into_iter().filter(|name| !file.contains(name));
        let unlisted: BTreeSet<ClusterName> = unlisted.take(MOST).collect();
        let gone: Vec<ClusterName> = self.unlisted.difference(&unlisted).cloned().collect();
        for name in gone {
            self.unsubscribe(&name);
        }
        let file = &self.dependencies.settings.clusters;
        let there = |name: &ClusterName| file.contains(name) || unlisted.contains(name);
        self.dependencies.claims.borrow_mut().retain(there);
        let come: Vec<ClusterName> = unlisted.difference(&self.unlisted).cloned().collect();
        (self.dependencies.unlisted)(&unlisted);
        self.unlisted = unlisted;
        for name in come {
            tracing::warn!(
                cluster = %name,
                "ZooKeeper has a cluster that this keeper's file lacks: add the cluster to the file, or delete its node in ZooKeeper if no keeper has the cluster any more"
            );
            self.subscribe(&name);
            if let Some(cluster) = self.clusters.get_mut(&name) {
                cluster.own.want(KeeperReport {
                    absent: true,
                    ..KeeperReport::default()
                });
                self.converge(&name);
            }
        }
    }

    /// The clusters and nodes that the file of each keeper online lacks, in words. A cluster that no keeper has is
    /// given up and not shown.
    pub(super) fn differences(&self) -> BTreeMap<String, Vec<String>> {
        let online = self.keepers.online();
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut tell = |keeper: &KeeperId, lacks: String| {
            let lines = told.entry(keeper.to_string()).or_default();
            if lines.len() < SHOWN {
                lines.push(lacks);
            }
        };
        for (name, cluster) in &self.clusters {
            let absent =
                |keeper: &KeeperId| cluster.reports.get(keeper).is_some_and(|it| it.absent);
            let given_up = online.iter().all(absent);
            for keeper in online.iter().filter(|_| !given_up) {
                let Some(report) = cluster.reports.get(keeper) else {
                    continue;
                };
                if report.absent {
                    tell(keeper, format!("cluster {name}"));
                }
                let probed =
                    |node: &&NodeAddr| voters(node, &online, &cluster.reports).next().is_some();
                for node in report.unprobed.iter().filter(probed) {
                    tell(keeper, format!("{node} of cluster {name}"));
                }
            }
        }
        told
    }
}
