//! The actor of one cluster: gathers what the monitors see and what is shared, counts votes, answers HTTP from memory,
//! and tells the leader when there is something to do.

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
    Commanded, Decide, Decision, Perform, Reads, Reconsider, Refresh, ResendReport, SetPoll,
    SetReport, SettingsTried, Shared, SharedState, SightAgain, Sighted, Subscribe, SwitchFailed,
    Wanted,
};
use crate::actors::node_monitor::NodeMonitor;
use crate::domain::brake::Primaries;
use crate::domain::claims::Claims;
use crate::domain::confirmation::Told;
use crate::domain::facts::Sighting;
use crate::domain::files::Difference;
use crate::domain::lease::Lease;
use crate::domain::node::{KeeperId, Moment, NodeAddr};
use crate::domain::rivals::Known;
use crate::domain::verdict::Report;
use crate::ports::clock::LeaseClock;
use crate::ports::redis::Redis;
use crate::supervision::ChildRef;

pub use self::state::ClusterSettings;
use self::state::State;
use self::story::Log;
use self::switching::Switching;

mod answering;
mod confirmation;
mod differences;
mod doubts;
mod draining;
mod groups;
mod misnamed;
mod overlaps;
mod proxies;
mod returning;
mod state;
mod story;
mod switching;
mod tasks;
mod telling;

/// How long fresh facts may take before a decision is made without them: a hung node delays nobody.
const FRESH_FACTS: Duration = Duration::from_millis(50);

/// How long they may take when they are read for another keeper, which leads: two probes of a busy host. It holds up nobody
/// but whoever waits for nodes that the leader does not reach.
const TOLD_FACTS: Duration = Duration::from_millis(300);

/// When what did not answer then is read again: not at once, for a monitor that is down answers nothing, at once.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// How long differences of files are given to settle before they are logged: what is over by then is no news.
const DIFFERENCES_SETTLE: Duration = Duration::from_secs(1);

/// What a [`ClusterActor`] needs of others.
#[derive(Clone)]
pub struct ClusterLinks {
    /// The monitors of its nodes.
    pub monitors: BTreeMap<NodeAddr, ChildRef<NodeMonitor>>,
    /// What the session shares about it.
    pub shared: watch::Receiver<Option<Arc<SharedState>>>,
    /// This keeper's lease.
    pub lease: watch::Receiver<Lease>,
    /// Other groups of keepers that are known to look after the same servers (RK-12).
    pub rivals: watch::Receiver<Arc<Known>>,
    /// Asks the keepers of other groups.
    pub groups: ChildRef<GroupWatch>,
    /// The clock that the lease is measured with.
    pub clock: Arc<dyn LeaseClock>,
    /// To the session.
    pub subscribe: Outbox<Subscribe>,
    /// To the session.
    pub report: Outbox<SetReport>,
    /// To the session.
    pub poll: Outbox<SetPoll>,
    /// The published primaries of all clusters of this keeper.
    pub primaries: Rc<RefCell<Primaries>>,
    /// Which published clusters have which servers.
    pub claims: Rc<RefCell<Claims>>,
    /// To the failover actor.
    pub wanted: Outbox<Wanted>,
    /// To the performer of tasks.
    pub perform: Outbox<Perform>,
    /// What hosts resolve to that this keeper's file does not name.
    pub redis: Rc<dyn Redis>,
}

/// Gathers, counts, answers. See the module's page.
pub struct ClusterActor {
    state: State,
    links: ClusterLinks,
    /// The report the session was given last.
    reported: Report,
    /// What it was told last of polls.
    poll_told: Told,
    /// What was logged of what happens.
    log: Log,
    /// What was logged last of how the keepers' files differ.
    told_differences: BTreeMap<KeeperId, Difference>,
    /// They will be looked at again soon.
    differences_settle: bool,
    /// How many changes of claims were taken in.
    claims_seen: u64,
    /// What is shared has changed, and its consequences were not taken yet.
    news: bool,
    /// When everything is looked at again, and what will see to it.
    again: Option<(Moment, SpawnHandle)>,
    /// A switchover that an operator waits for.
    switching: Option<Switching>,
    span: tracing::Span,
}

impl ClusterActor {
    /// An actor that knows nothing yet and asks for everything when it starts.
    pub fn new(settings: ClusterSettings, links: ClusterLinks) -> Self {
        // An error's: a span is there only at levels that are logged, and every line is to name its cluster.
        let span = tracing::error_span!("cluster", name = %settings.name);
        let state = State::new(settings, links.monitors.keys().cloned(), links.clock.now());
        Self {
            state,
            links,
            reported: Report::default(),
            poll_told: Told::default(),
            log: Log::default(),
            claims_seen: 0,
            told_differences: BTreeMap::new(),
            news: false,
            differences_settle: false,
            again: None,
            switching: None,
            span,
        }
    }

    /// After news: takes its consequences, and calls the leader if there is something to do.
    fn changed(&mut self, ctx: &mut Context<Self>) {
        self.news = false;
        self.take_up_tasks();
        self.look_ahead(ctx);
        self.read_for_the_leader(ctx);
        self.look_at_the_withdrawn(ctx);
        self.answer_polls(ctx);
        self.resolve_foreign_names(ctx);
        self.reconsider(ctx);
        self.settle_doubts(ctx);
        self.compare_the_returned(ctx);
        if self.state.wants_leader() {
            (self.links.wanted)(Wanted(self.state.settings.name.clone()));
        }
    }

