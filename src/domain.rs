//! The pure core: no async, no actor, no clock, no I/O. Time and facts come in as values, decisions go out as values.

pub mod compatibility;
pub mod drain;
pub mod election;
pub mod explain;
pub mod facts;
pub mod failsafe;
pub mod info;
pub mod lease;
pub mod lineage;
pub mod liveness;
pub mod node;
pub mod observed;
pub mod plan;
pub mod policy;
pub mod published;
pub mod serving;
pub mod succession;
pub mod task;
pub mod verdict;
pub mod witness;
pub mod yielding;
