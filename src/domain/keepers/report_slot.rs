//! Makes this keeper's report node of a cluster contain what the cluster actor last wanted.

use super::in_flight::InFlight;
use crate::domain::report::KeeperReport;

/// The wanted report, and what is known of the node.
#[derive(Debug, Default)]
pub struct ReportSlot {
    wanted: KeeperReport,
    held: Held,
    sent: InFlight<ReportWrite>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Held {
    /// The node does not exist.
    #[default]
    Nothing,
    /// The node exists, with this report.
    This(Box<KeeperReport>),
    /// The node exists, with an unknown report.
    Something,
    /// The node may exist or not, since a connection was lost.
    Unknown,
}

/// One write towards the wanted report. Only one is under way at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportWrite {
    /// Create the node.
    Create(KeeperReport),
    /// Write over what the node has.
    Set(KeeperReport),
    /// Delete the node.
    Delete,
}

/// Why a write of a report was not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFailure {
    /// The node, or its parent, does not exist.
    NoNode,
    /// The node exists already.
    NodeExists,
    /// The write was refused for another reason, or its outcome is unknown.
    Other,
}

/// The end of a step.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The node is as the step wanted it, or another step will find out more.
    Moved,
    /// The parent node is missing.
    NoParent,
    /// The step was refused, or its outcome is unknown: wait before the next step.
    Failed,
}

impl ReportSlot {
    /// Sets the wanted report; an empty one needs no node.
    pub fn want(&mut self, report: KeeperReport) {
        self.wanted = report;
    }

    /// Begins with a new session. No node of an earlier session is left, since its end was waited for.
    pub fn new_session(&mut self) {
        self.held = Held::Nothing;
        self.sent = InFlight::default();
    }

    /// Begins with a new connection of the same session. The last step may have been executed or not.
    pub fn new_connection(&mut self) {
        self.held = Held::Unknown;
        self.sent = InFlight::default();
    }

    /// Takes in a listing, in which this keeper's node is `present` or not.
    pub fn listed(&mut self, present: bool) {
        if !self.sent.is_under_way() {
            match (&self.held, present) {
                (_, false) => self.held = Held::Nothing,
                (Held::Nothing | Held::Unknown, true) => self.held = Held::Something,
                (Held::This(_) | Held::Something, true) => {}
            }
        }
    }

    /// The next step to take now, if one is due.
    pub fn step(&mut self) -> Option<ReportWrite> {
        if self.sent.is_under_way() {
            return None;
        }
        let wanted = (!self.wanted.is_empty()).then(|| self.wanted.clone());
        let step = match (&self.held, wanted) {
            (Held::Nothing | Held::Unknown, None) => return None,
            (Held::This(held), Some(wanted)) if **held == wanted => return None,
            (Held::Nothing, Some(wanted)) => ReportWrite::Create(wanted),
            (_, Some(wanted)) => ReportWrite::Set(wanted),
            (_, None) => ReportWrite::Delete,
        };
        self.sent.begin(step.clone());
        Some(step)
    }

    /// Takes in the outcome of the step.
    pub fn ended(&mut self, outcome: Result<(), ReportFailure>) -> Ended {
        use ReportFailure::{NoNode, NodeExists};
        let Some(step) = self.sent.end() else {
            return Ended::Moved;
        };
        let (held, ended) = match (step.request, outcome) {
            (ReportWrite::Create(report) | ReportWrite::Set(report), Ok(())) => {
                (Held::This(Box::new(report)), Ended::Moved)
            }
            (ReportWrite::Delete, Ok(()))
            | (ReportWrite::Set(_) | ReportWrite::Delete, Err(NoNode)) => {
                (Held::Nothing, Ended::Moved)
            }
            (ReportWrite::Create(_), Err(NoNode)) => (Held::Nothing, Ended::NoParent),
            (ReportWrite::Create(_), Err(NodeExists)) => (Held::Something, Ended::Moved),
            (_, Err(_)) => (Held::Unknown, Ended::Failed),
        };
        self.held = held;
        ended
    }

    /// Whether the node may exist.
    pub fn may_exist(&self) -> bool {
        self.held != Held::Nothing || self.sent.is_under_way()
    }

    /// The report that is known to be in the node.
    pub fn confirmed(&self) -> Option<&KeeperReport> {
        match &self.held {
            Held::This(report) => Some(report),
            Held::Nothing | Held::Something | Held::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::liveness::DownReason;
    use crate::domain::node::NodeAddr;

    fn report(host: &str) -> KeeperReport {
        KeeperReport {
            votes: [(NodeAddr::new(host, 1), DownReason::Refused)].into(),
            ..KeeperReport::default()
        }
    }

    #[test]
    fn nothing_to_say_is_nothing_to_write() {
        let mut slot = ReportSlot::default();
        slot.want(KeeperReport::default());
        assert_eq!(slot.step(), None);
        slot.new_connection();
        assert_eq!(slot.step(), None);
        slot.listed(false);
        assert_eq!(slot.step(), None);
    }

    #[test]
    fn a_report_is_created_changed_and_taken_back() {
        let mut slot = ReportSlot::default();
        slot.want(report("a"));
        assert_eq!(slot.step(), Some(ReportWrite::Create(report("a"))));
        slot.want(report("b"));
        assert_eq!(slot.step(), None, "one write at a time");
        assert_eq!(slot.ended(Ok(())), Ended::Moved);
        assert_eq!(slot.confirmed(), Some(&report("a")));
        assert_eq!(slot.step(), Some(ReportWrite::Set(report("b"))));
        slot.ended(Ok(()));
        slot.want(KeeperReport::default());
        assert_eq!(slot.step(), Some(ReportWrite::Delete));
        slot.ended(Ok(()));
        assert_eq!(slot.step(), None);
    }

    #[test]
    fn after_a_lost_answer_the_node_ends_up_as_wanted_whatever_became_of_the_write() {
        for executed in [true, false] {
            let mut slot = ReportSlot::default();
            slot.want(report("a"));
            slot.step();
            slot.new_connection();
            assert_eq!(slot.step(), Some(ReportWrite::Set(report("a"))));
            if !executed {
                slot.ended(Err(ReportFailure::NoNode));
                assert_eq!(slot.step(), Some(ReportWrite::Create(report("a"))));
            }
            slot.ended(Ok(()));
            assert_eq!(slot.confirmed(), Some(&report("a")));
        }
    }

    #[test]
    fn a_vote_no_longer_held_is_taken_back_when_found_after_a_reconnection() {
        let mut slot = ReportSlot::default();
        slot.new_connection();
        slot.listed(true);
        assert_eq!(slot.step(), Some(ReportWrite::Delete));
    }

    #[test]
    fn a_node_that_somebody_removed_is_made_again() {
        let mut slot = ReportSlot::default();
        slot.want(report("a"));
        slot.step();
        slot.ended(Ok(()));
        slot.listed(false);
        assert_eq!(slot.step(), Some(ReportWrite::Create(report("a"))));
    }
}
