//! The actors: thin shells around the core, one file for each actor. All actors live on one thread (one arbiter).
//!
//! Handlers are short, and leave the decisions to [`crate::domain`]. Both `stopping` and `stopped` also run while a
//! crashed actor is unwound. Therefore:
//! - neither of the two may panic;
//! - `stopping` must not return `Continue`.

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

/// A destination for one kind of message.
///
/// An outbox resolves the receiver at each send. While the receiver is down, the message is dropped: an actor that
/// starts again asks for what it needs.
pub type Outbox<M> = Rc<dyn Fn(M)>;
