//! A whole keeper, as a process that can be paused, crashed and started again.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use redis_keeper::actors::Directory;
use redis_keeper::app::{Daemon, Ports};
use redis_keeper::config::Config;
use redis_keeper::domain::identity::{Nonce, Place};
use redis_keeper::domain::node::{KeeperId, Moment};
use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;

use super::network::{Host, Network};
use super::peers::{Interfaces, Listening, Reach};
use super::redis::Fleet;
use super::redis::port::Redises;
use super::run::LEASE;
use super::world::{DriftingClock, World, note};
use super::zookeeper::{Coordinator, Ensemble};

/// One process of the program, as the network and the ensemble see it.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) host: Host,
    paused: Cell<bool>,
    dead: Cell<bool>,
    /// The time up to which no rule is judged by this keeper, in microseconds, since its clock has stood still.
    ///
    /// A lease that the keeper measured before may seem valid to the keeper when it is over.
    distrusted: Cell<u64>,
    /// When the process last learned that one of its sessions was over, in microseconds.
    session_over: Cell<Option<u64>>,
    waker: RefCell<Waker>,
    /// Called whenever a message reaches the process, before the process handles the message.
    reached: RefCell<Option<Box<dyn Fn()>>>,
}

/// A handle that asks one run of the program: its cluster actors, its clock, its obstacles.
#[derive(Clone)]
pub(crate) struct Voice {
    pub(crate) clusters: Directory,
    pub(crate) clock: Arc<DriftingClock>,
    obstacles: watch::Receiver<Arc<[String]>>,
    process: Rc<Process>,
}

impl Voice {
    /// Whether the clock of this keeper has stood still lately: the promise does not cover such a keeper.
    pub(crate) fn distrusted(&self, world: &World) -> bool {
        world.now() < self.process.distrusted.get()
    }

    /// When the keeper last learned that one of its sessions was over, in microseconds.
    pub(crate) fn session_over(&self) -> Option<u64> {
        self.process.session_over.get()
    }

    /// The keepers that this keeper could not ask for a consent in a rehearsal, with the reasons, as it reports them.
    pub(crate) fn obstacles(&self) -> Arc<[String]> {
        self.obstacles.borrow().clone()
    }

    /// When the heartbeat was sent that earned the lease up to `deadline`, and the present, both in microseconds.
    pub(crate) fn earned(&self, deadline: Option<Moment>, world: &World) -> (Option<u64>, u64) {
        let now = world.now();
        let ago = deadline.map(|deadline| self.clock.since(deadline, LEASE));
        (ago.map(|ago| now.saturating_sub(ago)), now)
    }
}

/// Asks a keeper at the instant at which a message reaches that keeper.
type Asker = Rc<dyn Fn(&Voice)>;

/// A keeper, across the runs of its program.
pub(crate) struct Keeper {
    pub(crate) id: KeeperId,
    pub(crate) host: Host,
    world: Rc<World>,
    network: Rc<Network>,
    ensemble: Rc<Ensemble>,
    fleet: Rc<Fleet>,
    interfaces: Rc<Interfaces>,
    config: Config,
    /// How much too fast this keeper's clock goes, in millionths.
    drift: i64,
    /// How long a lease or a consent of this keeper may last at most, in microseconds.
    relied_on: u64,
    service: Cell<Service>,
    run: RefCell<Option<Run>>,
    asker: RefCell<Option<Asker>>,
}

/// Whether a keeper is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    /// A newcomer: it starts when a fault says so.
    Awaited,
    Active,
    /// The keeper's host died for good.
    Retired,
}

/// A process that runs, and the handles to it.
struct Run {
    process: Rc<Process>,
    voice: Voice,
    actors: Rc<RefCell<Option<LocalSet>>>,
    stop: Option<oneshot::Sender<()>>,
}

/// The world that keepers run in.
pub(crate) struct Surroundings {
    pub(crate) world: Rc<World>,
    pub(crate) network: Rc<Network>,
    pub(crate) ensemble: Rc<Ensemble>,
    pub(crate) fleet: Rc<Fleet>,
    pub(crate) interfaces: Rc<Interfaces>,
}

// === impl Process ===

impl Process {
    /// A process that is no keeper.
    pub(crate) fn client(host: Host) -> Rc<Self> {
        Rc::new(Self::new("a client".to_owned(), host))
    }

