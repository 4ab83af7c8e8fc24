//! Thin shells around the core: one file an actor.
