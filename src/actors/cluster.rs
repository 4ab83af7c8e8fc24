//! The actor of one cluster. The actor does four things:
//! - gather what the monitors see, and what the session shares;
//! - count votes;
//! - answer HTTP from memory;
//! - call the failover actor when this keeper leads and something is to be done.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::actors::Outbox;
use crate::actors::groups::GroupWatch;
use crate::actors::messages::{
    CommandEnded, Decide, Decision, LeaderNeeded, NodeObserved, PerformTask, Reads, Refresh,
    Replan, ResendObservation, ResendReport, SetPoll, SetReport, Shared, SharedState, Subscribe,
};
use crate::actors::node_monitor::NodeMonitor;
use crate::domain::brake::Primaries;
use crate::domain::claims::Claims;
use crate::domain::confirmation::PollState;
use crate::domain::lease::Lease;
use crate::domain::node::{Moment, NodeAddr};
use crate::domain::observation::NodeObservation;
use crate::domain::report::KeeperReport;
use crate::domain::rivals::KnownGroups;
use crate::domain::timing::facts::{FRESH_FACTS, RELAYED_FACTS_TIMEOUT};

use crate::ports::clock::LeaseClock;
use crate::ports::redis::Redis;
use crate::supervision::ChildRef;

use self::differences::DifferenceLog;
pub use self::state::ClusterSettings;
use self::state::State;
use self::story::Log;
use self::switchover::Switching;

mod confirmation;
mod differences;
mod fact_relay;
mod groups;
mod misnamed;
mod overlaps;
mod polled;
mod proxies;
mod proxy_drain;
mod queries;
mod rereads;
mod state;
mod story;
mod switchover;
mod tasks;

/// The pause until nodes that did not answer are read again. Without a pause, a monitor that is down would be asked
/// in an endless loop: its answer, none, comes at once.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Everything that a [`ClusterActor`] needs of others.
#[derive(Clone)]
pub struct ClusterLinks {
    /// The monitors of the cluster's nodes.
    pub monitors: BTreeMap<NodeAddr, ChildRef<NodeMonitor>>,
    /// The cell in which the session shares its knowledge of this cluster.
    pub shared: watch::Receiver<Option<Arc<SharedState>>>,
    /// This keeper's lease.
    pub lease: watch::Receiver<Lease>,
    /// The other groups of keepers that are known to look after the same servers (RK-12).
    pub rivals: watch::Receiver<Arc<KnownGroups>>,
    /// The actor that asks the keepers of other groups.
    pub groups: ChildRef<GroupWatch>,
    /// The clock by which the lease is measured.
    pub clock: Arc<dyn LeaseClock>,
    /// To the session: send me what is shared of this cluster.
    pub subscribe: Outbox<Subscribe>,
    /// To the session: write this report.
    pub report: Outbox<SetReport>,
    /// To the session: write these questions and answers of a confirmation.
    pub poll: Outbox<SetPoll>,
    /// The published primaries of all clusters of this keeper.
    pub primaries: Rc<RefCell<Primaries>>,
    /// Which published clusters of this group have which servers.
    pub claims: Rc<RefCell<Claims>>,
    /// To the failover actor: there is something to do.
    pub leader_needed: Outbox<LeaderNeeded>,
    /// To the performer of tasks.
    pub perform: Outbox<PerformTask>,
    /// Resolves host names that this keeper's file does not have, and remembers published addresses.
    pub redis: Rc<dyn Redis>,
}

/// Gathers, counts and answers: see the module's page.
pub struct ClusterActor {
    state: State,
    links: ClusterLinks,
    given: Given,
    /// Which events were logged.
    log: Log,
    /// Which differences between the keepers' files were logged.
    differences: DifferenceLog,
    /// The number of changes of claims that this actor has taken in.
    claims_seen: u64,
    /// Whether the shared state has changed without [`changed`](Self::changed) having run since.
    news: bool,
    /// The timer after which the plan is made again.
    again: Option<PlanTimer>,
    /// The switchover that an operator waits for.
    switching: Option<Switching>,
    span: tracing::Span,
}

/// What the session was given last, for the other keepers.
#[derive(Default)]
struct Given {
    report: KeeperReport,
    /// The questions and answers of a confirmation.
    poll: PollState,
}