    /// Counts votes, plans, and gives the session this keeper's report if it is another one now.
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
        if report != self.reported {
            self.reported = report;
            self.send_report();
        }
        self.tell_poll();
        self.tell_story(now);
        self.look_again(ctx);
        self.settle();
        if !self.differences_settle && self.differences_are_news() {
            self.differences_settle = true;
            ctx.run_later(DIFFERENCES_SETTLE, |actor, _| actor.tell_differences());
        }
    }

    /// Tells an operator what has become of the switchover, if that is known.
    fn settle(&mut self) {
        self.switching = self.switching.take().and_then(|switching| {
            switching.settle(self.state.published(), self.state.leading().is_some())
        });
        if self.switching.is_none() {
            self.state.request(None);
        }
    }

    /// Sees to it that the plan is made again when it says so.
    fn look_again(&mut self, ctx: &mut Context<Self>) {
        let wanted = self.state.again().into_iter().chain(self.log.again()).min();
        if self.again.map(|(at, _)| at) == wanted {
            return;
        }
        if let Some((_, timer)) = self.again.take() {
            ctx.cancel_future(timer);
        }
        self.again = wanted.map(|at| {
            let left = at.since(self.links.clock.now());
            let timer = ctx.run_later(left, |actor, ctx| {
                actor.again = None;
                actor.changed(ctx);
            });
            (at, timer)
        });
    }

    fn send_report(&self) {
        let cluster = self.state.settings.name.clone();
        (self.links.report)(SetReport {
            cluster,
            report: self.reported.clone(),
        });
    }

    /// Asks these nodes for fresh facts, all at once.
    fn refresh(
        &self,
        nodes: BTreeSet<NodeAddr>,
        limit: Duration,
    ) -> impl Future<Output = Vec<(NodeAddr, Sighting)>> + use<> {
        let refresh = Refresh {
            settings: self.state.settings_matter(),
        };
        let asked = nodes.into_iter().filter_map(|addr| {
            let monitor = self.links.monitors.get(&addr)?.clone();
            Some(async move {
                let answer = timeout(limit, monitor.send(refresh)).await;
                answer.ok()?.ok().map(|sighting| (addr, sighting))
            })
        });
        let answers = join_all(asked);
        async { answers.await.into_iter().flatten().collect() }
    }

    /// Reads afresh what the leader does not reach, to report what it says.
    fn read_for_the_leader(&mut self, ctx: &mut Context<Self>) {
        let Some((generation, nodes)) = self.state.begin_reading() else {
            return;
        };
        let read =
            self.refresh(nodes, TOLD_FACTS)
                .into_actor(self)
                .map(move |sightings, actor, ctx| {
                    actor.state.read(generation, sightings);
                    actor.reconsider(ctx);
                    ctx.run_later(READ_AGAIN_AFTER, Self::changed);
                });
        ctx.spawn(read);
    }

    /// The lease, the state it vouches for and the time, in one step (RK-3): the lease first, for the state is never
    /// older than what a lease was extended for.
    fn vouched(&mut self) -> (Lease, &State, Moment) {
        let lease = *self.links.lease.borrow();
        self.catch_up();
        self.look_at_claims();
        (lease, &self.state, self.links.clock.now())
    }

    /// Takes in what is shared, if that has changed.
    fn catch_up(&mut self) {
        // An error means that the keeper ends.
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

impl Actor for ClusterActor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.count_silences();
        (self.links.subscribe)(Subscribe(self.state.settings.name.clone()));
        for monitor in self.links.monitors.values() {
            monitor.do_send(SightAgain);
        }
    }
}

impl Handler<Sighted> for ClusterActor {
    type Result = ();

    fn handle(&mut self, Sighted { node, sighting }: Sighted, ctx: &mut Self::Context) {
        self.state.sighted(&node, sighting);
        self.changed(ctx);
    }
}

impl Handler<Shared> for ClusterActor {
    type Result = ();

    fn handle(&mut self, _: Shared, ctx: &mut Self::Context) {
        self.catch_up();
        // Several at once are one piece of news.
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

impl Handler<Reconsider> for ClusterActor {
    type Result = ();

    fn handle(&mut self, _: Reconsider, ctx: &mut Self::Context) {
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
                .map(|sightings, actor, ctx| {
                    for (node, sighting) in sightings {
                        actor.state.sighted(&node, sighting);
                    }
                    actor.catch_up();
                    actor.reconsider(ctx);
                    let mut decision = actor.state.decision();
                    decision.choice = actor.choice();
                    if let Some(switching) = &mut actor.switching {
                        // In the names of the file, as what is published is read.
                        switching.decided(actor.state.plan());
                        actor.settle();
                    }
                    decision
                });
        Box::pin(decided)
    }
}

impl Handler<SwitchFailed> for ClusterActor {
    type Result = ();

    fn handle(&mut self, SwitchFailed(why): SwitchFailed, _: &mut Self::Context) {
        self.state.switch_failed(why, self.links.clock.now());
    }
}

impl Handler<Commanded> for ClusterActor {
    type Result = ();

    fn handle(&mut self, commanded: Commanded, _: &mut Self::Context) {
        self.state.commanded(commanded, self.links.clock.now());
    }
}

impl Handler<SettingsTried> for ClusterActor {
    type Result = ();

    fn handle(&mut self, tried: SettingsTried, _: &mut Self::Context) {
        self.state.settings_tried(tried, self.links.clock.now());
    }
}
