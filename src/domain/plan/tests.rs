//! State → the plan. Each situation has its file; [`builder`] makes the states, [`model`] a cluster that plans act on.

mod breaker;
pub(in crate::domain) mod builder;
mod by_hand;
mod cooldown;
mod discovery;
mod drain;
mod expected;
mod failover;
mod flapping;
mod groups;
mod hindered;
mod keeping;
mod looks;
mod model;
mod order;
mod overlaps;
mod properties;
mod reach;
mod rebirth;
mod refusals;
mod seen;
mod sentinels;
mod shutdown;
mod strangers;
mod switchover;
mod write_safety;
