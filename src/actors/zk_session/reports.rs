//! Writes this keeper's reports: ephemeral nodes that follow what the cluster actors want. Each report is written at
//! once, one write at a time.

use futures::{FutureExt, TryFutureExt};

use super::ZkSession;
use super::event::{Event, PAUSE};
use crate::domain::keepers::report_slot::{Ended, ReportFailure, ReportWrite};
use crate::domain::node::ClusterName;
use crate::layout::paths;
use crate::layout::state::Document;
use crate::ports::coordination::{CoordinationError, CreateKind};

impl ZkSession {
    /// Takes the next step towards the wanted report.
    pub(super) fn converge(&mut self, name: &ClusterName) {
        let Some(session) = self.online() else { return };
        let Some(cluster) = self.clusters.get_mut(name) else {
            return;
        };
        let serial = cluster.serial;
        let Some(step) = cluster.own.step() else {
            return;
        };
        let path = paths::report(name, &self.identity.me.id);
        let written = match step {
            ReportWrite::Create(report) => session
                .create(&path, &report.encode(), CreateKind::Ephemeral)
                .map_ok(drop)
                .boxed_local(),
            ReportWrite::Set(report) => session
                .set(&path, &report.encode(), None)
                .map_ok(drop)
                .boxed_local(),
            ReportWrite::Delete => session.delete(&path, None),
        };
        let name = name.clone();
        self.spawn(written.map(move |outcome| Event::Reported(name, serial, outcome)));
    }

    pub(super) fn converge_if(&mut self, name: &ClusterName, serial: u64) {
        if self.clusters.subscribed(name, serial) {
            self.converge(name);
        }
    }

    pub(super) fn reported(
        &mut self,
        name: &ClusterName,
        serial: u64,
        outcome: Result<(), CoordinationError>,
    ) {
        if !self.clusters.subscribed(name, serial) {
            return;
        }
        let Some(cluster) = self.clusters.get_mut(name) else {
            return;
        };
        let trouble = outcome.as_ref().err().map(ToString::to_string);
        match cluster.own.ended(outcome.map_err(|error| failure(&error))) {
            Ended::Moved => {
                let me = self.identity.me.id.clone();
                match cluster.own.confirmed().cloned() {
                    Some(report) => cluster.reports.insert(me, report),
                    None => cluster.reports.remove(&me),
                };
                self.share(name);
                self.converge(name);
            }
            Ended::NoParent => self.make_subtree(name.clone(), serial),
            Ended::Failed => {
                tracing::warn!(cluster = %name, trouble, "the report cannot be written yet");
                let name = name.clone();
                self.spawn(tokio::time::sleep(PAUSE).map(move |()| Event::Converge(name, serial)));
            }
        }
    }
}

fn failure(error: &CoordinationError) -> ReportFailure {
    match error {
        CoordinationError::NoNode(_) => ReportFailure::NoNode,
        CoordinationError::NodeExists(_) => ReportFailure::NodeExists,
        _ => ReportFailure::Other,
    }
}
