//! Faults in a keeper: a panic or a hang in one part, and its effect on the other parts and on clients.
//!
//! The whole tree runs in this process, with the embedded coordination and fake servers, and is asked over real HTTP.
//! The daemon has no code that fails on purpose. The tests teach its actors one more message, which panics or never
//! ends.

mod asking;
#[path = "../fakes/clock.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod clock;
mod commanded;
mod faulty;
mod given_up;
mod panics;
#[path = "../fakes/peers.rs"]
mod peers;
#[path = "../fakes/redis.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod redis;
mod silence;
mod site;
mod switchover;
