//! Asks the node on a new connection, besides the probes, to confirm a withdrawal (RK-2).

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;
use tokio::time::{sleep, timeout};

use super::{FreshConnections, NodeMonitor};
use crate::actors::messages::{NewConnectionResult, ProbeOnNewConnection};
use crate::domain::confirmation::Finding;
use crate::domain::facts::NodeFacts;
use crate::domain::liveness::DownReason;
use crate::domain::unproven::is_passing;
use crate::ports::clock::LeaseClock;
use crate::ports::redis::{Alive, Depth, ProbeFailure, RedisNode};

/// How long the node has for its answer at least.
const LEAST: Duration = Duration::from_millis(50);

/// The node has this many times the time that an answer on a new connection took last.
const TIMES_USUAL: u32 = 4;

/// The pause until the next try after a connection that was closed before the answer. Such an end is silence, not a
/// refusal.
const AGAIN_AFTER: Duration = Duration::from_millis(5);

/// The answer, or the finding without one.
type ProbeAnswer = Result<Alive, Finding>;

/// One question to the node.
struct Question {
    node: Rc<dyn RedisNode>,
    /// New connections take turns: many nodes may be asked at once.
    fresh: Rc<FreshConnections>,
    clock: Arc<dyn LeaseClock>,
    /// How long the node has for its answer.
    patience: Duration,
    /// How long the question waits for its turn.
    limit: Duration,
}

impl Question {
    async fn ask(self) -> ProbeAnswer {
        let Ok(_turn) = timeout(self.limit, self.fresh.turn()).await else {
            return Err(Finding::Unknown);
        };
        let began = self.clock.now();
        match timeout(self.patience, self.answer()).await {
            Ok(asked) => asked,
            // This keeper stood still meanwhile: its timer says nothing of the node.
            Err(_) if self.clock.now().since(began) > 2 * self.patience => Err(Finding::Unknown),
            Err(_) => Err(Finding::Silent),
        }
    }

    async fn answer(&self) -> ProbeAnswer {
        loop {
            let asked = async { self.node.connect().await?.probe(Depth::Full).await };
            match asked.await {
                Ok(alive) => return Ok(alive),
                Err(ProbeFailure::Own(_)) => return Err(Finding::Unknown),
                Err(ProbeFailure::Evidence(DownReason::Refused, _)) => {
                    return Err(Finding::Refused);
                }
                Err(ProbeFailure::Evidence(..)) => sleep(AGAIN_AFTER).await,
            }
        }
    }
}

impl NodeMonitor {
    /// How long the node has for its answer: 4 × the time that an answer on a new connection took last. The least
    /// time is 50 ms, and the most is the probe timeout.
    fn patience(&self) -> Duration {
        let usual = self.times.set_up.unwrap_or_default() * TIMES_USUAL;
        usual.max(LEAST).min(self.settings.probe_timeout)
    }

    fn asked(&mut self, answer: ProbeAnswer, ctx: &mut Context<Self>) -> NewConnectionResult {
        let alive = match answer {
            Ok(alive) => alive,
            Err(finding) => return finding.into(),
        };
        let now = self.links.clock.now();
        self.liveness.answered(now, alive.loading);
        self.hindrance_is(alive.hindrance.as_deref(), now);
        self.observation.owes_since = None;
        self.report(ctx);
        // Probes in full on the connection in use, if that still carries anything.
        self.requests.wake();
        if alive.loading {
            return Finding::Loading.into();
        }
        if self.observation.vote == Some(DownReason::Busy) {
            return Finding::Busy.into();
        }
        let facts = alive.info.as_ref().and_then(NodeFacts::of);
        NewConnectionResult {
            finding: Finding::Answers,
            unproven: facts.is_none() && !alive.error.as_deref().is_some_and(is_passing),
            facts: facts.map(Box::new),
        }
    }
}

impl Handler<ProbeOnNewConnection> for NodeMonitor {
    type Result = ResponseActFuture<Self, NewConnectionResult>;

    fn handle(&mut self, _: ProbeOnNewConnection, _: &mut Self::Context) -> Self::Result {
        let question = Question {
            node: Rc::clone(&self.node),
            fresh: Rc::clone(&self.links.fresh),
            clock: Arc::clone(&self.links.clock),
            patience: self.patience(),
            limit: self.settings.probe_timeout,
        };
        let found = wrap_future::<_, Self>(question.ask())
            .map(|asked, monitor, ctx| monitor.asked(asked, ctx));
        Box::pin(found)
    }
}
