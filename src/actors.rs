//! Thin shells around the core: one file an actor. All of them live on one thread (one arbiter).
//!
//! Handlers are short and leave the deciding to [`crate::domain`]. An actor's `stopping` and `stopped` must not panic,
//! and `stopping` must not return `Continue`: both also run while a crashed actor is unwound.

pub mod messages;
