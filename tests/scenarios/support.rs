//! What scenarios are told with: servers that start, fail and come back, and a way to wait for consequences.
//!
//! ```ignore
//! let net = Net::fleet().await;
//! let [primary, first, second] = Redis::trio(&net).await;
//! let zookeeper = ZooKeeper::shared().await.prefix("killed_primary");
//! let settings = Settings::new().cluster("cache", [&primary, &first, &second]);
//! let keepers = Keepers::start(3, &net, &zookeeper, &settings).await;
//! primary.kill();
//! keepers.wait_status("cache", "a new primary", |status| status.primary == Some(first.node())).await;
//! ```

mod admin;
pub(crate) mod background;
pub(crate) mod calls;
pub(crate) mod checks;
pub(crate) mod haproxy;
pub(crate) mod keeper;
pub(crate) mod leadership;
pub(crate) mod link;
pub(crate) mod net;
pub(crate) mod process;
pub(crate) mod raw_http;
pub(crate) mod redis;
pub(crate) mod sentinel;
pub(crate) mod site;
pub(crate) mod tree;
pub(crate) mod wait;
pub(crate) mod writer;
pub(crate) mod zookeeper;

pub(crate) use self::background::BACKGROUND;
