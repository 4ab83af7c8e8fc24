//! Makes sure that no process outlives the demo, however the demo ends: killed, aborted or crashed.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use std::os::unix::process::CommandExt as _;

/// A shell script that waits for the end of its standard input, which comes when the demo's process ends. Then the
/// script removes the directory in its argument, and kills its own process group.
const WAIT_AND_CLEAN: &str = r#"read -r _; rm -rf -- "$0"; kill -KILL 0"#;

/// The leader of a process group that ends with this process.
pub(super) struct Guardian(Child);

impl Guardian {
    /// Guards `dir`, and the processes that are put into the group.
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", WAIT_AND_CLEAN]).arg(dir);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Ctrl-C at the terminal goes to the demo alone, which then ends the others in order.
        shell.process_group(0).spawn().map(Self)
    }

    /// The id of the process group.
    pub(super) fn group(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.0.stdin = None;
        // An error means that the shell has already ended.
        let _ = self.0.wait();
    }
}
