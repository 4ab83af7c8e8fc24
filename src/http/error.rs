//! The answers to requests that fail: a status code, and JSON with a code and a sentence.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde_json::json;

use super::short::short;
use super::state_header::BadStateHeader;
use super::{checked, views};

/// The reason why a request fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("there is no path `{0}`; GET / lists those there are")]
    NoSuchPath(String),
    #[error("this path can only be read: use GET or HEAD")]
    MethodNotAllowed,
    #[error("this path can only be read: use GET, HEAD or OPTIONS")]
    NotACheck,
    #[error("this path is to be posted to: use POST")]
    OnlyPost,
    #[error("this path can only be deleted: use DELETE")]
    OnlyDelete,
    #[error(
        "no operations are taken here, or at the leader: set admin-operations to true in the configuration of all keepers"
    )]
    OperationsOff,
    #[error("the body is not {{\"to\": \"host:port\", \"reason\": \"…\"}}, both optional: {0}")]
    BadBody(String),
    #[error("the body is not {{\"from\", \"generation\", \"circle\"}}: {0}")]
    BadConsent(String),
    #[error("the body is not {{\"from\", \"place\", \"to\"}}: {0}")]
    BadRehearsal(String),
    #[error("refused: {0}")]
    Refused(String),
    #[error("{0}")]
    CalledOff(String),
    #[error("{0}")]
    OutcomeUnknown(String),
    #[error("the leader cannot be asked: {0}")]
    NoLeader(String),
    #[error(
        "this keeper has no cluster `{cluster}`; GET /admin/clusters lists those it has: {known}. Correct the name in the path, or add \
         the cluster to the files of all keepers"
    )]
    NoSuchCluster { cluster: String, known: String },
    #[error(
        "this keeper's file has no cluster `{cluster}`, and other keepers may have it; ask another keeper, see GET /admin/keepers. \
         It has: {known}"
    )]
    NotInFile { cluster: String, known: String },
    #[error(
        "cluster `{cluster}` has no node `{node}`; its nodes are: {known}. Correct the server in HAProxy or the path, or add the \
         node to the files of all keepers"
    )]
    NoSuchNode {
        cluster: String,
        node: String,
        known: String,
    },
    #[error("{0}{1}")]
    BadStateHeader(BadStateHeader, HeaderRead),
    #[error("keeper `{0}` takes no part in failsafe; GET /admin/keepers lists those that do")]
    NoSuchKeeper(String),
    #[error("`{0}` is not an address: write host:port, or [ipv6]:port")]
    NotAnAddress(String),
    #[error("not known: {0}")]
    Unknown(String),
    #[error("cluster `{0}` has no primary now; GET /admin/clusters/{0}/explain says why")]
    NoPrimary(String),
    #[error("not ready: {0}")]
    NotReady(String),
    #[error("the event loop does not answer: all actors of this keeper stand still")]
    EventLoopBlocked,
    #[error("the keeper failed at this request; its log says why")]
    Crashed,
}

/// The text of the state header, or of the first one if there are several; empty if there is none.
#[derive(Debug)]
pub(super) struct HeaderRead(pub(super) String);

impl fmt::Display for HeaderRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ": it reads `{}`", self.0)
    }
}

impl RequestError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoSuchPath(_) => "no-such-path",
            Self::MethodNotAllowed | Self::NotACheck | Self::OnlyPost | Self::OnlyDelete => {
                "method-not-allowed"
            }
            Self::OperationsOff => "operations-off",
            Self::BadBody(_) | Self::BadConsent(_) | Self::BadRehearsal(_) => "bad-body",
            Self::Refused(_) => "refused",
            Self::CalledOff(_) => "called-off",
            Self::OutcomeUnknown(_) => "outcome-unknown",
            Self::NoLeader(_) => "no-leader",
            Self::NoSuchCluster { .. } => "no-such-cluster",
            Self::NotInFile { .. } => "not-in-file",
            Self::NoSuchNode { .. } => "no-such-node",
            Self::NoSuchKeeper(_) => "no-such-keeper",
            Self::BadStateHeader(..) => "bad-state-header",
            Self::NotAnAddress(_) => "bad-address",
            Self::Unknown(_) => "unknown",
            Self::NoPrimary(_) => "no-primary",
            Self::NotReady(_) => "not-ready",
            Self::EventLoopBlocked => "not-healthy",
            Self::Crashed => "crashed",
        }
    }
}

impl ResponseError for RequestError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadStateHeader(..)
            | Self::NotAnAddress(_)
            | Self::BadBody(_)
            | Self::BadConsent(_)
            | Self::BadRehearsal(_) => StatusCode::BAD_REQUEST,
            Self::OperationsOff => StatusCode::FORBIDDEN,
            Self::Refused(_) => StatusCode::PRECONDITION_FAILED,
            Self::CalledOff(_) => StatusCode::CONFLICT,
            Self::NoSuchPath(_)
            | Self::NoSuchCluster { .. }
            | Self::NoSuchNode { .. }
            | Self::NoSuchKeeper(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed | Self::NotACheck | Self::OnlyPost | Self::OnlyDelete => {
                StatusCode::METHOD_NOT_ALLOWED
            }
            Self::Unknown(_) | Self::Crashed | Self::OutcomeUnknown(_) | Self::NotInFile { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::NoPrimary(_) | Self::NotReady(_) | Self::NoLeader(_) | Self::EventLoopBlocked => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let body = json!({ "code": self.code(), "error": self.to_string() });
        let mut response = views::json(self.status_code(), &body);
        let allowed = match self {
            Self::MethodNotAllowed => Some("GET, HEAD"),
            Self::NotACheck => Some(checked::METHODS),
            Self::OnlyPost => Some("POST"),
            Self::OnlyDelete => Some("DELETE"),
            _ => None,
        };
        if let Some(allowed) = allowed {
            let allowed = header::HeaderValue::from_static(allowed);
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        response
    }
}

pub(super) async fn no_such_path(request: HttpRequest) -> Result<HttpResponse, RequestError> {
    Err(RequestError::NoSuchPath(short(request.path())))
}

pub(super) async fn only_post() -> Result<HttpResponse, RequestError> {
    Err(RequestError::OnlyPost)
}

pub(super) async fn only_delete() -> Result<HttpResponse, RequestError> {
    Err(RequestError::OnlyDelete)
}

pub(super) async fn not_a_check() -> Result<HttpResponse, RequestError> {
    Err(RequestError::NotACheck)
}

pub(super) async fn method_not_allowed() -> Result<HttpResponse, RequestError> {
    Err(RequestError::MethodNotAllowed)
}
