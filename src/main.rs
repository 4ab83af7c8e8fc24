//! The `redis-keeper` program: arguments, and how to exit. All else is in the library.

use std::process::ExitCode;

use redis_keeper::cli;

fn main() -> ExitCode {
    cli::main(std::env::args_os()).into()
}
