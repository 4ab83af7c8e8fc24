//! The outside world for the actors, as traits: Redis servers, coordination, the other keepers, the lease clock.
//!
//! Errors are sorted by what is KNOWN to have happened, because that decides the next step. Futures are not `Send`:
//! all actors live on one thread.

pub mod clock;
pub mod coordination;
pub mod peers;
pub mod redis;
