//! The world behind the ports: Redis, ZooKeeper, embedded coordination, the other keepers, clocks.

pub mod clock;
pub mod embedded;
pub mod peers;
pub mod place;
pub mod redis;
pub mod resolver;
pub mod zookeeper;
