//! `TCP_NODELAY` for the connections to `ZooKeeper`, which the client library opens without it and does not lend.
//!
//! With Nagle's algorithm a request that is sent while another is under way waits until the server acknowledges that
//! one: with its reply, or after 40 ms. Why it is done from outside, and how: `docs/adr/012-nodelay-from-outside.md`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::{fs, io};

use rustix::io::Errno;
use rustix::net::{SocketType, getpeername, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use tokio::net::lookup_host;
use tokio::task::spawn_blocking;

/// Sets it on every connection that this process has to one of `servers` (each `host:port`) now. A failure is told of
/// once in the life of the process: what it costs is milliseconds here and there.
pub(super) async fn set(servers: Arc<[String]>) {
    static TOLD: Once = Once::new();

    let mut peers = BTreeSet::new();
    for server in &*servers {
        match lookup_host(server).await {
            Ok(found) => peers.extend(found.map(canonical)),
            Err(error) => tracing::debug!(server, %error, "a server of ZooKeeper has no address"),
        }
    }
    // Thousands of descriptors take milliseconds, which the event loop should not lose after a reconnection.
    let outcome = spawn_blocking(move || on_connections_to(&peers)).await;
    match outcome.map_err(io::Error::other).flatten() {
        Ok(connections) => tracing::debug!(connections, "connections to ZooKeeper do not delay"),
        Err(error) => TOLD.call_once(|| {
            tracing::warn!(
                %error,
                "cannot set TCP_NODELAY on the connections to ZooKeeper: some requests take up to 40 ms longer"
            );
        }),
    }
}

/// How many there are. Every descriptor is looked at through a duplicate, so that it can not become another one between
/// the look and the deed; an option that is set on the duplicate holds for the original.
fn on_connections_to(peers: &BTreeSet<SocketAddr>) -> io::Result<usize> {
    let this_process = pidfd_open(getpid(), PidfdFlags::empty())?;
    let mut connections = 0;
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(descriptor) = name.to_str().and_then(|it| it.parse().ok()) else {
            continue;
        };
        let socket = match pidfd_getfd(&this_process, descriptor, PidfdGetfdFlags::empty()) {
            Ok(duplicate) => duplicate,
            // Closed since it was listed.
            Err(Errno::BADF) => continue,
            Err(error) => return Err(error.into()),
        };
        // Neither a file nor an unconnected socket has a peer, and a peer of another family is no server of ours.
        let Ok(Some(peer)) = getpeername(&socket) else {
            continue;
        };
        let is_server = SocketAddr::try_from(peer).is_ok_and(|it| peers.contains(&canonical(it)));
        if is_server && sockopt::socket_type(&socket)? == SocketType::STREAM {
            sockopt::set_tcp_nodelay(&socket, true)?;
            connections += 1;
        }
    }
    Ok(connections)
}

/// An IPv4 address is the same one when it is written as IPv6, whatever the scope it was found with.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