/// A timer that runs until this moment.
struct PlanTimer {
    at: Moment,
    handle: SpawnHandle,
}

impl ClusterActor {
    /// Creates an actor that knows nothing yet. Once started, the actor asks for everything.
    pub fn new(settings: ClusterSettings, links: ClusterLinks) -> Self {
        // The level is that of errors: a span exists only at levels that are logged, and every log line is to name
        // its cluster.
        let span = tracing::error_span!("cluster", name = %settings.name);
        let state = State::new(settings, links.monitors.keys().cloned(), links.clock.now());
        Self {
            state,
            links,
            given: Given::default(),
            log: Log::default(),
            differences: DifferenceLog::default(),
            claims_seen: 0,
            news: false,
            again: None,
            switching: None,
            span,
        }
    }
}

impl Actor for ClusterActor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.count_silences();
        (self.links.subscribe)(Subscribe(self.state.settings.name.clone()));
        for monitor in self.links.monitors.values() {
            monitor.do_send(ResendObservation);
        }
    }
}

impl ClusterActor {
    /// Updates everything that depends on the news. Calls the failover actor if this keeper leads and something is to
    /// be done.
    fn changed(&mut self, ctx: &mut Context<Self>) {
        self.news = false;
        self.take_up_tasks();
        self.look_ahead(ctx);
        self.read_for_the_leader(ctx);
        self.reread_withdrawn(ctx);
        self.answer_polls(ctx);
        self.resolve_foreign_names(ctx);
        self.reconsider(ctx);
        self.reread_primary(ctx);
        self.reread_others(ctx);
        if self.state.needs_leader() {
            (self.links.leader_needed)(LeaderNeeded(self.state.settings.name.clone()));
        }
    }

    /// Counts votes, plans, and gives the session this keeper's report if the report has changed.
    fn reconsider(&mut self, ctx: &mut Context<Self>) {
        let _in_span = self.span.clone().entered();
        let now = self.links.clock.now();
        self.state.observed.brake = self.brake(now);
        self.look_at_rivals(now);
        self.list_nodes();
        self.look_at_claims();
        for (node, verdict) in self.state.reconsider(now) {
            story::log_verdict(&node, verdict);
        }
        let report = self.state.report(now);
        if report != self.given.report {
            self.given.report = report;
            self.send_report();
        }
        self.publish_poll();
        self.log_story(now);
        self.look_again(now, ctx);
        self.settle();
        self.watch_differences(ctx);
    }

    /// Tells the operator the outcome of the switchover, once the outcome is known.
    fn settle(&mut self) {
        self.switching = self.switching.take().and_then(|switching| {
            switching.settle(self.state.published(), self.state.leading().is_some())
        });
        if self.switching.is_none() {
            self.state.request(None);
        }
    }

    /// Sets the timer for the moment at which the plan, or a log event, is due again.
    fn look_again(&mut self, now: Moment, ctx: &mut Context<Self>) {
        let wanted = self
            .state
            .again(now)
            .into_iter()
            .chain(self.log.again())
            .min();
        if self.again.as_ref().map(|timer| timer.at) == wanted {
            return;
        }
        if let Some(timer) = self.again.take() {
            ctx.cancel_future(timer.handle);
        }
        self.again = wanted.map(|at| {
            let left = at.since(self.links.clock.now());
            let handle = ctx.run_later(left, |actor, ctx| {
                actor.again = None;
                actor.changed(ctx);
            });
            PlanTimer { at, handle }
        });
    }

    fn send_report(&self) {
        let cluster = self.state.settings.name.clone();
        (self.links.report)(SetReport {
            cluster,
            report: self.given.report.clone(),
        });
    }

    /// Asks these nodes for fresh facts, all at once. A node without an answer within `limit` is left out.
    fn refresh(
        &self,
        nodes: BTreeSet<NodeAddr>,
        limit: Duration,
    ) -> impl Future<Output = Vec<(NodeAddr, NodeObservation)>> + use<> {
        let refresh = Refresh {
            settings: self.state.settings_matter(),
        };
        let asked = nodes.into_iter().filter_map(|addr| {
            let monitor = self.links.monitors.get(&addr)?.clone();
            Some(async move {
                let answer = timeout(limit, monitor.send(refresh)).await;
                answer.ok()?.ok().map(|observation| (addr, observation))
            })
        });
        let answers = join_all(asked);
        async { answers.await.into_iter().flatten().collect() }
    }

