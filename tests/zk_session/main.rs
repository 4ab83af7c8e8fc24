//! The session actor on virtual time: several keepers on one embedded tree. The tests expire and cut their sessions.

mod campaign;
mod faulty;
mod guarded_write;
mod leadership_transfer;
mod membership;
#[path = "../fakes/peers.rs"]
mod peers;
mod polls;
mod session;
mod set_back;
mod tasks;
#[path = "../fakes/time.rs"]
mod time;
mod world;
