//! The primary and the replicas, as keepers name them.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde::Deserialize;

use super::{Keeper, Keepers};
use crate::node::Node;
use crate::redis::Redis;
use crate::wait::{SOON, eventually};

/// The contents of `/cluster/{name}/status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The published primary.
    pub primary: Option<Node>,
    /// The replicas that are online.
    pub replicas: BTreeSet<Node>,
}

// === impl Status ===

impl Status {
    /// The status with `primary` and exactly these online `replicas`.
    pub fn of(primary: &Redis, replicas: &[&Redis]) -> Self {
        Self {
            primary: Some(primary.node()),
            replicas: replicas.iter().map(|redis| redis.node()).collect(),
        }
    }
}

// === impl Keeper ===

impl Keeper {
    /// The answer to `/cluster/{name}/status`.
    ///
    /// # Errors
    /// Any other answer, as text.
    pub async fn status(&self, cluster: &str) -> Result<Status, String> {
        #[derive(Deserialize)]
        struct Wire {
            master: Option<Node>,
            slaves: BTreeSet<Node>,
        }
        let answer = self.get(&format!("/cluster/{cluster}/status")).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let wire: Wire =
            serde_json::from_value(answer.body.clone()).map_err(|_| format!("{answer:?}"))?;
        Ok(Status {
            primary: wire.master,
            replicas: wire.slaves,
        })
    }

    /// Waits until the keeper's status of `cluster` is as `wanted`, which `what` describes.
    pub async fn wait_status(&self, cluster: &str, what: &str, wanted: impl Fn(&Status) -> bool) {
        let what = format!("{}: {cluster} to have {what}", self.id);
        eventually(SOON, what, async || {
            let status = self.status(cluster).await?;
            if wanted(&status) {
                Ok(())
            } else {
                Err(format!("{status:?}"))
            }
        })
        .await;
    }

    /// Waits until the keeper names `primary` and exactly these online `replicas`.
    pub async fn wait_topology(&self, cluster: &str, primary: &Redis, replicas: &[&Redis]) {
        let wanted = Status::of(primary, replicas);
        self.wait_status(cluster, &format!("{wanted:?}"), |status| *status == wanted)
            .await;
    }

    /// Waits until the keeper names `primary`, with any replicas.
    pub async fn wait_primary(&self, cluster: &str, primary: &Redis) {
        let what = format!("{} as its primary", primary.node());
        self.wait_status(cluster, &what, |status| {
            status.primary == Some(primary.node())
        })
        .await;
    }

    /// Waits until the keeper names another primary of `cluster` than `old`, and returns that primary.
    pub async fn wait_replaced(&self, cluster: &str, old: &Redis) -> Node {
        let what = format!("{}: {cluster} to have another primary", self.id);
        eventually(SOON, what, async || {
            let status = self.status(cluster).await?;
            let another = status.primary.clone().filter(|it| *it != old.node());
            another.ok_or_else(|| format!("{status:?}"))
        })
        .await
    }

    /// Waits until the keeper names one of the two as the primary of `cluster`. Returns that one, then the other.
    pub async fn elected<'a>(&self, cluster: &str, two: [&'a Redis; 2]) -> [&'a Redis; 2] {
        let what = format!("{} to name one of two as the primary", self.id);
        let [one, other] = two;
        eventually(SOON, what, async || {
            let status = self.status(cluster).await?;
            match &status.primary {
                Some(elected) if *elected == one.node() => Ok([one, other]),
                Some(elected) if *elected == other.node() => Ok([other, one]),
                _ => Err(format!("{status:?}")),
            }
        })
        .await
    }
}

// === impl Keepers ===

impl Keepers {
    /// Waits until every keeper's status of `cluster` is as `wanted`, which `what` describes.
    pub async fn wait_status(&self, cluster: &str, what: &str, wanted: impl Fn(&Status) -> bool) {
        join_all(
            self.iter()
                .map(|keeper| keeper.wait_status(cluster, what, &wanted)),
        )
        .await;
    }

    /// Waits until every keeper names `primary` and exactly these online `replicas`.
    pub async fn wait_topology(&self, cluster: &str, primary: &Redis, replicas: &[&Redis]) {
        let wanted = Status::of(primary, replicas);
        self.wait_status(cluster, &format!("{wanted:?}"), |status| *status == wanted)
            .await;
    }
}
