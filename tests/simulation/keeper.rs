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

/// One run of the program, as others see it.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) host: Host,
    paused: Cell<bool>,
    dead: Cell<bool>,
    /// Its clock has stood still, and what it measured before may not be over by it: nobody relies on it until then, in
    /// microseconds.
    distrusted: Cell<u64>,
    /// When it learned last that a session of it was over, in microseconds.
    session_over: Cell<Option<u64>>,
    waker: RefCell<Waker>,
    /// Called whenever something reaches it, before it has its turn.
    reached: RefCell<Option<Box<dyn Fn()>>>,
}

/// What answers questions in a run of the program.
#[derive(Clone)]
pub(crate) struct Voice {
    pub(crate) clusters: Directory,
    pub(crate) clock: Arc<DriftingClock>,
    obstacles: watch::Receiver<Arc<[String]>>,
    process: Rc<Process>,
}

impl Voice {
    /// Whether its clock has stood still, so that it may rely on what is over: that is not promised to be safe.
    pub(crate) fn distrusted(&self, world: &World) -> bool {
        world.now() < self.process.distrusted.get()
    }

    /// When it learned last that a session of it was over, in microseconds.
    pub(crate) fn session_over(&self) -> Option<u64> {
        self.process.session_over.get()
    }

    /// Keepers that it could not ask without ZooKeeper, and why, as it tells them.
    pub(crate) fn obstacles(&self) -> Arc<[String]> {
        self.obstacles.borrow().clone()
    }

    /// When the heartbeat was sent that earned a lease up to `deadline`, and the present, both in microseconds.
    pub(crate) fn earned(&self, deadline: Option<Moment>, world: &World) -> (Option<u64>, u64) {
        let now = world.now();
        let ago = deadline.map(|deadline| self.clock.since(deadline, LEASE));
        (ago.map(|ago| now.saturating_sub(ago)), now)
    }
}

/// Asks a keeper something in the instant in which something else reaches it.
type Asker = Rc<dyn Fn(&Voice)>;

/// A keeper, across its runs.
pub(crate) struct Keeper {
    pub(crate) id: KeeperId,
    pub(crate) host: Host,
    world: Rc<World>,
    network: Rc<Network>,
    ensemble: Rc<Ensemble>,
    fleet: Rc<Fleet>,
    interfaces: Rc<Interfaces>,
    config: Config,
    /// In millionths.
    drift: i64,
    /// How long anything that it is given may be relied on, in microseconds.
    relied_on: u64,
    service: Cell<Service>,
    run: RefCell<Option<Run>>,
    asker: RefCell<Option<Asker>>,
}

/// Whether a keeper is one of those that are to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    /// It joins later.
    Awaited,
    Active,
    /// Its host is gone for good.
    Retired,
}

/// A run under way.
struct Run {
    process: Rc<Process>,
    voice: Voice,
    actors: Rc<RefCell<Option<LocalSet>>>,
    stop: Option<oneshot::Sender<()>>,
}

/// Where keepers live.
pub(crate) struct Surroundings {
    pub(crate) world: Rc<World>,
    pub(crate) network: Rc<Network>,
    pub(crate) ensemble: Rc<Ensemble>,
    pub(crate) fleet: Rc<Fleet>,
    pub(crate) interfaces: Rc<Interfaces>,
}

// === impl Process ===

impl Process {
    /// A program that is no keeper.
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

    /// Its session is over, and it knows from now on.
    pub(crate) fn learned_over(&self, now: u64) {
        self.session_over.set(Some(now));
    }

    /// Something has reached it.
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

    /// Has `asker` ask whenever an answer of ZooKeeper reaches it, though it be stopped.
    pub(crate) fn asked_by(&self, asker: impl Fn(&Voice) + 'static) {
        *self.asker.borrow_mut() = Some(Rc::new(asker));
    }

    /// It is started by [`join`](Self::join) only.
    pub(crate) fn joins_later(&self) {
        self.service.set(Service::Awaited);
    }

    /// Starts it for the first time.
    pub(crate) fn join(self: &Rc<Self>) {
        self.service.set(Service::Active);
        self.start();
    }

    /// Kills it, and it never comes back.
    pub(crate) fn retire(&self) {
        self.service.set(Service::Retired);
        self.crash();
    }

    /// Whether it is one of those that are to run.
    pub(crate) fn serves(&self) -> bool {
        self.service.get() == Service::Active
    }

    /// Whether its host is gone for good.
    pub(crate) fn retired(&self) -> bool {
        self.service.get() == Service::Retired
    }

    /// Starts it, unless it runs or is not to.
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

    /// It has ended by itself, or as it was asked to: the run is cleared away from outside it.
    fn ended(self: &Rc<Self>, why: &str) {
        note!(self.world, "{} ends: {why}", self.id);
        let keeper = Rc::clone(self);
        self.world.after(1, move || keeper.crash());
        let keeper = Rc::clone(self);
        // As systemd would.
        self.world.after(1_000_000, move || keeper.start());
    }

    /// Asks it to end in order; it is started again soon after.
    pub(crate) fn stop(&self) {
        if let Some(run) = &mut *self.run.borrow_mut()
            && let Some(stop) = run.stop.take()
        {
            note!(self.world, "{} is asked to stop", self.id);
            let _ = stop.send(());
        }
    }

    /// Kills it: its ZooKeeper session lives on until it expires.
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

    /// Has it asked now, as whenever something reaches it.
    pub(crate) fn ask(&self) {
        if let Some(run) = &*self.run.borrow() {
            run.process.reached();
        }
    }

    /// SIGSTOP and SIGCONT.
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

    /// The machine that it runs on is suspended, its clock with it, until it continues.
    pub(crate) fn stun(&self) {
        self.pause(true);
        if let Some(run) = &*self.run.borrow() {
            run.voice.clock.stop();
        }
    }

    /// Who answers for it, if it can answer now.
    pub(crate) fn answering(&self) -> Option<Voice> {
        let run = self.run.borrow();
        let run = run.as_ref().filter(|run| !run.process.paused())?;
        Some(run.voice.clone())
    }

    /// The same, unless its clock has stood still.
    pub(crate) fn trusted(&self) -> Option<Voice> {
        let voice = self.answering();
        voice.filter(|voice| !voice.distrusted(&self.world))
    }
}

/// The longest of a lease and a consent by its clock, and what sampling makes of it, in microseconds.
fn relied_on(config: &Config) -> u64 {
    let consent = config.timing.failsafe.map_or(0, |failsafe| {
        u64::try_from(failsafe.consent.as_micros()).expect("seconds")
    });
    LEASE.max(consent) + LEASE / 10
}

/// Runs the actors of a process while it is not paused, until it is dead.
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
