//! A network namespace without a name.
//!
//! The kernel removes the namespace with all its interfaces once no process uses it: neither this one nor a child,
//! however they end.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::{Command, Stdio};

use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The remedy, for a system that refuses namespaces.
const REFUSED: &str = "network namespaces can only be made by root: run this as root, or make it root of a user \
    namespace by putting `unshare --map-root-user` before the command";

/// An open namespace, empty but for a loopback interface that is down.
pub(crate) struct Namespace(File);

// === impl Namespace ===

impl Namespace {
    /// Creates a namespace.
    ///
    /// # Panics
    /// Without the rights of root; the message names the remedy.
    pub(crate) fn new() -> Self {
        assert!(geteuid().is_root(), "{REFUSED}");
        // The first process in the namespace reports that it runs. Then it waits until this process has opened the
        // namespace or has died.
        let mut first = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "echo; read -r _"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare, of util-linux");
        let mut said = first.stdout.take().expect("a pipe");
        let there = said.read_exact(&mut [0]);
        let file = File::open(format!("/proc/{}/ns/net", first.id()));
        drop(first.stdin.take());
        first.wait().expect("a child of ours");
        assert!(there.is_ok(), "{REFUSED}");
        Self(file.expect("a namespace of ours"))
    }

    /// The path of the namespace, for programs that this process starts.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Moves the calling thread into the namespace.
    pub(crate) fn enter(&self) {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("root may change its namespace");
    }

    /// Runs the commands `orders` of `ip` in the namespace, one a line.
    pub(crate) fn ip(&self, orders: &str) {
        self.feed(&["ip", "-batch", "-"], orders);
    }

    /// Runs the commands `orders` of `nft` in the namespace, one a line.
    #[allow(dead_code, reason = "not every program that has hosts filters packets")]
    pub(crate) fn nft(&self, orders: &str) {
        self.feed(&["nft", "-f", "-"], orders);
    }

    fn feed(&self, program: &[&str], orders: &str) {
        let mut child = Command::new("nsenter")
            .arg(format!("--net={}", self.path()))
            .args(program)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .spawn()
            .expect("nsenter, of util-linux");
        let mut input = child.stdin.take().expect("a pipe");
        let written = input.write_all(orders.as_bytes());
        drop(input);
        let status = child.wait().expect("a child of ours");
        let done = written.is_ok() && status.success();
        assert!(done, "{program:?}: {status}: {orders}");
    }
}
