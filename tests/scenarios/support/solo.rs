//! What scenarios of one keeper on ZooKeeper begin with.

use super::keeper::{Keeper, Settings};
use super::net::Net;
use super::redis::Redis;
use super::zookeeper::{Prefix, ZooKeeper};

/// A cluster `cache` of one server, and one keeper, `keeper-1`.
pub(crate) struct Solo {
    pub(crate) keeper: Keeper,
    /// What it was started with.
    pub(crate) settings: Settings,
    /// Where it writes, on the ZooKeeper that all tests share.
    pub(crate) prefix: Prefix<'static>,
    pub(crate) redis: Redis,
    pub(crate) net: Net,
}

// === impl Solo ===

impl Solo {
    /// Starts both and waits until the keeper is ready.
    pub(crate) async fn start(prefix: &str) -> Self {
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
