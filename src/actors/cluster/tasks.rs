//! Tasks of one cluster: those that this keeper gives while it leads, and those that it is given.
//!
//! Tasks travel in the reports:
//! - The leader lists a task until it reads the outcome, or waits no longer.
//! - The keeper that carries the task out reports the outcome while the task is listed.

use std::collections::{BTreeMap, BTreeSet};

use actix::prelude::*;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::ClusterActor;
use crate::actors::messages::{Delegate, PerformTask, TaskPerformed};
use crate::domain::node::{Epoch, KeeperId, Moment};
use crate::domain::report::KeeperReport;
use crate::domain::task::{Task, TaskId, TaskOutcome};
use crate::domain::timing::facts::{FRESH_FACTS, OUTCOME_TIMEOUT};

/// The tasks given and the tasks taken.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    given: BTreeMap<TaskId, GivenTask>,
    /// The number of the last task given.
    last: u64,
    /// The tasks listed for this keeper, with the outcome of those that have ended.
    taken: BTreeMap<TaskId, Option<TaskOutcome>>,
}

/// A task that this keeper gave to another one.
#[derive(Debug)]
struct GivenTask {
    task: Task,
    /// Tells the outcome to the run that waits.
    tell: oneshot::Sender<TaskOutcome>,
}

impl Tasks {
    /// Lists a task. Returns its id, and the channel that will tell its outcome.
    ///
    /// The number in the id comes from the clock, so that no id is used again after a restart of this actor.
    fn give(
        &mut self,
        epoch: Epoch,
        task: Task,
        now: Moment,
    ) -> (TaskId, oneshot::Receiver<TaskOutcome>) {
        let drawn = u64::try_from(now.0.as_nanos()).unwrap_or(u64::MAX);
        self.last = drawn.max(self.last.saturating_add(1));
        let id = TaskId {
            epoch,
            number: self.last,
        };
        let (tell, told) = oneshot::channel();
        self.given.insert(id, GivenTask { task, tell });
        (id, told)
    }

    /// Takes a task off the list: the leader does not wait for its outcome any longer.
    fn take_back(&mut self, id: TaskId) {
        self.given.remove(&id);
    }

    /// Takes all tasks off the list, because the leadership has changed.
    pub(super) fn take_all_back(&mut self) {
        self.given.clear();
    }

    /// Takes in the outcomes that keepers report. A task of a keeper that is offline has an unknown outcome.
    pub(super) fn take_outcomes(
        &mut self,
        reports: &BTreeMap<KeeperId, KeeperReport>,
        online: &BTreeSet<KeeperId>,
    ) {
        let outcome = |id: &TaskId, task: &Task| {
            let told = reports
                .get(&task.keeper)
                .and_then(|report| report.outcomes.get(id).cloned());
            let gone = || TaskOutcome::Unknown("it went offline".to_owned());
            told.or_else(|| (!online.contains(&task.keeper)).then(gone))
        };
        let ended: Vec<(TaskId, TaskOutcome)> = self
            .given
            .iter()
            .filter_map(|(id, given)| Some((*id, outcome(id, &given.task)?)))
            .collect();
        for (id, outcome) in ended {
            if let Some(given) = self.given.remove(&id) {
                // The run that waited may have been stopped.
                let _ = given.tell.send(outcome);
            }
        }
    }

    /// Returns the tasks listed for `me` that were not taken yet.
    ///
    /// A task of an epoch before `newest`, the epoch published last, is stale: it is refused at once.
    pub(super) fn due(
        &mut self,
        reports: &BTreeMap<KeeperId, KeeperReport>,
        me: &KeeperId,
        newest: Epoch,
    ) -> Vec<(TaskId, Task)> {
        let others = reports.iter().filter(|(keeper, _)| *keeper != me);
        let listed: BTreeMap<&TaskId, &Task> = others
            .flat_map(|(_, report)| &report.tasks)
            .filter(|(_, task)| task.keeper == *me)
            .collect();
        self.taken.retain(|id, _| listed.contains_key(id));
        let mut due = Vec::new();
        for (id, task) in listed {
            if self.taken.contains_key(id) {
                continue;
            }
            let stale = Task::stale(*id, newest);
            if let Some(why) = &stale {
                tracing::warn!(%task, why, "task refused");
            } else {
                due.push((*id, task.clone()));
            }
            self.taken.insert(*id, stale.map(TaskOutcome::NotDone));
        }
        due
    }

