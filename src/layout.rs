//! What is kept in ZooKeeper: paths and versioned JSON.

pub mod paths;
pub mod state;
