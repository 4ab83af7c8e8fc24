//! Faults inside a keeper: a panic or a hang in one part, and what the others and the clients see of it.
//!
//! The whole tree runs in this process on the embedded coordination and fake servers, asked over real HTTP. Nothing in the
//! daemon is made to fail on purpose: the tests teach its actors one more message, which panics or never ends.

mod asking;
#[path = "../fakes/clock.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod clock;
mod commanded;
mod faulty;
mod given_up;
#[path = "../scenarios/support/net.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod net;
mod panics;
#[path = "../fakes/peers.rs"]
mod peers;
#[path = "../fakes/redis.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod redis;
mod silence;
mod site;
mod switchover;
