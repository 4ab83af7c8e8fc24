//! The world behind the ports: Redis, ZooKeeper, embedded coordination, clocks.

pub mod clock;
pub mod embedded;
pub mod redis;
pub mod zookeeper;
