//! The beginning of most scenarios with several keepers.

use super::checks::Checks;
use super::keeper::{Keepers, Settings};
use super::net::Net;
use super::redis::Redis;
use super::zookeeper::{Prefix, ZooKeeper};

/// A cluster `cache` of a primary and two replicas, and keepers that all name them.
pub struct Trio {
    /// The keepers.
    pub keepers: Keepers,
    /// The keepers' prefix, in the ZooKeeper that all tests share.
    pub prefix: Prefix<'static>,
    /// The servers, the primary first.
    pub redis: [Redis; 3],
    // Dropped last: with the network, this fleet's turn ends.
    _net: Net,
}

// === impl Trio ===

impl Trio {
    /// Waits for the test's turn. Starts the servers and `count` keepers with these settings, which name no cluster.
    pub async fn start(prefix: &str, count: usize, settings: Settings) -> Self {
        let net = Net::fleet().await;
        let redis = Redis::trio(&net).await;
        let prefix = ZooKeeper::shared().await.prefix(prefix);
        let nodes = redis.each_ref();
        let keepers = Keepers::start_for(count, &net, &prefix, settings, &nodes).await;
        Self {
            keepers,
            prefix,
            redis,
            _net: net,
        }
    }

    /// Asks every keeper about every node from now on.
    pub fn checks(&self) -> Checks {
        Checks::start(&self.keepers, "cache", &self.redis.each_ref())
    }
}
