//! What the chaos run draws and how it judges, each shown to see what it is for. `examples/chaos.rs` is the run itself.

mod judge;
mod logs;
mod schedule;
