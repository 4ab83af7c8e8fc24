//! The `redis-keeper` program: arguments, and how to exit. All else is in the library.

use std::process::ExitCode;

use redis_keeper::cli;

/// A fifth of a probe's cost was glibc's allocator (`cargo bench --bench probing`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main(std::env::args_os()).into()
}
