//! How commands ended, as far as later decisions depend on it.

use std::collections::BTreeMap;

use super::State;
use crate::actors::messages::{Commanded, SettingsTried};
use crate::domain::node::{KeeperId, Moment, NodeAddr};
use crate::domain::observed::Failure;

impl State {
    /// Notes how a command to a node ended.
    pub(in crate::actors::cluster) fn commanded(&mut self, commanded: Commanded, now: Moment) {
        let Commanded {
            node,
            promotion,
            through,
            failure,
        } = commanded;
        if promotion && failure.is_none() {
            self.observed.promoted = Some((node.clone(), now));
        }
        note_failure(&mut self.observed.failures, node, through, failure, now);
    }

    /// Notes why a switchover was not carried out.
    pub(in crate::actors::cluster) fn switch_failed(&mut self, why: String, now: Moment) {
        self.observed.switch_failed = Some((now, why));
    }

    /// Notes how the change of a node's settings ended.
    pub(in crate::actors::cluster) fn settings_tried(&mut self, tried: SettingsTried, now: Moment) {
        let failures = &mut self.observed.setting_failures;
        note_failure(failures, tried.node, None, tried.failure, now);
    }
}

fn note_failure(
    failures: &mut BTreeMap<NodeAddr, Failure>,
    node: NodeAddr,
    through: Option<KeeperId>,
    failure: Option<String>,
    now: Moment,
) {
    let Some(why) = failure else {
        failures.remove(&node);
        return;
    };
    let before = failures.remove(&node);
    let times = before.as_ref().map_or(0, |failure| failure.times) + 1;
    let before = before.map(|failure| failure.through).unwrap_or_default();
    let failure = Failure {
        at: now,
        times,
        why,
        through: before.into_iter().chain(through).collect(),
    };
    failures.insert(node, failure);
}
