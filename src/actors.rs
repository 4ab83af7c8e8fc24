//! Thin shells around the core: one file an actor. All of them live on one thread (one arbiter).
//!
//! Handlers are short and leave the deciding to [`crate::domain`]. An actor's `stopping` and `stopped` must not panic,
//! and `stopping` must not return `Continue`: both also run while a crashed actor is unwound.

pub mod cluster;
pub mod cluster_api;
pub mod failover;
pub mod groups;
pub mod messages;
pub mod node_monitor;
pub mod zk_session;

mod directory;

use std::rc::Rc;

pub use self::directory::{ClusterRefs, Directory};

/// Where an actor sends one kind of message. Resolves the receiver at each send and drops the message while it is down:
/// whoever starts afresh asks for what it needs.
pub type Outbox<M> = Rc<dyn Fn(M)>;
