//! Health: whether this process works. Readiness: whether this keeper may answer for its clusters.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde_json::json;

use super::HttpState;
use super::backend::{Readiness, patiently};
use super::error::RequestError;
use super::views;
use crate::actors::cluster_api::Reason;

/// The time limit for the event loop: longer than the delays of a busy host, shorter than a service manager's
/// patience.
const EVENT_LOOP_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Answers 200 if the event loop runs tasks. No other condition counts.
pub(super) async fn health(state: Data<HttpState>) -> Result<HttpResponse, RequestError> {
    match tokio::time::timeout(EVENT_LOOP_ANSWERS_WITHIN, state.backend.event_loop()).await {
        Ok(Ok(())) => Ok(views::json(StatusCode::OK, &json!({ "healthy": true }))),
        Ok(Err(_)) | Err(_) => Err(RequestError::EventLoopBlocked),
    }
}

/// Answers 200 if this keeper holds its lease. In `conf/haproxy.cfg`, HAProxy asks this path first.
pub(super) async fn ready(state: Data<HttpState>) -> Result<HttpResponse, RequestError> {
    let failsafe = may_answer(&state).await?;
    let mut body = json!({ "ready": true, "failsafe": failsafe });
    let obstacles = state.backend.obstacles();
    if !obstacles.is_empty() {
        body["failsafe-obstacles"] = json!(*obstacles);
    }
    Ok(views::json(StatusCode::OK, &body))
}

/// Whether this keeper may answer for its clusters. The value says whether the lease is only by consent of all
/// keepers.
pub(super) async fn may_answer(state: &HttpState) -> Result<bool, RequestError> {
    let why = match patiently(|| state.backend.readiness()).await {
        Ok(Readiness::Ready { until, failsafe }) if state.holds(until) => return Ok(failsafe),
        Ok(Readiness::Ready { .. }) => Reason::NoLease.to_string(),
        Ok(Readiness::NotReady(why)) => why,
        Err(_) => Reason::NotAnswering.to_string(),
    };
    Err(RequestError::NotReady(with_cause(state, why).await))
}

/// The reason for a missing lease, with ZooKeeper's part in it: an outage, or a refusal of this keeper's requests.
async fn with_cause(state: &HttpState, why: String) -> String {
    let mut cause = state.backend.outage();
    if cause.is_none() {
        let session = patiently(|| state.backend.inspect_session()).await;
        cause = session.ok().and_then(|session| session.trouble);
    }
    match cause {
        Some(cause) => format!("{why}: {cause}"),
        None => why,
    }
}
