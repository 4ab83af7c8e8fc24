//! The other keepers over HTTP.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde::Deserialize;
use serde_json::json;

use crate::domain::failsafe::ConsentRequest;
use crate::domain::node::KeeperId;
use crate::ports::peers::Peers;

/// How long a connection to another keeper may take.
const CONNECTED_WITHIN: Duration = Duration::from_secs(1);

/// Reaches the other keepers at the addresses that they announce.
#[derive(Debug, Clone)]
pub struct HttpPeers(reqwest::Client);

/// What a keeper answers that is asked for its consent.
#[derive(Deserialize)]
struct Answer {
    consents: bool,
    reason: Option<String>,
}

impl HttpPeers {
    /// A connection for each question: one kept from before an outage may be dead without a sign of it.
    pub fn new() -> Self {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECTED_WITHIN)
            .pool_max_idle_per_host(0)
            .tcp_nodelay(true)
            .no_proxy();
        // Without TLS and name resolution of its own there is nothing that could fail.
        Self(client.build().unwrap_or_default())
    }
}

impl Default for HttpPeers {
    fn default() -> Self {
        Self::new()
    }
}

impl Peers for HttpPeers {
    fn ask_consent(
        &self,
        rest: &str,
        request: &ConsentRequest,
    ) -> LocalBoxFuture<'static, Result<(), String>> {
        let circle: Vec<&str> = request.circle.iter().map(KeeperId::as_str).collect();
        let body = json!({
            "from": request.from.as_str(),
            "session": request.session,
            "generation": request.generation.0,
            "circle": circle,
        });
        let asked = self.0.post(format!("http://{rest}/failsafe/consent"));
        let asked = asked.json(&body).send();
        async move {
            let unanswered = |error: reqwest::Error| format!("it cannot be asked: {error}");
            let answer = asked.await.map_err(unanswered)?;
            let status = answer.status();
            let answer = answer.json::<Answer>().await;
            match answer.map_err(|error| format!("it answers {status}: {error}"))? {
                Answer { consents: true, .. } => Ok(()),
                Answer { reason, .. } => Err(reason.unwrap_or_else(|| status.to_string())),
            }
        }
        .boxed_local()
    }
}
