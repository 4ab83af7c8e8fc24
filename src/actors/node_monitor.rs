//! Watches one Redis node: a probe each tick on one persistent connection, the keeper's vote, and the node's facts.
//!
//! A monitor goes through these stages: `rest` → `woken` → `probe` → (`learn` →) `conclude` → `rest`. The monitor
//! owns the future of its stage, and the connection travels through the stages. Both end with the actor.

mod client_list;
mod display;
mod fact_update;
mod fast_probe;
mod figures;
mod fresh_connections;
mod hindrance;
mod new_connection;
mod pace;
mod probe;
mod probe_schedule;
mod process;
mod proof;
mod report;
mod requests;
mod settings;
mod silence;
mod trial;

use std::rc::Rc;
use std::sync::Arc;

use actix::fut::wrap_future;
use actix::prelude::*;
use tokio::time::sleep;

use self::client_list::ClientListSchedule;
use self::fact_update::{Asked, Names};
use self::figures::Figures;
pub use self::fresh_connections::FreshConnections;
use self::pace::Pace;
use self::probe::{Connection, Established, NoAnswer, Probe};
use self::probe_schedule::ProbeSchedule;
use self::proof::Proof;
use self::report::Reported;
use self::requests::Requests;
pub use self::settings::MonitorSettings;
use self::silence::AnswerTimes;
use self::trial::Trials;
use super::Outbox;
use super::messages::{KeepersMet, NodeObserved, Reconnect, Refresh, ResendObservation};
use crate::domain::liveness::Liveness;
use crate::domain::node::{ClusterName, Moment, NodeAddr};
use crate::domain::observation::NodeObservation;
use crate::ports::clock::LeaseClock;
use crate::ports::redis::{ConnectionEvent, Depth, Redis, RedisNode};

/// Everything that a [`NodeMonitor`] needs of others.
#[derive(Clone)]
pub struct MonitorLinks {
    /// Probes and commands servers, and resolves names.
    pub redis: Rc<dyn Redis>,
    /// The clock of the probes and of the votes.
    pub clock: Arc<dyn LeaseClock>,
    /// The turns of new connections, which all monitors of the process share.
    pub fresh: Rc<FreshConnections>,
    /// To the cluster: what has changed in substance.
    pub observed: Outbox<NodeObserved>,
    /// To the watch for other groups: the keepers that the monitor meets. `None`: the monitor looks for none.
    pub met: Option<Outbox<KeepersMet>>,
}

/// Watches one node, and tells its cluster what has changed in substance.
pub struct NodeMonitor {
    cluster: ClusterName,
    addr: NodeAddr,
    node: Rc<dyn RedisNode>,
    settings: MonitorSettings,
    links: MonitorLinks,
    pace: Pace,
    trials: Trials,
    client_list: ClientListSchedule,
    requests: Requests,
    liveness: Liveness,
    proof: Proof,
    observation: NodeObservation,
    present: PresentConnection,
    times: AnswerTimes,
    reported: Reported,
    /// When it was logged last that an old connection was mute.
    mute_logged: Option<Moment>,
    figures: Figures,
}

/// The connection on which the monitor probes. Another connection begins anew.
#[derive(Debug, Default)]
struct PresentConnection {
    /// When everything was last asked on schedule.
    full_at: Option<Moment>,
    /// How many probes are unanswered.
    timeouts: u32,
    /// Where the connection leads.
    names: Names,
}

/// Why a rest ended.
enum WakeReason {
    /// The next probe is due, or an actor asked.
    Due,
    Event(ConnectionEvent),
}

impl NodeMonitor {
    /// A monitor of the node of `cluster` at `addr`. The monitor probes as soon as it is started.
    pub fn new(
        cluster: ClusterName,
        addr: NodeAddr,
        settings: MonitorSettings,
        links: MonitorLinks,
    ) -> Self {
        let now = links.clock.now();
        let every = |period| ProbeSchedule::new(period, &cluster, &addr);
        Self {
            node: links.redis.node(&cluster, &addr),
            pace: Pace::new(settings.tick, every(settings.tick)),
            trials: Trials::new(every(settings.full_every), now),
            client_list: ClientListSchedule::new(links.met.clone()),
            requests: Requests::default(),
            liveness: Liveness::new(settings.limits(), now),
            proof: Proof::new(now),
            observation: NodeObservation {
                order: (now, 0),
                ..NodeObservation::unknown(now)
            },
            present: PresentConnection::default(),
            times: AnswerTimes::default(),
            reported: Reported::default(),
            mute_logged: None,
            figures: Figures::of(&cluster),
            cluster,
            addr,
            settings,
            links,
        }
    }
}

impl Actor for NodeMonitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.probe(None, ctx);
    }
}

// === stages ===

impl NodeMonitor {
    /// Waits until the next probe is due, or something happens on the connection.
    fn rest(&mut self, connection: Connection, ctx: &mut Context<Self>) {
        let asked = !self.requests.is_empty() || self.requests.reconnect;
        if !asked && !self.client_list.is_requested() {
            self.requests.forget_wake_up();
        }
        let now = self.links.clock.now();
        let due = self.due(now);
        let (wake, wait) = (self.requests.woken(), due.since(now));
        let resting = async move {
            let mut connection = connection;
            let next_event = async {
                match &mut connection {
                    Some(established) => established.connection.next_event().await,
                    None => std::future::pending().await,
                }
            };
            let woken = tokio::select! {
                biased;
                () = wake => WakeReason::Due,
                stir = next_event => WakeReason::Event(stir),
                () = sleep(wait) => WakeReason::Due,
            };
            (connection, woken)
        };
        ctx.spawn(
            wrap_future::<_, Self>(resting).map(move |(connection, woken), monitor, ctx| {
                monitor.woken(connection, &woken, due, ctx);
            }),
        );
    }

