//! The world behind the ports: Redis, ZooKeeper, embedded coordination, clocks.

pub mod redis;
