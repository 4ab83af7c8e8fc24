//! Files of `/etc` for a process of its own: the process resolves names as on another host.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::process::command;

/// Files that take the place of `/etc/hosts`, `/etc/resolv.conf` and `/etc/nsswitch.conf`. They may change while
/// programs run.
pub struct Etc(TempDir);

// === impl Etc ===

impl Etc {
    /// Files with no name but `localhost`, and with no name server.
    pub fn new() -> Self {
        let etc = Self(TempDir::new().expect("a directory"));
        etc.set_hosts(&[]);
        etc.set_name_server(None);
        etc
    }

    /// Sets the names and addresses of `/etc/hosts`.
    pub fn set_hosts(&self, hosts: &[(&str, Ipv4Addr)]) {
        let mut lines = "127.0.0.1 localhost\n".to_owned();
        for (name, ip) in hosts {
            writeln!(lines, "{ip} {name}").expect("a string takes all");
        }
        self.write("hosts", &lines);
    }

    /// Sets the name server for all other names; `None` for no name server.
    pub fn set_name_server(&self, at: Option<Ipv4Addr>) {
        let (servers, order) = match at {
            Some(at) => (format!("nameserver {at}\n"), "hosts: files dns\n"),
            None => (String::new(), "hosts: files\n"),
        };
        self.write("resolv.conf", &servers);
        self.write("nsswitch.conf", order);
    }

    /// A command that runs `program` with these files. The command needs root, or `unshare --map-root-user` around
    /// the tests.
    pub fn command(&self, program: &str) -> Command {
        const MOUNTED: &str = r#"for file in hosts resolv.conf nsswitch.conf; do
            mount --bind "$0/$file" "/etc/$file" || exit 1; done; exec "$@""#;
        let mut command = command("unshare");
        command
            .args(["--mount", "--", "sh", "-c", MOUNTED])
            .arg(self.0.path())
            .arg(program);
        command
    }

    // The file has to stay the same inode: it is mounted.
    fn write(&self, name: &str, text: &str) {
        let path = Path::new(self.0.path()).join(name);
        std::fs::write(path, text).expect("a file of its own");
    }
}
