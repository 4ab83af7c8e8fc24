//! The HTTP interface: checks of HAProxy, administration, health, metrics. `docs/http.md` has the answers for each
//! path.
//!
//! Handlers hold no state of their own. They ask the [`Backend`], and write its answer as JSON. They wait for an
//! actor's answer for [`backend::ANSWER_TIMEOUT`] at most, and for an operation until it is done. All paths only read, with
//! two exceptions:
//!
//! - the operations, which an operator must permit: see `operations`;
//! - the requests of other keepers for consent: see `failsafe`.

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
mod short;
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
use self::error::RequestError;
use self::leader::AskLeader;
use self::metrics::CheckCounters;
use self::operations::ToLeader;
use self::unknown::Unknown;
use crate::actors::cluster_api::Reason;
use crate::domain::node::Moment;
use crate::ports::clock::LeaseClock;

/// The state that all handlers share. The state lives as long as the process, across restarts of the server.
pub struct HttpState {
    backend: Arc<dyn Backend>,
    clock: Arc<dyn LeaseClock>,
    metrics: PrometheusHandle,
    check_counters: CheckCounters,
    /// Whether operations are permitted (`admin-operations`).
    operations: bool,
    to_leader: ToLeader,
    ask_leader: AskLeader,
    unknown: Unknown,
}

impl HttpState {
    /// Answers from `backend`, and tests deadlines against `clock`. `metrics` renders the metrics that the rest of
    /// the process has recorded.
    pub fn new(
        backend: Arc<dyn Backend>,
        clock: Arc<dyn LeaseClock>,
        metrics: PrometheusHandle,
    ) -> Self {
        Self {
            backend,
            clock,
            metrics,
            check_counters: CheckCounters::default(),
            operations: false,
            to_leader: ToLeader::new(),
            ask_leader: AskLeader::new(),
            unknown: Unknown::default(),
        }
    }

    /// Permits operations of operators if `operations` is true.
    #[must_use]
    pub fn with_operations(self, operations: bool) -> Self {
        Self { operations, ..self }
    }

    /// The time and the cause of ZooKeeper's outage, if `reason` is a consequence of that outage.
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

    /// The text, with the time and the cause of ZooKeeper's outage if there is one.
    fn with_outage(&self, said: impl Display) -> String {
        match self.backend.outage() {
            Some(outage) => format!("{said}: {outage}"),
            None => said.to_string(),
        }
    }

    /// Whether an answer with this deadline still holds, so that it may be sent (RK-3).
    fn holds(&self, deadline: Option<Moment>) -> bool {
        deadline.is_none_or(|deadline| self.clock.now() < deadline)
    }
}

/// The paths of the interface, as `GET /` lists them.
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

/// The paths with other methods, as `GET /` lists them.
const OPERATIONS: [&str; 5] = [
    "POST /admin/clusters/{name}/switchover",
    "POST /admin/clusters/{name}/acknowledge",
    "DELETE /admin/keepers/{id}",
    "POST /failsafe/consent",
    "POST /failsafe/rehearsal",
];

/// The application: all routes, with the count of connections and the answer for a handler that panics.
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
            // A request with a body begins to be served once the whole body has come. Its handler notes that moment.
            if let Some(connection) = &connection
                && request.method() != Method::POST
            {
                connection.serve();
            }
            // A panic in a handler costs only this answer, which becomes a 500. Then HAProxy asks another keeper
            // (`retry-on` in `conf/haproxy.cfg`).
            AssertUnwindSafe(service.call(request))
                .catch_unwind()
                .map(move |answer| {
                    if let Some(connection) = connection {
                        connection.served();
                    }
                    answer.unwrap_or_else(|_| Err(RequestError::Crashed.into()))
                })
        })
}

fn routes(config: &mut ServiceConfig) {
    // The checks come first, since they are nearly all of the traffic.
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

/// A path with the methods `GET` and `HEAD`.
fn read<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    readable(path, handler).default_service(web::to(error::method_not_allowed))
}

/// A path for the checks of load balancers. `OPTIONS` gets the answer of `HEAD`: HAProxy uses `OPTIONS` if its
/// configuration names no method.
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
