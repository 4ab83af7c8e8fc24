//! The beginning of most scenarios with one keeper on ZooKeeper.

use super::keeper::{Keeper, Settings};
use super::net::Net;
use super::redis::Redis;
use super::zookeeper::{Prefix, ZooKeeper};

/// A cluster `cache` of one server, and one keeper, `keeper-1`.
pub struct Solo {
    /// The keeper.
    pub keeper: Keeper,
    /// The keeper's settings.
    pub settings: Settings,
    /// The keeper's prefix, in the ZooKeeper that all tests share.
    pub prefix: Prefix<'static>,
    /// The server.
    pub redis: Redis,
    /// The network of the test.
    pub net: Net,
}

// === impl Solo ===

impl Solo {
    /// Starts the server and the keeper, and waits until the keeper is ready.
    pub async fn start(prefix: &str) -> Self {
        let net = Net::new();
        let redis = Redis::start(&net).await;
        let prefix = ZooKeeper::shared().await.prefix(prefix);
        let settings = Settings::new().cluster("cache", [&redis]);
        let keeper = Keeper::launch("keeper-1", &net, &prefix, &settings).await;
        keeper.wait_ready().await;
        Self {
            keeper,
            settings,
            prefix,
            redis,
            net,
        }
    }
}
