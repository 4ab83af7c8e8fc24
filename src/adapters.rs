//! The world behind the ports: Redis, ZooKeeper, embedded coordination, clocks.
