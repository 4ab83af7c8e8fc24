//! The HTTP server as a child of the supervision tree. Its socket outlives restarts, so that the system queues
//! clients meanwhile.

use std::net::TcpListener;
use std::sync::Arc;

use actix::prelude::*;

use crate::http::HttpState;
use crate::http::server::serve;
use crate::supervision::{ChildSpec, Slot};

/// Runs the workers, and ends with them.
struct HttpServer {
    listener: Arc<TcpListener>,
    state: Arc<HttpState>,
    workers: usize,
    connections: usize,
}

pub(super) fn child(
    listener: TcpListener,
    state: Arc<HttpState>,
    workers: usize,
    connections: usize,
) -> ChildSpec {
    let listener = Arc::new(listener);
    ChildSpec::permanent("http", &Slot::new(), move || HttpServer {
        listener: listener.clone(),
        state: state.clone(),
        workers,
        connections,
    })
}

impl Actor for HttpServer {
    type Context = Context<Self>;

    /// # Panics
    /// The server cannot be started, or ends. The panic tells the supervisor why, for its report if restarts do not
    /// help.
    fn started(&mut self, ctx: &mut Self::Context) {
        let (state, workers, connections) = (self.state.clone(), self.workers, self.connections);
        let server = self
            .listener
            .try_clone()
            .and_then(|listener| serve(listener, state, workers, connections))
            .unwrap_or_else(|error| panic!("the HTTP server cannot be started: {error}"));
        let ended = server
            .into_actor(self)
            .map(|result, _, _| panic!("the HTTP server ended: {result:?}"));
        ctx.spawn(ended);
    }
}
