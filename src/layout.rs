//! What is kept in ZooKeeper: paths and versioned JSON.

pub mod circle;
pub mod group;
pub mod keeper;
pub mod paths;
pub mod settings;
pub mod state;
