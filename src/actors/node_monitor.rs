//! Watches one Redis node: a probe each tick on one persistent connection, the keeper's vote, and the node's facts.
//!
//! A monitor goes through these stages: `rest` → `woken` → `probe` → (`learn` →) `conclude` → `rest`. The monitor
//! owns the future of its stage, and the connection travels through the stages. Both end with the actor.

mod client_list;
mod display;
mod fact_update;
mod fast_probe;
mod fresh_connections;
mod hindrance;
mod new_connection;
mod probe;
mod probe_schedule;
mod process;
mod proof;
mod report;
mod settings;
mod silence;
mod trial;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;
use futures::FutureExt;
use metrics::Histogram;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use self::client_list::ClientListSchedule;
use self::fact_update::Names;
use self::fast_probe::FastProbe;
pub use self::fresh_connections::FreshConnections;
use self::probe::{Connection, Established, NoAnswer, Probe};
use self::probe_schedule::ProbeSchedule;
use self::proof::Proof;
pub use self::settings::MonitorSettings;
use self::silence::Lateness;
use self::trial::Trials;
use super::Outbox;
use super::messages::{NodeObserved, Reconnect, Refresh, ResendObservation};
use crate::domain::facts::NodeObservation;
use crate::domain::liveness::Liveness;
use crate::domain::node::{ClusterName, Moment, NodeAddr};
use crate::ports::clock::LeaseClock;
use crate::ports::redis::{ConnectionEvent, Depth, Redis, RedisNode};

/// Watches one node, and tells its cluster what has changed in substance.
pub struct NodeMonitor {
    redis: Rc<dyn Redis>,
    node: Rc<dyn RedisNode>,
    cluster: ClusterName,
    addr: NodeAddr,
    settings: MonitorSettings,
    clock: Arc<dyn LeaseClock>,
    outbox: Outbox<NodeObserved>,
    fresh: Rc<FreshConnections>,
    slots: ProbeSchedule,
    fast_probe: FastProbe,
    trials: Trials,
    client_list: ClientListSchedule,
    liveness: Liveness,
    proof: Proof,
    observation: NodeObservation,
    /// The last observation that the cluster was told.
    told: Option<NodeObservation>,
    /// When everything was last asked on schedule, on the present connection.
    full_at: Option<Moment>,
    /// When an event on the connection was last answered with a probe at once.
    hastened: Option<Moment>,
    /// How long the last answer took on a connection that had to be opened for it.
    set_up: Option<Duration>,
    /// How many probes are unanswered on the present connection.
    timeouts: u32,
    /// Ends a rest.
    wake: Rc<Notify>,
    /// Whether the next probe uses a new connection, because a new one leads to another server than the present one.
    reconnect_requested: bool,
    /// Where the present connection leads.
    names: Names,
    lateness: Lateness,
    /// The actors that asked before the next probe is sent.
    waiting: Vec<oneshot::Sender<NodeObservation>>,
    /// Whether one of those that asked needs the settings, too.
    settings_wanted: bool,
    /// The actors that get the outcome of the probe under way.
    served: Vec<oneshot::Sender<NodeObservation>>,
    vote_timer: Option<SpawnHandle>,
    /// Whether the last probe failed with evidence against the node: a refused or closed connection, but not silence.
    refused: bool,
    last_probe: Option<(Moment, Duration)>,
    /// How long the last answer took.
    usual: Duration,
    /// When it was logged last that an old connection was mute.
    mute_logged: Option<Moment>,
    consecutive_failures: u64,
    probes: u64,
    failures: u64,
    latency: Histogram,
}

/// Why a rest ended.
enum WakeReason {
    /// The next probe is due, or an actor asked.
    Due,
    Event(ConnectionEvent),
}

// === impl NodeMonitor ===

impl NodeMonitor {
    /// A monitor of the node of `cluster` at `addr`. The monitor probes as soon as it is started. All monitors of the
    /// process share `fresh`.
    pub fn new(
        redis: Rc<dyn Redis>,
        cluster: ClusterName,
        addr: NodeAddr,
        settings: MonitorSettings,
        clock: Arc<dyn LeaseClock>,
        outbox: Outbox<NodeObserved>,
        fresh: Rc<FreshConnections>,
    ) -> Self {
        let now = clock.now();
        Self {
            node: redis.node(&cluster, &addr),
            slots: ProbeSchedule::new(settings.tick, &cluster, &addr),
            trials: Trials::new(
                ProbeSchedule::new(settings.full_every, &cluster, &addr),
                now,
            ),
            latency: metrics::histogram!(
                "redis_keeper_probe_duration_seconds", "cluster" => cluster.to_string()
            ),
            fast_probe: FastProbe::default(),
            client_list: ClientListSchedule::default(),
            redis,
            cluster,
            addr,
            settings,
            clock,
            outbox,
            fresh,
            liveness: Liveness::new(settings.limits(), now),
            proof: Proof::new(now),
            observation: NodeObservation {
                order: (now, 0),
                ..NodeObservation::unknown(now)
            },
            told: None,
            full_at: None,
            hastened: None,
            set_up: None,
            timeouts: 0,
            wake: Rc::default(),
            reconnect_requested: false,
            names: Names::default(),
            lateness: Lateness::default(),
            waiting: Vec::new(),
            settings_wanted: false,
            served: Vec::new(),
            vote_timer: None,
            refused: false,
            last_probe: None,
            usual: Duration::ZERO,
            mute_logged: None,
            consecutive_failures: 0,
            probes: 0,
            failures: 0,
        }
    }

