//! Questions of an operator: the view of this keeper, and its conclusions.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::backend::patiently;
use super::error::RequestError;
use super::{HttpState, OPERATIONS, PATHS, views};
use crate::actors::messages::SessionReport;
use crate::domain::authority::WhoLeads;
use crate::domain::node::{ClusterName, KeeperId, NodeAddr};

/// Lists the paths.
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
) -> Result<HttpResponse, RequestError> {
    let view = patiently(|| state.backend.inspect_cluster(&name)).await;
    let mut view = view.map_err(|why| state.unanswered(why, &name))?;
    let (keeper, who_leads) = state.who_leads().await;
    view.plan = who_leads.plan(&view.plan);
    let mut body = views::cluster(&view);
    views::add_leader(&mut body, keeper.as_ref(), &who_leads.authority);
    Ok(views::json(StatusCode::OK, &body))
}

/// The leader's explanation. If the leader cannot be asked, this keeper's own, with the reason.
pub(super) async fn explain(
    request: HttpRequest,
    name: Path<String>,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    let own = patiently(|| state.backend.explain_cluster(&name)).await;
    let own = own.map_err(|why| state.unanswered(why, &name))?;
    let (keeper, who_leads) = state.who_leads().await;
    let unasked = match state.ask_leader.ask(&request, &who_leads).await {
        Some(Ok(mut said)) => {
            // Troubles with reading or commanding nodes differ between keepers. So the answer has both lists.
            said["leader-troubles"] = said["troubles"].take();
            said["troubles"] = views::explanation(&name, &own)["troubles"].take();
            return Ok(views::json(StatusCode::OK, &said));
        }
        Some(Err(why)) => Some(why),
        None => None,
    };
    let explanation = who_leads.explanation(own, unasked.as_deref());
    let mut body = views::explanation(&name, &explanation);
    views::add_leader(&mut body, keeper.as_ref(), &who_leads.authority);
    Ok(views::json(StatusCode::OK, &body))
}

pub(super) async fn node(
    path: Path<(String, String)>,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    let (cluster, node) = path.into_inner();
    let node: NodeAddr = node.parse().map_err(|_| RequestError::NotAnAddress(node))?;
    let report = patiently(|| state.backend.inspect_node(&cluster, node.clone()))
        .await
        .map_err(|why| state.unanswered(why, &cluster))?
        .ok_or_else(|| state.no_such_node(&cluster, &node))?;
    Ok(views::json(StatusCode::OK, &views::node(&report)))
}

pub(super) async fn keepers(state: Data<HttpState>) -> Result<HttpResponse, RequestError> {
    let report = state.session().await?;
    Ok(views::json(StatusCode::OK, &views::session(&report)))
}

impl HttpState {
    /// This keeper's id, and which keeper leads, as the session knows. Without an answer of the session, the page
    /// leaves them out.
    async fn who_leads(&self) -> (Option<KeeperId>, WhoLeads) {
        match self.session().await {
            Ok(session) => (Some(session.keeper), session.who_leads),
            Err(_) => (None, WhoLeads::unheard()),
        }
    }

    /// The session's report about itself and the other keepers.
    async fn session(&self) -> Result<SessionReport, RequestError> {
        let report = patiently(|| self.backend.inspect_session()).await;
        report.map_err(|why| self.unanswered(why, ""))
    }
}

pub(super) async fn supervision(state: Data<HttpState>) -> HttpResponse {
    let root = state.backend.supervision();
    views::json(StatusCode::OK, &views::supervision(&root))
}
