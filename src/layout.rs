//! The nodes in ZooKeeper: their paths, and their content as versioned JSON.

pub mod circle;
pub mod group;
pub mod keeper;
pub mod paths;
pub mod settings;
pub mod state;
