//! Questions of other keepers while ZooKeeper does not answer, and their rehearsal (RK-8).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde::Deserialize;
use serde_json::json;

use super::connections::Body;
use super::error::RequestError;
use super::{HttpState, views};
use crate::domain::failsafe::ConsentRequest;
use crate::domain::identity::{KeeperProcess, Nonce, Place};
use crate::domain::node::{Generation, KeeperId};
use crate::domain::rehearsal::RehearsalRequest;

/// The body of a request for consent.
#[derive(Deserialize)]
struct ConsentBody {
    from: String,
    /// Missing in requests of former builds, like `to`.
    nonce: Option<String>,
    to: Option<ProcessBody>,
    /// Missing in requests of still older builds.
    #[serde(default)]
    session: i64,
    generation: u64,
    #[serde(rename = "circle")]
    failsafe_group: Vec<String>,
}

/// One process of a keeper, with its nonce.
#[derive(Deserialize)]
struct ProcessBody {
    keeper: String,
    nonce: String,
}

impl From<ProcessBody> for KeeperProcess {
    fn from(body: ProcessBody) -> Self {
        Self::new(KeeperId::new(body.keeper), Nonce::new(body.nonce))
    }
}

/// Answers whether the asking keeper may go on without ZooKeeper: 200 and this process if this keeper consents, 409
/// and the reason if not.
///
/// The session is asked only once. A consent counts from the moment of the request, so a wait for a restarted session
/// would make the consent worthless.
pub(super) async fn consent(
    Body(body): Body,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    let body: ConsentBody = serde_json::from_slice(&body)
        .map_err(|error| RequestError::BadConsent(error.to_string()))?;
    let request = ConsentRequest {
        from: KeeperId::new(body.from),
        nonce: body.nonce.map(Nonce::new),
        to: body.to.map(Into::into),
        session: body.session,
        generation: Generation(body.generation),
        failsafe_group: body.failsafe_group.into_iter().map(KeeperId::new).collect(),
    };
    Ok(match state.backend.consent(request).await {
        Ok(Ok(me)) => {
            let (keeper, nonce) = (me.id.as_str(), me.nonce.as_str());
            let body = json!({ "consents": true, "keeper": keeper, "nonce": nonce });
            views::json(StatusCode::OK, &body)
        }
        Ok(Err(why)) => refused(&why.to_string()),
        Err(_) => refused("its session actor does not answer"),
    })
}

/// The body of a rehearsal.
#[derive(Deserialize)]
struct RehearsalBody {
    from: ProcessBody,
    place: Option<String>,
    to: ProcessBody,
}

/// Answers with this keeper's process, whichever process the request names: the asking keeper compares. The answer
/// binds no keeper.
pub(super) async fn rehearsal(
    Body(body): Body,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    let body: RehearsalBody = serde_json::from_slice(&body)
        .map_err(|error| RequestError::BadRehearsal(error.to_string()))?;
    let request = RehearsalRequest {
        from: body.from.into(),
        place: body.place.map(Place::new),
        to: body.to.into(),
    };
    let answer = state.backend.rehearse(request).await;
    let me = answer
        .map_err(|_| RequestError::NotReady("its session actor does not answer".to_owned()))?;
    let body = json!({ "keeper": me.id.as_str(), "nonce": me.nonce.as_str() });
    Ok(views::json(StatusCode::OK, &body))
}

fn refused(why: &str) -> HttpResponse {
    let body = json!({ "consents": false, "reason": why });
    views::json(StatusCode::CONFLICT, &body)
}
