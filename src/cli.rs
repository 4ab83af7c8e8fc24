//! The subcommands of the program.

pub mod args;
pub mod check;
pub mod demo;
pub mod exit;
pub mod run;
mod secret_files;
pub mod switchover;

mod descriptors;
mod logging;
mod ports;
mod recorder;

use std::ffi::OsString;

use self::args::CliCommand;
use self::exit::Exit;

/// Runs the command in `arguments`. The first argument is the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    match args::parse(arguments) {
        Ok(CliCommand::Run { file }) => run::run(&file),
        Ok(CliCommand::Check { file, live }) => {
            check::run(&file, live.then_some(check::live::run)).unwrap_or(Exit::Failure)
        }
        Ok(CliCommand::Switchover(args)) => switchover::run(&args),
        Ok(CliCommand::Demo { full }) => demo::run(full),
        Err(exit) => exit,
    }
}
