//! Lists the keepers that probe a server, for `check --live` (RK-12).

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;

use super::RedisServers;
use crate::domain::group::ProbeName;
use crate::domain::node::{ClusterName, NodeAddr};
use crate::ports::redis::{Depth, Redis as _};

/// The time limit for the question to one server.
const TELLS_WITHIN: Duration = Duration::from_secs(2);

impl RedisServers {
    /// The names of the keepers' probe connections to the node of `cluster` at `addr`. Empty if the server does not
    /// answer within the time limit, or does not list its clients.
    pub async fn keepers_at(&self, cluster: &ClusterName, addr: &NodeAddr) -> BTreeSet<ProbeName> {
        let node = self.node(cluster, addr);
        let told = timeout(TELLS_WITHIN, async {
            let mut connection = node.connect().await.ok()?;
            // A full probe reads the number of clients. `clients` asks no server with too many of them.
            connection.probe(Depth::Full).await.ok()?;
            connection.clients().await
        });
        let clients = told.await.ok().flatten();
        clients.map(|clients| clients.keepers).unwrap_or_default()
    }
}
