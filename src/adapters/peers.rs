//! Requests to the other keepers over HTTP.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde::Deserialize;
use serde_json::json;

use self::group::WireGroup;
use super::resolver::Resolver;
use crate::domain::failsafe::ConsentRequest;
use crate::domain::group::GroupAnswer;
use crate::domain::identity::{KeeperProcess, Nonce, Place};
use crate::domain::node::{KeeperId, NodeAddr};
use crate::domain::rehearsal::{RehearsalObstacle, RehearsalRequest};
use crate::domain::timing::groups::CONNECTED_WITHIN;
use crate::keeper_client::{KeeperClient, Limits};
use crate::ports::peers::Peers;

mod group;

/// The callers bound the time for which they wait for an answer.
const LIMITS: Limits = Limits {
    connection: Some(CONNECTED_WITHIN),
    answer: None,
    // A group of about 100,000 clusters tells so much.
    longest: 32 << 20,
};

/// A client for the other keepers, at the addresses that they announce.
#[derive(Debug, Clone)]
pub struct HttpPeers {
    client: KeeperClient,
    resolver: Resolver,
}

/// The answer of a keeper that was asked for its consent.
#[derive(Deserialize)]
struct ConsentResponse {
    consents: bool,
    reason: Option<String>,
    /// The process that consents. A keeper of a former build does not name its process.
    #[serde(flatten)]
    by: Option<Process>,
}

/// One process of a keeper, with its nonce (a random number of that process).
#[derive(Deserialize)]
struct Process {
    keeper: String,
    nonce: String,
}

impl From<Process> for KeeperProcess {
    fn from(Process { keeper, nonce }: Process) -> Self {
        Self::new(KeeperId::new(keeper), Nonce::new(nonce))
    }
}

fn process(process: &KeeperProcess) -> serde_json::Value {
    json!({ "keeper": process.id.as_str(), "nonce": process.nonce.as_str() })
}

impl HttpPeers {
    /// A client that resolves host names through the operating system.
    pub fn new() -> Self {
        Self::resolved_by(Resolver::default())
    }

    /// A client that resolves host names through `resolver`.
    pub fn resolved_by(resolver: Resolver) -> Self {
        Self {
            client: KeeperClient::resolved_by(resolver.clone(), LIMITS),
            resolver,
        }
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
    ) -> LocalBoxFuture<'static, Result<KeeperProcess, String>> {
        let failsafe_group: Vec<&str> = request
            .failsafe_group
            .iter()
            .map(KeeperId::as_str)
            .collect();
        let body = json!({
            "from": request.from.as_str(),
            "nonce": request.nonce.as_ref().map(Nonce::as_str),
            "to": request.to.as_ref().map(process),
            "session": request.session,
            "generation": request.generation.0,
            "circle": failsafe_group,
        });
        let asked = self.client.post(rest, "/failsafe/consent").json(&body);
        let asked = asked.send();
        async move {
            let answer = asked.await;
            let answer = answer.map_err(|error| format!("it cannot be asked: {error}"))?;
            let status = answer.status();
            let answer = answer.json::<ConsentResponse>().await;
            let answer = answer.map_err(|error| format!("it answers {status}: {error}"))?;
            if !answer.consents {
                return Err(answer.reason.unwrap_or_else(|| status.to_string()));
            }
            let unproven = || "it does not say which process consents: a former build".to_owned();
            answer.by.map(Into::into).ok_or_else(unproven)
        }
        .boxed_local()
    }

    fn rehearse(
        &self,
        rest: &str,
        request: &RehearsalRequest,
    ) -> LocalBoxFuture<'static, Result<KeeperProcess, RehearsalObstacle>> {
        let body = json!({
            "from": process(&request.from),
            "place": request.place.as_ref().map(Place::as_str),
            "to": process(&request.to),
        });
        let asked = self.client.post(rest, "/failsafe/rehearsal").json(&body);
        let asked = asked.send();
        async move {
            let answer = asked.await;
            let answer =
                answer.map_err(|error| RehearsalObstacle::Unreachable(error.to_string()))?;
            let status = answer.status();
            if !status.is_success() {
                return Err(RehearsalObstacle::Refused(status.to_string()));
            }
            let by = answer.json::<Process>().await;
            let by =
                by.map_err(|error| RehearsalObstacle::Refused(format!("{status}: {error}")))?;
            Ok(by.into())
        }
        .boxed_local()
    }

    fn resolve(&self, rest: &str) -> LocalBoxFuture<'static, Result<BTreeSet<SocketAddr>, String>> {
        let (resolver, addr) = (self.resolver.clone(), rest.parse::<NodeAddr>());
        async move {
            let addr = addr.map_err(|error| error.to_string())?;
            let found = resolver.addresses(addr.host()).await?;
            let found = found.into_iter().map(|ip| SocketAddr::new(ip, addr.port()));
            Ok(found.collect())
        }
        .boxed_local()
    }

    fn ask_group(
        &self,
        rest: &NodeAddr,
        met_at: Option<&NodeAddr>,
    ) -> LocalBoxFuture<'static, Result<GroupAnswer, String>> {
        let mut asked = self.client.get(rest, "/admin/group");
        if let Some(node) = met_at {
            asked = asked.query("met-at", &node.to_string());
        }
        let asked = asked.send();
        async move {
            let answer = asked.await.map_err(|error| error.to_string())?;
            let status = answer.status();
            if !status.is_success() {
                return Err(format!("it answers {status}"));
            }
            let answer = answer.json::<WireGroup>().await;
            answer.map_err(|error| error.to_string())?.try_into()
        }
        .boxed_local()
    }
}
