//! Operations of an operator. Any keeper takes a request; a keeper that does not lead passes the request on to the
//! leader.

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::backend::Unanswered;
use super::connections::Body;
use super::error::RequestError;
use super::{HttpState, views};
use crate::actors::messages::{NotAcknowledged, NotDropped, NotSwitched, Switched};
use crate::domain::node::{KeeperId, NodeAddr};
use crate::domain::observed::Requested;
use crate::domain::timing::switchover::{LEADER_ANSWERS_WITHIN, LEADER_CONNECTS_WITHIN};
use crate::keeper_client::{KeeperClient, Limits, NoAnswer};

/// The header of a request that another keeper has passed on, with the id of the leader that it is meant for. A
/// keeper that does not lead passes such a request on no further.
pub(super) const PASSED_ON: &str = "x-redis-keeper-passed-on";

/// The value of the header from a former build, which names no keeper.
const TO_ANYBODY: &str = "1";

/// How long a keeper waits for the leader. The leader itself answers sooner, in a few hundred bytes.
const LIMITS: Limits = Limits {
    connection: Some(LEADER_CONNECTS_WITHIN),
    answer: Some(LEADER_ANSWERS_WITHIN),
    longest: 4 << 20,
};

/// The body of a request for a switchover. Both fields are optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SwitchoverBody {
    to: Option<String>,
    reason: Option<String>,
}

/// A client that passes requests on to the leader.
#[derive(Debug)]
pub(super) struct ToLeader(KeeperClient);

pub(super) async fn switchover(
    request: HttpRequest,
    cluster: Path<String>,
    Body(body): Body,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    if !state.operations {
        return Err(RequestError::OperationsOff);
    }
    let requested = requested(&body)?;
    let passed_on = state.passed_on(&request).await?;
    let outcome = state.backend.switchover(&cluster, requested).await;
    let outcome = outcome.map_err(|why| match why {
        Unanswered::NotAnswering => {
            unknown("the keeper's own actor did not answer, or was restarted".to_owned())
        }
        lacking => state.unanswered(lacking, &cluster),
    });
    match outcome? {
        Ok(Switched {
            from,
            to,
            generation,
        }) => {
            let body = json!({
                "switched": true,
                "from": views::address(&from),
                "to": views::address(&to),
                "generation": generation.0,
            });
            Ok(views::json(StatusCode::OK, &body))
        }
        Err(NotSwitched::NotLeading) if passed_on => Err(RequestError::NoLeader(
            "the leader has just changed".to_owned(),
        )),
        Err(NotSwitched::NotLeading) => state.pass_on(request.path(), body).await,
        Err(NotSwitched::Refused(why)) => Err(RequestError::Refused(why)),
        Err(called_off @ NotSwitched::CalledOff { .. }) => {
            Err(RequestError::CalledOff(called_off.to_string()))
        }
        Err(unknown @ NotSwitched::Unknown(_)) => {
            Err(RequestError::OutcomeUnknown(unknown.to_string()))
        }
    }
}

/// Closes the breaker, so that the leader goes on although the primary was changed from outside.
pub(super) async fn acknowledge(
    request: HttpRequest,
    cluster: Path<String>,
    _body: Body,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    if !state.operations {
        return Err(RequestError::OperationsOff);
    }
    let passed_on = state.passed_on(&request).await?;
    let acknowledged = state.backend.acknowledge(&cluster).await;
    match acknowledged.map_err(|why| state.unanswered(why, &cluster))? {
        Ok(()) => Ok(views::json(
            StatusCode::OK,
            &json!({ "acknowledged": true }),
        )),
        Err(NotAcknowledged::NotLeading) if passed_on => Err(RequestError::NoLeader(
            "the leader has just changed".to_owned(),
        )),
        Err(NotAcknowledged::NotLeading) => state.pass_on(request.path(), Bytes::new()).await,
        Err(nothing @ NotAcknowledged::Nothing) => Err(RequestError::Refused(nothing.to_string())),
    }
}

