//! The work of the leader alone. Each cluster in motion has one [`FailoverRun`]. Each run is a supervised actor of
//! its own, so that a panic stops one failover and no other.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use send_wrapper::SendWrapper;

use crate::actors::Directory;
use crate::actors::messages::{LeaderNeeded, Leadership, LeadershipChanged, Replan, RunEnded};
use crate::actors::zk_session::ZkSession;
use crate::domain::node::ClusterName;
use crate::ports::clock::LeaseClock;
use crate::ports::redis::Redis;
use crate::supervision::{ChildRef, ChildSpec, Slot, StartChild, StopChild, Supervisor};

pub use self::run::FailoverRun;
pub use self::task_performer::{PerformerLinks, TaskPerformer};

mod command;
mod run;
mod switch;
mod task_performer;

/// Everything that failovers need of others.
#[derive(Clone)]
pub struct FailoverLinks {
    /// The clusters of this keeper.
    pub clusters: Directory,
    /// Makes guarded writes.
    pub session: ChildRef<ZkSession>,
    /// Commands servers.
    pub redis: Rc<dyn Redis>,
    /// The supervisor of the runs.
    pub runs: ChildRef<Supervisor>,
    /// The clock that measures how long writes are held up.
    pub clock: Arc<dyn LeaseClock>,
    /// How often every cluster is planned anew without an event (`failover-tick-seconds`).
    pub reconcile_every: Duration,
}

/// Starts a run for each cluster that needs one while this keeper leads. Stops all runs when the leadership ends.
pub struct FailoverActor {
    links: FailoverLinks,
    leading: Option<Leadership>,
    /// Clusters with a run.
    running: BTreeSet<ClusterName>,
    /// Clusters with a run, for which another run was wanted since it started.
    again: BTreeSet<ClusterName>,
}

impl FailoverActor {
    /// Creates an actor that is idle until it learns that this keeper leads.
    pub fn new(links: FailoverLinks) -> Self {
        Self {
            links,
            leading: None,
            running: BTreeSet::new(),
            again: BTreeSet::new(),
        }
    }

    fn start_run(&mut self, cluster: ClusterName, ctx: &mut Context<Self>) {
        if self.leading.is_none() {
            return;
        }
        if !self.running.insert(cluster.clone()) {
            self.again.insert(cluster);
            return;
        }
        let child = child_name(&cluster);
        let slot = Slot::new();
        let (links, ended) = (SendWrapper::new(self.links.clone()), ctx.address());
        let name = cluster.clone();
        let spec = ChildSpec::transient(child.as_str(), &slot, move || {
            FailoverRun::new(cluster.clone(), FailoverLinks::clone(&links), ended.clone())
        });
        let runs = self.links.runs.clone();
        let started = async move {
            // A run that has just ended may still be listed: wait until it is gone.
            let _ = runs.send(StopChild(child.clone())).await;
            runs.send(StartChild(spec))
                .await
                .map_err(|err| err.to_string())?
                .map_err(|err| err.to_string())
        };
        let noted = started
            .into_actor(self)
            .map(move |result: Result<(), String>, actor, _| {
                if let Err(error) = result {
                    tracing::error!(cluster = %name, error, "failover run not started");
                    actor.running.remove(&name);
                }
            });
        ctx.spawn(noted);
    }

    fn stop_runs(&mut self) {
        self.again.clear();
        for cluster in std::mem::take(&mut self.running) {
            self.links.runs.do_send(StopChild(child_name(&cluster)));
        }
    }

    /// Has every cluster plan anew, for changes that no event reported or that time alone brings.
    fn reconcile(&mut self) {
        if self.leading.is_some() {
            for cluster in self.links.clusters.actors() {
                cluster.do_send(Replan);
            }
        }
    }
}

fn child_name(cluster: &ClusterName) -> String {
    format!("run:{cluster}")
}

impl Actor for FailoverActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.links
            .session
            .do_send(crate::actors::messages::ResendLeadership);
        ctx.run_interval(self.links.reconcile_every, |actor, _| actor.reconcile());
    }
}

impl Handler<LeadershipChanged> for FailoverActor {
    type Result = ();

    fn handle(&mut self, LeadershipChanged(leading): LeadershipChanged, _: &mut Self::Context) {
        if self.leading == leading {
            return;
        }
        self.stop_runs();
        self.leading = leading;
        self.reconcile();
    }
}

impl Handler<LeaderNeeded> for FailoverActor {
    type Result = ();

    fn handle(&mut self, LeaderNeeded(cluster): LeaderNeeded, ctx: &mut Self::Context) {
        self.start_run(cluster, ctx);
    }
}

impl Handler<RunEnded> for FailoverActor {
    type Result = ();

    fn handle(&mut self, RunEnded(cluster): RunEnded, ctx: &mut Self::Context) {
        self.running.remove(&cluster);
        if self.again.remove(&cluster) {
            self.start_run(cluster, ctx);
        }
    }
}
