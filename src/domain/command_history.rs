//! A leader's record of its commands, as far as later decisions depend on them.
//!
//! The record travels one way. The run that sent a command reports each outcome once; the plan reads the record.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::node::{KeeperId, Moment, NodeAddr};

/// The outcome of one command, or of one switchover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandOutcome {
    /// A node was commanded to change its role.
    Role {
        /// The node.
        node: NodeAddr,
        /// The command.
        command: RoleCommand,
        /// The keeper that sent the command, if not the leader itself.
        through: Option<KeeperId>,
        /// How the command failed; `None` if it was carried out.
        fault: Option<Fault>,
    },
    /// A node was commanded to change its settings (RK-9).
    Settings {
        /// The node.
        node: NodeAddr,
        /// Why the command failed; `None` if it was carried out.
        failure: Option<String>,
    },
    /// This successor was promoted while the writes of the old primary were held up, and lacks none of them.
    Switched(NodeAddr),
    /// A switchover was given up in its course, for this reason.
    NotSwitched(String),
}

/// A command that changes the role of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleCommand {
    /// The node is made a primary.
    Promotion,
    /// The node is made to follow a primary.
    Repointing,
}

/// The failure of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Why it failed.
    pub why: String,
    /// Whether it failed because the server ended the connection.
    pub cut: bool,
}

/// The outcomes of the commands under the present leadership.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandHistory {
    /// Nodes whose last role command failed.
    pub(super) roles: BTreeMap<NodeAddr, CommandFailure>,
    /// Nodes whose last change of settings failed. Separate from the role commands, since such a failure says nothing
    /// about fitness as a primary.
    pub(super) settings: BTreeMap<NodeAddr, CommandFailure>,
    /// When and why a switchover was last given up in its course. Separate, too: the successor may not be at fault,
    /// and a failover needs less of it.
    pub(super) switch_failed: Option<(Moment, String)>,
    /// The node that confirmed the last promotion, and when.
    pub(super) promoted: Option<(NodeAddr, Moment)>,
}

/// A node at which the last command of one kind failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandFailure {
    /// When it failed last.
    pub at: Moment,
    /// How often in a row.
    pub times: u32,
    /// Why it failed last.
    pub why: String,
    /// How often in a row it failed because the server ended the connection.
    pub cuts: u32,
    /// Keepers through which it failed, if the leader did not reach the node itself.
    pub through: BTreeSet<KeeperId>,
}

impl CommandHistory {
    /// Records an outcome that became known `now`.
    pub fn record(&mut self, outcome: CommandOutcome, now: Moment) {
        match outcome {
            CommandOutcome::Role {
                node,
                command,
                through,
                fault,
            } => {
                if command == RoleCommand::Promotion && fault.is_none() {
                    self.promoted = Some((node.clone(), now));
                }
                note(&mut self.roles, node, fault, through, now);
            }
            CommandOutcome::Settings { node, failure } => {
                let fault = failure.map(|why| Fault { why, cut: false });
                note(&mut self.settings, node, fault, None, now);
            }
            CommandOutcome::Switched(to) => {
                self.roles.remove(&to);
                self.promoted = Some((to, now));
            }
            CommandOutcome::NotSwitched(why) => self.switch_failed = Some((now, why)),
        }
    }

    /// Forgets the commands of a leadership that has ended. A failed switchover stays known, for the rest until the
    /// leader tries another one by itself.
    pub fn forget_leadership(&mut self) {
        *self = Self {
            switch_failed: self.switch_failed.take(),
            ..Self::default()
        };
    }

    /// The keepers through which the last role commands to the node failed.
    pub fn tried_through(&self, node: &NodeAddr) -> Option<&BTreeSet<KeeperId>> {
        self.roles.get(node).map(|failure| &failure.through)
    }
}

/// Notes the outcome of a command to `node`. A success ends a row of failures.
fn note(
    failures: &mut BTreeMap<NodeAddr, CommandFailure>,
    node: NodeAddr,
    fault: Option<Fault>,
    through: Option<KeeperId>,
    now: Moment,
) {
    let before = failures.remove(&node);
    let Some(Fault { why, cut }) = fault else {
        return;
    };
    let (times, cuts, tried) = before.map_or_else(Default::default, |before| {
        (before.times, before.cuts, before.through)
    });
    let failure = CommandFailure {
        at: now,
        times: times + 1,
        why,
        cuts: if cut { cuts + 1 } else { 0 },
        through: tried.into_iter().chain(through).collect(),
    };
    failures.insert(node, failure);
}

