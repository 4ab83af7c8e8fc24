//! Judges what keepers write into ZooKeeper while nothing happens: heartbeats, and next to nothing else.
//!
//! ZooKeeper writes every transaction to the disks of all its servers. A keeper that writes for every request, or
//! repeats a report, burdens them long before a test is slow.

use redis_keeper::layout::paths;

use super::Oracle;
use crate::tree::{NodeEvent, Tree};

/// How long after an event keepers may still write about it, in microseconds.
const SETTLES: u64 = 4_000_000;
/// The shortest time between two heartbeats, in microseconds: the default `heartbeat-seconds` less a keeper's drift.
const HEARTBEAT: u64 = 200_000 - 2_000;
/// How many other transactions a keeper may write in a minute, since HAProxies come and go.
const OTHERS: u64 = 8;
const MINUTE: u64 = 60_000_000;
/// How long keepers remember a HAProxy that asks no more, in microseconds.
const REMEMBERED: u64 = 10_000_000;

/// Transactions since the last event.
#[derive(Default)]
pub(super) struct Rest {
    /// How many faults are under way.
    faults: u32,
    /// The start of the present minute of rest, in microseconds. These events restart the minute:
    ///
    /// - A fault begins or ends.
    /// - A publication, or the beginning or the end of a session.
    /// - Keepers forget a HAProxy that was reloaded; the time may lie ahead.
    since: u64,
    /// Transactions since [`SETTLES`] after `since`.
    transactions: u64,
    /// The paths that the latest of these transactions changed.
    latest: Vec<String>,
}

impl Oracle {
    /// Notes that a fault strikes.
    pub(crate) fn fault_begins(&self) {
        let mut rest = self.rest.borrow_mut();
        rest.faults += 1;
        rest.disturbed(self.world.now());
    }

    /// Notes that a fault ends.
    pub(crate) fn fault_ends(&self) {
        let mut rest = self.rest.borrow_mut();
        rest.faults -= 1;
        rest.disturbed(self.world.now());
    }

    /// Notes that a HAProxy is reloaded: keepers will report that its former worker asks no more.
    pub(crate) fn proxy_reloaded(&self) {
        let mut rest = self.rest.borrow_mut();
        rest.disturbed(self.world.now() + REMEMBERED);
    }

    /// Judges a transaction with its changes; a transaction that failed has none.
    ///
    /// At rest, each keeper may write its heartbeats and [`OTHERS`] transactions a minute.
    pub(super) fn judge_rest(&self, tree: &Tree, changes: &[NodeEvent]) {
        let now = self.world.now();
        let mut rest = self.rest.borrow_mut();
        if changes.iter().any(disturbs) {
            return rest.disturbed(now);
        }
        if rest.faults > 0 || now < rest.since + SETTLES {
            return;
        }
        if now >= rest.since + SETTLES + MINUTE {
            rest.disturbed(now - SETTLES);
        }
        rest.note(changes);
        let keepers = tree.children(paths::KEEPERS).unwrap_or_default().len() as u64;
        let lasts = now - rest.since - SETTLES;
        let allowed = keepers * (lasts / HEARTBEAT + 1 + OTHERS);
        if rest.transactions > allowed {
            self.world.violated(format_args!(
                "rest: {} transactions within {lasts} us though nothing happens, {allowed} allowed; the latest: {}",
                rest.transactions,
                rest.latest.join(", ")
            ));
        }
    }
}

impl Rest {
    pub(super) fn faults_under_way(&self) -> bool {
        self.faults > 0
    }

    fn disturbed(&mut self, now: u64) {
        self.since = self.since.max(now);
        self.transactions = 0;
        self.latest.clear();
    }

    fn note(&mut self, changes: &[NodeEvent]) {
        self.transactions += 1;
        let latest = changes.first().map_or("nothing", path);
        if !latest.starts_with(paths::KEEPERS) {
            self.latest.push(latest.to_owned());
        }
        if self.latest.len() > 12 {
            self.latest.remove(0);
        }
    }
}

fn path(change: &NodeEvent) -> &str {
    match change {
        NodeEvent::Created(path) | NodeEvent::Set(path) | NodeEvent::Deleted(path) => path,
    }
}

/// Whether a change is an event: a publication, or the beginning or the end of a session.
fn disturbs(change: &NodeEvent) -> bool {
    let path = path(change);
    let session = path.starts_with(paths::KEEPERS) || path.starts_with(paths::LEADER);
    let beat = matches!(change, NodeEvent::Set(_));
    path == paths::GENERATION || session && !beat
}