    /// Reads the nodes that the leader does not reach, and reports their facts to the leader.
    fn read_for_the_leader(&mut self, ctx: &mut Context<Self>) {
        let Some((generation, nodes)) = self.state.begin_reading() else {
            return;
        };
        let read = self
            .refresh(nodes, RELAYED_FACTS_TIMEOUT)
            .into_actor(self)
            .map(move |observations, actor, ctx| {
                actor.state.read(generation, observations);
                actor.reconsider(ctx);
                ctx.run_later(READ_AGAIN_AFTER, Self::changed);
            });
        ctx.spawn(read);
    }

    /// Returns the lease, the state that it vouches for, and the time, in one step (RK-3).
    ///
    /// The lease is read before the state. So the state is never older than the state for which the lease was
    /// extended.
    fn vouched(&mut self) -> (Lease, &State, Moment) {
        let lease = *self.links.lease.borrow();
        self.catch_up();
        self.look_at_claims();
        (lease, &self.state, self.links.clock.now())
    }

    /// Takes in the shared state, if that has changed.
    fn catch_up(&mut self) {
        // An error means that the sender of the cell is gone: the keeper is ending.
        if self.links.shared.has_changed().unwrap_or(false)
            && let Some(shared) = self.links.shared.borrow_and_update().clone()
        {
            let published = shared.published.iter();
            for (host, addresses) in published.flat_map(|it| &it.addresses) {
                self.links.redis.remember(host, addresses);
            }
            self.state.shared(&shared, self.links.clock.now());
            self.news = true;
        }
    }
}

impl Handler<NodeObserved> for ClusterActor {
    type Result = ();

    fn handle(
        &mut self,
        NodeObserved { node, observation }: NodeObserved,
        ctx: &mut Self::Context,
    ) {
        self.state.node_observed(&node, observation);
        self.changed(ctx);
    }
}

impl Handler<Shared> for ClusterActor {
    type Result = ();

    fn handle(&mut self, _: Shared, ctx: &mut Self::Context) {
        self.catch_up();
        // Several messages that arrived together are handled by one call.
        if self.news {
            self.changed(ctx);
        }
    }
}

impl Handler<ResendReport> for ClusterActor {
    type Result = ();

    fn handle(&mut self, _: ResendReport, _: &mut Self::Context) {
        self.send_report();
        self.send_poll();
    }
}

impl Handler<Replan> for ClusterActor {
    type Result = ();

    fn handle(&mut self, _: Replan, ctx: &mut Self::Context) {
        self.changed(ctx);
    }
}

impl Handler<Decide> for ClusterActor {
    type Result = ResponseActFuture<Self, Decision>;

    fn handle(&mut self, Decide { reads }: Decide, _: &mut Self::Context) -> Self::Result {
        let asked = match reads {
            Reads::All => self.state.worth_asking(),
            Reads::Only(node) => BTreeSet::from([node]),
            Reads::Nothing => BTreeSet::new(),
        };
        let decided =
            self.refresh(asked, FRESH_FACTS)
                .into_actor(self)
                .map(|observations, actor, ctx| {
                    actor.state.nodes_observed(observations);
                    actor.catch_up();
                    actor.reconsider(ctx);
                    let mut decision = actor.state.decision();
                    decision.choice = actor.choice();
                    if let Some(switching) = &mut actor.switching {
                        switching.decided(actor.state.plan());
                        actor.settle();
                    }
                    decision
                });
        Box::pin(decided)
    }
}

impl Handler<CommandEnded> for ClusterActor {
    type Result = ();

    fn handle(&mut self, CommandEnded(outcome): CommandEnded, _: &mut Self::Context) {
        if let Some(switching) = &mut self.switching {
            switching.commanded(&outcome);
        }
        let now = self.links.clock.now();
        self.state.observed.commands.record(outcome, now);
    }
}