    fn new(name: String, host: Host) -> Self {
        Self {
            name,
            host,
            paused: Cell::new(false),
            dead: Cell::new(false),
            distrusted: Cell::default(),
            session_over: Cell::default(),
            waker: RefCell::new(Waker::noop().clone()),
            reached: RefCell::default(),
        }
    }

    pub(crate) fn paused(&self) -> bool {
        self.paused.get()
    }

    pub(crate) fn dead(&self) -> bool {
        self.dead.get()
    }

    /// Notes that one of its sessions is over, and that the process knows from `now` on.
    pub(crate) fn learned_over(&self, now: u64) {
        self.session_over.set(Some(now));
    }

    /// Called when a message reaches the process.
    pub(crate) fn reached(&self) {
        if let Some(reached) = &*self.reached.borrow() {
            reached();
        }
    }
}

// === impl Keeper ===

impl Keeper {
    pub(crate) fn new(around: &Surroundings, config: Config, host: Host, drift: i64) -> Rc<Self> {
        Rc::new(Self {
            id: config.keeper_id.clone(),
            host,
            world: Rc::clone(&around.world),
            network: Rc::clone(&around.network),
            ensemble: Rc::clone(&around.ensemble),
            fleet: Rc::clone(&around.fleet),
            interfaces: Rc::clone(&around.interfaces),
            relied_on: relied_on(&config),
            config,
            drift,
            service: Cell::new(Service::Active),
            run: RefCell::default(),
            asker: RefCell::default(),
        })
    }

    /// Has `asker` ask whenever an answer of ZooKeeper reaches the keeper, even while the keeper is stopped.
    pub(crate) fn asked_by(&self, asker: impl Fn(&Voice) + 'static) {
        *self.asker.borrow_mut() = Some(Rc::new(asker));
    }

    /// Keeps the keeper from starting until [`join`](Self::join).
    pub(crate) fn joins_later(&self) {
        self.service.set(Service::Awaited);
    }

    /// Starts a newcomer for the first time.
    pub(crate) fn join(self: &Rc<Self>) {
        self.service.set(Service::Active);
        self.start();
    }

    /// Kills the keeper for good.
    pub(crate) fn retire(&self) {
        self.service.set(Service::Retired);
        self.crash();
    }

    /// Whether the keeper is to run.
    pub(crate) fn serves(&self) -> bool {
        self.service.get() == Service::Active
    }

    /// Whether the keeper's host died for good.
    pub(crate) fn retired(&self) -> bool {
        self.service.get() == Service::Retired
    }

