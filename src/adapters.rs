//! Adapters: the implementations of the ports for Redis, ZooKeeper, embedded coordination, other keepers and clocks.

pub mod clock;
pub mod embedded;
pub mod peers;
pub mod place;
pub mod redis;
pub mod resolver;
pub mod zookeeper;
