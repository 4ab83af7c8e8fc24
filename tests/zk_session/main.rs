//! The session actor on virtual time: several keepers on one embedded tree. The tests expire and cut their sessions.

mod joining;
mod leading;
#[path = "../fakes/peers.rs"]
mod peers;
mod polls;
mod session;
mod set_back;
mod tasks;
#[path = "../fakes/time.rs"]
mod time;
mod world;
mod writing;
mod yielding;
