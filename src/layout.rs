//! The nodes in ZooKeeper: their paths, and their content as versioned JSON.

pub mod failsafe_member;
pub mod group;
pub mod keeper;
pub mod paths;
pub mod settings;
pub mod state;
