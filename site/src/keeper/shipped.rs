//! Keepers with a complete file, as an operator would install it.

use std::net::{Ipv4Addr, SocketAddrV4};

use futures::future::join_all;

use super::{Keeper, Keepers, program};
use crate::process::command;

// === impl Keeper ===

impl Keeper {
    /// Starts a keeper on `host` with this file, and does not wait for it. The keeper's id and host are in its
    /// environment.
    pub fn launch_file(id: &str, host: Ipv4Addr, port: u16, file: &str) -> Self {
        let mut keeper = command(&program());
        keeper
            .env("REDIS_KEEPER_KEEPER_ID", id)
            .env("REDIS_KEEPER_REST_HOST", host.to_string());
        Self::run_file(id, SocketAddrV4::new(host, port), Vec::new(), file, keeper)
    }
}

// === impl Keepers ===

impl Keepers {
    /// Takes keepers that were started, and waits until all are ready.
    pub async fn of(keepers: Vec<Keeper>) -> Self {
        join_all(keepers.iter().map(Keeper::wait_ready)).await;
        Self(keepers)
    }
}
