//! A request to the server leaves at once, and does not wait for the acknowledgement of the one before
//! (`TCP_NODELAY`).

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use redis_keeper::ports::coordination::{Coordination, SessionState};
use rustix::net::{getpeername, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use super::server::{Server, eventually, reaches};

#[tokio::test]
async fn neither_the_first_connection_nor_the_next_delays_requests() {
    let server = Server::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();

    let zookeeper = server.patient("/no-delay", Duration::from_secs(20));
    let session = zookeeper.connect().await.unwrap();
    eventually("the option is set", async || options(&server) == [true]).await;

    server.kill();
    reaches(&*session, |it| *it == SessionState::Disconnected).await;
    eventually("the connection is gone", async || {
        options(&server).is_empty()
    })
    .await;
    server.restart().await;
    reaches(
        &*session,
        |it| matches!(it, SessionState::Connected(n) if *n > 1),
    )
    .await;
    eventually("it is set again", async || options(&server) == [true]).await;

    assert!(!other.nodelay().unwrap());
}

/// For each connection of this process to `server`, whether `TCP_NODELAY` is set.
fn options(server: &Server) -> Vec<bool> {
    let at = SocketAddr::from(server.at());
    let this_process = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| {
        let name = entry.unwrap().file_name();
        name.to_str().unwrap().parse().unwrap()
    });
    descriptors
        .filter_map(|it| pidfd_getfd(&this_process, it, PidfdGetfdFlags::empty()).ok())
        .filter(|it| matches!(getpeername(it), Ok(Some(peer)) if peer == at.into()))
        .map(|it| sockopt::tcp_nodelay(it).unwrap())
        .collect()
}
