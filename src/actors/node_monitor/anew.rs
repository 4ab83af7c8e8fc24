//! Asks the node on a new connection, besides the probes, because its withdrawal is to be confirmed (RK-2).

use std::rc::Rc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;
use tokio::time::{sleep, timeout};

use super::NodeMonitor;
use crate::actors::messages::AskAnew;
use crate::domain::confirmation::Finding;
use crate::domain::facts::DownReason;
use crate::ports::redis::{Alive, Depth, ProbeFailure, RedisNode};

/// How long an answer is waited for at least.
const LEAST: Duration = Duration::from_millis(50);

/// And in times of what the node usually takes to answer on a new connection.
const PATIENCE: u32 = 4;

/// When a connection that was closed before the answer is tried again: that is silence, not a refusal.
const AGAIN_AFTER: Duration = Duration::from_millis(5);

/// What came of it; the answer, if there was one.
type Asked = Result<Alive, Finding>;

async fn ask(node: Rc<dyn RedisNode>) -> Asked {
    loop {
        let asked = async { node.connect().await?.probe(Depth::Tick).await };
        match asked.await {
            Ok(alive) => return Ok(alive),
            Err(ProbeFailure::Own(_)) => return Err(Finding::Unknown),
            Err(ProbeFailure::Evidence(DownReason::Refused, _)) => return Err(Finding::Refused),
            Err(ProbeFailure::Evidence(..)) => sleep(AGAIN_AFTER).await,
        }
    }
}

impl NodeMonitor {
    /// How long the node has for its answer.
    fn patience(&self) -> Duration {
        let usual = self.set_up.unwrap_or_default() * PATIENCE;
        usual.max(LEAST).min(self.settings.probe_timeout)
    }

    fn asked(&mut self, asked: Asked, ctx: &mut Context<Self>) -> Finding {
        let alive = match asked {
            Ok(alive) => alive,
            Err(finding) => return finding,
        };
        self.liveness.answered(self.clock.now(), alive.loading);
        self.sighting.owes_since = None;
        self.report(ctx);
        // What it is now is read in full, if the connection in use still carries anything.
        self.wake.notify_one();
        if alive.loading {
            Finding::Loading
        } else {
            Finding::Answers
        }
    }
}

impl Handler<AskAnew> for NodeMonitor {
    type Result = ResponseActFuture<Self, Finding>;

    fn handle(&mut self, _: AskAnew, _: &mut Self::Context) -> Self::Result {
        let (began, patience) = (self.clock.now(), self.patience());
        let asking = timeout(patience, ask(Rc::clone(&self.node)));
        let found = wrap_future::<_, Self>(asking).map(move |asked, monitor, ctx| {
            let late = monitor.clock.now().since(began.after(patience));
            match asked {
                Ok(asked) => monitor.asked(asked, ctx),
                // This keeper stood still meanwhile.
                Err(_) if late > patience => Finding::Unknown,
                Err(_) => Finding::Silent,
            }
        });
        Box::pin(found)
    }
}
