//! One-for-one supervision over actix.
//!
//! actix's own `Supervisor` restarts an actor that stops, but does not survive a panic. Here every child lives in its
//! own task, made by a factory. Its supervisor learns of every end: a return, a panic, a hang. The supervisor builds
//! a fresh actor, and publishes the new address in the child's [`Slot`], so that every [`ChildRef`] goes on working.
//!
//! One child's failure touches no other. A child that fails too often makes its supervisor give up. For the
//! supervisor one level up, that is the failure of a child. At the [`Root`] it is the end of the tree, with the whole
//! chain of causes.
//!
//! ```
//! use actix::prelude::*;
//! use redis_keeper::supervision::{ChildSpec, OneForOne, Root, Slot, StartChild};
//!
//! struct Echo;
//! impl Actor for Echo {
//!     type Context = Context<Self>;
//! }
//!
//! #[derive(Message)]
//! #[rtype(result = "u32")]
//! struct Say(u32);
//! impl Handler<Say> for Echo {
//!     type Result = u32;
//!     fn handle(&mut self, Say(word): Say, _: &mut Self::Context) -> u32 {
//!         word
//!     }
//! }
//!
//! System::new().block_on(async {
//!     let root = Root::start("root", 7, OneForOne::default());
//!     let slot = Slot::new();
//!     let echo = slot.reference();
//!     let child = ChildSpec::permanent("echo:1", &slot, || Echo);
//!     root.supervisor().send(StartChild(child)).await.unwrap().unwrap();
//!     assert_eq!(echo.send(Say(3)).await, Ok(3));
//!     assert_eq!(root.tree().snapshot().children[0].name, "echo:1");
//!     root.stop().await;
//! });
//! ```

mod child;
mod exit;
mod panics;
mod policy;
mod root;
mod slot;
mod supervisor;
mod tree;
mod watchdog;

use std::time::Duration;

use actix::prelude::*;

pub use self::child::ChildSpec;
pub use self::exit::{Exit, GaveUp};
pub use self::panics::{Panic, install_panic_hook};
pub use self::policy::RestartPolicy;
pub use self::root::Root;
pub use self::slot::{ChildRef, Slot};
pub use self::supervisor::Supervisor;
pub use self::tree::{ChildState, Tree, TreeSnapshot};
pub use self::watchdog::{Watchdog, WatchdogGuard};

/// How long a supervisor that stops waits for its children to end in order. After that, it ends without order.
const STOP_GRACE: Duration = Duration::from_millis(400);

/// The orders of a supervisor: restart each of its children on its own, by one policy.
#[derive(Clone, Default)]
pub struct OneForOne {
    policy: RestartPolicy,
    ping_every: Option<Duration>,
    children: Vec<ChildSpec>,
}

impl OneForOne {
    /// Supervision by `policy`, without pings and so far without children.
    pub fn new(policy: RestartPolicy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Pings every child each `interval`. A child that has not answered by the next ping is replaced.
    #[must_use]
    pub fn ping_every(mut self, interval: Duration) -> Self {
        self.ping_every = Some(interval);
        self
    }

    /// Adds a child that every incarnation of the supervisor starts with.
    ///
    /// # Panics
    /// If there is a child of the same name.
    #[must_use]
    pub fn child(mut self, spec: ChildSpec) -> Self {
        let taken = self.children.iter().any(|other| other.name == spec.name);
        assert!(!taken, "two children are named {}", spec.name);
        self.children.push(spec);
        self
    }
}

/// Starts a child at run time. Answers when it has been started, which is before its factory has run.
#[derive(Message)]
#[rtype(result = "Result<(), StartError>")]
pub struct StartChild(pub ChildSpec);

/// Why a child was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// A child of that name exists already, be it down or about to stop.
    #[error("{0} is there already")]
    NameTaken(String),
    /// The supervisor is stopping.
    #[error("{0} is not started: its supervisor is stopping")]
    Stopping(String),
}

/// Stops and removes the child of that name. Answers when it is gone, with `false` if there was none.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct StopChild(pub String);

/// Asks a supervisor to stop its children in order, and then itself.
#[derive(Message)]
#[rtype(result = "()")]
struct Stop;
