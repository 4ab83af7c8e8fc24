//! What is kept in ZooKeeper: paths and versioned JSON.
