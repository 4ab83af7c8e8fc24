//! The Redis adapter against real servers.

mod asking;
mod commands;
mod inspection;
mod probing;
mod server;
mod tls;
