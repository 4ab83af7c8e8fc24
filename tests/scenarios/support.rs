//! The words in which scenarios are told: servers that start, fail and come back, and functions that wait for the
//! consequences.
//!
//! ```ignore
//! let trio = Trio::start("killed_primary", 3, Settings::new()).await;
//! let [primary, first, second] = &trio.redis;
//! primary.kill();
//! trio.keepers.wait_status("cache", "a new primary", |status| status.primary == Some(first.node())).await;
//! ```

mod admin;
pub(crate) mod background;
pub(crate) mod calls;
pub(crate) mod certificates;
pub(crate) mod checks;
pub(crate) mod etc;
pub(crate) mod haproxy;
pub(crate) mod insistence;
pub(crate) mod keeper;
pub(crate) mod leadership;
pub(crate) mod link;
pub(crate) mod look;
pub(crate) mod net;
pub(crate) mod process;
pub(crate) mod raw_http;
pub(crate) mod raw_session;
pub(crate) mod redis;
pub(crate) mod scrape;
pub(crate) mod sentinel;
pub(crate) mod site;
pub(crate) mod solo;
pub(crate) mod tree;
pub(crate) mod trio;
pub(crate) mod wait;
pub(crate) mod writer;
pub(crate) mod zookeeper;

pub(crate) use self::background::BACKGROUND;
