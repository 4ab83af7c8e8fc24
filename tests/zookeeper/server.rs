//! A ZooKeeper server for one test.

use std::net::SocketAddrV4;
use std::time::Duration;

use keeper_site::net::Net;
use keeper_site::zookeeper;
use redis_keeper::adapters::zookeeper::ZooKeeper;
use redis_keeper::ports::coordination::{Session, SessionState};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};

pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(2);

/// The most servers at once: more would starve each other on a small machine.
static PLACES: Semaphore = Semaphore::const_new(2);

/// A standalone server at an address of its own.
pub(crate) struct Server {
    zookeeper: zookeeper::Server,
    _directory: TempDir,
    _net: Net,
    _place: SemaphorePermit<'static>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let place = PLACES.acquire().await.expect("never closed");
        let (net, directory) = (Net::new(), TempDir::new().expect("a directory"));
        let at = net.socket(zookeeper::PORT);
        let zookeeper = zookeeper::Server::start(0, &[at], directory.path());
        zookeeper.wait_serving().await;
        Self {
            zookeeper,
            _directory: directory,
            _net: net,
            _place: place,
        }
    }

    /// The address for clients.
    pub(crate) fn at(&self) -> SocketAddrV4 {
        self.zookeeper.at()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.zookeeper.process().signal(signal);
    }

    pub(crate) fn kill(&self) {
        self.zookeeper.process().kill();
    }

    pub(crate) async fn restart(&self) {
        self.zookeeper.revive().await;
    }

    pub(crate) fn coordination(&self, prefix: &str) -> ZooKeeper {
        self.patient(prefix, SESSION_TIMEOUT)
    }

    pub(crate) fn patient(&self, prefix: &str, session_timeout: Duration) -> ZooKeeper {
        let servers = vec![self.at().to_string()];
        ZooKeeper::new(servers, prefix, session_timeout, None)
    }
}

pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn reaches(session: &dyn Session, wanted: impl FnMut(&SessionState) -> bool) {
    let mut state = session.state();
    let reached = timeout(PATIENCE, state.wait_for(wanted)).await;
    reached
        .expect("in time")
        .expect("the session tells its end");
}
