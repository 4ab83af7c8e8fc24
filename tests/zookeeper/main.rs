//! The ZooKeeper adapter, and the session actor above it, on a real server.

mod adapter;
mod no_delay;
mod server;
mod session;
