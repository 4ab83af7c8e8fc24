//! The HTTP server: a socket that outlives restarts of the server, and the workers behind the socket.

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

/// The length of the queue of connections that wait to be accepted. Each HAProxy checks every server of every
/// cluster, often at the same instant. The queue must also hold the connections that arrive while the server
/// restarts.
const BACKLOG: i32 = 4096;

/// The number of a worker's connections that may be closing while new ones come.
const CLOSING: usize = 32;

/// The file descriptors of one worker besides its connections: those of closing connections, and of its event queue.
pub const PER_WORKER: usize = CLOSING + 8;

/// How long a graceful stop waits for requests under way, in seconds. A check takes [`super::backend::ANSWER_TIMEOUT`] at
/// most.
const STOP_TIMEOUT: u64 = 1;

/// How long [`bind_patiently`] tries to listen.
const BIND_WITHIN: Duration = Duration::from_secs(5);

/// The pause before the next attempt to listen.
const BIND_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The keeper cannot listen on the address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {host}:{port} (`rest-host`, `rest-port`): {source}")]
pub struct BindError {
    host: String,
    port: u16,
    source: io::Error,
}

impl BindError {
    /// Whether the error may pass: a former process may be about to end, or the host may be about to get the address.
    fn may_pass(&self) -> bool {
        let kind = self.source.kind();
        matches!(
            kind,
            io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
        )
    }
}

/// Calls [`bind`], and tries again for some seconds while the address is in use or absent.
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

/// Opens the socket. From then on the system queues clients, also while the server restarts. Each start of the server
/// gets a [clone](TcpListener::try_clone) of the socket.
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

/// Serves on `listener` with `workers` threads and `connections` connections in all, within an actix system.
///
/// - The server runs only while it is polled.
/// - To drop the server is to stop it, with the requests under way. So an actor can own the server, and end it by its
///   own end.
/// - The server handles no signals.
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

/// Serves the connections of one worker. [`Connections`] keeps the time limits, not the library: the library's clock
/// runs on while the process stands still.
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
