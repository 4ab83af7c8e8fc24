//! What a keeper knows through ZooKeeper: the other keepers, the latch, and the states and reports of all clusters.
//! Each type owns its part of that knowledge, and answers questions about it. The actor
//! `ZkSession` keeps the connection, the timers and the mailboxes.
//!
//! Safety rests on these types:
//! - [`lease_book`]: the lease that a heartbeat earns (RK-3);
//! - [`cluster_copy`]: which states may be applied, never a lower generation (RK-3);
//! - [`keeper_table`]: which keepers may still answer from before a withdrawal (RK-2);
//! - [`failsafe_group`]: which keepers must consent before this keeper goes on (RK-8).

pub mod cluster_copy;
pub mod clusters;
pub mod consents;
pub mod contact;
pub mod failsafe;
pub mod failsafe_group;
pub mod failsafe_member;
pub mod generations;
pub mod in_flight;
pub mod keeper_table;
pub mod latch;
pub mod lease_book;
pub mod polls;
pub mod record;
pub mod report_slot;
pub mod stored;
