//! The question of a keeper of another group, which has met this keeper at a server (RK-12).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use serde::Deserialize;
use serde_json::{Value, json};

use super::backend::patiently;
use super::error::RequestError;
use super::{HttpState, views};
use crate::domain::group::{GroupAnswer, GroupCluster};
use crate::domain::node::NodeAddr;

/// The node at which the asking keeper has met this one.
#[derive(Deserialize)]
pub(super) struct Met {
    #[serde(rename = "met-at")]
    at: Option<String>,
}

/// Answers with this keeper's group and the group's clusters. This keeper in turn looks for other keepers at the node
/// that the request names.
pub(super) async fn group(
    met: Query<Met>,
    state: Data<HttpState>,
) -> Result<HttpResponse, RequestError> {
    let met_at = met.into_inner().at.map(|text| {
        text.parse::<NodeAddr>()
            .map_err(|_| RequestError::NotAnAddress(text))
    });
    let met_at = met_at.transpose()?;
    let group = patiently(|| state.backend.group(met_at.as_ref()))
        .await
        .map_err(|why| state.unanswered(why, ""))?;
    let group = group.ok_or_else(|| {
        let absent = "this keeper has not joined a group yet: coordination has not answered it";
        RequestError::NotReady(absent.to_owned())
    })?;
    Ok(views::json(StatusCode::OK, &to_json(&group)))
}

fn to_json(answer: &GroupAnswer) -> Value {
    json!({
        "keeper": answer.keeper.as_str(),
        "group": answer.group.as_str(),
        "coordination": answer.place,
        "clusters": answer.clusters.iter().map(cluster).collect::<Vec<_>>(),
    })
}

fn cluster(cluster: &GroupCluster) -> Value {
    let nodes = cluster.nodes.iter();
    let nodes =
        nodes.map(|(node, addresses)| json!({ "node": node.to_string(), "addresses": addresses }));
    json!({
        "name": cluster.name.as_str(),
        "nodes": nodes.collect::<Vec<_>>(),
        "primary": cluster.primary.as_ref().map(ToString::to_string),
        "paused": cluster.paused,
    })
}
