//! The actor that supervises.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::child::{ChildSpec, ExitReport, Incarnation, Kind};
use super::exit::{Exit, GaveUp};
use super::policy::Restarts;
use super::tree::Node;
use super::{OneForOne, STOP_GRACE, StartChild, StartError, Stop, StopChild};

#[derive(Message)]
#[rtype(result = "()")]
struct Exited(Key, Exit);

/// Numbers the children in the order of their start.
type Key = u64;

/// The actor that does what a [`OneForOne`] says.
pub struct Supervisor {
    plan: OneForOne,
    node: Node,
    seed: u64,
    jitter: SmallRng,
    children: BTreeMap<Key, Child>,
    next_key: Key,
    pinged: Instant,
    stopping: bool,
}

struct Child {
    spec: ChildSpec,
    node: Node,
    restarts: Restarts,
    incarnation: Option<Incarnation>,
    fate: Fate,
}

/// The meaning of a child's next exit.
enum Fate {
    /// The child's own doing.
    Open,
    /// The child was killed because it did not answer for this long.
    Hung(Duration),
    /// The child was stopped on request, and these senders wait for its end.
    Stop(Vec<oneshot::Sender<()>>),
}

// === impl Child ===

impl Child {
    /// Ends the present incarnation, whose exit is reported once it is gone. `false` if there is none.
    fn end(&self) -> bool {
        let Some(incarnation) = &self.incarnation else {
            return false;
        };
        if !self.spec.launch.ask_to_stop() {
            incarnation.task.abort();
        }
        true
    }

    /// Records that the incarnation is gone. Returns the cause in full.
    fn ended(&mut self, exit: Exit) -> Exit {
        self.incarnation = None;
        self.spec.launch.withdraw();
        match self.fate {
            Fate::Hung(silence) if exit == Exit::Killed => Exit::Hung(silence),
            _ => self.node.explain(exit),
        }
    }

    fn is_done(&self, exit: &Exit) -> bool {
        matches!(self.fate, Fate::Stop(_))
            || (self.spec.kind == Kind::Transient && *exit == Exit::Normal)
    }

    /// Counts this many restarts. Zero restarts are counted, too: only a counter that exists from the start shows its
    /// first growth.
    fn count_restarts(&self, restarts: u64) {
        metrics::counter!("redis_keeper_supervision_restarts_total", "child" => self.sort())
            .increment(restarts);
    }

    /// The part of the name before the colon, such as `cluster`. Such parts are few, so they can label a metric.
    fn sort(&self) -> String {
        let name = self.node.name();
        name.split_once(':')
            .map_or(name, |(sort, _)| sort)
            .to_owned()
    }
}

// === impl Supervisor ===

impl Supervisor {
    pub(super) fn new(plan: OneForOne, node: Node, seed: u64) -> Self {
        let mut own_seed = DefaultHasher::new();
        (seed, node.path()).hash(&mut own_seed);
        Self {
            plan,
            node,
            seed,
            jitter: SmallRng::seed_from_u64(own_seed.finish()),
            children: BTreeMap::new(),
            next_key: 0,
            pinged: Instant::now(),
            stopping: false,
        }
    }

    fn add(&mut self, spec: ChildSpec, ctx: &mut Context<Self>) {
        let key = self.next_key;
        self.next_key += 1;
        let node = self.node.add_child(&spec.name);
        let child = Child {
            spec,
            node,
            restarts: Restarts::default(),
            incarnation: None,
            fate: Fate::Open,
        };
        child.count_restarts(0);
        self.children.insert(key, child);
        self.launch(key, ctx);
    }

    fn launch(&mut self, key: Key, ctx: &mut Context<Self>) {
        let stopping = self.stopping;
        let Some(child) = self.children.get_mut(&key).filter(|_| !stopping) else {
            return; // removed while its restart was due
        };
        let supervisor = ctx.address();
        let report = ExitReport::new(move |exit| supervisor.do_send(Exited(key, exit)));
        child.fate = Fate::Open;
        child.node.running(Instant::now());
        child.incarnation = Some(child.spec.launch.launch(&child.node, self.seed, report));
    }

    fn on_exit(&mut self, key: Key, exit: Exit, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        let exit = child.ended(exit);
        if self.stopping {
            child.node.stopped();
            self.children.remove(&key);
            self.stop_next(ctx);
        } else if child.is_done(&exit) {
            tracing::debug!(child = child.node.path(), %exit, "child ended");
            self.remove(key);
        } else {
            self.restart_or_give_up(key, exit, ctx);
        }
    }

    fn restart_or_give_up(&mut self, key: Key, exit: Exit, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        let now = Instant::now();
        let recent = child.restarts.within(self.plan.policy.window, now);
        let Some(delay) = self.plan.policy.next_delay(recent, self.jitter.random()) else {
            return self.give_up(key, recent, exit, ctx);
        };
        child.restarts.record(now);
        let path = child.node.path().to_owned();
        let restarts = child.node.restarting(exit.clone(), now + delay);
        tracing::error!(child = path, %exit, restarts, ?delay, "child exited and is restarted");
        child.count_restarts(1);
        if delay.is_zero() {
            self.launch(key, ctx);
        } else {
            ctx.run_later(delay, move |supervisor, ctx| supervisor.launch(key, ctx));
        }
    }

