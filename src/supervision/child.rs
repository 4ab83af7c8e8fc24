//! One child: how it is made, how it lives in its own task, and how its end is reported.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use actix::dev::ContextFut;
use actix::prelude::*;
use tokio::task::AbortHandle;

use super::exit::Exit;
use super::panics::catch;
use super::slot::Slot;
use super::tree::Node;
use super::{OneForOne, Stop, Supervisor};

/// A child to be supervised: its name, the slot where it is found, how to make it, and when to restart it.
///
/// A supervised actor has to meet these conditions:
/// - The factory runs in the child's own task: a panic there is the child's exit like any other.
/// - The actor answers pings as long as it can handle messages. A handler counts as hung if it waits with `ctx.wait`
///   or `AtomicResponse` for longer than the supervisor's ping interval.
/// - After a panic, only the `Drop` of the actor's fields runs. Otherwise `stopping` and `stopped` are called: when
///   the actor stops by itself, when it is stopped, and when it is killed for hanging. `stopping` must return
///   `Running::Stop`.
/// - Work that the actor spawned with its context dies with it. Work from `ResponseFuture` and `actix::spawn` does
///   not.
#[derive(Clone)]
pub struct ChildSpec {
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    pub(super) launch: Arc<dyn Launch>,
}

/// When a child is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whenever it exits.
    Permanent,
    /// When it fails. A child that stops by itself is removed.
    Transient,
}

impl ChildSpec {
    /// A child that is restarted whenever it exits.
    pub fn permanent<A, F>(name: impl Into<Arc<str>>, slot: &Slot<A>, factory: F) -> Self
    where
        A: Actor<Context = Context<A>>,
        F: Fn() -> A + Send + Sync + 'static,
    {
        Self::actor(name.into(), Kind::Permanent, slot, factory)
    }

    /// A child that is restarted when it panics or hangs, and is done when it stops by itself.
    pub fn transient<A, F>(name: impl Into<Arc<str>>, slot: &Slot<A>, factory: F) -> Self
    where
        A: Actor<Context = Context<A>>,
        F: Fn() -> A + Send + Sync + 'static,
    {
        Self::actor(name.into(), Kind::Transient, slot, factory)
    }

    /// A supervisor as a child. Each incarnation starts with the children of `plan`. Children that were added since
    /// by [`StartChild`](super::StartChild) end with their incarnation. Their starter has to start them again.
    pub fn supervisor(name: impl Into<Arc<str>>, slot: &Slot<Supervisor>, plan: OneForOne) -> Self {
        Self {
            name: name.into(),
            kind: Kind::Permanent,
            launch: Arc::new(Nested {
                slot: slot.clone(),
                plan,
            }),
        }
    }

    fn actor<A, F>(name: Arc<str>, kind: Kind, slot: &Slot<A>, factory: F) -> Self
    where
        A: Actor<Context = Context<A>>,
        F: Fn() -> A + Send + Sync + 'static,
    {
        let launch = Arc::new(Worker {
            slot: slot.clone(),
            factory: Arc::new(factory),
        });
        Self { name, kind, launch }
    }
}

/// A child without its type.
pub(super) trait Launch: Send + Sync {
    /// Starts and publishes a new incarnation.
    fn launch(&self, node: &Node, seed: u64, report: ExitReport) -> Incarnation;
    /// Makes references see that the child is down.
    fn withdraw(&self);
    /// Asks the child to end in its own order; `false` if the child has none, and is to be aborted.
    fn ask_to_stop(&self) -> bool;
}

struct Worker<A: Actor, F> {
    slot: Slot<A>,
    factory: Arc<F>,
}

impl<A, F> Launch for Worker<A, F>
where
    A: Actor<Context = Context<A>>,
    F: Fn() -> A + Send + Sync + 'static,
{
    fn launch(&self, _: &Node, _: u64, report: ExitReport) -> Incarnation {
        let factory = self.factory.clone();
        incarnate(&self.slot, move || factory(), report)
    }

    fn withdraw(&self) {
        self.slot.withdraw();
    }

    fn ask_to_stop(&self) -> bool {
        false
    }
}

struct Nested {
    slot: Slot<Supervisor>,
    plan: OneForOne,
}