    /// Starts the keeper, unless it runs already or is not to run.
    pub(crate) fn start(self: &Rc<Self>) {
        if self.run.borrow().is_some() || !self.serves() {
            return;
        }
        note!(self.world, "{} starts", self.id);
        let process = Rc::new(Process::new(self.id.to_string(), self.host));
        let reads = Duration::from_micros(self.world.draw(1_000_000_000..=9_000_000_000));
        let clock = Arc::new(DriftingClock::new(reads, self.drift));
        let seed = self.world.draw(0..=u64::MAX);
        let ports = Ports {
            redis: Redises::of(&process, &self.fleet, &self.network, &self.world),
            coordination: Rc::new(Coordinator {
                ensemble: Rc::clone(&self.ensemble),
                process: Rc::clone(&process),
            }),
            peers: Rc::new(Reach {
                process: Rc::clone(&process),
                interfaces: Rc::clone(&self.interfaces),
            }),
            clock: Arc::clone(&clock) as _,
            seed,
            nonce: Nonce::drawn(seed),
            place: Place::new(self.id.as_str()),
        };
        let local = LocalSet::new();
        let (stop, stopped) = oneshot::channel::<()>();
        let (clusters, session, obstacles) = {
            let _inside = local.enter();
            let daemon = Daemon::start_unserved(&self.config, ports);
            let references = daemon.references();
            let found = (
                references.clusters.clone(),
                references.session.clone(),
                references.obstacles.clone(),
            );
            let keeper = Rc::downgrade(self);
            local.spawn_local(async move {
                let stopped = async {
                    if stopped.await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                let end = daemon.run(stopped).await;
                if let Some(keeper) = keeper.upgrade() {
                    keeper.ended(&end.map_or_else(|why| why.to_string(), |()| "as asked".into()));
                }
            });
            found
        };
        let voice = Voice {
            clusters,
            clock,
            obstacles,
            process: Rc::clone(&process),
        };
        if let Some(asker) = self.asker.borrow().clone() {
            let voice = voice.clone();
            *process.reached.borrow_mut() = Some(Box::new(move || asker(&voice)));
        }
        let actors = Rc::new(RefCell::new(Some(local)));
        tokio::task::spawn_local(live(Rc::clone(&process), Rc::clone(&actors)));
        let listening = Listening {
            process: Rc::clone(&process),
            session,
            clusters: voice.clusters.clone(),
            actors: Rc::clone(&actors),
        };
        self.interfaces.listen(self.host, listening);
        *self.run.borrow_mut() = Some(Run {
            process,
            voice,
            actors,
            stop: Some(stop),
        });
    }

    /// Clears a run away that has ended by itself or was asked to end. The clearing happens outside the run, one
    /// microsecond later.
    fn ended(self: &Rc<Self>, why: &str) {
        note!(self.world, "{} ends: {why}", self.id);
        let keeper = Rc::clone(self);
        self.world.after(1, move || keeper.crash());
        let keeper = Rc::clone(self);
        // systemd restarts a service, too.
        self.world.after(1_000_000, move || keeper.start());
    }

    /// Asks the keeper to end in order (SIGTERM). The keeper is started again a second later.
    pub(crate) fn stop(&self) {
        if let Some(run) = &mut *self.run.borrow_mut()
            && let Some(stop) = run.stop.take()
        {
            note!(self.world, "{} is asked to stop", self.id);
            let _ = stop.send(());
        }
    }

    /// Kills the process. Its ZooKeeper session lives on until the session expires.
    pub(crate) fn crash(&self) {
        let Some(run) = self.run.borrow_mut().take() else {
            return;
        };
        note!(self.world, "{} is gone", self.id);
        run.process.dead.set(true);
        run.process.reached.take();
        let actors = run.actors.borrow_mut().take();
        drop(actors);
    }

    /// Has the keeper asked now, as if a message had reached it.
    pub(crate) fn ask(&self) {
        if let Some(run) = &*self.run.borrow() {
            run.process.reached();
        }
    }

    /// Stops the process (SIGSTOP), or lets it continue (SIGCONT).
    pub(crate) fn pause(&self, paused: bool) {
        if let Some(run) = &*self.run.borrow() {
            note!(
                self.world,
                "{} {}",
                self.id,
                if paused { "stopped" } else { "continues" }
            );
            run.process.paused.set(paused);
            if !paused && run.voice.clock.go_on() {
                let until = self.world.now() + self.relied_on;
                run.process.distrusted.set(until);
            }
            run.process.waker.borrow().wake_by_ref();
        }
    }

    /// Suspends the keeper's machine, and the machine's clock, until the keeper continues.
    pub(crate) fn stun(&self) {
        self.pause(true);
        if let Some(run) = &*self.run.borrow() {
            run.voice.clock.stop();
        }
    }

    /// The handle to ask this keeper, if the keeper runs and is not stopped.
    pub(crate) fn answering(&self) -> Option<Voice> {
        let run = self.run.borrow();
        let run = run.as_ref().filter(|run| !run.process.paused())?;
        Some(run.voice.clone())
    }

    /// The same handle, unless the keeper's clock has stood still lately.
    pub(crate) fn trusted(&self) -> Option<Voice> {
        let voice = self.answering();
        voice.filter(|voice| !voice.distrusted(&self.world))
    }
}

/// How long a lease or a consent lasts at most, and a tenth of a lease for the sampling, in microseconds.
fn relied_on(config: &Config) -> u64 {
    let consent = config.timing.failsafe.map_or(0, |failsafe| {
        u64::try_from(failsafe.consent.as_micros()).expect("seconds")
    });
    LEASE.max(consent) + LEASE / 10
}

/// Polls the actors of a process while the process is not paused, until it is dead.
async fn live(process: Rc<Process>, actors: Rc<RefCell<Option<LocalSet>>>) {
    poll_fn(move |cx| {
        process.waker.borrow_mut().clone_from(cx.waker());
        if process.paused() {
            return Poll::Pending;
        }
        match &mut *actors.borrow_mut() {
            Some(local) => Pin::new(local).poll(cx),
            None => Poll::Ready(()),
        }
    })
    .await;
}
