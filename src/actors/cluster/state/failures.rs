//! The outcomes of commands, as far as later decisions depend on them.

use std::collections::BTreeMap;

use super::State;
use crate::actors::messages::{CommandEnded, SettingsTried};
use crate::domain::node::{KeeperId, Moment, NodeAddr};
use crate::domain::observed::CommandFailure;

impl State {
    /// Notes the outcome of a command to a node.
    pub(in crate::actors::cluster) fn commanded(&mut self, commanded: CommandEnded, now: Moment) {
        let CommandEnded {
            node,
            promotion,
            through,
            failure,
            cut,
        } = commanded;
        if promotion && failure.is_none() {
            self.observed.promoted = Some((node.clone(), now));
        }
        let failures = &mut self.observed.failures;
        note_failure(failures, node, through, (failure, cut), now);
    }

    /// Notes why a switchover was not carried out.
    pub(in crate::actors::cluster) fn switch_failed(&mut self, why: String, now: Moment) {
        self.observed.switch_failed = Some((now, why));
    }

    /// Notes the outcome of a change of a node's settings.
    pub(in crate::actors::cluster) fn settings_tried(&mut self, tried: SettingsTried, now: Moment) {
        let failures = &mut self.observed.setting_failures;
        note_failure(failures, tried.node, None, (tried.failure, false), now);
    }
}

fn note_failure(
    failures: &mut BTreeMap<NodeAddr, CommandFailure>,
    node: NodeAddr,
    through: Option<KeeperId>,
    (failure, cut): (Option<String>, bool),
    now: Moment,
) {
    let Some(why) = failure else {
        failures.remove(&node);
        return;
    };
    let before = failures.remove(&node);
    let times = before.as_ref().map_or(0, |failure| failure.times) + 1;
    let cuts = before.as_ref().map_or(0, |failure| failure.cuts) + 1;
    let before = before.map(|failure| failure.through).unwrap_or_default();
    let failure = CommandFailure {
        at: now,
        times,
        why,
        cuts: if cut { cuts } else { 0 },
        through: before.into_iter().chain(through).collect(),
    };
    failures.insert(node, failure);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_node_whose_connections_are_ended_is_commanded_again_at_once_but_not_for_ever() {
        let node = NodeAddr::new("a", 1);
        let mut failures = BTreeMap::new();
        let mut waits = |cut| {
            let now = Moment(Duration::from_secs(9));
            let why = Some("failed".to_owned());
            note_failure(&mut failures, node.clone(), None, (why, cut), now);
            failures[&node].retry_at(true).since(now)
        };
        for _ in 0..50 {
            assert_eq!(waits(true), Duration::ZERO);
        }
        assert_eq!(waits(true), Duration::from_secs(2));
        assert_eq!(waits(false), Duration::from_secs(2), "it failed otherwise");
        assert_eq!(waits(true), Duration::ZERO, "counted anew");
    }
}
