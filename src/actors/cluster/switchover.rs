//! The switchover that an operator waits for, from the request to its outcome.

use actix::prelude::*;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::ClusterActor;
use crate::actors::messages::{NotSwitched, Switched, Switchover};
use crate::domain::command_history::{CommandOutcome, RoleCommand};
use crate::domain::node::{Generation, NodeAddr};
use crate::domain::observed::Requested;
use crate::domain::plan::{Action, Hold, Plan};
use crate::domain::published::Published;
use crate::domain::timing::switchover::{ASKED_FACTS, SWITCHED_WITHIN};

/// One switchover under way.
#[derive(Debug)]
pub(super) struct Switching {
    from: NodeAddr,
    generation: Generation,
    /// The successor, once the run has switched over to it. The run, like the published state that is read here, names
    /// the nodes as this keeper's file does.
    switched_to: Option<NodeAddr>,
    /// Why the switchover was called off.
    why: Option<String>,
    told: oneshot::Sender<Result<Switched, NotSwitched>>,
}

impl Switching {
    /// Begins to wait for the switchover away from the primary that `published` names.
    pub(super) fn new(
        published: &Published,
        told: oneshot::Sender<Result<Switched, NotSwitched>>,
    ) -> Option<Self> {
        Some(Self {
            from: published.primary.clone()?,
            generation: published.generation,
            switched_to: None,
            why: None,
            told,
        })
    }

    /// Takes in a plan, which may say why there is no switchover.
    pub(super) fn decided(&mut self, plan: &Plan) {
        self.why = refusal(plan).or(self.why.take());
    }

    /// Takes in the outcome of a command. Once a node is promoted in another way than by the switchover, the change
    /// is a failover, even if the successor is the same node.
    pub(super) fn commanded(&mut self, outcome: &CommandOutcome) {
        match outcome {
            CommandOutcome::Switched(to) => self.switched_to = Some(to.clone()),
            CommandOutcome::Role {
                command: RoleCommand::Promotion,
                ..
            } => self.switched_to = None,
            _ => {}
        }
    }

    /// The outcome of the switchover, if it is known by now.
    fn outcome(
        &self,
        published: Option<&Published>,
        leads: bool,
    ) -> Option<Result<Switched, NotSwitched>> {
        let published = published?;
        let why = || {
            self.why
                .clone()
                .unwrap_or_else(|| "the log says why".to_owned())
        };
        match &published.primary {
            Some(to) if published.generation > self.generation => Some(if *to == self.from {
                let (primary, why) = (to.clone(), why());
                Err(NotSwitched::CalledOff { primary, why })
            } else if self.switched_to.as_ref() != Some(to) {
                let between =
                    format!("{to} has become the primary, by a failover that came in between");
                Err(NotSwitched::Unknown(between))
            } else {
                Ok(Switched {
                    from: self.from.clone(),
                    to: to.clone(),
                    generation: published.generation,
                })
            }),
            _ if !leads => Some(Err(NotSwitched::Unknown(
                "this keeper leads no more".to_owned(),
            ))),
            Some(_) if self.why.is_some() => Some(Err(NotSwitched::Refused(why()))),
            _ => None,
        }
    }

    /// Tells the waiting operator the outcome. Returns itself if the outcome is not known yet and an operator still
    /// waits.
    pub(super) fn settle(self, published: Option<&Published>, leads: bool) -> Option<Self> {
        if self.told.is_closed() {
            return None;
        }
        match self.outcome(published, leads) {
            Some(outcome) => {
                // The operator's request may have ended at this very moment.
                let _ = self.told.send(outcome);
                None
            }
            None => Some(self),
        }
    }
}

/// Whether the plan begins a switchover.
fn begins(plan: &Plan) -> bool {
    match &plan.action {
        Some(Action::Write { state, .. }) => {
            let intent = state.intent.as_ref();
            intent.is_some_and(|intent| intent.switchover.is_some())
        }
        _ => false,
    }
}

/// Why the plan does not begin the switchover, or calls it off.
fn refusal(plan: &Plan) -> Option<String> {
    plan.holds.iter().find_map(|hold| match hold {
        Hold::NoSwitchover(why) => Some(why.clone()),
        _ => None,
    })
}

