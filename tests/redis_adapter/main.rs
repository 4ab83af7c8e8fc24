//! The Redis adapter against real servers.

mod asking;
mod commands;
mod inspection;
mod logins;
mod naming;
mod pausing;
mod probing;
mod server;
mod tls;
