//! The partition test: five hosts, each with a server, a proxy, a client and a manager.
//!
//! Hosts 1 and 2 are cut off from the other three, and joined again. The acknowledged writes are compared with the
//! data at the end.

pub(crate) mod client;
pub(crate) mod figures;
pub(crate) mod namespace;
pub(crate) mod network;
pub(crate) mod site;

use std::collections::HashSet;
use std::time::Duration;

use keeper_site::wait::{SOON, eventually};
use tokio::time::{Instant, sleep, sleep_until};

use self::client::{Client, key};
use self::figures::{Acknowledgement, Cut, Figures};
use self::site::{HOSTS, Manager, PROXY_PORT, Site};

/// The hosts that are cut off. Host 1 has the primary.
const APART: [usize; 2] = [1, 2];
/// A host with a ZooKeeper server, on each side.
const CUT_OFF: usize = 1;
const STAYING: usize = 5;

/// The script of a run.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// The manager of the servers.
    pub(crate) manager: Manager,
    /// How long a server must be silent to count as down.
    pub(crate) mark_down: Duration,
    /// Whether the leading keeper and ZooKeeper's leader are on the smaller side; else they are on host 5.
    pub(crate) leaders_cut_off: bool,
    /// How long clients write before the cut, with all writes acknowledged.
    pub(crate) before: Duration,
    /// How long the cut lasts.
    pub(crate) cut: Duration,
    /// How long clients write at least after the cut. They go on until all of them write to one server.
    pub(crate) after: Duration,
}

// === impl Script ===

impl Script {
    /// Plays the script. Returns the figures, and the site: its programs show their logs if a test fails by the
    /// figures.
    ///
    /// # Panics
    /// If something does not start, or if the hosts do not come together again.
    pub(crate) async fn play(&self) -> (Figures, Site) {
        let leader = if self.leaders_cut_off {
            CUT_OFF
        } else {
            STAYING
        };
        let site = Site::open(self.manager, self.mark_down, leader).await;
        let network = site.network();
        let start = Instant::now();
        let clients: Vec<_> = network
            .hosts()
            .iter()
            .map(|host| Client::start(host, PROXY_PORT, start))
            .collect();
        wait_writes(&clients, start, site.wait_one_primary().await).await;

        // The test is about these times, so it sleeps here.
        sleep(self.before).await;
        let from = start.elapsed();
        network.cut(&APART);
        sleep(self.cut).await;
        network.heal();
        let to = start.elapsed();
        let until = Instant::now() + self.after;
        let primary = site.wait_one_primary().await;
        wait_writes(&clients, start, primary).await;
        sleep_until(until).await;
        wait_writes(&clients, start, primary).await;

        let all: Vec<_> = clients.iter().flat_map(Client::stop).collect();
        let keys = all.iter().map(|write| key(write.client, write.number));
        let held = site.held_at(primary, keys.collect()).await;
        let lost: HashSet<_> = all
            .iter()
            .zip(held)
            .filter(|(_, held)| !held)
            .map(|(write, _)| (write.client, write.number))
            .collect();
        let cut = Cut {
            apart: APART.to_vec(),
            from,
            to,
        };
        let is_held = |write: &Acknowledgement| !lost.contains(&(write.client, write.number));
        (Figures::new(&all, &cut, HOSTS, primary, is_held), site)
    }
}

/// Waits until the server on host `primary` has acknowledged every client after this call.
async fn wait_writes(clients: &[Client], start: Instant, primary: usize) {
    let called = start.elapsed();
    let what = format!("all clients to write to host {primary}");
    eventually(SOON, what, async || {
        let latest: Vec<_> = clients.iter().map(Client::latest).collect();
        let as_wanted = |write: &Option<Acknowledgement>| {
            write.is_some_and(|write| write.at > called && write.node == primary)
        };
        let all = latest.iter().all(as_wanted);
        all.then_some(()).ok_or_else(|| format!("{latest:?}"))
    })
    .await;
}
