//! Tests of the draws and the judge of the chaos run: each judge finds the fault that it is for.
//!
//! `examples/chaos.rs` is the run itself.

mod judge;
#[path = "../docs/literals.rs"]
mod literals;
mod logs;
mod schedule;
mod words;
