//! Sees to it that nothing outlives the demo, however it ends: killed, aborted, crashed.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use std::os::unix::process::CommandExt as _;

/// A shell that waits for the end of its standard input, which comes when this process is gone; then it removes the
/// directory that is its argument and kills its process group: itself, and all that were put into it.
const WAIT_AND_CLEAN: &str = r#"read -r _; rm -rf -- "$0"; kill -KILL 0"#;

/// The leader of a process group that ends with this process.
pub(super) struct Guardian(Child);

impl Guardian {
    /// Guards `dir`, and the processes that will be put into its group.
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", WAIT_AND_CLEAN]).arg(dir);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // The terminal's Ctrl-C is for the demo, which then ends the others in order.
        shell.process_group(0).spawn().map(Self)
    }

    /// The process group.
    pub(super) fn group(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.0.stdin = None;
        // An error means that it is gone already.
        let _ = self.0.wait();
    }
}
