//! Wiring: builds the root of the supervision tree and the HTTP server from the configuration and the ports.
//!
//! ```text
//! root ─┬─ session             ZkSession
//!       ├─ groups              GroupWatch
//!       ├─ failover ─┬─ leader FailoverActor
//!       │            ├─ tasks  TaskPerformer
//!       │            └─ run:…  a FailoverRun per cluster in motion
//!       ├─ cluster:… ─┬─ actor ClusterActor
//!       │             └─ node:…  a NodeMonitor per Redis node
//!       └─ http                the HTTP server
//! ```

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{mpsc, watch};

use crate::actors::Directory;
use crate::actors::failover::FailoverActor;
use crate::actors::messages::{Fatal, Leave};
use crate::actors::zk_session::ZkSession;
use crate::config::Config;
use crate::domain::identity::{Nonce, Place};
use crate::domain::lease::Lease;
use crate::domain::timing::departure::LEAVE_WITHIN;
use crate::http::HttpState;
use crate::ports::clock::LeaseClock;
use crate::ports::coordination::Coordination;
use crate::ports::peers::Peers;
use crate::ports::redis::Redis;
use crate::supervision::{ChildRef, Exit, OneForOne, RestartPolicy, Root, Slot};

mod backend;
mod http_server;
mod tree;

/// How often every supervisor pings its children. A child that has not answered by the next ping is replaced.
const PING_EVERY: Duration = Duration::from_secs(2);

/// The ports through which a keeper reaches the rest of the world.
pub struct Ports {
    /// The Redis servers.
    pub redis: Rc<dyn Redis>,
    /// ZooKeeper, or the embedded coordination in its place.
    pub coordination: Rc<dyn Coordination>,
    /// The other keepers.
    pub peers: Rc<dyn Peers>,
    /// The clock that measures leases.
    pub clock: Arc<dyn LeaseClock>,
    /// The seed of random delays.
    pub seed: u64,
    /// The random number of this process, which tells it from every other process (RK-8).
    pub nonce: Nonce,
    /// The place of this process: processes at one place share their loopback addresses.
    pub place: Place,
}

/// The parts of the HTTP server, besides the actors.
pub struct Front {
    /// The socket on which the server listens.
    pub listener: TcpListener,
    /// The most connections at once.
    pub connections: usize,
    /// The metrics that the process has recorded.
    pub metrics: PrometheusHandle,
}

/// References to the actors of a running keeper. The references stay valid across restarts of the actors.
pub struct References {
    /// The coordination session.
    pub session: ChildRef<ZkSession>,
    /// The actor that acts while this keeper leads.
    pub leader: ChildRef<FailoverActor>,
    /// The actor of each cluster, and the cluster's monitors.
    pub clusters: Directory,
    /// The obstacles found by rehearsals: keepers that could not be asked for consent, and why (RK-8).
    pub obstacles: watch::Receiver<Arc<[String]>>,
}

/// A running keeper. To drop the daemon is to stop all of it at once; its latch and heartbeat then stay in ZooKeeper
/// until the session expires.
pub struct Daemon {
    root: Root,
    references: References,
    fatal: mpsc::UnboundedReceiver<Fatal>,
    lease: watch::Receiver<Lease>,
    clock: Arc<dyn LeaseClock>,
}

/// The reason why a keeper ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The keeper cannot take part with its configuration or at its place. A restart alone will not help.
    #[error("{0}")]
    Refused(String),
    /// An actor of the keeper failed too often.
    #[error("{0}")]
    GaveUp(Exit),
}

impl Daemon {
    /// Starts the tree on the current arbiter, and serves HTTP as `front` describes.
    pub fn start(config: &Config, ports: Ports, front: Front) -> Self {
        Self::assemble(config, ports, Some(front))
    }

    /// Starts the tree without its HTTP server, for the simulation.
    pub fn start_unserved(config: &Config, ports: Ports) -> Self {
        Self::assemble(config, ports, None)
    }