    /// Waits until the next probe is due, or something happens on the connection.
    fn rest(&mut self, connection: Connection, ctx: &mut Context<Self>) {
        if self.waiting.is_empty() && !self.reconnect_requested && !self.client_list.is_requested()
        {
            // A former wake-up may be left whose purpose is done already.
            let _ = self.wake.notified().now_or_never();
        }
        let now = self.clock.now();
        let due = self.due(now);
        let (wake, wait) = (Rc::clone(&self.wake), due.since(now));
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
                () = wake.notified() => WakeReason::Due,
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
        let tick = self.slots.next(now);
        let due = self.liveness.probe_by().map_or(tick, |by| by.min(tick));
        let fast_probe = self.fast_probe.wait();
        fast_probe.map_or(due, |wait| now.after(wait).min(due))
    }

    fn woken(
        &mut self,
        connection: Connection,
        woken: &WakeReason,
        due: Moment,
        ctx: &mut Context<Self>,
    ) {
        let now = self.clock.now();
        if self.liveness.is_stall(due, now) {
            self.stalled(due, now);
        }
        match woken {
            WakeReason::Due if now < due && self.waiting.is_empty() && self.lists_at_once() => {
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
                if self.hastens() {
                    self.probe(connection, ctx);
                } else {
                    self.rest(connection, ctx);
                }
            }
        }
    }

    /// Whether an actor waits for a look at the clients, and nothing else comes first.
    fn lists_at_once(&self) -> bool {
        self.client_list.lists_at_once() && self.observation.answering && !self.reconnect_requested
    }

    /// Whether an event on the connection is answered with a probe at once: at most once a tick.
    fn hastens(&mut self) -> bool {
        let now = self.clock.now();
        let hastens = self
            .hastened
            .is_none_or(|last| now.since(last) >= self.settings.tick);
        if hastens {
            self.hastened = Some(now);
        }
        hastens
    }

    fn probe(&mut self, connection: Connection, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let reconnect_requested = std::mem::take(&mut self.reconnect_requested);
        let connection = connection.filter(|_| !reconnect_requested);
        if connection.is_none() {
            self.proof.on_another_connection();
            self.client_list.hurry();
            self.full_at = None;
            self.names = Names::new(now);
            self.timeouts = 0;
        }
        self.client_list.probed();
        self.served.append(&mut self.waiting);
        let again = self
            .full_at
            .is_none_or(|at| now.since(at) >= self.settings.full_every);
        let full = self.full(again);
        let probe = Probe {
            node: Rc::clone(&self.node),
            depth: if again || !self.served.is_empty() {
                full
            } else {
                Depth::Tick
            },
            limit: self.allow(now),
            second: self.second(full),
        };
        self.liveness.sent(now);
        self.probes += 1;
        let was_connected = connection.is_some();
        ctx.spawn(wrap_future::<_, Self>(probe.run(connection)).map(
            move |probed, monitor, ctx| {
                monitor.count(now, &probed);
                monitor.probed_process(now, was_connected, &probed);
                if probed.replaced {
                    monitor.proof.on_another_connection();
                    monitor.names = Names::new(now);
                }
                match probed.outcome {
                    Ok(alive) => {
                        if !was_connected && !probed.replaced {
                            monitor.set_up = Some(monitor.clock.now().since(now));
                        }
                        let asked = (probed.depth, again || probed.replaced);
                        monitor.answered(probed.connection, alive, asked, now, ctx);
                    }
                    Err(NoAnswer::Failed(failure, via)) => {
                        monitor.blame(&failure, via);
                        if was_connected && monitor.hastens() {
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
        if self.reconnect_requested && self.observation.answering {
            // The facts are those of the server that the name meant before.
            self.waiting.append(&mut self.served);
            self.probe(connection, ctx);
            return;
        }
        self.observation.probed = true;
        self.report(ctx);
        self.try_commands(ctx);
        if self.may_come_back() {
            self.fast_probe.go_on();
        } else {
            self.fast_probe.end();
        }
        for asker in self.served.drain(..) {
            // The actor that asked may have stopped waiting.
            let _ = asker.send(self.observation.clone());
        }
        if self.observation.answering && !self.waiting.is_empty() {
            self.probe(connection, ctx);
            return;
        }
        // A node that has just failed to answer is not probed again before the next tick.
        for asker in self.waiting.drain(..) {
            let _ = asker.send(self.observation.clone());
        }
        self.list_clients_and_rest(connection, ctx);
    }
}

impl Actor for NodeMonitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.probe(None, ctx);
    }
}

impl Handler<Refresh> for NodeMonitor {
    type Result = ResponseActFuture<Self, NodeObservation>;

    fn handle(&mut self, refresh: Refresh, _: &mut Self::Context) -> Self::Result {
        let (asker, answer) = oneshot::channel();
        self.settings_wanted |= refresh.settings;
        self.waiting.push(asker);
        self.wake.notify_one();
        Box::pin(wrap_future::<_, Self>(answer).map(|answer, monitor, _| {
            // The monitor holds the sender while it lives.
            answer.unwrap_or_else(|_| monitor.observation.clone())
        }))
    }
}

impl Handler<Reconnect> for NodeMonitor {
    type Result = ();

    fn handle(&mut self, _: Reconnect, _: &mut Self::Context) {
        self.reconnect_requested = true;
        self.wake.notify_one();
    }
}

impl Handler<ResendObservation> for NodeMonitor {
    type Result = ();

    fn handle(&mut self, _: ResendObservation, _: &mut Self::Context) {
        if let Some(told) = &self.told {
            (self.outbox)(NodeObserved {
                node: self.addr.clone(),
                observation: told.clone(),
            });
        }
    }
}
