//! The ZooKeeper adapter, and the session actor above it, on a real server.

mod adapter;
mod no_delay;
#[path = "../fakes/peers.rs"]
mod peers;
mod server;
mod session;
