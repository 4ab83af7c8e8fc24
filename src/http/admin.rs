//! What an operator asks: what does this keeper see, and what does it make of it?

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::backend::patiently;
use super::error::Failure;
use super::{HttpState, OPERATIONS, PATHS, views};
use crate::actors::messages::SessionReport;
use crate::domain::authority::WhoLeads;
use crate::domain::node::{ClusterName, KeeperId, NodeAddr};

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
    let view = patiently(|| state.backend.inspect_cluster(&name)).await;
    let mut view = view.map_err(|why| state.unanswered(why, &name))?;
    let (keeper, who_leads) = state.who_leads().await;
    view.plan = who_leads.plan(&view.plan);
    let mut body = views::cluster(&view);
    views::tell_leader(&mut body, keeper.as_ref(), &who_leads.authority);
    Ok(views::json(StatusCode::OK, &body))
}

/// The leader's explanation; else this keeper's own, and why it is that.
pub(super) async fn explain(
    request: HttpRequest,
    name: Path<String>,
    state: Data<HttpState>,
) -> Result<HttpResponse, Failure> {
    let own = patiently(|| state.backend.explain_cluster(&name)).await;
    let own = own.map_err(|why| state.unanswered(why, &name))?;
    let (keeper, who_leads) = state.who_leads().await;
    let unasked = match state.ask_leader.ask(&request, &who_leads).await {
        Some(Ok(mut said)) => {
            // What this keeper cannot read or command is its own affair.
            said["leader-troubles"] = said["troubles"].take();
            said["troubles"] = views::explanation(&name, &own)["troubles"].take();
            return Ok(views::json(StatusCode::OK, &said));
        }
        Some(Err(why)) => Some(why),
        None => None,
    };
    let explanation = who_leads.explanation(own, unasked.as_deref());
    let mut body = views::explanation(&name, &explanation);
    views::tell_leader(&mut body, keeper.as_ref(), &who_leads.authority);
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
        .map_err(|why| state.unanswered(why, &cluster))?
        .ok_or_else(|| state.no_such_node(&cluster, &node))?;
    Ok(views::json(StatusCode::OK, &views::node(&report)))
}

pub(super) async fn keepers(state: Data<HttpState>) -> Result<HttpResponse, Failure> {
    let report = state.session().await?;
    Ok(views::json(StatusCode::OK, &views::session(&report)))
}

impl HttpState {
    /// This keeper and who leads, as its session knows; a page does without that.
    async fn who_leads(&self) -> (Option<KeeperId>, WhoLeads) {
        match self.session().await {
            Ok(session) => (Some(session.keeper), session.who_leads),
            Err(_) => (None, WhoLeads::unheard()),
        }
    }

    /// What the session knows of itself and of the other keepers.
    async fn session(&self) -> Result<SessionReport, Failure> {
        let report = patiently(|| self.backend.inspect_session()).await;
        report.map_err(|why| self.unanswered(why, ""))
    }
}

pub(super) async fn supervision(state: Data<HttpState>) -> HttpResponse {
    let root = state.backend.supervision();
    views::json(StatusCode::OK, &views::supervision(&root))
}