    fn assemble(config: &Config, ports: Ports, front: Option<Front>) -> Self {
        let (lease_sender, lease) = watch::channel(Lease::default());
        let (obstacles_sender, obstacles) = watch::channel(Arc::default());
        let outage = ports.coordination.outage();
        let (fatal_sender, fatal) = mpsc::unbounded_channel();
        let wiring = tree::Wiring {
            directory: Directory::default(),
            session: Slot::new(),
            leader: Slot::new(),
            runs: Slot::new(),
            performer: Slot::new(),
            primaries: Rc::default(),
            claims: Rc::default(),
            groups: Slot::new(),
            lease: lease_sender,
            group: watch::Sender::default(),
            rivals: watch::Sender::default(),
            chance: ports.seed,
            fatal: fatal_sender,
            redis: ports.redis,
            fresh: Rc::default(),
            coordination: ports.coordination,
            peers: ports.peers,
            obstacles: obstacles_sender,
            clock: ports.clock.clone(),
            nonce: ports.nonce,
            place: ports.place,
        };
        let references = References {
            session: wiring.session.reference(),
            leader: wiring.leader.reference(),
            clusters: wiring.directory.clone(),
            obstacles: obstacles.clone(),
        };
        let mut plan = at_root()
            .child(wiring.session(config))
            .child(wiring.groups(config))
            .child(wiring.failover(config));
        for cluster in &config.clusters {
            plan = plan.child(wiring.cluster(config, cluster));
        }
        let clock = ports.clock.clone();
        let view = Arc::new(OnceLock::new());
        if let Some(front) = front {
            let backend = backend::Actors {
                directory: wiring.directory.clone(),
                session: references.session.clone(),
                lease: lease.clone(),
                obstacles,
                outage,
                clock: ports.clock.clone(),
                arbiter: actix::Arbiter::current(),
                tree: view.clone(),
            };
            let state = HttpState::new(Arc::new(backend), ports.clock, front.metrics)
                .with_operations(config.rest.operations);
            let state = Arc::new(state);
            let (listener, workers) = (front.listener, config.rest.workers);
            let http = http_server::child(listener, state, workers, front.connections);
            plan = plan.child(http);
        }
        let root = Root::start("root", ports.seed, plan);
        view.get_or_init(|| root.tree());
        Self {
            root,
            references,
            fatal,
            lease,
            clock,
        }
    }

    /// References to the actors.
    pub fn references(&self) -> &References {
        &self.references
    }

    /// Resolves when this keeper first holds a lease: the keeper takes part and may answer.
    pub fn ready(&self) -> impl Future<Output = ()> + use<> {
        let mut lease = self.lease.clone();
        async move {
            // An error means that the daemon has ended: the keeper will never be ready.
            if lease
                .wait_for(|lease| lease.deadline().is_some())
                .await
                .is_err()
            {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Runs until `stop` resolves, and then removes this keeper's latch, reports and heartbeat from ZooKeeper.
    ///
    /// # Errors
    /// The keeper cannot go on. The error has the cause.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), DaemonError> {
        tokio::select! {
            biased;
            () = stop => {}
            Some(Fatal { message }) = self.fatal.recv() => return Err(DaemonError::Refused(message)),
            exit = self.root.ended() => return Err(DaemonError::GaveUp(exit)),
        }
        let lease = *self.lease.borrow();
        if lease.deadline().is_some() && (lease.is_consented() || !lease.holds(self.clock.now())) {
            tracing::warn!(
                "stopping while ZooKeeper does not answer: this keeper cannot take part again before ZooKeeper is back. With \
                 failsafe, the other keepers call no node writable either once its last consent is over"
            );
        }
        tracing::info!("stopping: giving back latch, votes and membership");
        if tokio::time::timeout(LEAVE_WITHIN, self.references.session.send(Leave))
            .await
            .is_err()
        {
            tracing::warn!("could not leave in time: the session will expire by itself");
        }
        self.root.stop().await;
        tracing::info!("stopped");
        Ok(())
    }
}

fn supervised() -> OneForOne {
    OneForOne::new(RestartPolicy::default()).ping_every(PING_EVERY)
}

/// The root counts restarts over a longer window. A supervisor below the root takes up to half a minute to give up on
/// a child. If a supervisor does nothing but give up, it must end the keeper, and not be restarted for ever.
fn at_root() -> OneForOne {
    let policy = RestartPolicy {
        window: Duration::from_mins(10),
        ..RestartPolicy::default()
    };
    OneForOne::new(policy).ping_every(PING_EVERY)
}