    /// When the next probe is due.
    fn due(&self, now: Moment) -> Moment {
        self.pace.due(self.liveness.probe_by(), now)
    }

    fn woken(
        &mut self,
        connection: Connection,
        woken: &WakeReason,
        due: Moment,
        ctx: &mut Context<Self>,
    ) {
        let now = self.links.clock.now();
        if self.liveness.is_stall(due, now) {
            self.stalled(due, now);
        }
        match woken {
            WakeReason::Due if now < due && self.requests.is_empty() && self.lists_at_once() => {
                self.list_clients_and_rest(connection, ctx);
            }
            WakeReason::Due => self.probe(connection, ctx),
            WakeReason::Event(stir) => {
                let connection = match stir {
                    ConnectionEvent::Closed => {
                        self.closed_by_peer();
                        None
                    }
                    ConnectionEvent::Lost => {
                        self.observation.process = None;
                        None
                    }
                    ConnectionEvent::Answered => {
                        self.answered_late(now);
                        self.liveness.alive_at(now);
                        self.report(ctx);
                        connection.map(Established::heard)
                    }
                };
                if self.pace.hastens(self.links.clock.now()) {
                    self.probe(connection, ctx);
                } else {
                    self.rest(connection, ctx);
                }
            }
        }
    }

    /// Whether an actor waits for a look at the clients, and nothing else comes first.
    fn lists_at_once(&self) -> bool {
        self.client_list.lists_at_once() && self.observation.answering && !self.requests.reconnect
    }

    fn probe(&mut self, connection: Connection, ctx: &mut Context<Self>) {
        let now = self.links.clock.now();
        let reconnect_requested = std::mem::take(&mut self.requests.reconnect);
        let connection = connection.filter(|_| !reconnect_requested);
        if connection.is_none() {
            self.proof.on_another_connection();
            self.client_list.hurry();
            self.present = PresentConnection {
                names: Names::new(now),
                ..PresentConnection::default()
            };
        }
        self.client_list.probed();
        self.requests.serve();
        let again = self
            .present
            .full_at
            .is_none_or(|at| now.since(at) >= self.settings.full_every);
        let full = self.full(again);
        let probe = Probe {
            node: Rc::clone(&self.node),
            depth: if again || self.requests.is_serving() {
                full
            } else {
                Depth::Tick
            },
            limit: self.allow(now),
            second: self.second(full),
        };
        self.liveness.sent(now);
        self.figures.probes += 1;
        let was_connected = connection.is_some();
        ctx.spawn(wrap_future::<_, Self>(probe.run(connection)).map(
            move |probed, monitor, ctx| {
                monitor.count(now, &probed);
                monitor.probed_process(now, was_connected, &probed);
                if probed.replaced {
                    monitor.proof.on_another_connection();
                    monitor.present.names = Names::new(now);
                }
                match probed.outcome {
                    Ok(alive) => {
                        if !was_connected && !probed.replaced {
                            monitor.times.set_up = Some(monitor.links.clock.now().since(now));
                        }
                        let asked = Asked {
                            depth: probed.depth,
                            again: again || probed.replaced,
                        };
                        monitor.answered(probed.connection, alive, asked, now, ctx);
                    }
                    Err(NoAnswer::Failed(failure, via)) => {
                        monitor.blame(&failure, via);
                        if was_connected && monitor.pace.hastens(monitor.links.clock.now()) {
                            monitor.report(ctx);
                            monitor.probe(None, ctx);
                        } else {
                            monitor.conclude(None, ctx);
                        }
                    }
                    Err(NoAnswer::Silent(silence)) => {
                        let sent = now.after(probed.located);
                        monitor.timed_out(probed.connection, &silence, sent, ctx);
                    }
                }
            },
        ));
    }

    /// Ends a probe: reports, answers those that asked, and rests or probes again.
    fn conclude(&mut self, connection: Connection, ctx: &mut Context<Self>) {
        if self.requests.reconnect && self.observation.answering {
            // The facts are those of the server that the name meant before.
            self.requests.serve_later();
            self.probe(connection, ctx);
            return;
        }
        self.observation.probed = true;
        self.report(ctx);
        self.try_commands(ctx);
        if self.may_come_back() {
            self.pace.fast.go_on();
        } else {
            self.pace.fast.end();
        }
        self.requests.answer(&self.observation);
        if self.observation.answering && !self.requests.is_empty() {
            self.probe(connection, ctx);
            return;
        }
        // A node that has just failed to answer is not probed again before the next tick.
        self.requests.answer_waiting(&self.observation);
        self.list_clients_and_rest(connection, ctx);
    }
}

// === messages ===

impl Handler<Refresh> for NodeMonitor {
    type Result = ResponseActFuture<Self, NodeObservation>;

    fn handle(&mut self, refresh: Refresh, _: &mut Self::Context) -> Self::Result {
        let answer = self.requests.probe(refresh.settings);
        Box::pin(wrap_future::<_, Self>(answer).map(|answer, monitor, _| {
            // The monitor holds the sender while it lives.
            answer.unwrap_or_else(|_| monitor.observation.clone())
        }))
    }
}

impl Handler<Reconnect> for NodeMonitor {
    type Result = ();

    fn handle(&mut self, _: Reconnect, _: &mut Self::Context) {
        self.requests.reconnect = true;
        self.requests.wake();
    }
}

impl Handler<ResendObservation> for NodeMonitor {
    type Result = ();

    fn handle(&mut self, _: ResendObservation, _: &mut Self::Context) {
        if let Some(told) = &self.reported.observation {
            self.tell(told.clone());
        }
    }
}
