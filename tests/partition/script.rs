//! The partition test: five hosts, each with a server, a proxy, a client and a manager; hosts 1 and 2 are cut from the other
//! three, and joined again. What was acknowledged is compared with what is left.

pub(crate) mod client;
pub(crate) mod figures;
pub(crate) mod namespace;
pub(crate) mod network;
pub(crate) mod site;

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use self::client::{Client, key};
use self::figures::{Acknowledgement, Cut, Figures};
use self::site::{HOSTS, Manager, PROXY_PORT, Site};
use crate::support::wait::eventually;

/// The hosts that are cut off. Host 1 has the primary.
const APART: [usize; 2] = [1, 2];
/// Sentinels take tens of seconds to tell the old primary.
const REUNION: Duration = Duration::from_mins(2);

/// Of those with a ZooKeeper server, on each side.
const CUT_OFF: usize = 1;
const STAYING: usize = 5;

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// Who looks after the servers.
    pub(crate) manager: Manager,
    /// How long a server must be silent to be taken for down.
    pub(crate) mark_down: Duration,
    /// Whether the leading keeper and ZooKeeper's leader are cut off, too. Else they are on host 5.
    pub(crate) leaders_cut_off: bool,
    /// How long clients write before the cut, all of them acknowledged.
    pub(crate) before: Duration,
    /// How long the cut lasts.
    pub(crate) cut: Duration,
    /// How long clients write afterwards, at least; always until all of them write to one server.
    pub(crate) after: Duration,
}

// === impl Script ===

impl Script {
    /// Plays it: the figures, and the site as it is afterwards, whose programs show their logs if the figures make the test
    /// fail.
    ///
    /// # Panics
    /// When something does not start, or the hosts do not come together again.
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
        wait_agreement(&clients, start).await;

        // The times are what is tested, so they are slept, not waited for.
        sleep(self.before).await;
        let from = start.elapsed();
        network.cut(&APART);
        sleep(self.cut).await;
        network.heal();
        let to = start.elapsed();
        let until = Instant::now() + self.after;
        let primary = wait_agreement(&clients, start).await;
        site.wait_settled_on(primary).await;
        sleep_until(until).await;
        let again = wait_agreement(&clients, start).await;
        assert_eq!(primary, again, "the hosts came together for good");

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

/// Waits until every client has been acknowledged since this was called, the latest of each by one and the same server, by
/// its host, which is returned.
async fn wait_agreement(clients: &[Client], start: Instant) -> usize {
    let called = start.elapsed();
    eventually(REUNION, "all clients to write to one server", async || {
        let latest: Vec<_> = clients.iter().map(Client::latest).collect();
        let fresh = |write: &Acknowledgement| write.at > called;
        let nodes: Option<Vec<_>> = latest
            .iter()
            .map(|write| write.filter(fresh).map(|write| write.node))
            .collect();
        match nodes.as_deref() {
            Some([first, others @ ..]) if others.iter().all(|node| node == first) => Ok(*first),
            _ => Err(format!("{latest:?}")),
        }
    })
    .await
}
