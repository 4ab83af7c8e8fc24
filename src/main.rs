//! The `redis-keeper` program: arguments and exit code. Everything else is in the library.

use std::process::ExitCode;

use redis_keeper::cli;

/// With glibc's allocator, a fifth of a probe's cost was allocation (`cargo bench --bench probing`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main(std::env::args_os()).into()
}
