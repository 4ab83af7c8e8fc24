//! The pure core: no async, no actor, no clock, no I/O.

pub mod node;
