//! The switchover that an operator waits for, from the request to its outcome.

use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::ClusterActor;
use crate::actors::messages::{NotSwitched, Switched, Switchover};
use crate::domain::node::{Generation, NodeAddr};
use crate::domain::observed::Requested;
use crate::domain::plan::{Action, Hold, Plan};
use crate::domain::published::Published;

/// How long fresh facts may take while an operator waits and no failover is urgent.
const ASKED_FACTS: Duration = Duration::from_secs(1);

/// How long an operator waits for a switchover. A switchover takes milliseconds, or is called off.
const SWITCHED_WITHIN: Duration = Duration::from_secs(5);

/// One switchover under way.
#[derive(Debug)]
pub(super) struct Switching {
    from: NodeAddr,
    to: Option<NodeAddr>,
    generation: Generation,
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
            to: None,
            generation: published.generation,
            why: None,
            told,
        })
    }

    /// Takes in a plan: the successor, or why there is no switchover.
    pub(super) fn decided(&mut self, plan: &Plan) {
        let why = plan.holds.iter().find_map(|hold| match hold {
            Hold::NoSwitchover(why) => Some(why.clone()),
            _ => None,
        });
        self.why = why.or(self.why.take());
        match &plan.action {
            Some(Action::Write { state, .. }) => {
                if let Some(intent) = &state.intent {
                    self.to.clone_from(&intent.switchover);
                }
            }
            // By now this change is a failover, even if the candidate is the same node.
            Some(Action::Promote { .. }) => self.to = None,
            _ => {}
        }
    }

    /// Whether the plan begins the switchover.
    pub(super) fn begins(&self) -> bool {
        self.to.is_some()
    }

    /// Why the switchover is not begun, or called off.
    pub(super) fn why(&self) -> Option<String> {
        self.why.clone()
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
            } else if self.to.as_ref() != Some(to) {
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
            let plan = self.state.plan();
            return Err(NotSwitched::Refused(format!(
                "there is no primary now: {plan}"
            )));
        };
        self.state.request(Some(requested));
        let _ = self.state.reconsider(self.links.clock.now());
        let plan = self.state.plan();
        switching.decided(plan);
        if !switching.begins() {
            let why = switching.why().unwrap_or_else(|| plan.to_string());
            self.state.request(None);
            self.changed(ctx);
            return Err(NotSwitched::Refused(why));
        }
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
            for (node, observation) in observations {
                actor.state.node_observed(&node, observation);
            }
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
    use crate::domain::node::Epoch;
    use crate::domain::plan::StateChange;
    use crate::domain::published::{Intent, Step};

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

    fn doing(action: Action) -> Plan {
        Plan {
            action: Some(action),
            ..Plan::default()
        }
    }

    fn withdrawing() -> Plan {
        let intent = Intent {
            epoch: Epoch(1),
            old: Some(node("a")),
            old_run_id: None,
            switchover: Some(node("b")),
            candidate: None,
            step: Step::Withdrawn,
            reason: String::new(),
        };
        doing(Action::Write {
            state: Published {
                intent: Some(intent),
                ..Published::default()
            },
            change: StateChange::Withdraw,
        })
    }

    #[test]
    fn a_failover_to_the_same_node_is_no_switchover() {
        let (told, _waits) = oneshot::channel();
        let mut switching = Switching::new(&published("a", 1), told).unwrap();
        switching.decided(&withdrawing());
        assert!(switching.begins());
        let done = published("b", 3);
        let outcome = switching.outcome(Some(&done), true);
        assert!(matches!(outcome, Some(Ok(_))), "{outcome:?}");

        switching.decided(&doing(Action::Promote {
            node: node("b"),
            state: Published::default(),
            through: None,
        }));
        let outcome = switching.outcome(Some(&done), true);
        assert!(
            matches!(outcome, Some(Err(NotSwitched::Unknown(_)))),
            "{outcome:?}"
        );
    }
}