    /// Notes the outcome of a task that was taken.
    fn performed(&mut self, id: TaskId, outcome: TaskOutcome) {
        if let Some(taken) = self.taken.get_mut(&id) {
            *taken = Some(outcome);
        }
    }

    /// The tasks that the report lists.
    pub(super) fn listed(&self) -> BTreeMap<TaskId, Task> {
        let given = self.given.iter();
        given.map(|(id, given)| (*id, given.task.clone())).collect()
    }

    /// The outcomes of the tasks that this keeper took.
    pub(super) fn outcomes(&self) -> BTreeMap<TaskId, TaskOutcome> {
        let ended = |(id, outcome): (&TaskId, &Option<TaskOutcome>)| Some((*id, outcome.clone()?));
        self.taken.iter().filter_map(ended).collect()
    }
}

impl ClusterActor {
    /// Gives the tasks of this keeper to the performer.
    pub(super) fn take_up_tasks(&mut self) {
        let _in_span = self.span.clone().entered();
        let cluster = self.state.settings.name.clone();
        for (id, mut task) in self.state.due_tasks() {
            // A leader of an earlier build names no process. Such a leader decided from this keeper's report, so the
            // process is the one that this keeper reads.
            if task.run_id.is_none() {
                task.run_id = self.state.run_id(&task.node);
            }
            (self.links.perform)(PerformTask {
                cluster: cluster.clone(),
                id,
                task,
            });
        }
    }
}

impl Handler<Delegate> for ClusterActor {
    type Result = ResponseActFuture<Self, TaskOutcome>;

    fn handle(&mut self, delegate: Delegate, ctx: &mut Self::Context) -> Self::Result {
        let Delegate { epoch, task } = delegate;
        if self.state.leading().is_none_or(|it| it.epoch != epoch) {
            let lost = TaskOutcome::NotDone(format!("epoch {epoch} leads no more"));
            return Box::pin(async { lost }.into_actor(self));
        }
        let now = self.links.clock.now();
        let (id, told) = self.state.tasks.give(epoch, task, now);
        self.reconsider(ctx);
        let outcome = async {
            match timeout(OUTCOME_TIMEOUT, told).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => TaskOutcome::Unknown("the leadership was lost meanwhile".to_owned()),
                Err(_) => {
                    TaskOutcome::Unknown(format!("it told nothing within {OUTCOME_TIMEOUT:?}"))
                }
            }
        };
        let ended = outcome.into_actor(self).map(move |outcome, actor, ctx| {
            actor.state.tasks.take_back(id);
            actor.reconsider(ctx);
            outcome
        });
        Box::pin(ended)
    }
}

impl Handler<TaskPerformed> for ClusterActor {
    type Result = ();

