//! Subcommands of the program.

pub mod args;
pub mod check;
pub mod exit;
