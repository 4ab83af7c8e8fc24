//! The questions of HAProxy and of clients: is this node writable, is this node readable, which node is the primary?

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};

use super::backend::{Unanswered, patiently};
use super::error::RequestError;
use super::short::short;
use super::{HttpState, state_header, views};
use crate::actors::cluster_api::{
    CheckAnswer, ClusterStatus, NodeRef, ProxyCheck, Question, Reason, Ruling, RunCheck,
};

pub(super) async fn is_writable(
    cluster: Path<String>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    check_named_server(Question::Writable, &cluster, &request, &state).await
}

pub(super) async fn is_readable(
    cluster: Path<String>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    check_named_server(Question::Readable, &cluster, &request, &state).await
}

pub(super) async fn node_is_writable(
    path: Path<(String, String)>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    check_node_in_path(Question::Writable, &path, &request, &state).await
}

pub(super) async fn node_is_readable(
    path: Path<(String, String)>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    check_node_in_path(Question::Readable, &path, &request, &state).await
}

pub(super) async fn status(
    cluster: Path<String>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    let status = ask_status(&cluster, &request, &state).await?;
    Ok(views::json(StatusCode::OK, &views::status(&status)))
}

pub(super) async fn master(
    cluster: Path<String>,
    request: HttpRequest,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    let primary = ask_status(&cluster, &request, &state).await?.primary;
    let primary = primary.ok_or_else(|| RequestError::NoPrimary(short(&cluster)))?;
    Ok(views::json(StatusCode::OK, &views::address(&primary)))
}

async fn check_named_server(
    question: Question,
    cluster: &str,
    request: &HttpRequest,
    state: &HttpState,
) -> Result<HttpResponse, RequestError> {
    let from = peer(request);
    let headers = request.headers();
    let said = state_header::server_state(headers).map_err(|why| {
        let header = headers.get(state_header::STATE_HEADER);
        state.bad_header(cluster, why, header, from)
    })?;
    let proxy_check = match question {
        Question::Writable => Some(said.proxy_check(from)),
        Question::Readable => None,
    };
    check((question, cluster), said.node(), (proxy_check, from), state).await
}

async fn check_node_in_path(
    question: Question,
    (cluster, node): &(String, String),
    request: &HttpRequest,
    state: &HttpState,
) -> Result<HttpResponse, RequestError> {
    // The path names the node. A state header, if there is one, says only at which address the server is.
    let said = state_header::server_state(request.headers()).ok();
    let node = NodeRef {
        server_name: Some(node.clone()),
        address: None,
        leads_to: said.and_then(|said| said.node().address),
    };
    let proxy_check = match question {
        Question::Writable => Some(ProxyCheck::Unnamed),
        Question::Readable => None,
    };
    check(
        (question, cluster),
        node,
        (proxy_check, peer(request)),
        state,
    )
    .await
}

/// The address of the client.
fn peer(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|peer| peer.ip())
}

async fn check(
    (question, cluster): (Question, &str),
    node: NodeRef,
    (proxy_check, from): (Option<ProxyCheck>, Option<IpAddr>),
    state: &HttpState,
) -> Result<HttpResponse, RequestError> {
    let ask = RunCheck {
        question,
        node: Arc::new(node),
        proxy_check: proxy_check.map(Arc::new),
    };
    let mut unknown = CheckAnswer::unknown(Reason::NotAnswering);
    let attempts = patiently(async || {
        let answer = state.backend.ask(cluster, ask.clone()).await?;
        if not_told_yet(&answer.reason) {
            unknown = answer;
            return Err(Unanswered::NotAnswering);
        }
        Ok(answer)
    });
    let mut answer = match attempts.await {
        Ok(answer) => answer,
        Err(Unanswered::NotAnswering) => unknown,
        Err(lacking) => {
            state.log_unknown_cluster(lacking, cluster, from);
            return Err(state.unanswered(lacking, cluster));
        }
    };
    if !state.holds(answer.deadline) {
        answer.reason = Reason::NoLease;
    }
    let ruling = answer.reason.ruling();
    state.check_counters.count(question, ruling);
    let code = match ruling {
        Ruling::Yes => StatusCode::OK,
        Ruling::No => StatusCode::SERVICE_UNAVAILABLE,
        Ruling::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        Ruling::NoSuchNode => {
            state.log_unknown_node(cluster, &ask.node, from);
            return Err(state.no_such_node(cluster, &ask.node));
        }
    };
    let outage = state.outage_behind(&answer.reason);
    Ok(views::check(code, question, &answer, outage.as_deref()))
}

/// Whether the actor gives this reason until it has received everything after a restart. Such an answer is worth
/// another attempt.
fn not_told_yet(reason: &Reason) -> bool {
    matches!(reason, Reason::NoState | Reason::Unprobed)
}

async fn ask_status(
    cluster: &str,
    request: &HttpRequest,
    state: &HttpState,
) -> Result<ClusterStatus, RequestError> {
    let from = peer(request);
    let mut unknown = Reason::NotAnswering;
    let asked = patiently(async || match state.backend.status(cluster).await? {
        Err(reason) if not_told_yet(&reason) => {
            unknown = reason;
            Err(Unanswered::NotAnswering)
        }
        settled => Ok(settled),
    });
    let status = match asked.await {
        Ok(status) => status.map_err(|reason| RequestError::Unknown(state.in_words(&reason)))?,
        Err(Unanswered::NotAnswering) => {
            return Err(RequestError::Unknown(state.in_words(&unknown)));
        }
        Err(lacking) => {
            state.log_unknown_cluster(lacking, cluster, from);
            return Err(state.unanswered(lacking, cluster));
        }
    };
    if state.holds(status.deadline) {
        Ok(status)
    } else {
        Err(RequestError::Unknown(state.in_words(&Reason::NoLease)))
    }
}