    /// Reads the node once more, and reports the facts together with the outcome. So the leader sees both at once.
    fn handle(&mut self, performed: TaskPerformed, ctx: &mut Self::Context) {
        let TaskPerformed { id, node, outcome } = performed;
        let read = self.refresh([node].into(), FRESH_FACTS).into_actor(self);
        let told = read.map(move |observations, actor, ctx| {
            actor.state.nodes_observed(observations);
            actor.state.tasks.performed(id, outcome);
            actor.changed(ctx);
        });
        ctx.spawn(told);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::node::NodeAddr;
    use crate::domain::task::TaskCommand;

    const EPOCH: Epoch = Epoch(7);

    fn me() -> KeeperId {
        KeeperId::new("me")
    }

    fn leader() -> KeeperId {
        KeeperId::new("leader")
    }

    fn task() -> Task {
        Task {
            keeper: me(),
            latch: "/leader/latch".to_owned(),
            version: 3,
            node: NodeAddr::new("a", 6379),
            run_id: Some("process of a".to_owned()),
            command: TaskCommand::Promote,
        }
    }

    fn listing(tasks: &Tasks) -> BTreeMap<KeeperId, KeeperReport> {
        let report = KeeperReport {
            tasks: tasks.listed(),
            ..KeeperReport::default()
        };
        [(leader(), report)].into()
    }

    fn fact_relay(tasks: &Tasks) -> BTreeMap<KeeperId, KeeperReport> {
        let report = KeeperReport {
            outcomes: tasks.outcomes(),
            ..KeeperReport::default()
        };
        [(me(), report)].into()
    }

    #[test]
    fn a_task_goes_to_its_keeper_once_and_its_outcome_back_until_it_is_listed_no_more() {
        let (mut leading, mut taking) = (Tasks::default(), Tasks::default());
        let (id, mut told) = leading.give(EPOCH, task(), Moment::default());
        let listed = listing(&leading);
        assert_eq!(taking.due(&listed, &me(), EPOCH), [(id, task())]);
        assert_eq!(taking.due(&listed, &me(), EPOCH), [], "it is under way");
        assert_eq!(taking.outcomes(), BTreeMap::new());

        taking.performed(id, TaskOutcome::Done(Vec::new()));
        let online = [me(), leader()].into();
        leading.take_outcomes(&fact_relay(&taking), &online);
        assert_eq!(told.try_recv(), Ok(TaskOutcome::Done(Vec::new())));
        assert_eq!(leading.listed(), BTreeMap::new());

        assert_eq!(taking.due(&listing(&leading), &me(), EPOCH), []);
        assert_eq!(taking.outcomes(), BTreeMap::new());
    }

    #[test]
    fn a_task_for_another_keeper_is_left_alone() {
        let mut leading = Tasks::default();
        leading.give(EPOCH, task(), Moment::default());
        let other = KeeperId::new("other");
        let due = Tasks::default().due(&listing(&leading), &other, EPOCH);
        assert_eq!(due, []);
    }

    #[test]
    fn a_task_of_a_leader_that_others_have_followed_is_refused() {
        let (mut leading, mut taking) = (Tasks::default(), Tasks::default());
        let (_, mut told) = leading.give(EPOCH, task(), Moment::default());
        let due = taking.due(&listing(&leading), &me(), Epoch(8));
        assert_eq!(due, []);
        leading.take_outcomes(&fact_relay(&taking), &[me()].into());
        assert!(matches!(told.try_recv(), Ok(TaskOutcome::NotDone(why)) if why.contains("stale")));
    }

    #[test]
    fn the_outcome_at_a_keeper_that_goes_offline_is_unknown() {
        let mut leading = Tasks::default();
        let (_, mut told) = leading.give(EPOCH, task(), Moment::default());
        leading.take_outcomes(&BTreeMap::new(), &[me()].into());
        assert!(told.try_recv().is_err(), "it may be under way");
        leading.take_outcomes(&BTreeMap::new(), &[leader()].into());
        assert!(matches!(told.try_recv(), Ok(TaskOutcome::Unknown(_))));
    }

    #[test]
    fn names_of_tasks_are_never_used_again_not_even_after_a_restart() {
        let mut tasks = Tasks::default();
        let now = Moment(Duration::from_secs(5));
        let (first, _) = tasks.give(EPOCH, task(), now);
        let (second, _) = tasks.give(EPOCH, task(), now);
        let later = now.after(Duration::from_micros(1));
        let (restarted, _) = Tasks::default().give(EPOCH, task(), later);
        assert!(first < second && second < restarted);
    }
}
