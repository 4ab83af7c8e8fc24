//! The server: a socket that outlives restarts, and the workers behind it.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpServer;
use actix_web::dev::Server;

use super::{HttpState, app};

/// Connections that may wait to be accepted: every server of every cluster is checked by each proxy, often at the same
/// instant, and the queue must also hold what comes in while the server is restarted.
const BACKLOG: i32 = 1024;

/// How long a client may take to send the head of its request. The server reckons it from a clock of its own that stood
/// still while the process did: after a pause that is longer than this, requests that wait are answered 408 instead of 500.
/// So it is longer than any pause after which somebody still waits for the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection may lie idle between requests.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a graceful stop waits for requests under way, in seconds. They take [`super::backend::PATIENCE`] at most.
const STOP_TIMEOUT: u64 = 1;

/// The address can not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {host}:{port} (`rest-host`, `rest-port`): {source}")]
pub struct BindError {
    host: String,
    port: u16,
    source: io::Error,
}

/// Opens the socket. Clients are queued from here on, and go on being queued while the server is restarted: each
/// incarnation gets a [clone](TcpListener::try_clone).
pub fn bind(host: &str, port: u16) -> Result<TcpListener, BindError> {
    let listen = || {
        let listener = TcpListener::bind((host, port))?;
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(listener)
    };
    listen().map_err(|source| BindError {
        host: host.to_owned(),
        port,
        source,
    })
}

/// Serves on `listener` with so many worker threads, within an actix system. Nothing runs before the server is polled;
/// dropping it stops it, a request under way included, so that it can be owned by an actor and die with it.
/// [`Server::handle`] stops it gracefully. Signals are left alone.
pub fn serve(listener: TcpListener, state: Arc<HttpState>, workers: usize) -> io::Result<Server> {
    let server = HttpServer::new(move || app(Arc::clone(&state)))
        .workers(workers)
        .disable_signals()
        .shutdown_timeout(STOP_TIMEOUT)
        .client_request_timeout(REQUEST_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .listen(listener)?;
    Ok(server.run())
}
