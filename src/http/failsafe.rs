//! What other keepers ask of this one when ZooKeeper does not answer (RK-8).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data};
use serde::Deserialize;
use serde_json::json;

use super::backend::Unanswered;
use super::error::Failure;
use super::{HttpState, views};
use crate::domain::failsafe::ConsentRequest;
use crate::domain::node::{Generation, KeeperId};

/// The body of the request.
#[derive(Deserialize)]
struct ConsentBody {
    from: String,
    /// Earlier versions did not tell.
    #[serde(default)]
    session: i64,
    generation: u64,
    circle: Vec<String>,
}

/// May the asker go on without ZooKeeper? 200 if this keeper consents, 409 and why if not.
///
/// Asked once: a consent counts from when it was asked for, so that waiting for a restart makes it worthless.
pub(super) async fn consent(body: Bytes, state: Data<HttpState>) -> Result<HttpResponse, Failure> {
    let body: ConsentBody =
        serde_json::from_slice(&body).map_err(|error| Failure::BadConsent(error.to_string()))?;
    let request = ConsentRequest {
        from: KeeperId::new(body.from),
        session: body.session,
        generation: Generation(body.generation),
        circle: body.circle.into_iter().map(KeeperId::new).collect(),
    };
    Ok(match state.backend.consent(request).await {
        Ok(Ok(())) => views::json(StatusCode::OK, &json!({ "consents": true })),
        Ok(Err(why)) => refused(&why.to_string()),
        Err(Unanswered::NoSuchCluster | Unanswered::NotAnswering) => {
            refused("its session actor does not answer")
        }
    })
}

fn refused(why: &str) -> HttpResponse {
    let body = json!({ "consents": false, "reason": why });
    views::json(StatusCode::CONFLICT, &body)
}
