//! Clusters that ZooKeeper has and this keeper's file lacks. This keeper follows them as any other, for two purposes:
//! - its report says that it is no voter there (RK-1);
//! - this keeper knows whether others are voters there.

use std::collections::BTreeSet;

use super::ZkSession;
use crate::domain::node::ClusterName;
use crate::domain::report::KeeperReport;

impl ZkSession {
    /// Takes in the names of all clusters.
    pub(super) fn clusters_listed(&mut self, names: Vec<String>) {
        let names: BTreeSet<ClusterName> = names.into_iter().map(ClusterName::new).collect();
        let news = self
            .clusters
            .listed(names, &self.dependencies.settings.clusters);
        for name in news.gone {
            self.unsubscribe(&name);
        }
        let (file, unlisted) = (
            &self.dependencies.settings.clusters,
            self.clusters.unlisted(),
        );
        let there = |name: &ClusterName| file.contains(name) || unlisted.contains(name);
        self.dependencies.claims.borrow_mut().retain(there);
        (self.dependencies.unlisted)(unlisted);
        for name in news.come {
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
}
