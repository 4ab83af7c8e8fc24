//! The site of a test: servers, ZooKeeper, HAProxy and keepers as child processes, which end with the process that
//! started them; and functions that start them, make them fail, bring them back, and wait for the consequences.
//!
//! The tests, benches and examples of `redis-keeper` use this crate. The crate itself does not link with
//! `redis-keeper`, and knows only the built program.
//!
//! ```ignore
//! let trio = Trio::start("killed_primary", 3, Settings::new()).await;
//! let [primary, first, second] = &trio.redis;
//! primary.kill();
//! trio.keepers.wait_status("cache", "a new primary", |status| status.primary == Some(first.node())).await;
//! ```
//!
//! # Panics
//! Every function panics if a step fails or comes too late: then the test has failed.

#![allow(
    clippy::missing_panics_doc,
    reason = "a step that fails is a test that fails"
)]
#![allow(
    clippy::new_without_default,
    reason = "to make one is to start or to claim something"
)]

mod admin;
pub mod background;
pub mod calls;
pub mod certificates;
pub mod checks;
pub mod etc;
pub mod haproxy;
pub mod insistence;
pub mod keeper;
pub mod leadership;
pub mod link;
pub mod look;
pub mod net;
pub mod node;
pub mod process;
pub mod raw_http;
pub mod raw_session;
pub mod redis;
pub mod scrape;
pub mod sentinel;
pub mod session;
pub mod site;
pub mod solo;
pub mod tree;
pub mod trio;
pub mod wait;
pub mod writer;
pub mod zookeeper;

pub use self::background::BACKGROUND;
