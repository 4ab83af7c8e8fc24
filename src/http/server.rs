//! The server: a socket that outlives restarts, and the workers behind it.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_service::{
    IntoServiceFactory as _, Service as _, ServiceFactory, ServiceFactoryExt as _,
    apply_fn_factory, map_config,
};
use actix_web::dev::{AppConfig, Server};
use actix_web::rt::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::connections::{Connections, Counted};
use super::{HttpState, app};

/// Connections that may wait to be accepted: every server of every cluster is checked by each proxy, often at the same
/// instant, and the queue must also hold what comes in while the server is restarted.
const BACKLOG: i32 = 4096;

/// Connections of one worker that may be closing while others come.
const CLOSING: usize = 32;

/// What one worker has open beside its connections: those that are closing, and its event queue.
pub const PER_WORKER: usize = CLOSING + 8;

/// How long a graceful stop waits for requests under way, in seconds. They take [`super::backend::PATIENCE`] at most.
const STOP_TIMEOUT: u64 = 1;

/// How long [`bind_patiently`] tries.
const BIND_WITHIN: Duration = Duration::from_secs(5);

/// Pause before the next try.
const BIND_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The address can not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {host}:{port} (`rest-host`, `rest-port`): {source}")]
pub struct BindError {
    host: String,
    port: u16,
    source: io::Error,
}

impl BindError {
    /// A former process may be about to end, or the host may be about to get the address.
    fn may_pass(&self) -> bool {
        let kind = self.source.kind();
        matches!(
            kind,
            io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
        )
    }
}

/// [Opens the socket](bind), and tries again for some seconds while its address is in use or not there.
pub async fn bind_patiently(host: &str, port: u16) -> Result<TcpListener, BindError> {
    let give_up = Instant::now() + BIND_WITHIN;
    let mut told = false;
    loop {
        match bind(host, port) {
            Err(error) if error.may_pass() && Instant::now() < give_up => {
                if !told {
                    tracing::warn!("{error}; trying again for {BIND_WITHIN:?}");
                    told = true;
                }
                sleep(BIND_AGAIN_AFTER).await;
            }
            settled => return settled,
        }
    }
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

/// Serves on `listener` with so many worker threads and `connections`, within an actix system. Nothing runs before the server
/// is polled; dropping it stops it, a request under way included, so that it can be owned by an actor and die with it.
/// Signals are left alone.
pub fn serve(
    listener: TcpListener,
    state: Arc<HttpState>,
    workers: usize,
    connections: usize,
) -> io::Result<Server> {
    let each = (connections / workers).max(1);
    let server = Server::build()
        .workers(workers)
        .max_concurrent_connections(each + CLOSING)
        .disable_signals()
        .shutdown_timeout(STOP_TIMEOUT)
        .listen("http", listener, move || {
            worker(Arc::clone(&state), Connections::new(each))
        })?;
    Ok(server.run())
}

/// What one worker does with each connection. Times are kept by [`Connections`], not by the library: its clock runs on while
/// the process stands still.
fn worker(
    state: Arc<HttpState>,
    connections: Connections,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
{
    actix_web::rt::spawn(connections.clone().watch());
    let routes = app(state).into_factory();
    let routes = routes.map_err(|error: actix_web::Error| error.error_response());
    let http = HttpService::build()
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .on_connect_ext(|stream: &Counted<TcpStream>, data| stream.tell(data))
        .h1(map_config(routes, |()| AppConfig::default()));
    apply_fn_factory(http, move |stream: TcpStream, http| {
        let client = stream.peer_addr().ok();
        let stream = connections.count(stream);
        let connection = stream.connection();
        let served = http.call((stream, client));
        async move {
            tokio::select! {
                biased;
                ended = served => ended,
                () = connection.closed() => Ok(()),
            }
        }
    })
}