impl CommandFailure {
    /// When the node may be commanded again: 1 s after the first failure, doubled up to 30 s. Without a primary
    /// (`urgent`) at most 2 s. At once if the server only ended the connection, up to 50 times in a row.
    pub fn retry_at(&self, urgent: bool) -> Moment {
        if (1..=50).contains(&self.cuts) {
            return self.at;
        }
        let seconds = 1_u64 << self.times.saturating_sub(1).min(5);
        let most = if urgent { 2 } else { 30 };
        self.at.after(Duration::from_secs(seconds.min(most)))
    }
}

impl fmt::Display for RoleCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Promotion => "promotion",
            Self::Repointing => "repointing",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn a() -> NodeAddr {
        NodeAddr::new("a", 1)
    }

    fn promotion(through: Option<&str>, fault: Option<Fault>) -> CommandOutcome {
        CommandOutcome::Role {
            node: a(),
            command: RoleCommand::Promotion,
            through: through.map(KeeperId::new),
            fault,
        }
    }

    fn fault(cut: bool) -> Fault {
        let why = "failed".to_owned();
        Fault { why, cut }
    }

    #[test]
    fn a_failed_node_is_left_alone_for_a_second_then_twice_as_long_up_to_half_a_minute() {
        let waits = [1, 2, 3, 4, 5, 6, 7, 1_000].map(|times| {
            let failure = CommandFailure {
                at: at(5),
                times,
                why: String::new(),
                cuts: 0,
                through: BTreeSet::new(),
            };
            failure.retry_at(false).since(at(5)).as_secs()
        });
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_node_whose_connections_are_ended_is_commanded_again_at_once_but_not_for_ever() {
        let mut history = CommandHistory::default();
        let mut waits = |cut| {
            history.record(promotion(None, Some(fault(cut))), at(9));
            history.roles[&a()].retry_at(true).since(at(9))
        };
        for _ in 0..50 {
            assert_eq!(waits(true), Duration::ZERO);
        }
        assert_eq!(waits(true), Duration::from_secs(2));
        assert_eq!(waits(false), Duration::from_secs(2), "it failed otherwise");
        assert_eq!(waits(true), Duration::ZERO, "counted anew");
    }

    #[test]
    fn every_keeper_that_tried_in_vain_is_remembered_until_a_command_is_carried_out() {
        let mut history = CommandHistory::default();
        for through in [Some("k2"), None, Some("k3")] {
            history.record(promotion(through, Some(fault(false))), at(1));
        }
        let tried = [KeeperId::new("k2"), KeeperId::new("k3")].into();
        assert_eq!(history.tried_through(&a()), Some(&tried));
        assert_eq!(history.promoted, None);
        history.record(promotion(None, None), at(2));
        assert_eq!(history.tried_through(&a()), None);
        assert_eq!(history.promoted, Some((a(), at(2))));
    }

    #[test]
    fn settings_and_switchovers_that_fail_do_not_count_against_a_node_as_a_primary() {
        let mut history = CommandHistory::default();
        let failure = Some("refused".to_owned());
        history.record(CommandOutcome::Settings { node: a(), failure }, at(1));
        history.record(CommandOutcome::NotSwitched("late".to_owned()), at(1));
        assert_eq!(history.roles, BTreeMap::new());
        assert_eq!(history.settings[&a()].times, 1);
        let failure = None;
        history.record(CommandOutcome::Settings { node: a(), failure }, at(2));
        assert_eq!(history.settings, BTreeMap::new());
    }

    #[test]
    fn a_switchover_is_a_promotion_and_only_a_failed_one_outlives_the_leadership() {
        let mut history = CommandHistory::default();
        history.record(promotion(None, Some(fault(false))), at(1));
        history.record(CommandOutcome::Switched(a()), at(2));
        assert_eq!(history.roles, BTreeMap::new());
        assert_eq!(history.promoted, Some((a(), at(2))));
        let failed = (at(3), "late".to_owned());
        history.record(CommandOutcome::NotSwitched("late".to_owned()), at(3));
        history.forget_leadership();
        let left = CommandHistory {
            switch_failed: Some(failed),
            ..CommandHistory::default()
        };
        assert_eq!(history, left);
    }
}
