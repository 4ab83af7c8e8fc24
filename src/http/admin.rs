//! What an operator asks: what does this keeper see, and what does it make of it?

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use serde_json::json;

use super::backend::patiently;
use super::error::Failure;
use super::{HttpState, OPERATIONS, PATHS, views};
use crate::domain::node::{ClusterName, NodeAddr};

/// The paths there are.
pub(super) async fn index() -> HttpResponse {
    let body = json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "paths": PATHS,
        "operations": OPERATIONS,
    });
    views::json(StatusCode::OK, &body)
}

pub(super) async fn clusters(state: Data<HttpState>) -> HttpResponse {
    let names = state.backend.clusters();
    let names: Vec<_> = names.iter().map(ClusterName::as_str).collect();
    views::json(StatusCode::OK, &json!({ "clusters": names }))
}

pub(super) async fn cluster(
    name: Path<String>,
    state: Data<HttpState>,
) -> Result<HttpResponse, Failure> {
    let view = patiently(|| state.backend.inspect_cluster(&name))
        .await
        .map_err(|why| Failure::unanswered(why, &name))?;
    Ok(views::json(StatusCode::OK, &views::cluster(&view)))
}

pub(super) async fn explain(
    name: Path<String>,
    state: Data<HttpState>,
) -> Result<HttpResponse, Failure> {
    let explanation = patiently(|| state.backend.explain_cluster(&name))
        .await
        .map_err(|why| Failure::unanswered(why, &name))?;
    let body = views::explanation(&name, &explanation);
    Ok(views::json(StatusCode::OK, &body))
}

pub(super) async fn node(
    path: Path<(String, String)>,
    state: Data<HttpState>,
) -> Result<HttpResponse, Failure> {
    let (cluster, node) = path.into_inner();
    let node: NodeAddr = node.parse().map_err(|_| Failure::NotAnAddress(node))?;
    let report = patiently(|| state.backend.inspect_node(&cluster, node.clone()))
        .await
        .map_err(|why| Failure::unanswered(why, &cluster))?
        .ok_or_else(|| Failure::no_such_node(&cluster, &node))?;
    Ok(views::json(StatusCode::OK, &views::node(&report)))
}

pub(super) async fn keepers(state: Data<HttpState>) -> Result<HttpResponse, Failure> {
    let report = patiently(|| state.backend.inspect_session())
        .await
        .map_err(|why| Failure::unanswered(why, ""))?;
    Ok(views::json(StatusCode::OK, &views::session(&report)))
}

pub(super) async fn supervision(state: Data<HttpState>) -> HttpResponse {
    let root = state.backend.supervision();
    views::json(StatusCode::OK, &views::supervision(&root))
}