impl ClusterActor {
    /// Begins the switchover, if nothing forbids it. Returns the channel that will tell the outcome.
    fn begin_switchover(
        &mut self,
        requested: Requested,
        ctx: &mut Context<Self>,
    ) -> Result<oneshot::Receiver<Result<Switched, NotSwitched>>, NotSwitched> {
        if self.state.leading().is_none() {
            return Err(NotSwitched::NotLeading);
        }
        if self.switching.is_some() {
            let busy = "another switchover of this cluster is under way";
            return Err(NotSwitched::Refused(busy.to_owned()));
        }
        let (tell, told) = oneshot::channel();
        let switching = self.state.published();
        let switching = switching.and_then(|published| Switching::new(published, tell));
        let Some(mut switching) = switching else {
            let plan = self.state.plan().at(self.links.clock.now());
            return Err(NotSwitched::Refused(format!(
                "there is no primary now: {plan}"
            )));
        };
        self.state.request(Some(requested));
        let now = self.links.clock.now();
        let _ = self.state.reconsider(now);
        let plan = self.state.plan();
        if !begins(plan) {
            let why = refusal(plan).unwrap_or_else(|| plan.at(now).to_string());
            self.state.request(None);
            self.changed(ctx);
            return Err(NotSwitched::Refused(why));
        }
        switching.decided(plan);
        self.switching = Some(switching);
        self.changed(ctx);
        Ok(told)
    }
}

impl Handler<Switchover> for ClusterActor {
    type Result = ResponseActFuture<Self, Result<Switched, NotSwitched>>;

    fn handle(&mut self, Switchover(requested): Switchover, _: &mut Self::Context) -> Self::Result {
        let refreshed = self.refresh(self.state.worth_asking(), ASKED_FACTS);
        let (reached, looked_at) = (self.state.reached(), self.links.clock.now());
        let looked = self.look(&reached);
        let refreshed = async {
            let observations = refreshed.await;
            looked.await;
            observations
        };
        let refreshed = refreshed.into_actor(self);
        let begun = refreshed.map(move |observations, actor, ctx| {
            actor.state.looked(reached, looked_at);
            actor.state.nodes_observed(observations);
            actor.catch_up();
            actor.begin_switchover(requested, ctx)
        });
        let done = begun.then(|begun, actor, _| {
            async {
                let told = timeout(SWITCHED_WITHIN, begun?).await;
                let gone = |why: &str| Err(NotSwitched::Unknown(why.to_owned()));
                match told {
                    Ok(Ok(outcome)) => outcome,
                    Ok(Err(_)) => gone("the cluster's actor was restarted"),
                    Err(_) => gone("it takes too long"),
                }
            }
            .into_actor(actor)
        });
        Box::pin(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str) -> NodeAddr {
        NodeAddr::new(host, 1)
    }

    fn published(primary: &str, generation: u64) -> Published {
        Published {
            primary: Some(node(primary)),
            generation: Generation(generation),
            ..Published::default()
        }
    }

    fn promoted(host: &str) -> CommandOutcome {
        CommandOutcome::Role {
            node: node(host),
            command: RoleCommand::Promotion,
            through: None,
            fault: None,
        }
    }

    /// The outcome for the operator after these outcomes of commands, once `primary` is published.
    fn outcome(commands: &[CommandOutcome], primary: &str) -> Result<Switched, NotSwitched> {
        let (told, _waits) = oneshot::channel();
        let mut switching = Switching::new(&published("a", 1), told).expect("a primary");
        for outcome in commands {
            switching.commanded(outcome);
        }
        let done = published(primary, 3);
        switching.outcome(Some(&done), true).expect("it is known")
    }

    #[test]
    fn a_switchover_is_done_once_the_run_has_switched_and_the_successor_is_published() {
        let switched = CommandOutcome::Switched(node("b"));
        let done = Switched {
            from: node("a"),
            to: node("b"),
            generation: Generation(3),
        };
        let commands = [switched];
        assert_eq!(outcome(&commands, "b"), Ok(done));
        let called_off = outcome(&commands, "a");
        assert!(matches!(called_off, Err(NotSwitched::CalledOff { .. })));
    }

    #[test]
    fn a_failover_to_the_same_node_is_no_switchover() {
        let switched = || CommandOutcome::Switched(node("b"));
        let failed = || CommandOutcome::NotSwitched("promoted too late".to_owned());
        for commands in [vec![], vec![failed()], vec![switched(), promoted("b")]] {
            let outcome = outcome(&commands, "b");
            let unknown = matches!(outcome, Err(NotSwitched::Unknown(_)));
            assert!(unknown, "{commands:?}: {outcome:?}");
        }
    }
}
