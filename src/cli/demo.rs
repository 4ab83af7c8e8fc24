//! `redis-keeper demo`: starts `redis-keeper-demo`, the program in `examples/demo`. It starts servers and kills them; a
//! keeper has no such code.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::exit::Exit;

/// The name of the demo's program, which is built and installed beside this one.
const PROGRAM: &str = "redis-keeper-demo";

/// Becomes the demo. Returns only if the demo cannot be started.
pub fn run(full: bool) -> Exit {
    let why = match std::env::current_exe() {
        Ok(this) => {
            let demo = this.with_file_name(PROGRAM);
            let error = Command::new(&demo).args(full.then_some("--full")).exec();
            format!("{}: {error}", demo.display())
        }
        Err(error) => error.to_string(),
    };
    eprintln!("redis-keeper demo: {why}; examples/demo.sh builds it");
    Exit::Failure
}