impl Launch for Nested {
    fn launch(&self, node: &Node, seed: u64, report: ExitReport) -> Incarnation {
        let supervisor = Supervisor::new(self.plan.clone(), node.clone(), seed);
        incarnate(&self.slot, || supervisor, report)
    }

    fn withdraw(&self) {
        self.slot.withdraw();
    }

    fn ask_to_stop(&self) -> bool {
        self.slot.current().is_some_and(|addr| {
            addr.do_send(Stop);
            true
        })
    }
}

/// A living child.
pub(super) struct Incarnation {
    pub(super) task: AbortHandle,
    pub(super) pinger: Pinger,
}

fn incarnate<A>(
    slot: &Slot<A>,
    make: impl FnOnce() -> A + Unpin + 'static,
    report: ExitReport,
) -> Incarnation
where
    A: Actor<Context = Context<A>>,
{
    let mut ctx = Context::new();
    let pinger = Pinger::default();
    ctx.spawn(pinger.clone());
    slot.publish(ctx.address());
    let stage = Stage::Unborn(Some((ctx, make)));
    let task = actix::spawn(Life { stage, report }).abort_handle();
    Incarnation { task, pinger }
}

/// The task of one incarnation. The report is dropped last.
struct Life<A: Actor<Context = Context<A>>, F> {
    stage: Stage<A, F>,
    report: ExitReport,
}

enum Stage<A: Actor<Context = Context<A>>, F> {
    /// The factory has not run yet.
    Unborn(Option<(Context<A>, F)>),
    Born(ContextFut<A, Context<A>>),
}

impl<A, F> Future for Life<A, F>
where
    A: Actor<Context = Context<A>>,
    F: FnOnce() -> A + Unpin,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let life = self.get_mut();
        let end = match catch(|| life.stage.poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => Exit::Normal,
            Err(panic) => {
                life.stage.terminate();
                Exit::Panicked(panic)
            }
        };
        let remains = std::mem::replace(&mut life.stage, Stage::Unborn(None));
        life.report.exit = catch(|| drop(remains)).map_or_else(Exit::Panicked, |()| end);
        Poll::Ready(())
    }
}

impl<A, F> Stage<A, F>
where
    A: Actor<Context = Context<A>>,
    F: FnOnce() -> A,
{
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        match self {
            Self::Unborn(birth) => match birth.take() {
                Some((ctx, make)) => {
                    *self = Self::Born(ctx.into_future(make()));
                    self.poll(cx)
                }
                None => Poll::Ready(()),
            },
            Self::Born(actor) => Pin::new(actor).poll(cx),
        }
    }

    /// Keeps actix from calling into a dropped actor that a panic left half-written.
    fn terminate(&mut self) {
        if let Self::Born(actor) = self {
            actor.ctx().terminate();
        }
    }
}

/// Tells the supervisor how the child ended, once the child's task is gone with all that it held.
pub(super) struct ExitReport {
    exit: Exit,
    to: Option<Box<dyn FnOnce(Exit)>>,
}

impl ExitReport {
    pub(super) fn new(to: impl FnOnce(Exit) + 'static) -> Self {
        Self {
            exit: Exit::Killed, // unless the child ends before its task does
            to: Some(Box::new(to)),
        }
    }
}

impl Drop for ExitReport {
    fn drop(&mut self) {
        if let Some(to) = self.to.take() {
            to(std::mem::replace(&mut self.exit, Exit::Killed));
        }
    }
}

/// How a supervisor pings a child of any type: by a future in the child's context, which actix polls only while the
/// child can handle messages. A ping wakes the child, and the poll is the answer.
#[derive(Clone, Default)]
pub(super) struct Pinger(Rc<PingState>);

struct PingState {
    answered: Cell<bool>,
    child: RefCell<Waker>,
}

impl Default for PingState {
    fn default() -> Self {
        Self {
            answered: Cell::new(true),
            child: RefCell::new(Waker::noop().clone()),
        }
    }
}

impl Pinger {
    pub(super) fn ping(&self) {
        self.0.answered.set(false);
        self.0.child.borrow().wake_by_ref();
    }

    pub(super) fn answered(&self) -> bool {
        self.0.answered.get()
    }
}

impl<A: Actor> ActorFuture<A> for Pinger {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        _: &mut A,
        _: &mut A::Context,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        self.0.answered.set(true);
        self.0.child.borrow_mut().clone_from(task.waker());
        Poll::Pending
    }
}
