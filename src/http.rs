//! The HTTP interface: HAProxy checks, admin, health, metrics. What it answers, path by path: `docs/http.md`.
//!
//! Handlers hold no state of their own: they ask the [`Backend`], wait for it at most [`backend::PATIENCE`], and write
//! down what it said. Everything is read-only but what an operator has to switch on: see `operations`.

pub mod backend;
pub mod server;
pub mod state_header;

mod admin;
mod checked;
mod connections;
mod error;
mod failsafe;
mod group;
mod haproxy;
mod health;
mod leader;
mod metrics;
mod operations;
mod unknown;
mod views;

use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Service as _, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, Error, FromRequest, Handler, Resource, Responder, guard};
use futures::FutureExt as _;
use metrics_exporter_prometheus::PrometheusHandle;

use self::backend::Backend;
use self::checked::AsHead;
use self::connections::Connection;
use self::error::Failure;
use self::leader::AskLeader;
use self::metrics::Tally;
use self::operations::ToLeader;
use self::unknown::Unknown;
use crate::actors::cluster_api::Reason;
use crate::domain::node::Moment;
use crate::ports::clock::LeaseClock;

/// What every handler works with. One for the whole server, across its restarts.
pub struct HttpState {
    backend: Arc<dyn Backend>,
    clock: Arc<dyn LeaseClock>,
    metrics: PrometheusHandle,
    tally: Tally,
    /// Operations may be asked for (`admin-operations`).
    operations: bool,
    to_leader: ToLeader,
    ask_leader: AskLeader,
    unknown: Unknown,
}

impl HttpState {
    /// Answers from `backend`, testing deadlines against `clock`; `metrics` renders what the rest of the process has
    /// recorded.
    pub fn new(
        backend: Arc<dyn Backend>,
        clock: Arc<dyn LeaseClock>,
        metrics: PrometheusHandle,
    ) -> Self {
        Self {
            backend,
            clock,
            metrics,
            tally: Tally::default(),
            operations: false,
            to_leader: ToLeader::new(),
            ask_leader: AskLeader::new(),
            unknown: Unknown::default(),
        }
    }

    /// Takes operators' requests too, if so.
    #[must_use]
    pub fn with_operations(self, operations: bool) -> Self {
        Self { operations, ..self }
    }

    /// Since when and why ZooKeeper is away, if that is why this keeper cannot say.
    fn outage_behind(&self, reason: &Reason) -> Option<String> {
        let unconfirmed = matches!(reason, Reason::NoLease | Reason::NoState);
        unconfirmed.then(|| self.backend.outage()).flatten()
    }

    fn in_words(&self, reason: &Reason) -> String {
        match self.outage_behind(reason) {
            Some(outage) => format!("{reason}: {outage}"),
            None => reason.to_string(),
        }
    }

    /// What is said, and since when and why ZooKeeper is away, if it is.
    fn with_outage(&self, said: impl Display) -> String {
        match self.backend.outage() {
            Some(outage) => format!("{said}: {outage}"),
            None => said.to_string(),
        }
    }

    /// Whether an answer with this deadline may still be passed on (RK-3).
    fn holds(&self, deadline: Option<Moment>) -> bool {
        deadline.is_none_or(|deadline| self.clock.now() < deadline)
    }
}

/// Paths of the interface, as `GET /` lists them.
const PATHS: [&str; 17] = [
    "/cluster/{name}/status",
    "/cluster/{name}/master",
    "/cluster/{name}/is-writable",
    "/cluster/{name}/is-writable/{node}",
    "/cluster/{name}/is-readable",
    "/cluster/{name}/is-readable/{node}",
    "/admin/clusters",
    "/admin/clusters/{name}",
    "/admin/clusters/{name}/explain",
    "/admin/clusters/{name}/nodes/{node}",
    "/admin/keepers",
    "/admin/group",
    "/admin/supervision",
    "/health",
    "/ready",
    "/metrics",
    "/",
];

/// What else can be asked for, likewise.
const OPERATIONS: [&str; 5] = [
    "POST /admin/clusters/{name}/switchover",
    "POST /admin/clusters/{name}/acknowledge",
    "DELETE /admin/keepers/{id}",
    "POST /failsafe/consent",
    "POST /failsafe/rehearsal",
];

/// The application: all routes, and what surrounds them.
pub fn app(
    state: Arc<HttpState>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(web::Data::from(state))
        .configure(routes)
        .default_service(web::to(error::no_such_path))
        .wrap_fn(|request, service| {
            let connection = Connection::of(request.request());
            // A handler that takes a body says itself when that has come whole.
            if let Some(connection) = &connection
                && request.method() != Method::POST
            {
                connection.serve();
            }
            // A handler that crashes costs its own answer only, and says so: HAProxy asks another keeper after a 500.
            AssertUnwindSafe(service.call(request))
                .catch_unwind()
                .map(move |answer| {
                    if let Some(connection) = connection {
                        connection.served();
                    }
                    answer.unwrap_or_else(|_| Err(Failure::Crashed.into()))
                })
        })
}

fn routes(config: &mut ServiceConfig) {
    // The checks come first: they are nearly all of the traffic.
    config
        .service(check("/cluster/{name}/is-writable", haproxy::is_writable))
        .service(check("/cluster/{name}/is-readable", haproxy::is_readable))
        .service(check("/ready", health::ready))
        .service(check(
            "/cluster/{name}/is-writable/{node}",
            haproxy::node_is_writable,
        ))
        .service(check(
            "/cluster/{name}/is-readable/{node}",
            haproxy::node_is_readable,
        ))
        .service(check("/cluster/{name}/status", haproxy::status))
        .service(check("/cluster/{name}/master", haproxy::master))
        .service(read("/admin/clusters", admin::clusters))
        .service(read("/admin/clusters/{name}", admin::cluster))
        .service(read("/admin/clusters/{name}/explain", admin::explain))
        .service(read("/admin/clusters/{name}/nodes/{node}", admin::node))
        .service(
            web::resource("/admin/clusters/{name}/switchover")
                .route(web::post().to(operations::switchover))
                .default_service(web::to(error::only_post)),
        )
        .service(
            web::resource("/admin/clusters/{name}/acknowledge")
                .route(web::post().to(operations::acknowledge))
                .default_service(web::to(error::only_post)),
        )
        .service(
            web::resource("/failsafe/consent")
                .route(web::post().to(failsafe::consent))
                .default_service(web::to(error::only_post)),
        )
        .service(
            web::resource("/failsafe/rehearsal")
                .route(web::post().to(failsafe::rehearsal))
                .default_service(web::to(error::only_post)),
        )
        .service(read("/admin/keepers", admin::keepers))
        .service(
            web::resource("/admin/keepers/{id}")
                .route(web::delete().to(operations::drop_keeper))
                .default_service(web::to(error::only_delete)),
        )
        .service(read("/admin/group", group::group))
        .service(read("/admin/supervision", admin::supervision))
        .service(check("/health", health::health))
        .service(read("/metrics", metrics::metrics))
        .service(read("/", admin::index));
}

/// A path that can be read, and nothing else.
fn read<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    readable(path, handler).default_service(web::to(error::method_not_allowed))
}

/// A path that load balancers check. `OPTIONS`, HAProxy's method unless it is told another, is answered as `HEAD` is.
fn check<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    readable(path, handler.clone())
        .route(web::method(Method::OPTIONS).to(AsHead(handler)))
        .default_service(web::to(error::not_a_check))
}

fn readable<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let reading = guard::Any(guard::Get()).or(guard::Head());
    web::resource(path).route(web::route().guard(reading).to(handler))
}
