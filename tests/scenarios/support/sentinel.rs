//! A real Redis Sentinel.

use tempfile::TempDir;

use super::net::Net;
use super::process::{Process, command};
use super::redis::Redis;
use super::wait::{SOON, eventually};

const PORT: u16 = 17_380;

/// One Sentinel, alone: it watches, and lacks the quorum to do more.
pub(crate) struct Sentinel {
    _process: Process,
    _dir: TempDir,
}

// === impl Sentinel ===

impl Sentinel {
    /// Starts one and waits until it greets its like at `primary`.
    pub(crate) async fn start(net: &Net, primary: &Redis) -> Self {
        let dir = TempDir::new().expect("a directory for a sentinel");
        let (at, watched) = (net.socket(PORT), primary.at());
        let lines = format!(
            "bind {}\nport {PORT}\ndir {}\nprotected-mode no\nsentinel monitor watched {} {} 2\n",
            at.ip(),
            dir.path().display(),
            watched.ip(),
            watched.port(),
        );
        let file = dir.path().join("sentinel.conf");
        std::fs::write(&file, lines).expect("sentinel.conf");
        let mut server = command("redis-server");
        server.arg(&file).arg("--sentinel");
        let process = Process::start(format!("sentinel {at}"), &dir.path().join("log"), server);
        eventually(SOON, "the sentinel to subscribe", async || {
            let clients: String = primary.run("CLIENT LIST TYPE pubsub").await;
            let there = clients.contains("name=sentinel-");
            there.then_some(()).ok_or(clients)
        })
        .await;
        Self {
            _process: process,
            _dir: dir,
        }
    }
}
