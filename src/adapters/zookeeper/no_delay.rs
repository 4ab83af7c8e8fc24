//! Sets `TCP_NODELAY` on the connections to `ZooKeeper`. The client library opens them without the option, and does
//! not give access to them.
//!
//! With Nagle's algorithm a second request waits until the server acknowledges the first one: with its reply, or
//! after 40 ms. The reasons for this way are in `docs/adr/012-nodelay-from-outside.md`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::{fs, io};

use rustix::io::Errno;
use rustix::net::{SocketType, getpeername, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use tokio::net::lookup_host;
use tokio::task::spawn_blocking;

/// Sets the option on every present connection of this process to one of `servers` (each `host:port`). A failure
/// costs some milliseconds a request, so it is logged only once in the life of the process.
pub(super) async fn set(servers: Arc<[String]>) {
    static TOLD: Once = Once::new();

    let mut peers = BTreeSet::new();
    for server in &*servers {
        match lookup_host(server).await {
            Ok(found) => peers.extend(found.map(canonical)),
            Err(error) => tracing::debug!(server, %error, "a server of ZooKeeper has no address"),
        }
    }
    // With thousands of descriptors the search takes milliseconds, which would delay the event loop after a
    // reconnection.
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

/// Sets the option on the connections to `peers`, and returns their number. Each descriptor is examined through a
/// duplicate, so that its number cannot be reused between the check and the change. An option set on the duplicate
/// holds for the original.
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
            // The descriptor was closed after it was listed.
            Err(Errno::BADF) => continue,
            Err(error) => return Err(error.into()),
        };
        // Files and unconnected sockets have no peer. A peer of another address family is no server of ZooKeeper.
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

/// Converts an IPv4 address in IPv6 form to IPv4, and drops the scope.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