    fn give_up(&mut self, key: Key, restarts: usize, exit: Exit, ctx: &mut Context<Self>) {
        let Some(child) = self.children.remove(&key) else {
            return;
        };
        let cause = Arc::new(GaveUp {
            child: child.node.path().to_owned(),
            exit: exit.clone(),
            restarts,
            window: self.plan.policy.window,
        });
        tracing::error!(supervisor = self.node.path(), %cause, "child failed too often; its supervisor gives up");
        child.node.give_up(cause.clone(), exit);
        self.node.give_up(cause.clone(), Exit::GaveUp(cause));
        self.stop(ctx);
    }

    fn remove(&mut self, key: Key) {
        if let Some(child) = self.children.remove(&key) {
            self.node.remove_child(&child.node);
            if let Fate::Stop(waiting) = child.fate {
                for waiter in waiting {
                    let _ = waiter.send(());
                }
            }
        }
    }

    fn stop(&mut self, ctx: &mut Context<Self>) {
        if !self.stopping {
            self.stopping = true;
            ctx.run_later(STOP_GRACE, |_, ctx| ctx.stop());
            self.stop_next(ctx);
        }
    }

    /// Stops the youngest child. The exit of that child calls this function again.
    fn stop_next(&mut self, ctx: &mut Context<Self>) {
        while let Some((_, child)) = self.children.last_key_value() {
            if child.end() {
                return;
            }
            child.node.stopped();
            self.children.pop_last();
        }
        ctx.stop();
    }

    /// `run_interval` makes up for ticks that were missed in a stall, and would judge children in no time. So each
    /// ping arms the next.
    fn ping_after(interval: Duration, ctx: &mut Context<Self>) {
        ctx.run_later(interval, move |supervisor, ctx| {
            supervisor.ping_children(interval);
            Self::ping_after(interval, ctx);
        });
    }

    fn ping_children(&mut self, interval: Duration) {
        let now = Instant::now();
        let late = now.duration_since(std::mem::replace(&mut self.pinged, now)) >= interval * 2;
        for child in self.children.values_mut() {
            let (Some(incarnation), Fate::Open) = (&child.incarnation, &child.fate) else {
                continue;
            };
            if late || incarnation.pinger.answered() {
                incarnation.pinger.ping(); // if we ourselves were kept from running, so was the child: no judgement
            } else {
                child.fate = Fate::Hung(interval);
                incarnation.task.abort();
            }
        }
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.node.clear_children();
        for spec in std::mem::take(&mut self.plan.children) {
            self.add(spec, ctx);
        }
        if let Some(interval) = self.plan.ping_every {
            self.pinged = Instant::now();
            Self::ping_after(interval, ctx);
        }
    }
}

impl Drop for Supervisor {
    /// Children die with their supervisor, whatever ended it, the last started first.
    fn drop(&mut self) {
        for child in self.children.values().rev() {
            child.spec.launch.withdraw();
            child.node.stopped();
            if let Some(incarnation) = &child.incarnation {
                incarnation.task.abort();
            }
        }
    }
}

impl Handler<StartChild> for Supervisor {
    type Result = Result<(), StartError>;

    fn handle(&mut self, StartChild(spec): StartChild, ctx: &mut Self::Context) -> Self::Result {
        if self.stopping {
            return Err(StartError::Stopping(spec.name.to_string()));
        }
        if self
            .children
            .values()
            .any(|child| child.spec.name == spec.name)
        {
            return Err(StartError::NameTaken(spec.name.to_string()));
        }
        self.add(spec, ctx);
        Ok(())
    }
}

impl Handler<StopChild> for Supervisor {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, StopChild(name): StopChild, _: &mut Self::Context) -> Self::Result {
        let found = self
            .children
            .iter_mut()
            .find(|(_, child)| *child.spec.name == *name);
        let Some((&key, child)) = found else {
            return Box::pin(std::future::ready(false));
        };
        let (gone, wait) = oneshot::channel();
        if let Fate::Stop(waiting) = &mut child.fate {
            waiting.push(gone);
        } else {
            child.fate = Fate::Stop(vec![gone]);
            if !child.end() {
                self.remove(key);
            }
        }
        Box::pin(async {
            let _ = wait.await; // should the supervisor die first, its child is gone as well
            true
        })
    }
}

impl Handler<Stop> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.stop(ctx);
    }
}

impl Handler<Exited> for Supervisor {
    type Result = ();

    fn handle(&mut self, Exited(key, exit): Exited, ctx: &mut Self::Context) {
        self.on_exit(key, exit, ctx);
    }
}