/// Removes a keeper that does not run any more from the failsafe group. Any keeper with contact to ZooKeeper can do
/// so.
pub(super) async fn drop_keeper(
    keeper: Path<String>,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    if !state.operations {
        return Err(RequestError::OperationsOff);
    }
    let id = keeper.into_inner();
    let dropped = state.backend.drop_keeper(KeeperId::new(id.as_str())).await;
    match dropped.map_err(|why| state.unanswered(why, ""))? {
        Ok(()) => Ok(views::json(StatusCode::OK, &json!({ "dropped": id }))),
        Err(NotDropped::Unregistered) => Err(RequestError::NoSuchKeeper(id)),
        Err(online @ NotDropped::Online) => Err(RequestError::Refused(online.to_string())),
        Err(absent @ NotDropped::NoContact) => {
            Err(RequestError::NotReady(state.with_outage(absent)))
        }
        Err(unknown @ NotDropped::Unknown(_)) => {
            Err(RequestError::OutcomeUnknown(unknown.to_string()))
        }
    }
}

fn unknown(why: String) -> RequestError {
    RequestError::OutcomeUnknown(NotSwitched::Unknown(why).to_string())
}

fn requested(body: &[u8]) -> Result<Requested, RequestError> {
    let body = if body.iter().all(u8::is_ascii_whitespace) {
        SwitchoverBody::default()
    } else {
        serde_json::from_slice(body).map_err(|error| RequestError::BadBody(error.to_string()))?
    };
    let to = body.to.map(|to| {
        to.parse::<NodeAddr>()
            .map_err(|_| RequestError::NotAnAddress(to))
    });
    Ok(Requested {
        to: to.transpose()?,
        reason: body.reason.unwrap_or_else(|| "no reason given".to_owned()),
    })
}

impl HttpState {
    /// Whether another keeper has passed the request on.
    ///
    /// # Errors
    /// The request was meant for another keeper: the address that the leader advertises leads to this one.
    async fn passed_on(&self, request: &HttpRequest) -> Result<bool, RequestError> {
        let Some(meant) = request.headers().get(PASSED_ON) else {
            return Ok(false);
        };
        let session = self.backend.inspect_session().await;
        let me = session.map_err(|why| self.unanswered(why, ""))?.keeper;
        if meant == me.as_str() || meant == TO_ANYBODY {
            return Ok(true);
        }
        let meant = String::from_utf8_lossy(meant.as_bytes());
        Err(RequestError::NoLeader(format!(
            "this is keeper {me}, and the request is meant for {meant}: the rest-advertise of {meant} leads here"
        )))
    }

    /// Passes the request on to the leader, and returns the leader's answer.
    async fn pass_on(&self, path: &str, body: Bytes) -> Result<HttpResponse, RequestError> {
        let session = self.backend.inspect_session().await;
        let session = session.map_err(|why| self.unanswered(why, ""))?;
        let nobody = session.who_leads.to_string();
        let leader = session.leader.filter(|leader| *leader != session.keeper);
        let leader = leader.and_then(|leader| {
            let mut keepers = session.keepers.into_iter();
            keepers.find(|keeper| keeper.id == leader)
        });
        let Some(leader) = leader else {
            return Err(RequestError::NoLeader(self.with_outage(nobody)));
        };
        let unanswered = |error: NoAnswer| {
            let (id, rest) = (&leader.id, &leader.rest);
            let why = format!("the leader {id} does not answer at {rest}: {error}");
            if error.was_sent() {
                unknown(why)
            } else {
                RequestError::NoLeader(why)
            }
        };
        let asked = self.to_leader.0.post(&leader.rest, path);
        let asked = asked.header(PASSED_ON, leader.id.as_str()).body(body);
        let answer = asked.send().await.map_err(unanswered)?;
        let status = answer.status().as_u16();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        let body = answer.bytes().await.map_err(unanswered)?;
        Ok(HttpResponse::build(status)
            .content_type("application/json")
            .body(body))
    }
}

impl ToLeader {
    pub(super) fn new() -> Self {
        Self(KeeperClient::new(LIMITS))
    }
}
