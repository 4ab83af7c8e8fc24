//! The switchover that an operator waits for: from the request to what became of it.

use tokio::sync::oneshot;

use crate::actors::messages::{NotSwitched, Switched};
use crate::domain::node::{Generation, NodeAddr};
use crate::domain::plan::{Action, Hold, Plan};
use crate::domain::published::Published;

/// One switchover under way.
#[derive(Debug)]
pub(super) struct Switching {
    from: NodeAddr,
    to: Option<NodeAddr>,
    generation: Generation,
    /// Why it was called off.
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

    /// Takes in what was decided.
    pub(super) fn decided(&mut self, plan: &Plan) {
        let why = plan.holds.iter().find_map(|hold| match hold {
            Hold::NoSwitchover(why) => Some(why.clone()),
            _ => None,
        });
        self.why = why.or(self.why.take());
        if let Some(Action::Write { state, .. }) = &plan.action
            && let Some(intent) = &state.intent
        {
            self.to.clone_from(&intent.switchover);
        }
    }

    /// Whether it is to be begun.
    pub(super) fn begins(&self) -> bool {
        self.to.is_some()
    }

    /// Why it is not begun, or called off.
    pub(super) fn why(&self) -> Option<String> {
        self.why.clone()
    }

    /// What has become of it, if that is known by now.
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

    /// Tells whoever waits what has become of it; answers itself if that is not known yet and still waited for.
    pub(super) fn settle(self, published: Option<&Published>, leads: bool) -> Option<Self> {
        if self.told.is_closed() {
            return None;
        }
        match self.outcome(published, leads) {
            Some(outcome) => {
                // Whoever asked may have gone this very moment.
                let _ = self.told.send(outcome);
                None
            }
            None => Some(self),
        }
    }
}
