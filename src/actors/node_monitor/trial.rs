//! Tries from time to time, on a new connection, whether this keeper could command the node (RK-6). So an obstacle to
//! a failover is known before the failover is needed.

use std::rc::Rc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;

use super::NodeMonitor;
use super::probe_schedule::ProbeSchedule;
use crate::domain::node::Moment;
use crate::ports::redis::CommandObstacle;

/// From one trial to the next, unless the last one found that commands would be carried out.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How many trials in a row without an answer count as an obstacle: a single one may be chance.
const UNANSWERED: u32 = 2;

/// When the next trial is due, and the outcome of the last ones.
#[derive(Debug)]
pub(super) struct Trials {
    /// The slots of the trials, spread evenly over all nodes of a process.
    slots: ProbeSchedule,
    due: Moment,
    under_way: bool,
    unanswered: u32,
}

// === impl Trials ===

impl Trials {
    pub(super) fn new(slots: ProbeSchedule, now: Moment) -> Self {
        Self {
            slots,
            due: now,
            under_way: false,
            unanswered: 0,
        }
    }

    /// Makes the next trial due `now`, since another process answers.
    fn hurry(&mut self, now: Moment) {
        self.due = now;
        self.unanswered = 0;
    }

    /// Takes in a trial that ended `now`. Returns its result; `None` if it says nothing yet.
    fn ended(
        &mut self,
        outcome: Result<(), CommandObstacle>,
        now: Moment,
    ) -> Option<Result<(), String>> {
        self.under_way = false;
        self.due = now.after(AGAIN_AFTER);
        let unanswered = std::mem::take(&mut self.unanswered) + 1;
        match outcome {
            Ok(()) => {
                self.due = self.slots.next(now).max(self.due);
                Some(Ok(()))
            }
            Err(CommandObstacle::Refused(why)) => Some(Err(why)),
            Err(CommandObstacle::Unanswered(why)) => {
                self.unanswered = unanswered;
                (unanswered >= UNANSWERED).then_some(Err(why))
            }
            Err(CommandObstacle::NotYet) => None,
        }
    }
}

impl NodeMonitor {
    /// Forgets the result of the last trial, since another process answers.
    pub(super) fn retry(&mut self) {
        self.observation.commandable = None;
        self.trials.hurry(self.links.clock.now());
    }

    /// Tries whether the node could be commanded, if a trial is due and the node serves.
    pub(super) fn try_commands(&mut self, ctx: &mut Context<Self>) {
        let now = self.links.clock.now();
        let serves = self.observation.named().is_some_and(|facts| !facts.loading);
        if self.trials.under_way || now < self.trials.due || !serves {
            return;
        }
        self.trials.under_way = true;
        let (node, fresh) = (Rc::clone(&self.node), Rc::clone(&self.links.fresh));
        let trial = async move {
            let _turn = fresh.trial().await;
            node.try_commands().await
        };
        let process = self
            .observation
            .facts
            .as_ref()
            .map(|facts| facts.run_id.clone());
        let tried = wrap_future::<_, Self>(trial).map(move |outcome, monitor, ctx| {
            let told = monitor.trials.ended(outcome, monitor.links.clock.now());
            let facts = monitor.observation.facts.as_ref();
            if facts.map(|facts| &facts.run_id) != process.as_ref() {
                // Either process may have answered the trial.
                return monitor.retry();
            }
            if told.is_some() && told != monitor.observation.commandable {
                monitor.observation.commandable = told;
                monitor.report(ctx);
            }
        });
        ctx.spawn(tried);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::node::{ClusterName, NodeAddr};

    const EVERY: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn trials() -> Trials {
        let slots = ProbeSchedule::new(EVERY, &ClusterName::new("c"), &NodeAddr::new("h", 1));
        Trials::new(slots, at(0))
    }

    #[test]
    fn a_refusal_counts_at_once_and_silence_the_second_time() {
        let mut trials = trials();
        let refused = || Err(CommandObstacle::Refused("NOPERM".to_owned()));
        let silent = || Err(CommandObstacle::Unanswered("timed out".to_owned()));
        assert_eq!(
            trials.ended(refused(), at(1)),
            Some(Err("NOPERM".to_owned()))
        );
        assert_eq!(trials.ended(silent(), at(2)), None);
        assert_eq!(trials.ended(Ok(()), at(3)), Some(Ok(())));
        assert_eq!(trials.ended(silent(), at(4)), None);
        assert_eq!(
            trials.ended(silent(), at(5)),
            Some(Err("timed out".to_owned()))
        );
        assert_eq!(trials.ended(Err(CommandObstacle::NotYet), at(6)), None);
        assert_eq!(trials.due, at(7), "soon again");
    }

    #[test]
    fn while_commands_would_be_carried_out_one_trial_each_period_is_enough() {
        let mut trials = trials();
        let mut now = at(0);
        for _ in 0..3 {
            trials.ended(Ok(()), now);
            let next = trials.due;
            assert!(next > now && next.since(now) <= EVERY);
            now = next;
        }
        trials.ended(Ok(()), now);
        assert_eq!(trials.due.since(now), EVERY);
    }
}
