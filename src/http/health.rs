//! Whether this process works, and whether it may answer for its clusters.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde_json::json;

use super::HttpState;
use super::backend::{Readiness, patiently};
use super::error::Failure;
use super::views;
use crate::actors::cluster_api::Reason;

/// How long the event loop may take to answer: longer than a busy host delays it, shorter than a service manager waits.
const EVENT_LOOP_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// The process works: its event loop takes what it is given. Nothing more.
pub(super) async fn health(state: Data<HttpState>) -> Result<HttpResponse, Failure> {
    match tokio::time::timeout(EVENT_LOOP_ANSWERS_WITHIN, state.backend.event_loop()).await {
        Ok(Ok(())) => Ok(views::json(StatusCode::OK, &json!({ "healthy": true }))),
        Ok(Err(_)) | Err(_) => Err(Failure::EventLoopBlocked),
    }
}

/// This keeper holds its lease: what HAProxy asks before it asks anything else of it.
pub(super) async fn ready(state: Data<HttpState>) -> Result<HttpResponse, Failure> {
    match patiently(|| state.backend.readiness()).await {
        Ok(Readiness::Ready { until, failsafe }) if state.holds(until) => {
            let mut body = json!({ "ready": true, "failsafe": failsafe });
            let obstacles = state.backend.obstacles();
            if !obstacles.is_empty() {
                body["failsafe-obstacles"] = json!(*obstacles);
            }
            Ok(views::json(StatusCode::OK, &body))
        }
        Ok(Readiness::Ready { .. }) => Err(Failure::NotReady(Reason::NoLease.to_string())),
        Ok(Readiness::NotReady(why)) => Err(Failure::NotReady(why)),
        Err(_) => Err(Failure::NotReady(Reason::NotAnswering.to_string())),
    }
}
